"""What a backend does when the server that has its records is slow, is away for a while, or can take
no writes: for Redis and for MariaDB. What each kind of store does besides is in its own tests."""

import time

import pytest

import godwit
from godwit import GrpcClient, wait_until
from mysql_server import MysqlServer, MysqlStore
from proxy import Proxy
from redis_server import RedisServer, start_redis, wait_answers  # noqa: F401 (a fixture)

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

