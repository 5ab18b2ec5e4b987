"""What a backend does when it lost a MariaDB server for a while: it follows on from where it stood
when nothing can have been missed, and loads everything when anything may have been. Either way what
is served is what is stored."""

import random
import threading
import time

import pytest

import godwit
from godwit import GrpcClient, wait_until
from proxy import Proxy
from test_mysql import (  # noqa: F401 (fixtures)
    FOREIGN_KEYS, LOADS, UP, addresses, big_zone, empty_store, insert, own_backend, own_client, own_server,
    own_store, served_names, shared_server, start_mysql_backend, store, stored_names, wait_answers,
    wait_rcode, write_at_random)

RESUMES = "godwit_backend_store_resumes_total"
# From the store's return to the first change served.
PROMISE_S = 4 if godwit.SANITIZED else 2


@pytest.fixture
def proxy(store):
    with Proxy(store.server.address) as proxy:
        yield proxy


@pytest.fixture
def backend(store, proxy, start_mysql_backend):
    return start_mysql_backend(store, store.url_of("reader", hosts=proxy.address)).wait_ready()


@pytest.fixture
def client(backend):
    with GrpcClient(backend.address) as client:
        yield client


def cut(proxy, backend):
    proxy.cut()
    wait_until(lambda: backend.metric(UP) == 0)


def test_what_changed_meanwhile_is_followed_without_loading(store, proxy, backend, client):
    store.add_record("here.example.com", "A", "192.0.2.1")
    wait_answers(client, "here.example.com", ["192.0.2.1"])
    cut(proxy, backend)
    store.add_record("new.example.com", "A", "192.0.2.2")
    store.sql("UPDATE records SET content = '192.0.2.3' WHERE name = 'www.example.com' "
              "AND type = 'A'", "DELETE FROM records WHERE name = 'here.example.com'")
    store.load_zone(godwit.DEMO_ZONE.replace("example.com", "example.org"))
    assert addresses(client, "www.example.com") == ["192.0.2.80"]
    proxy.mend()
    wait_answers(client, "new.example.com", ["192.0.2.2"], timeout=PROMISE_S)
    assert addresses(client, "www.example.com") == ["192.0.2.3"]
    assert addresses(client, "www.example.org") == ["192.0.2.80"]
    wait_rcode(client, "here.example.com", "NXDOMAIN")
    wait_until(lambda: backend.metric(UP) == 1)
    assert (backend.metric(LOADS), backend.metric(RESUMES)) == (1, 1)


def test_transactions_open_at_the_loss_are_not_missed(store, proxy, backend, client):
    during, after = store.connect(autocommit=False), store.connect(autocommit=False)
    insert(during, store, "during.example.com", "192.0.2.1")
    insert(after, store, "after.example.com", "192.0.2.2")
    store.add_record("first.example.com", "A", "192.0.2.3")  # a higher number, seen first
    wait_answers(client, "first.example.com", ["192.0.2.3"])
    cut(proxy, backend)
    during.commit()
    proxy.mend()
    wait_answers(client, "during.example.com", ["192.0.2.1"], timeout=PROMISE_S)
    cut(proxy, backend)
    proxy.mend()
    wait_until(lambda: backend.metric(UP) == 1)
    after.commit()
    wait_answers(client, "after.example.com", ["192.0.2.2"], timeout=PROMISE_S)
    assert (backend.metric(LOADS), backend.metric(RESUMES)) == (1, 2)


def test_zones_deleted_with_their_records_meanwhile(store, proxy, start_mysql_backend):
    store.shell(open(FOREIGN_KEYS).read())
    store.load_zone(godwit.DEMO_ZONE.replace("example.com", "example.org"))
    backend = start_mysql_backend(store, store.url_of("reader", hosts=proxy.address)).wait_ready()
    with GrpcClient(backend.address) as client:
        cut(proxy, backend)
        store.sql("DELETE FROM domains WHERE name = 'example.org'")
        proxy.mend()
        wait_rcode(client, "www.example.org", "REFUSED", PROMISE_S)
        assert addresses(client, "www.example.com") == ["192.0.2.80"]
    assert backend.metric(LOADS) == 1


def test_a_killed_server_is_followed_on(own_store, own_backend, own_client):
    """Also when it is killed a moment after a change, and before the first one."""
    for number in range(3):
        own_store.server.kill()
        wait_until(lambda: own_backend.metric(UP) == 0)
        own_store.server.start()
        own_store.add_record(f"n{number}.example.com", "A", "192.0.2.1")
        wait_answers(own_client, f"n{number}.example.com", ["192.0.2.1"], timeout=PROMISE_S)
    assert own_backend.metric(LOADS) == 1


# --- histories that are not the one followed ------------------------------------------------------

def lose_a_commit(store, seen):
    """A crash that lost what was committed last; one number below the newest here."""
    store.sql(f"DELETE FROM godwit_changes WHERE seq = {seen[-2]}")


def empty_changes(store, seen):
    store.sql("TRUNCATE TABLE godwit_changes")


def delete_changes(store, seen):
    store.sql("DELETE FROM godwit_changes")


def number_anew(store, seen):
    """The same number, of another history."""
    store.sql(f"UPDATE godwit_changes SET at = NOW(6) WHERE seq = {seen[-1]}")


def refill_records(store, seen):
    """As many as before, and each insert is told; what is not there any more is not."""
    store.sql("CREATE TABLE kept AS SELECT * FROM records WHERE name <> 'two.example.com'",
              "TRUNCATE TABLE records",
              "INSERT INTO records (domain_id, name, type, content, ttl, prio) "
              "SELECT domain_id, name, type, content, ttl, prio FROM kept UNION ALL "
              "SELECT domain_id, 'other.example.com', 'A', '192.0.2.2', 60, 0 FROM kept")


def write_without_triggers(store, seen):
    store.sql("DROP TRIGGER godwit_records_delete", "DELETE FROM records WHERE type = 'TXT'")
    store.init()


@pytest.mark.parametrize("happens", [lose_a_commit, empty_changes, delete_changes, number_anew,
                                     refill_records, write_without_triggers])
def test_another_history_is_loaded(store, proxy, backend, client, happens):
    with store.connect(autocommit=False) as connection:
        insert(connection, store, "one.example.com", "192.0.2.1")
        insert(connection, store, "two.example.com", "192.0.2.2")
        connection.commit()
    wait_answers(client, "two.example.com", ["192.0.2.2"])
    cut(proxy, backend)
    happens(store, [seq for seq, in store.sql("SELECT seq FROM godwit_changes ORDER BY seq")])
    store.sql("SET @godwit_quiet = 1", "DELETE FROM records WHERE name = 'one.example.com'")
    proxy.mend()
    wait_rcode(client, "one.example.com", "NXDOMAIN")
    wait_until(lambda: backend.metric(LOADS) == 2)
    assert backend.metric(RESUMES) == 0
    store.add_record("new.example.com", "A", "192.0.2.3")
    wait_answers(client, "new.example.com", ["192.0.2.3"], timeout=PROMISE_S)


def test_a_restored_backup_is_loaded(store, proxy, backend, client):
    dump = store.dump()
    store.add_record("lost.example.com", "A", "192.0.2.1")
    wait_answers(client, "lost.example.com", ["192.0.2.1"])
    cut(proxy, backend)
    store.shell(dump)
    proxy.mend()
    wait_rcode(client, "lost.example.com", "NXDOMAIN")
    wait_until(lambda: backend.metric(LOADS) == 2)


def test_an_awaited_change_that_came_and_was_trimmed_is_loaded(store, proxy, backend, client):
    late = store.connect(autocommit=False)
    insert(late, store, "late.example.com", "192.0.2.1")
    store.add_record("first.example.com", "A", "192.0.2.2")
    wait_answers(client, "first.example.com", ["192.0.2.2"])
    cut(proxy, backend)
    late.commit()
    newest = store.sql("SELECT MAX(seq) FROM godwit_changes")[0][0]
    store.sql(f"DELETE FROM godwit_changes WHERE seq < {newest}")
    proxy.mend()
    wait_answers(client, "late.example.com", ["192.0.2.1"])
    wait_until(lambda: backend.metric(LOADS) == 2)


def test_what_is_trimmed_meanwhile_as_others_do_does_no_harm(store, proxy, start_mysql_backend):
    """godwitctl trims what is older than a day, but leaves the newest thousand."""
    store.load_zone(big_zone(100))
    store.sql("INSERT INTO godwit_changes (domain_id, name) SELECT "
              f"{store.zone_id()}, 'x.example.com' FROM seq_1_to_3000",
              "UPDATE godwit_changes SET at = NOW(6) - INTERVAL 2 DAY")
    backend = start_mysql_backend(store, store.url_of("reader", hosts=proxy.address)).wait_ready()
    with GrpcClient(backend.address) as client:
        store.add_record("seen.example.com", "A", "192.0.2.1")
        wait_answers(client, "seen.example.com", ["192.0.2.1"])
        cut(proxy, backend)
        store.ctl("record", "set", "www.example.com", "A", "192.0.2.9")
        left = store.sql("SELECT COUNT(*) FROM godwit_changes")[0][0]
        assert 990 <= left <= 1020
        proxy.mend()
        wait_answers(client, "www.example.com", ["192.0.2.9"], timeout=PROMISE_S)
        wait_until(lambda: backend.metric(UP) == 1)
        assert (backend.metric(LOADS), backend.metric(RESUMES)) == (1, 1)


# --- at random --------------------------------------------------------------------------------------

def test_nothing_is_missed_through_many_cuts(store, proxy, backend, client):
    store.load_zone(big_zone(20000))  # to which what is written is little
    writers = [threading.Thread(target=write_at_random, args=(store, seed, 5))
               for seed in range(1, 6)]
    chance = random.Random(7)
    for writer in writers:
        writer.start()
    cuts = 0
    # On a slow machine it goes on a while: fewer connections last long enough to follow.
    while any(writer.is_alive() for writer in writers) or backend.metric(RESUMES) < 3 and cuts < 50:
        time.sleep(chance.uniform(0.05, 0.6))
        proxy.cut()
        cuts += 1
        time.sleep(chance.uniform(0, 0.3))
        proxy.mend()
    for writer in writers:
        writer.join()
    stored = stored_names(store)
    wait_until(lambda: served_names(client, store) == stored, 5, 0.1)
    loads, resumes = backend.metric(LOADS), backend.metric(RESUMES)
    print(f"{cuts} cuts: followed on {resumes:.0f} times, loaded {loads:.0f} times")
    assert resumes >= 3
