"""What a backend does when the server that has its records is slow, is away for a while, or can take
no writes: for Redis and for MariaDB. What each kind of store does besides is in its own tests."""

import threading
import time

import pymysql
import pytest
from redis.exceptions import ResponseError

import godwit
from godwit import GrpcClient, wait_until
from machine_clock import Stopwatch
from mysql_server import MysqlServer, MysqlStore
from proxy import Proxy
from redis_server import start_redis, wait_answers  # noqa: F401 (a fixture)

LOADS = "godwit_backend_store_loads_total"
UP = "godwit_backend_store_up"
AGE = "godwit_backend_data_age_seconds"
# From the store's return to the first change served.
PROMISE_S = 4 if godwit.SANITIZED else 2


def fill(client, count, apex="big.example"):
    """A zone with that many names, in Redis."""
    client.hset(f"dns:{apex}", mapping={"SOA": f"ns1.{apex}. h.{apex}. 1 2 3 4 5",
                                        "NS": f"ns1.{apex}."})
    for start in range(0, count, 5000):
        pipe = client.pipeline(transaction=False)
        for number in range(start, min(start + 5000, count)):
            pipe.hset(f"dns:h{number}.{apex}", "A", f"10.0.{number >> 8 & 255}.{number & 255}")
        pipe.execute()


# --- Redis: changes while everything is loaded again ----------------------------------------------

@pytest.fixture
def big_redis(start_redis):
    server = start_redis()
    fill(server.client, 40000)
    return server


@pytest.fixture
def slow_load(big_redis):
    """A proxy to it by which a load takes seconds once `piece` and `delay_s` are set so."""
    with Proxy(big_redis.address) as proxy:
        yield proxy


def be_slow(proxy):
    proxy.piece, proxy.delay_s = 16384, 0.02


def test_changes_are_served_while_redis_is_loaded_again(big_redis, slow_load, start_backend):
    backend = start_backend(f"redis://{slow_load.address}").wait_ready(20)
    redis = big_redis.client
    with GrpcClient(backend.address) as client:
        wait_answers(client, "h7.big.example", ["10.0.0.7"])
        slow_load.cut()
        wait_until(lambda: backend.metric(UP) == 0)
        redis.hset("dns:h9.big.example", "A", "192.0.2.9")  # not heard of: the load brings it
        be_slow(slow_load)
        slow_load.mend()
        taken = slow_load.taken
        wait_until(lambda: slow_load.taken >= taken + 2)
        wait_until(lambda: redis.client_list(_type="pubsub"))
        time.sleep(0.2)  # into the load
        redis.hset("dns:h7.big.example", "A", "192.0.2.7")
        redis.hset("dns:new.big.example", "A", "192.0.2.8")
        redis.delete("dns:h8.big.example")
        wait_answers(client, "h7.big.example", ["192.0.2.7"], timeout=PROMISE_S)
        wait_answers(client, "new.big.example", ["192.0.2.8"], timeout=PROMISE_S)
        wait_answers(client, "h8.big.example", [], timeout=PROMISE_S)
        redis.hset("dns:h7.big.example", "A", "192.0.2.77")
        wait_answers(client, "h7.big.example", ["192.0.2.77"], timeout=PROMISE_S)
        assert backend.metric(LOADS) == 1 and backend.metric(UP) == 0  # all that ahead of the load
        stale = []
        while backend.metric(LOADS) == 1:
            stale += [name for name, now in (("h7", ["192.0.2.77"]), ("new", ["192.0.2.8"]),
                                             ("h8", []))
                      if godwit.answers(client.query(f"{name}.big.example")) != now]
        assert not stale  # and the load did not take it back for a moment
        wait_answers(client, "h9.big.example", ["192.0.2.9"], timeout=PROMISE_S)
        assert backend.metric("godwit_backend_names") == 40001


def test_zones_that_come_and_go_while_redis_is_loaded_again(big_redis, slow_load, start_backend):
    """They wait for the load, and are whole then."""
    big_redis.put_zone("gone.example", www="192.0.2.1")
    backend = start_backend(f"redis://{slow_load.address}").wait_ready(20)
    with GrpcClient(backend.address) as client:
        slow_load.cut()
        wait_until(lambda: backend.metric(UP) == 0)
        be_slow(slow_load)
        slow_load.mend()
        wait_until(lambda: big_redis.client.client_list(_type="pubsub"))
        time.sleep(0.2)
        big_redis.put_zone("new.example", www="192.0.2.2")
        big_redis.put_zone("sub.big.example", www="192.0.2.3")
        big_redis.client.delete("dns:gone.example")
        wait_until(lambda: backend.metric(LOADS) == 2, 30)
        wait_answers(client, "www.new.example", ["192.0.2.2"])
        wait_answers(client, "www.sub.big.example", ["192.0.2.3"])
        wait_until(lambda: godwit.rcode(client.query("www.gone.example")) == "REFUSED")



# --- slow servers -----------------------------------------------------------------------------------

class Asking:
    """Asks the same question again and again from a thread of its own; how long answers took, of
    the machine's time."""

    def __init__(self, backend, name, expected):
        self.backend, self.name, self.expected = backend, name, expected
        self.took, self.wrong, self.ages, self.ready = [], [], [], []
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        with GrpcClient(self.backend.address) as client:
            while not self.stopping.wait(0.005):
                watch = Stopwatch()
                answer = godwit.answers(client.query(self.name))
                self.took.append(watch.seconds)
                if answer != self.expected:
                    self.wrong.append(answer)
                if len(self.took) % 40 == 0:
                    self.ages.append(self.backend.metric(AGE))
                    self.ready.append(self.backend.get("/readyz"))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join()

    def assert_unmoved(self):
        """Nothing waited for the store. What delays single answers beside it is let pass."""
        took = sorted(self.took)
        assert not self.wrong and len(took) > 50
        assert took[len(took) * 9 // 10] < (0.1 if godwit.SANITIZED else 0.05), took[-10:]
        assert {status for status, _ in self.ready} == {200}


@pytest.fixture(scope="module")
def mariadb(tmp_path_factory):
    server = MysqlServer(tmp_path_factory.mktemp("mysql"))
    yield server
    server.destroy()


@pytest.fixture(params=["redis", "mysql"])
def slow_store(request, tmp_path, start_redis):
    """(proxy, backend's URL, its password file, write(name, address)): a zone example.com, with an
    old.example.com."""
    if request.param == "redis":
        server = start_redis().put_zone(old="192.0.2.80")
        with Proxy(server.address) as proxy:
            yield (proxy, f"redis://{proxy.address}", None,
                   lambda name, address: server.client.hset(f"dns:{name}", "A", address))
        return
    store = MysqlStore(request.getfixturevalue("mariadb"), tmp_path).init()
    store.load_zone()
    store.add_record("old.example.com", "A", "192.0.2.80")
    with Proxy(store.server.address) as proxy:
        yield (proxy, store.url_of("reader", hosts=proxy.address), str(store.password_file),
               lambda name, address: store.add_record(name, "A", address))


def test_a_slow_server_delays_changes_and_nothing_else(slow_store, start_backend):
    proxy, url, password_file, write = slow_store
    backend = start_backend(url, password_file=password_file).wait_ready()
    outages = backend.metric("godwit_backend_store_outages_total")
    proxy.delay_s = 0.6  # for each piece of each answer
    with Asking(backend, "old.example.com", ["192.0.2.80"]) as asking, \
            GrpcClient(backend.address) as client:
        for number in range(2):
            write(f"new{number}.example.com", "192.0.2.1")
            started = time.monotonic()
            wait_answers(client, f"new{number}.example.com", ["192.0.2.1"], timeout=20)
            assert time.monotonic() - started > 0.5
    asking.assert_unmoved()
    assert backend.metric("godwit_backend_store_outages_total") == outages
    assert backend.metric(UP) == 1 and backend.metric(LOADS) == 1
    proxy.delay_s = 0
    with GrpcClient(backend.address) as client:
        write("newest.example.com", "192.0.2.3")
        wait_answers(client, "newest.example.com", ["192.0.2.3"], timeout=PROMISE_S)


def test_a_server_slower_than_can_be_waited_for_is_an_outage_until_it_is_quicker(slow_store,
                                                                                 start_backend):
    proxy, url, password_file, write = slow_store
    backend = start_backend(url, password_file=password_file).wait_ready()
    proxy.delay_s = 6
    with Asking(backend, "old.example.com", ["192.0.2.80"]) as asking, \
            GrpcClient(backend.address) as client:
        wait_until(lambda: backend.metric(UP) == 0, 15)
        age = backend.metric(AGE)
        write("new.example.com", "192.0.2.1")
        wait_until(lambda: backend.metric(AGE) > age + 1, 5)
        status, line = backend.get("/readyz")
        assert status == 200 and "from memory" in line and "s old: " in line
        proxy.delay_s = 0
        proxy.cut()  # what is on its way would still take its time
        proxy.mend()
        wait_answers(client, "new.example.com", ["192.0.2.1"], timeout=PROMISE_S)
        wait_until(lambda: backend.metric(UP) == 1)
    asking.assert_unmoved()
    assert max(asking.ages) > 1
    assert backend.metric(AGE) < 2
    assert backend.log().count("store cannot be used") <= 2  # a line for each cause


def test_a_backend_that_is_ready_tells_how_fresh_it_is(slow_store, start_backend):
    """Also while the store has not yet said that the reading is over."""
    proxy, url, password_file, _ = slow_store
    proxy.delay_s = 0.25
    backend = start_backend(url, password_file=password_file).wait_ready(60)
    figures = backend.metrics()
    assert figures[UP] == figures[LOADS] == 1 and figures[AGE] < 30


def test_a_load_that_trickles_in_is_waited_for(slow_store, start_backend):
    """Octet by octet, as it were: slow is not gone."""
    proxy, url, password_file, write = slow_store
    for number in range(20):
        write(f"n{number}.example.com", "192.0.2.1")
    proxy.piece, proxy.delay_s = 40, 0.02
    backend = start_backend(url, password_file=password_file).wait_ready(60)
    assert backend.metric("godwit_backend_store_outages_total") == 0
    with GrpcClient(backend.address) as client:
        wait_answers(client, "n19.example.com", ["192.0.2.1"])


# --- servers that take no writes ---------------------------------------------------------------------

def assert_only_reads(backend, client, write, refusal):
    """Writes are refused; the backend neither minds nor forgets, started anew it loads as ever."""
    with pytest.raises(refusal):
        for number in range(10000):
            write(f"x{number}.example.com", "192.0.2.1")
    assert godwit.answers(client.query("old.example.com")) == ["192.0.2.80"]
    assert backend.metric(UP) == 1
    backend.stop()
    backend.start()
    backend.wait_ready()


@pytest.mark.parametrize("full", ["memory", "disk"])
def test_a_redis_that_takes_no_writes_is_served_and_followed_again(start_redis, start_backend,
                                                                   full):
    server = start_redis("--dbfilename", "taken").put_zone(old="192.0.2.80")
    redis = server.client
    backend = start_backend(server.url).wait_ready()
    if full == "memory":
        redis.config_set("maxmemory", 1)
    else:
        (server.directory / "taken").mkdir()  # where it would save
        redis.config_set("save", "1 1")
        redis.hset("dns:old.example.com", "A", "192.0.2.80")
        wait_until(lambda: redis.info("persistence")["rdb_last_bgsave_status"] == "err", 20)
    with GrpcClient(backend.address) as client:
        assert_only_reads(backend, client,
                          lambda name, address: redis.hset(f"dns:{name}", "A", address),
                          ResponseError)
    told = godwit.run(godwit.program("godwitctl"), "--store", server.url, "record", "set",
                      "new.example.com", "A", "192.0.2.2", check=False)
    assert told.returncode == 1
    assert ("maxmemory" if full == "memory" else "save to its disk") in told.stderr
    if full == "memory":
        redis.config_set("maxmemory", 0)
    else:
        (server.directory / "taken").rmdir()
        redis.bgsave()
        wait_until(lambda: redis.info("persistence")["rdb_last_bgsave_status"] == "ok", 20)
    with GrpcClient(backend.address) as client:
        redis.hset("dns:new.example.com", "A", "192.0.2.3")
        wait_answers(client, "new.example.com", ["192.0.2.3"], timeout=PROMISE_S)
    assert backend.metric("godwit_backend_store_outages_total") == 0


def test_a_mariadb_whose_table_space_is_full_is_served_and_followed_again(tmp_path, start_backend):
    server = MysqlServer(tmp_path, "--innodb-file-per-table=0",
                         "--innodb-data-file-path=ibdata1:12M:autoextend:max:20M")
    try:
        store = MysqlStore(server, tmp_path).init()
        store.load_zone()
        store.add_record("old.example.com", "A", "192.0.2.80")
        backend = start_backend(store.backend_url, password_file=str(store.password_file))
        backend.wait_ready()
        store.sql("CREATE TABLE filler (x LONGBLOB)")
        with pytest.raises(pymysql.MySQLError, match="is full"):
            for size in [1 << 20] * 10 + [1 << 16] * 40 + [1 << 14] * 200:
                store.sql(f"INSERT INTO filler VALUES (REPEAT('x', {size}))")
        with GrpcClient(backend.address) as client:
            assert_only_reads(backend, client,
                              lambda name, address: store.add_record(name, "A", address * 4000),
                              pymysql.MySQLError)
        assert backend.metric("godwit_backend_store_outages_total") == 0
        server.stop()  # a full table space cannot even drop a table: give it more
        server.start("--innodb-data-file-path=ibdata1:12M:autoextend:max:60M")
        with GrpcClient(backend.address) as client:
            store.add_record("new.example.com", "A", "192.0.2.2")
            wait_answers(client, "new.example.com", ["192.0.2.2"], timeout=PROMISE_S)
    finally:
        server.destroy()
