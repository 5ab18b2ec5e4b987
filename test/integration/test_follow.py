"""The backend follows the store: changes by anybody are served at once, bad rows are reported and
left out, and answers go on whatever happens to the store."""

import sqlite3
import time

import grpc
import pytest

import godwit
from godwit import GrpcClient, wait_until

# What the issue promises, from the end of the writer's transaction to the changed answer.
PROMISE_S = 0.6 if godwit.SANITIZED else 0.3

UP = "godwit_backend_store_up"
REJECTED = "godwit_backend_records_rejected_total"
OUTAGES = "godwit_backend_store_outages_total"


@pytest.fixture
def client(backend):
    with GrpcClient(backend.address) as client:
        yield client


def addresses(client, name, rtype="A"):
    return godwit.answers(client.query(name, rtype))


def wait_answers(client, name, expected, rtype="A", timeout=10):
    wait_until(lambda: addresses(client, name, rtype) == expected, timeout,
               message=f"{name} {rtype} is {addresses(client, name, rtype)}, not {expected}")


def wait_rcode(client, name, expected, timeout=10):
    wait_until(lambda: godwit.rcode(client.query(name)) == expected, timeout)


# --- changes --------------------------------------------------------------------------------------

def test_a_row_changed_by_the_sqlite3_program_is_served_in_time(store, client):
    for number in range(5):
        store.shell(f"UPDATE records SET content = '203.0.113.{number}' "
                    "WHERE name = 'www.example.com' AND type = 'A';")
        wait_answers(client, "www.example.com", [f"203.0.113.{number}"], timeout=PROMISE_S)


def test_rows_added_and_deleted(store, client):
    assert godwit.rcode(client.query("new.example.com")) == "NXDOMAIN"
    store.add_record("example.com", "new.example.com", "A", "192.0.2.55")
    wait_answers(client, "new.example.com", ["192.0.2.55"], timeout=PROMISE_S)
    store.sql("DELETE FROM records WHERE name = 'new.example.com'")
    wait_rcode(client, "new.example.com", "NXDOMAIN", PROMISE_S)


def test_zones_added_and_deleted(store, client):
    assert godwit.rcode(client.query("www.example.net")) == "REFUSED"
    store.load_zone(godwit.DEMO_ZONE.replace("example.com", "example.net"))
    wait_answers(client, "www.example.net", ["192.0.2.80"], timeout=PROMISE_S)
    store.ctl("zone", "delete", "example.net")
    wait_rcode(client, "www.example.net", "REFUSED", PROMISE_S)
    assert addresses(client, "www.example.com") == ["192.0.2.80"]


def test_what_one_transaction_writes_is_seen_together(store, client):
    """Two names are always changed together; no reader ever sees the new one after the old."""
    connection = store.connect()
    store.add_record("example.com", "pair.example.com", "A", "10.0.0.0")
    store.add_record("example.com", "pair.example.com", "A", "10.0.1.0")
    wait_answers(client, "pair.example.com", ["10.0.0.0", "10.0.1.0"])
    for number in range(1, 20):
        connection.execute("BEGIN IMMEDIATE")
        for half in (0, 1):
            connection.execute(
                "UPDATE records SET content = ? WHERE name = 'pair.example.com' "
                "AND content LIKE ?", (f"10.0.{half}.{number}", f"10.0.{half}.%"))
        connection.execute("COMMIT")
        expected = [f"10.0.0.{number}", f"10.0.1.{number}"]
        before = [f"10.0.0.{number - 1}", f"10.0.1.{number - 1}"]
        while (seen := addresses(client, "pair.example.com")) != expected:
            assert seen == before
    connection.close()


def test_disabled_rows_are_not_served(store, client):
    store.sql("UPDATE records SET disabled = 1 WHERE name = 'www.example.com' AND type = 'A'")
    wait_answers(client, "www.example.com", [], timeout=PROMISE_S)


# --- rows that make no sense ----------------------------------------------------------------------

def test_a_bad_row_is_reported_and_its_neighbours_are_served(store, backend, client):
    store.add_record("example.com", "www.example.com", "A", "192.0.2.300")
    store.add_record("example.com", "www.example.com", "A", "192.0.2.81")
    wait_answers(client, "www.example.com", ["192.0.2.80", "192.0.2.81"])
    key = store.sql("SELECT id FROM records WHERE content = '192.0.2.300'")[0][0]
    line = next(line for line in backend.log().splitlines() if "record left out" in line)
    assert f"records.id={key}" in line and "owner=www.example.com" in line
    assert backend.metric(REJECTED) >= 1


@pytest.mark.parametrize("rtype, content", [
    ("NOTATYPE", "data"), ("MX", "not a number"), ("AAAA", "192.0.2.1"), ("OPT", "\\# 0"),
    ("ANY", "x"), ("TXT", '"open'), ("TYPE65280", "\\# 4 01"), ("SOA", ""),
])
def test_rows_that_do_not_parse_are_left_out_at_load(store, start_backend, rtype, content):
    store.add_record("example.com", "bad.example.com", rtype, content)
    store.add_record("example.com", "bad.example.com", "TXT", '"good"')
    backend = start_backend(store).wait_ready()
    with GrpcClient(backend.address) as client:
        assert addresses(client, "bad.example.com", "TXT") == ['"good"']
    assert backend.metric(REJECTED) == 1
    assert "left_out=1" in backend.log()


def test_each_of_several_bad_rows_is_named(store, start_backend):
    for number in range(20):
        store.add_record("example.com", f"bad{number}.example.com", "A", "nonsense")
    log = start_backend(store).wait_ready().log()
    for (key,) in store.sql("SELECT id FROM records WHERE content = 'nonsense'"):
        assert f"key=records.id={key} " in log.replace('"', "")
    assert "left_out=20" in log


def test_a_store_full_of_bad_rows_does_not_flood_the_log(store, start_backend):
    rows = [(f"bad{number}.example.com",) for number in range(2000)]
    connection = store.connect()
    connection.execute("BEGIN")
    connection.executemany("INSERT INTO records (domain_id, name, type, content, ttl) "
                           "SELECT id, ?, 'A', 'nonsense', 300 FROM domains", rows)
    connection.execute("COMMIT")
    connection.close()
    backend = start_backend(store).wait_ready()
    assert backend.metric(REJECTED) == 2000
    assert 50 < backend.log().count("record left out") <= 100
    assert "too many bad records" in backend.log()


def test_an_owner_outside_its_zone_is_left_out(store, start_backend):
    store.add_record("example.com", "www.example.net", "A", "192.0.2.1")
    store.add_record("example.com", "notexample.com", "A", "192.0.2.1")
    backend = start_backend(store).wait_ready()
    assert backend.metric(REJECTED) == 2
    assert "outside its zone" in backend.log()


def test_of_several_cnames_the_first_is_served(store, backend, client):
    store.add_record("example.com", "alias.example.com", "CNAME", "mail.example.com")
    wait_until(lambda: backend.metric(REJECTED) == 1)
    assert addresses(client, "alias.example.com") == ["192.0.2.80", "www.example.com."]


def test_a_cname_beside_data_is_served_and_reported(store, backend, client):
    store.add_record("example.com", "alias.example.com", "TXT", '"beside"')
    wait_until(lambda: "a CNAME beside other data" in backend.log())
    assert "www.example.com." in addresses(client, "alias.example.com")


def test_an_rrset_has_the_lowest_of_its_ttls(store, client):
    store.add_record("example.com", "www.example.com", "A", "192.0.2.81", ttl=60)
    wait_answers(client, "www.example.com", ["192.0.2.80", "192.0.2.81"])
    assert client.query("www.example.com").answer[0].ttl == 60


def test_a_zone_without_soa_is_not_served_until_it_has_one(store, backend, client):
    store.sql("DELETE FROM records WHERE type = 'SOA'")
    wait_rcode(client, "www.example.com", "REFUSED")
    wait_until(lambda: "zones without an SOA are not served" in backend.log())
    assert backend.metric("godwit_backend_zones_without_soa") == 1
    store.add_record("example.com", "example.com", "SOA",
                     "ns1.example.com hostmaster.example.com 2 3600 600 86400 60")
    wait_answers(client, "www.example.com", ["192.0.2.80"])


# --- outages --------------------------------------------------------------------------------------

def outage_lines(backend):
    return [line for line in backend.log().splitlines() if "store cannot be used" in line]


def wait_outage(backend):
    wait_until(lambda: backend.metric(UP) == 0)
    wait_until(lambda: outage_lines(backend))


def wait_back(store, backend, client):
    """The store is followed again, and what changes in it now is served."""
    wait_until(lambda: backend.metric(UP) == 1)
    store.add_record("example.com", "back.example.com", "A", "192.0.2.200")
    wait_answers(client, "back.example.com", ["192.0.2.200"])
    assert "store is back" in backend.log()


def assert_answers_from_memory(backend, client):
    assert addresses(client, "www.example.com") == ["192.0.2.80"]
    assert client.check() == "SERVING"
    code, reason = backend.get("/readyz")
    assert code == 200 and "from memory" in reason


def test_answers_go_on_when_the_store_is_deleted(store, backend, client):
    kept = store.path.with_suffix(".kept")
    store.path.rename(kept)
    wait_outage(backend)
    assert_answers_from_memory(backend, client)
    kept.rename(store.path)
    wait_back(store, backend, client)
    assert len(outage_lines(backend)) == 1
    assert backend.metric(OUTAGES) == 1


def test_answers_go_on_when_the_store_is_corrupted(store, backend, client):
    good = store.path.read_bytes()
    store.path.write_bytes(b"this is no database " * 1000)
    wait_outage(backend)
    assert_answers_from_memory(backend, client)
    store.path.write_bytes(good)
    wait_back(store, backend, client)


def test_answers_go_on_while_somebody_locks_the_store(store, backend, client):
    connection = store.connect()
    connection.execute("BEGIN EXCLUSIVE")
    connection.execute("UPDATE records SET content = '192.0.2.99' WHERE name = 'mail.example.com'")
    deadline = time.monotonic() + 1.5
    while time.monotonic() < deadline:
        assert addresses(client, "www.example.com") == ["192.0.2.80"]
    connection.execute("COMMIT")
    connection.close()
    wait_answers(client, "mail.example.com", ["192.0.2.99"])


def test_a_store_that_is_replaced_is_loaded_again(store, backend, client):
    """Another file under the same name: as a restored backup."""
    other = godwit.Store(store.directory, "other.db").init().load_zone(
        godwit.DEMO_ZONE.replace("192.0.2.80", "192.0.2.180"))
    other.path.rename(store.path)
    wait_answers(client, "www.example.com", ["192.0.2.180"])


@pytest.mark.parametrize("content", [None, b"", b"not a database at all, for sure" * 100],
                         ids=["missing", "empty", "garbage"])
def test_starting_without_a_usable_store(tmp_path, start_backend, content):
    """Says what is wrong, once, does not answer, and starts to when the store is made."""
    store = godwit.Store(tmp_path, "first.db")
    if content is not None:
        store.path.write_bytes(content)
    backend = start_backend(store).wait_alive()
    with GrpcClient(backend.address) as client:
        wait_outage(backend)
        assert "first.db" in outage_lines(backend)[0]
        assert backend.get("/readyz")[0] == 503
        with pytest.raises(grpc.RpcError) as failure:
            client.query("www.example.com")
        assert failure.value.code() == grpc.StatusCode.UNAVAILABLE
        store.path.unlink(missing_ok=True)
        store.init().load_zone()
        backend.wait_ready()
        wait_answers(client, "www.example.com", ["192.0.2.80"])


def test_an_outage_is_one_line_however_often_it_is_retried(tmp_path, start_backend):
    backend = start_backend(godwit.Store(tmp_path, "missing.db")).wait_alive()
    wait_outage(backend)
    began = time.monotonic()
    while time.monotonic() - began < 2:  # pauses start at 100 ms: four tries and more
        assert len(outage_lines(backend)) == 1
        time.sleep(0.05)
    assert backend.metric(OUTAGES) == 1


def test_a_database_without_our_tables_says_what_to_do(tmp_path, start_backend):
    store = godwit.Store(tmp_path, "foreign.db")
    sqlite3.connect(store.path).execute("CREATE TABLE t (x)").connection.close()
    backend = start_backend(store).wait_alive()
    wait_outage(backend)
    assert "init" in outage_lines(backend)[0]
    store.init().load_zone()
    backend.wait_ready()
