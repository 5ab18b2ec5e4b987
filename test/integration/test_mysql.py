"""Records in MariaDB, in tables made by PowerDNS's own schema file, written by other programs: the
backend, whose account may only SELECT, serves what is stored, whatever happens to the server."""

import copy
import random
import threading
import time

import pymysql
import pytest

import godwit
from godwit import GrpcClient, run, wait_until
from machine_clock import Stopwatch
from mysql_server import GALERA, PASSWORD, GaleraMember, MysqlServer, MysqlStore
from redis_server import make_certificates

# From the commit to the changed answer, at the default polling of 100 ms.
PROMISE_S = 0.8 if godwit.SANITIZED else 0.4

LOADS = "godwit_backend_store_loads_total"
UP = "godwit_backend_store_up"
FOREIGN_KEYS = "/usr/share/pdns-backend-mysql/schema/enable-foreign-keys.mysql.sql"


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory):
    server = MysqlServer(tmp_path_factory.mktemp("mysql"))
    yield server
    server.destroy()


@pytest.fixture
def own_server(tmp_path):
    """A server to be killed; depends on nothing that ends later."""
    server = MysqlServer(tmp_path)
    yield server
    server.destroy()


@pytest.fixture
def empty_store(shared_server, tmp_path):
    return MysqlStore(shared_server, tmp_path).init()


@pytest.fixture
def store(empty_store):
    empty_store.load_zone()
    return empty_store


@pytest.fixture
def own_store(own_server, tmp_path):
    store = MysqlStore(own_server, tmp_path).init()
    store.load_zone()
    return store


@pytest.fixture
def start_mysql_backend(start_backend):
    def start(store, url=None):
        # Losing everything is what some of these tests are about: no guard against it.
        return start_backend(url or store.backend_url, password_file=str(store.password_file),
                             max_loss_percent=100)
    return start


@pytest.fixture
def backend(store, start_mysql_backend):
    return start_mysql_backend(store).wait_ready()


@pytest.fixture
def client(backend):
    with GrpcClient(backend.address) as client:
        yield client


@pytest.fixture
def own_client(own_backend):
    with GrpcClient(own_backend.address) as client:
        yield client


@pytest.fixture
def own_backend(own_store, start_mysql_backend):
    return start_mysql_backend(own_store).wait_ready()


def addresses(client, name, rtype="A"):
    return godwit.answers(client.query(name, rtype))


def wait_answers(client, name, expected, rtype="A", timeout=10):
    wait_until(lambda: addresses(client, name, rtype) == expected, timeout,
               message=f"{name} {rtype} is {addresses(client, name, rtype)}, not {expected}")


def wait_rcode(client, name, expected, timeout=10):
    wait_until(lambda: godwit.rcode(client.query(name)) == expected, timeout,
               message=f"{name} is {godwit.rcode(client.query(name))}, not {expected}")


def insert(connection, store, name, address):
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO records (domain_id, name, type, content, ttl) "
                       "VALUES (%s, %s, 'A', %s, 60)", (store.zone_id(), name, address))


# --- init -----------------------------------------------------------------------------------------

def test_init_works_on_a_populated_database_and_twice(shared_server, tmp_path,
                                                      start_mysql_backend):
    store = MysqlStore(shared_server, tmp_path)
    store.sql("INSERT INTO domains (name, type) VALUES ('example.com', 'NATIVE')")
    store.add_record("example.com", "SOA", "ns1.example.com h.example.com 1 2 3 4 5")
    store.add_record("www.example.com", "A", "192.0.2.1")
    tables = store.sql("SHOW CREATE TABLE records")
    store.init()
    before = store.sql("SHOW TRIGGERS")
    store.init()
    assert store.sql("SHOW TRIGGERS") == before and len(before) == 6
    assert store.sql("SHOW CREATE TABLE records") == tables
    assert store.sql("SELECT COUNT(*) FROM godwit_changes") == ((1,),)
    with GrpcClient(start_mysql_backend(store).wait_ready().address) as client:
        assert addresses(client, "www.example.com") == ["192.0.2.1"]


def test_init_makes_powerdns_own_tables_in_an_empty_database(shared_server, tmp_path):
    store = MysqlStore(shared_server, tmp_path, schema=False).init()
    other = MysqlStore(shared_server, tmp_path)
    columns = ("SELECT table_name, column_name, column_type, is_nullable, column_default, "
               "character_set_name, collation_name, extra FROM information_schema.columns "
               "WHERE table_schema = DATABASE() AND table_name NOT LIKE 'godwit%' "
               "ORDER BY table_name, ordinal_position")
    assert store.sql(columns) == other.sql(columns)


@pytest.mark.parametrize("missing", ["CREATE", "TRIGGER"])
def test_init_says_which_privilege_is_missing(shared_server, tmp_path, missing):
    store = MysqlStore(shared_server, tmp_path)
    user = f"no_{missing.lower()}"
    store.make_user(user, ", ".join({"SELECT", "INSERT", "CREATE", "TRIGGER"} - {missing}))
    failed = store.ctl("init", url=store.url_of(user), check=False)
    assert failed.returncode == 1
    assert failed.stderr.count("\n") == 1
    assert f"{missing} command denied" in failed.stderr and "GRANT" in failed.stderr


def test_a_database_without_init_is_reported_and_served_once_it_is_ready(
        shared_server, tmp_path, start_mysql_backend):
    store = MysqlStore(shared_server, tmp_path)
    backend = start_mysql_backend(store).wait_alive()
    wait_until(lambda: "godwitctl --store" in backend.log() and "init" in backend.log())
    store.init().load_zone()
    backend.wait_ready()


# --- changes --------------------------------------------------------------------------------------

def test_changes_by_another_program_are_served_in_time(store, client):
    for number in range(5):
        store.sql(f"UPDATE records SET content = '203.0.113.{number}' "
                  "WHERE name = 'www.example.com' AND type = 'A'")
        wait_answers(client, "www.example.com", [f"203.0.113.{number}"], timeout=PROMISE_S)
    store.add_record("New.Example.Com.", "A", "192.0.2.55")
    wait_answers(client, "new.example.com", ["192.0.2.55"], timeout=PROMISE_S)
    store.sql("UPDATE records SET name = 'newer.example.com' WHERE name = 'new.example.com.'")
    wait_answers(client, "newer.example.com", ["192.0.2.55"], timeout=PROMISE_S)
    assert godwit.rcode(client.query("new.example.com")) == "NXDOMAIN"
    store.sql("UPDATE records SET disabled = 1 WHERE name = 'newer.example.com'")
    wait_rcode(client, "newer.example.com", "NXDOMAIN", PROMISE_S)
    store.sql("DELETE FROM records WHERE name = 'www.example.com' AND type = 'A'")
    wait_answers(client, "www.example.com", [], timeout=PROMISE_S)
    assert addresses(client, "www.example.com", "AAAA") == ["2001:db8::80"]


def test_updates_that_change_nothing_served_leave_no_changes(store):
    before = store.sql("SELECT MAX(seq) FROM godwit_changes")
    store.sql("UPDATE records SET ordername = 'x', auth = 1", "UPDATE records SET ttl = ttl",
              "UPDATE domains SET last_check = 1, notified_serial = 7")
    assert store.sql("SELECT MAX(seq) FROM godwit_changes") == before


def test_many_spellings_of_one_name_are_one_name(store, client):
    for spelling in ("MULTI.example.com", "multi.example.com.", "\\109ulti.example.com"):
        store.add_record(spelling, "A", f"192.0.2.{len(spelling)}")
    expected = ["192.0.2.17", "192.0.2.18", "192.0.2.20"]
    wait_answers(client, "multi.example.com", sorted(expected), timeout=PROMISE_S)
    store.sql("DELETE FROM records WHERE name = 'multi.example.com.'")
    wait_answers(client, "multi.example.com", ["192.0.2.17", "192.0.2.20"], timeout=PROMISE_S)


def test_names_that_only_the_collation_takes_for_equal_stay_apart(store, client):
    store.add_record("e.example.com", "A", "192.0.2.1")
    store.add_record("\u00e9.example.com", "A", "192.0.2.2")
    wait_answers(client, "e.example.com", ["192.0.2.1"], timeout=PROMISE_S)
    store.ctl("record", "set", "e.example.com", "A", "192.0.2.3")
    wait_answers(client, "e.example.com", ["192.0.2.3"], timeout=PROMISE_S)
    assert len(store.sql("SELECT 1 FROM records WHERE name = 'e.example.com'")) == 2


def test_names_are_found_where_the_collation_minds_case(shared_server, tmp_path,
                                                        start_mysql_backend):
    store = MysqlStore(shared_server, tmp_path)
    store.sql("ALTER TABLE records MODIFY name VARCHAR(255) COLLATE latin1_bin",
              "ALTER TABLE domains MODIFY name VARCHAR(255) COLLATE latin1_bin NOT NULL")
    store.init().load_zone()
    store.sql("UPDATE domains SET name = 'Example.COM'")
    with GrpcClient(start_mysql_backend(store).wait_ready().address) as client:
        store.add_record("New.example.com", "A", "192.0.2.1", zone="Example.COM")
        wait_answers(client, "new.example.com", ["192.0.2.1"], timeout=PROMISE_S)
        store.ctl("record", "add", "new.example.com", "A", "192.0.2.2")
        wait_answers(client, "new.example.com", ["192.0.2.1", "192.0.2.2"], timeout=PROMISE_S)


def test_zones_added_renamed_and_deleted(store, client):
    store.sql("INSERT INTO domains (name, type) VALUES ('example.net', 'NATIVE')")
    store.add_record("example.net", "SOA", "ns1.example.net h.example.net 1 2 3 4 5",
                     zone="example.net")
    wait_rcode(client, "example.net", "NOERROR", PROMISE_S)
    store.sql("UPDATE domains SET name = 'example.org' WHERE name = 'example.net'",
              "UPDATE records SET name = 'example.org' WHERE name = 'example.net'")
    wait_rcode(client, "example.org", "NOERROR", PROMISE_S)
    wait_rcode(client, "example.net", "REFUSED", PROMISE_S)
    store.sql("DELETE FROM domains WHERE name = 'example.org'")
    wait_rcode(client, "example.org", "REFUSED", PROMISE_S)


def test_deletes_by_foreign_key_cascade_are_seen(store, client):
    with open(FOREIGN_KEYS) as file:
        store.shell(file.read())
    # Altering the tables made the backend load again.
    wait_rcode(client, "www.example.com", "NOERROR")
    store.sql("DELETE FROM domains WHERE name = 'example.com'")
    assert store.sql("SELECT COUNT(*) FROM records") == ((0,),)
    wait_rcode(client, "www.example.com", "REFUSED", PROMISE_S)


# --- transactions that overlap --------------------------------------------------------------------

def test_a_change_that_commits_late_is_seen(store, client, backend):
    first, second = store.connect(autocommit=False), store.connect(autocommit=False)
    insert(first, store, "late.example.com", "192.0.2.1")
    insert(second, store, "early.example.com", "192.0.2.2")
    second.commit()
    wait_answers(client, "early.example.com", ["192.0.2.2"], timeout=PROMISE_S)
    assert godwit.rcode(client.query("late.example.com")) == "NXDOMAIN"
    first.commit()
    wait_answers(client, "late.example.com", ["192.0.2.1"], timeout=PROMISE_S)
    assert backend.metric(LOADS) == 1


def test_a_change_that_commits_very_late_is_seen_and_one_rolled_back_given_up(
        store, client, backend):
    late, gone = store.connect(autocommit=False), store.connect(autocommit=False)
    insert(late, store, "late.example.com", "192.0.2.1")
    insert(gone, store, "gone.example.com", "192.0.2.3")
    insert(late, store, "later.example.com", "192.0.2.4")
    store.add_record("early.example.com", "A", "192.0.2.2")
    wait_answers(client, "early.example.com", ["192.0.2.2"], timeout=PROMISE_S)
    gone.rollback()
    # Long enough for missing numbers to be looked into, again and again.
    time.sleep(8)
    late.commit()
    wait_answers(client, "late.example.com", ["192.0.2.1"], timeout=PROMISE_S)
    wait_answers(client, "later.example.com", ["192.0.2.4"], timeout=PROMISE_S)
    assert godwit.rcode(client.query("gone.example.com")) == "NXDOMAIN"
    assert backend.metric(LOADS) == 1


def test_a_change_under_way_while_loading_is_seen(store, start_mysql_backend):
    late = store.connect(autocommit=False)
    insert(late, store, "late.example.com", "192.0.2.1")
    store.add_record("early.example.com", "A", "192.0.2.2")
    backend = start_mysql_backend(store).wait_ready()
    with GrpcClient(backend.address) as client:
        assert addresses(client, "early.example.com") == ["192.0.2.2"]
        time.sleep(7)
        late.commit()
        wait_answers(client, "late.example.com", ["192.0.2.1"], timeout=PROMISE_S)
    assert backend.metric(LOADS) == 1


def served_names(client, store):
    """What is served of all names that any writer may have made."""
    return {name: addresses(client, name) for name in
            (f"r{number}.example.com" for number in range(60))}


def stored_names(store):
    found = {f"r{number}.example.com": [] for number in range(60)}
    for name, content in store.sql("SELECT name, content FROM records WHERE name LIKE 'r%'"):
        found[name].append(content)
    return {name: sorted(set(contents)) for name, contents in found.items()}


def write_at_random(store, seed, seconds):
    chance = random.Random(seed)
    connection = store.connect(autocommit=False)
    zone = store.zone_id()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            with connection.cursor() as cursor:
                for _ in range(chance.randrange(1, 5)):
                    name = f"r{chance.randrange(60)}.example.com"
                    address = f"10.{seed}.{chance.randrange(256)}.{chance.randrange(256)}"
                    what = chance.randrange(3)
                    if what == 0:
                        cursor.execute("INSERT INTO records (domain_id, name, type, content, ttl) "
                                       "VALUES (%s, %s, 'A', %s, 60)", (zone, name, address))
                    elif what == 1:
                        cursor.execute("UPDATE records SET content = %s WHERE name = %s LIMIT 1",
                                       (address, name))
                    else:
                        cursor.execute("DELETE FROM records WHERE name = %s LIMIT 1", (name,))
                    time.sleep(chance.random() * 0.01)
            if chance.randrange(4):
                connection.commit()
            else:
                connection.rollback()
        except pymysql.MySQLError:
            connection.rollback()  # a deadlock: that is life
    connection.close()


def test_what_is_served_equals_what_is_stored_after_random_writers(store, client, backend):
    writers = [threading.Thread(target=write_at_random, args=(store, seed, 4))
               for seed in range(1, 7)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    stored = stored_names(store)
    wait_until(lambda: served_names(client, store) == stored, 2, 0.1)
    assert backend.metric(LOADS) == 1
    changes = store.sql("SELECT COUNT(*), MAX(seq) - MIN(seq) + 1 FROM godwit_changes")[0]
    print(f"{changes[0]} changes, {changes[1] - changes[0]} numbers of transactions rolled back")


def test_nothing_is_missed_while_the_server_is_killed_again_and_again(
        own_store, own_backend, own_client):
    stop = threading.Event()
    writers = [threading.Thread(target=write_through_kills, args=(own_store, seed, stop))
               for seed in range(1, 5)]
    for writer in writers:
        writer.start()
    for _ in range(3):
        time.sleep(random.uniform(0.5, 1.5))
        own_store.server.kill()
        own_store.server.start()
    time.sleep(0.5)
    stop.set()
    for writer in writers:
        writer.join()
    stored = stored_names(own_store)
    wait_until(lambda: served_names(own_client, own_store) == stored, 5, 0.1)


def write_through_kills(store, seed, stop):
    while not stop.is_set():
        try:
            write_at_random(store, seed, 0.5)
        except (pymysql.MySQLError, OSError):
            time.sleep(0.05)  # the server is down


# --- what no trigger tells ------------------------------------------------------------------------

def test_truncate_is_noticed(store, client, backend):
    store.sql("TRUNCATE TABLE records")
    wait_rcode(client, "www.example.com", "REFUSED", 5)
    wait_until(lambda: backend.metric(LOADS) == 2)


def test_truncate_is_noticed_while_others_write(store, client, backend):
    stop = threading.Event()

    def keep_writing():
        connection, number, zone = store.connect(), 0, store.zone_id()
        with connection.cursor() as cursor:
            while not stop.is_set():
                number += 1
                cursor.execute("INSERT INTO records (domain_id, name, type, content, ttl) VALUES "
                               "(%s, %s, 'A', '192.0.2.1', 60)", (zone, f"w{number}.example.com"))
                time.sleep(0.02)

    writer = threading.Thread(target=keep_writing)
    writer.start()
    try:
        time.sleep(1.5)
        store.sql("TRUNCATE TABLE records")
        wait_rcode(client, "www.example.com", "REFUSED", 5)
    finally:
        stop.set()
        writer.join()


def test_emptied_changes_are_noticed(store, client, backend):
    store.sql("TRUNCATE TABLE godwit_changes")
    wait_until(lambda: backend.metric(LOADS) == 2)
    store.add_record("new.example.com", "A", "192.0.2.1")
    wait_answers(client, "new.example.com", ["192.0.2.1"])
    store.add_record("newer.example.com", "A", "192.0.2.2")
    wait_answers(client, "newer.example.com", ["192.0.2.2"], timeout=PROMISE_S)


def test_a_restored_backup_is_noticed(store, client, backend):
    dump = store.dump()
    store.sql("UPDATE records SET content = '203.0.113.1' WHERE name = 'www.example.com' "
              "AND type = 'A'")
    store.add_record("new.example.com", "A", "192.0.2.1")
    wait_answers(client, "new.example.com", ["192.0.2.1"])
    store.shell(dump)
    wait_answers(client, "www.example.com", ["192.0.2.80"])
    wait_rcode(client, "new.example.com", "NXDOMAIN")
    store.add_record("newer.example.com", "A", "192.0.2.2")
    wait_answers(client, "newer.example.com", ["192.0.2.2"])


def test_rows_deleted_without_triggers_are_noticed(store, client):
    store.sql("DROP TRIGGER godwit_records_delete", "DELETE FROM records WHERE type = 'AAAA'")
    wait_answers(client, "www.example.com", [], "AAAA", timeout=20)
    store.init()
    store.sql("DELETE FROM records WHERE name = 'www.example.com'")
    wait_rcode(client, "www.example.com", "NXDOMAIN")


def test_missing_triggers_are_reported_to_an_account_that_may_see_them(store,
                                                                       start_mysql_backend):
    backend = start_mysql_backend(store, store.url).wait_ready()
    store.sql("DROP TRIGGER godwit_records_update")
    wait_until(lambda: "no trigger godwit_records_update" in backend.log())
    store.init()
    wait_until(lambda: backend.metric(UP) == 1)


def test_godwitctl_trims_old_changes_but_not_the_newest(store, client, backend):
    """Those of the last day and the newest thousand stay; and nothing behind one that does."""
    store.sql("INSERT INTO godwit_changes (domain_id, name) "
              f"SELECT {store.zone_id()}, 'x.example.com' FROM seq_1_to_3000",
              "UPDATE godwit_changes SET at = NOW() - INTERVAL 2 DAY")
    young = store.sql("SELECT MIN(seq) + 1500 FROM godwit_changes")[0][0]
    store.sql(f"UPDATE godwit_changes SET at = NOW() WHERE seq = {young}")
    wait_until(lambda: backend.metric(LOADS) == 2)  # the row followed last was altered
    store.ctl("record", "set", "www.example.com", "A", "192.0.2.1")
    wait_answers(client, "www.example.com", ["192.0.2.1"])
    assert store.sql("SELECT MIN(seq) FROM godwit_changes")[0][0] == young
    store.sql(f"UPDATE godwit_changes SET at = NOW() - INTERVAL 2 DAY WHERE seq = {young}")
    store.ctl("record", "set", "www.example.com", "A", "192.0.2.2")
    wait_answers(client, "www.example.com", ["192.0.2.2"])
    assert 1000 <= store.sql("SELECT COUNT(*) FROM godwit_changes")[0][0] <= 1010
    assert backend.metric(LOADS) == 2


def test_a_row_without_a_zone_makes_followers_load(store, backend):
    store.sql("INSERT INTO godwit_changes () VALUES ()")
    wait_until(lambda: backend.metric(LOADS) == 2)


# --- outages --------------------------------------------------------------------------------------

def test_answers_go_on_while_the_server_is_killed_and_follow_when_it_is_back(
        own_store, own_backend, own_client):
    own_store.server.kill()
    wait_until(lambda: own_backend.metric(UP) == 0, 3)
    assert addresses(own_client, "www.example.com") == ["192.0.2.80"]
    own_store.server.start()
    own_store.add_record("new.example.com", "A", "192.0.2.1")
    wait_answers(own_client, "new.example.com", ["192.0.2.1"], timeout=4 if godwit.SANITIZED else 2)
    assert "Traceback" not in own_backend.log()


def test_a_server_that_stops_answering_is_noticed_within_seconds(
        own_store, own_backend, own_client):
    own_store.server.pause()
    wait_until(lambda: own_backend.metric(UP) == 0, 5)
    wait_until(lambda: "no reply within" in own_backend.log())
    assert addresses(own_client, "www.example.com") == ["192.0.2.80"]
    own_store.server.resume()
    own_store.add_record("new.example.com", "A", "192.0.2.1")
    wait_answers(own_client, "new.example.com", ["192.0.2.1"], timeout=8 if godwit.SANITIZED else 2)


def test_a_backend_ends_at_once_while_the_server_does_not_answer(own_store, own_backend):
    own_store.server.pause()
    wait_until(lambda: own_backend.metric(UP) == 0, 5)
    watch = Stopwatch()
    own_backend.stop()
    assert watch.seconds < (6 if godwit.SANITIZED else 3.5)
    own_store.server.resume()


def test_a_load_cut_short_takes_nothing_away(own_server, tmp_path, start_mysql_backend):
    store = MysqlStore(own_server, tmp_path).init()
    store.load_zone(big_zone(60000))
    backend = start_mysql_backend(store).wait_ready()
    with GrpcClient(backend.address) as client:
        for _ in range(4):
            loads = backend.metric(LOADS)
            store.sql("INSERT INTO godwit_changes () VALUES ()")
            time.sleep(random.random() * 0.3)
            own_server.kill()
            for number in (0, 30000, 59999):
                assert len(addresses(client, f"h{number}.big.example")) == 1
            own_server.start()
            wait_until(lambda: backend.metric(LOADS) > loads and backend.metric(UP) == 1, 20)
        assert backend.metric("godwit_backend_records") == 60000 + 2


def test_no_connection_left_is_said_and_waited_for(own_store, start_mysql_backend):
    own_store.server.sql("SET GLOBAL max_connections = 10")
    idle = [own_store.connect() for _ in range(10)]
    backend = start_mysql_backend(own_store).wait_alive()
    wait_until(lambda: "max_connections" in backend.log())
    for connection in idle:
        connection.close()
    backend.wait_ready()


# --- connecting -----------------------------------------------------------------------------------

def test_a_unix_socket(store, start_mysql_backend):
    url = store.url_of("reader", f"?socket={store.server.socket}", hosts="localhost")
    start_mysql_backend(store, url).wait_ready()
    assert "example.com" in store.ctl("zone", "list", url=url).stdout


def test_a_password_is_read_again_at_each_connection(store, start_mysql_backend):
    right = store.password_file.read_text()
    store.password_file.write_text("wrong\n")
    backend = start_mysql_backend(store).wait_alive()
    wait_until(lambda: "Access denied" in backend.log())
    assert "password file" in backend.log()
    store.password_file.write_text(right)
    backend.wait_ready()
    assert PASSWORD not in backend.log()


def test_a_password_file_that_is_missing_is_named(store):
    failed = godwit.run(godwit.program("godwitctl"), "--store", store.url, "--password-file",
                        "/nonexistent/secret", "zone", "list", check=False)
    assert failed.returncode == 1 and "/nonexistent/secret" in failed.stderr


def test_the_next_host_serves_when_the_first_is_dead(store, start_mysql_backend):
    dead = f"127.0.0.1:{godwit.free_port()}"
    url = store.url_of("reader", hosts=f"{dead},{store.server.address}")
    backend = start_mysql_backend(store, url).wait_ready(5)
    assert backend.metric(UP) == 1


def test_a_dead_server_is_replaced_by_the_next_host(own_store, store, start_mysql_backend):
    # Two servers with a database of the same name, as a replica would have it.
    twin = copy.copy(store)
    twin.server = own_store.server
    twin.server.sql(f"CREATE DATABASE IF NOT EXISTS {store.database}")
    twin.make_user("writer", "ALL")
    twin.make_user("reader", "SELECT")
    twin.shell(store.dump())
    twin.sql("UPDATE records SET content = '192.0.2.200' WHERE name = 'www.example.com' "
             "AND type = 'A'")
    url = store.url_of("reader", hosts=f"{own_store.server.address},{store.server.address}")
    backend = start_mysql_backend(store, url).wait_ready()
    with GrpcClient(backend.address) as client:
        assert addresses(client, "www.example.com") == ["192.0.2.200"]
        own_store.server.kill()
        wait_answers(client, "www.example.com", ["192.0.2.80"], timeout=5)


def test_tls_is_verified(tmp_path, start_mysql_backend):
    made = make_certificates(tmp_path)
    (tmp_path / "other").mkdir()
    other = make_certificates(tmp_path / "other")
    server = MysqlServer(tmp_path, f"--ssl-ca={made.ca}", f"--ssl-cert={made.certificate}",
                         f"--ssl-key={made.key}")
    try:
        store = MysqlStore(server, tmp_path).init()
        server.sql("ALTER USER reader REQUIRE SSL")
        store.load_zone()
        backend = start_mysql_backend(store, store.url_of("reader", f"?ca={made.ca}"))
        backend.wait_ready()
        backend.stop()
        store.ctl("zone", "list", url=store.url_of("reader", "?tls=required"))
        failed = store.ctl("zone", "list", url=store.url_of("reader", f"?ca={other.ca}"),
                           check=False)
        assert failed.returncode == 1 and "certificate" in failed.stderr.lower()
        failed = store.ctl("zone", "list", url=store.url_of("reader", "?tls=off"), check=False)
        assert failed.returncode == 1 and "Access denied" in failed.stderr
    finally:
        server.destroy()


def test_an_account_without_select_is_told_so(store, start_mysql_backend):
    store.make_user("nobody_much", "SELECT", on="domains")
    backend = start_mysql_backend(store, store.url_of("nobody_much")).wait_alive()
    wait_until(lambda: "SELECT command denied" in backend.log())


@pytest.mark.skipif(not GALERA.exists() or not godwit.has_program("rsync"),
                    reason="needs galera-4 and rsync")
def test_galera_members_are_followed_and_replace_each_other(tmp_path, start_mysql_backend):
    first = GaleraMember(tmp_path)
    second = None
    try:
        second = GaleraMember(tmp_path, first)
        store = MysqlStore(first, tmp_path).init()
        store.load_zone()
        hosts = f"{second.address},{first.address}"
        backend = start_mysql_backend(store, store.url_of("reader", hosts=hosts)).wait_ready()
        with GrpcClient(backend.address) as client:
            # Open on the one member, while changes go on on both and one of them is followed.
            late = store.connect(autocommit=False)
            insert(late, store, "late.example.com", "192.0.2.1")
            other = second.connect("writer", PASSWORD, store.database)
            for number in range(10):
                insert(other, store, f"second{number}.example.com", "192.0.2.2")
                store.add_record(f"first{number}.example.com", "A", "192.0.2.3")
            wait_answers(client, "second9.example.com", ["192.0.2.2"], timeout=2)
            wait_answers(client, "first9.example.com", ["192.0.2.3"], timeout=2)
            time.sleep(7)
            late.commit()
            wait_answers(client, "late.example.com", ["192.0.2.1"], timeout=2)
            assert backend.metric(LOADS) == 1
            second.stop()
            store.add_record("alone.example.com", "A", "192.0.2.4")
            wait_answers(client, "alone.example.com", ["192.0.2.4"], timeout=10)
            assert backend.metric(UP) == 1
    finally:
        for server in (second, first):
            if server:
                server.destroy()


# --- godwitctl ------------------------------------------------------------------------------------

def test_godwitctl_does_everything(empty_store):
    store = empty_store
    store.ctl("zone", "add", "example.com", "--ns", "ns1.example.com.", "--mbox",
              "hostmaster.example.com.")
    store.ctl("record", "set", "www.example.com", "A", "--ttl", "60", "192.0.2.1", "192.0.2.2")
    store.ctl("record", "add", "www.example.com", "A", "192.0.2.3")
    store.ctl("record", "delete", "www.example.com", "A", "192.0.2.1")
    store.ctl("record", "set", "example.com", "MX", "10 mail.example.com.")
    store.ctl("record", "set", "it's.example.com", "TXT", '"a \\\\ b" "c\'d"')
    assert store.sql("SELECT content, ttl, prio FROM records WHERE name = 'www.example.com' "
                     "ORDER BY content") == (("192.0.2.2", 60, None), ("192.0.2.3", 60, None))
    assert store.sql("SELECT content, prio FROM records WHERE type = 'MX'") == (
        ("mail.example.com", 10),)
    exported = store.ctl("zone", "export", "example.com").stdout
    (store.directory / "out.zone").write_text(exported)
    again = store.ctl("zone", "import", store.directory / "out.zone", check=False)
    assert again.returncode == 1 and "--replace" in again.stderr
    store.ctl("zone", "import", store.directory / "out.zone", "--replace")
    assert store.ctl("zone", "export", "example.com").stdout == exported
    assert store.ctl("zone", "list").stdout == "example.com\n"
    store.sql("INSERT INTO domainmetadata (domain_id, kind, content) "
              "SELECT id, 'SOA-EDIT', 'EPOCH' FROM domains")
    store.ctl("zone", "delete", "example.com")
    assert store.ctl("zone", "list").stdout == ""
    for table in ("domains", "records", "domainmetadata"):
        assert store.sql(f"SELECT COUNT(*) FROM {table}") == ((0,),)


def test_godwitctl_writes_are_served_whole(store, client):
    store.load_zone(godwit.DEMO_ZONE.replace("192.0.2.80", "203.0.113.80"), "--replace")
    wait_answers(client, "www.example.com", ["203.0.113.80"], timeout=PROMISE_S)
    store.ctl("record", "set", "www.example.com", "A", "203.0.113.81")
    wait_answers(client, "www.example.com", ["203.0.113.81"], timeout=PROMISE_S)
    store.ctl("zone", "delete", "example.com")
    wait_rcode(client, "www.example.com", "REFUSED", PROMISE_S)


def test_concurrent_record_adds_lose_nothing(store):
    adders = [threading.Thread(target=store.ctl,
                               args=("record", "add", "many.example.com", "A", f"192.0.2.{n}"))
              for n in range(8)]
    for adder in adders:
        adder.start()
    for adder in adders:
        adder.join()
    assert len(store.sql("SELECT 1 FROM records WHERE name = 'many.example.com'")) == 8


def test_a_read_only_server_refuses_writes_and_serves_reads(own_store, start_mysql_backend):
    own_store.server.sql("SET GLOBAL read_only = 1")
    start_mysql_backend(own_store).wait_ready()
    failed = own_store.ctl("record", "set", "www.example.com", "A", "192.0.2.1", check=False)
    assert failed.returncode == 1 and "read-only" in failed.stderr


def test_an_account_that_may_not_write_is_told_so(store):
    failed = store.ctl("record", "set", "www.example.com", "A", "192.0.2.1", check=False,
                       url=store.backend_url)
    assert failed.returncode == 1 and "denied" in failed.stderr
    assert failed.stderr.count("\n") == 1


# --- PowerDNS's own tool --------------------------------------------------------------------------

def test_zones_made_by_pdnsutil_are_served(store, client, tmp_path):
    (tmp_path / "pdns.conf").write_text(
        "launch=gmysql\n"
        f"gmysql-socket={store.server.socket}\ngmysql-user=root\n"
        f"gmysql-dbname={store.database}\n")

    def pdnsutil(*arguments):
        return run("pdnsutil", f"--config-dir={tmp_path}", *arguments)

    pdnsutil("create-zone", "pdns.example", "ns1.pdns.example")
    pdnsutil("add-record", "pdns.example", "www", "A", "300", "192.0.2.7")
    pdnsutil("add-record", "pdns.example", "@", "MX", "300", "10 mail.pdns.example")
    wait_answers(client, "www.pdns.example", ["192.0.2.7"], timeout=PROMISE_S)
    wait_answers(client, "pdns.example", ["10 mail.pdns.example."], "MX", timeout=PROMISE_S)
    pdnsutil("delete-rrset", "pdns.example", "www", "A")
    wait_rcode(client, "www.pdns.example", "NXDOMAIN", PROMISE_S)
    pdnsutil("delete-zone", "pdns.example")
    wait_rcode(client, "pdns.example", "REFUSED", PROMISE_S)
    store.ctl("zone", "add", "ours.example", "--ns", "ns1.ours.example.", "--mbox",
              "h.ours.example.")
    store.ctl("record", "set", "ours.example", "MX", "10 mail.ours.example.")
    listed = pdnsutil("list-zone", "ours.example").stdout
    assert "MX\t10 mail.ours.example." in listed


# --- size -----------------------------------------------------------------------------------------

def big_zone(count):
    lines = ["$ORIGIN big.example.", "$TTL 300", "@ SOA ns1 hostmaster 1 2 3 4 5", "@ NS ns1"]
    lines += [f"h{number} A 10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
              for number in range(count)]
    return "\n".join(lines) + "\n"


def test_200000_records_are_imported_and_loaded(empty_store, start_mysql_backend):
    started = time.monotonic()
    empty_store.load_zone(big_zone(200000), timeout=180)
    imported = time.monotonic()
    backend = start_mysql_backend(empty_store).wait_ready(60)
    print(f"200,000 records: imported in {imported - started:.1f} s, loaded in "
          f"{time.monotonic() - imported:.1f} s")
    assert backend.metric("godwit_backend_records") == 200002
    # One change says it all.
    assert empty_store.sql("SELECT COUNT(*) FROM godwit_changes")[0][0] < 10
