"""What is served equals what is stored, exactly: after thousands of random writes by several
writers at once, with connections and servers killed in between."""

import random
import threading
import time

import dns.exception
import dns.rdatatype
import pytest
import redis

import godwit
from godwit import GrpcClient, wait_until
from proxy import Proxy
from redis_server import ZONE, start_redis

ZONES = ["example.com", "sub.example.com", "deep.sub.example.com", "example.net"]
NAMES = [f"{label}.{zone}" for zone in ZONES for label in ("a", "b", "c.d", "*.w")] + ZONES
WRITES = 400 if godwit.SANITIZED else 2000


def soa(zone):
    return f"ns1.{zone}. h.{zone}. 1 2 3 4 5"


def write_once(connection, rng):
    """One random change, of the kinds that other systems make."""
    name = rng.choice(NAMES)
    key = f"dns:{name}"
    address = f"10.{rng.randrange(256)}.{rng.randrange(256)}.{rng.randrange(256)}"
    kind = rng.randrange(12)
    if kind < 5:
        connection.hset(key, mapping={"A": address, "ttl": rng.randrange(1, 1000)})
    elif kind == 5:
        connection.hset(key, "TXT", f'"{address}"')
    elif kind == 6:
        connection.hdel(key, rng.choice(["A", "TXT", "ttl"]))
    elif kind == 7:
        connection.delete(key)
    elif kind == 8:
        zone = rng.choice(ZONES)
        if rng.randrange(2):
            connection.hset(f"dns:{zone}", mapping={"SOA": soa(zone), "NS": f"ns1.{zone}."})
        else:
            connection.hdel(f"dns:{zone}", "SOA", "NS")  # NS alone would be a delegation
    elif kind == 9:
        try:
            connection.rename(key, f"dns:{rng.choice(NAMES)}")
        except redis.exceptions.ResponseError:
            pass  # there is no such key
    elif kind == 10:
        connection.pexpire(key, rng.randrange(1, 300))
    else:
        with connection.pipeline(transaction=True) as pipe:
            for other in rng.sample(NAMES, 3):
                pipe.hset(f"dns:{other}", "A", address)
            pipe.execute()


def write_many(server, seed):
    rng = random.Random(seed)
    connection = server.connect()
    for _ in range(WRITES):
        try:
            write_once(connection, rng)
        except redis.exceptions.ConnectionError:
            time.sleep(0.01)  # it is being restarted


def stored(server):
    """{(name, type): sorted data} of all that has to be served, from the keys alone."""
    connection = server.connect()
    hashes = {key[4:]: connection.hgetall(key) for key in connection.keys("dns:*")}
    apexes = [name for name, fields in hashes.items() if "SOA" in fields]
    expected = {}
    for name, fields in hashes.items():
        if any(name == apex or name.endswith("." + apex) for apex in apexes):
            for rtype in ("A", "TXT", "SOA"):
                if rtype in fields and not (rtype == "SOA" and name not in apexes):
                    expected[name, rtype] = (fields[rtype],
                                             int(fields.get("ttl", 3600)))
    return expected, apexes


def served(client):
    """The same by asking for every name."""
    found = {}
    for name in NAMES:
        for rtype in ("A", "TXT", "SOA"):
            for rrset in client.query(name, rtype).answer:
                if rrset.rdtype == dns.rdatatype.from_text(rtype):
                    found[name, rtype] = (str(rrset[0]), rrset.ttl)
    return found


@pytest.mark.parametrize("seed", range(3))
def test_what_is_served_is_what_is_stored(seed, start_redis, start_backend):
    server = start_redis("--appendonly", "yes", "--appendfsync", "always")
    server.client.hset("dns:example.com", mapping=ZONE)
    backend = start_backend(server.url, max_loss_percent=100).wait_ready()
    writers = [threading.Thread(target=write_many, args=(server, seed * 10 + i)) for i in range(3)]
    for writer in writers:
        writer.start()
    rng = random.Random(seed)
    restarts = 0
    while any(writer.is_alive() for writer in writers):
        time.sleep(rng.random() * 0.2)
        try:
            server.client.client_kill_filter(_type=rng.choice(["normal", "pubsub"]), skipme=True)
        except redis.exceptions.RedisError:
            pass
        if rng.randrange(8) == 0 and restarts < 3:
            restarts += 1
            server.kill()
            server.start()
    for writer in writers:
        writer.join()
    wait_until(lambda: not any(server.client.pttl(key) > 0 for key in server.client.keys("dns:*")),
               5)
    with GrpcClient(backend.address) as client:
        def is_equal():
            try:
                return served(client) == stored(server)[0]
            except dns.exception.DNSException:
                return False
        try:
            wait_until(is_equal, 10, 0.1)
        except AssertionError:
            assert served(client) == stored(server)[0]
        expected, apexes = stored(server)
        print(f"{3 * WRITES} writes, {restarts} restarts: {len(expected)} RRsets in "
              f"{len(apexes)} zones, loaded {backend.metric('godwit_backend_store_loads_total'):.0f} "
              "times")


def test_what_is_served_is_what_is_stored_after_slow_loads(start_redis, start_backend):
    """Everything is loaded anew again and again, seconds long, while zones and names come and go."""
    server = start_redis()
    server.client.hset("dns:example.com", mapping=ZONE)
    pipe = server.client.pipeline(transaction=False)
    pipe.hset("dns:big.example", mapping={"SOA": soa("big.example"), "NS": "ns1.big.example."})
    for number in range(30000):
        pipe.hset(f"dns:h{number}.big.example", "A", "192.0.2.1")
    pipe.execute()
    stop = threading.Event()

    def write_on(seed):
        rng, connection = random.Random(seed), server.connect()
        while not stop.is_set():
            write_once(connection, rng)
            time.sleep(rng.random() * 0.02)

    loads = "godwit_backend_store_loads_total"
    with Proxy(server.address) as proxy:
        backend = start_backend(f"redis://{proxy.address}", max_loss_percent=100).wait_ready()
        proxy.piece, proxy.delay_s = 16384, 0.01
        writers = [threading.Thread(target=write_on, args=(seed,)) for seed in range(3)]
        for writer in writers:
            writer.start()
        try:
            for _ in range(3):
                before = backend.metric(loads)
                proxy.cut()
                proxy.mend()
                wait_until(lambda: backend.metric(loads) > before, 30)
            # Most changes came while it loaded, and are part of that: some more.
            wait_until(lambda: backend.metric("godwit_backend_store_changes_total") >= 10, 30)
        finally:
            stop.set()
            for writer in writers:
                writer.join()
        wait_until(lambda: not any(server.client.pttl(f"dns:{name}") > 0 for name in NAMES), 5)
        expected = {(name, rtype): data for (name, rtype), data in stored(server)[0].items()
                    if name in NAMES}
        with GrpcClient(backend.address) as client:
            wait_until(lambda: served(client) == expected, 10, 0.1)
