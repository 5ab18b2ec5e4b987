"""The Redis store: changes by anybody, with a client that nobody here wrote, are served at once,
whatever happens to the server in between."""

import threading
import time

import pytest
import redis

import godwit
from godwit import GrpcClient, run, wait_until
from redis_server import RedisServer, Sentinel, ZONE, make_certificates, make_cluster

PROMISE_S = 1.0 if godwit.SANITIZED else 0.3
OUTAGES = "godwit_backend_store_outages_total"
LOADS = "godwit_backend_store_loads_total"
UP = "godwit_backend_store_up"


@pytest.fixture
def start_redis(tmp_path):
    started = []

    def start(*options, kind=RedisServer, **settings):
        started.append(kind(tmp_path, *options, **settings))
        return started[-1]
    start.started = started
    yield start
    for server in reversed(started):
        server.stop()


@pytest.fixture
def server(start_redis):
    return start_redis().put_zone(www="192.0.2.80", ns1="192.0.2.1", ns2="192.0.2.2")


@pytest.fixture
def backend(server, start_backend):
    return start_backend(server.url).wait_ready()


@pytest.fixture
def client(backend):
    with GrpcClient(backend.address) as client:
        yield client


def addresses(client, name, rtype="A"):
    return godwit.answers(client.query(name, rtype))


def wait_answers(client, name, expected, rtype="A", timeout=PROMISE_S):
    wait_until(lambda: addresses(client, name, rtype) == expected, timeout,
               message=f"{name} {rtype} is {addresses(client, name, rtype)}, not {expected}")


def wait_rcode(client, name, expected, timeout=PROMISE_S):
    wait_until(lambda: godwit.rcode(client.query(name)) == expected, timeout,
               message=f"{name} is {godwit.rcode(client.query(name))}, not {expected}")


def ctl(url, *words, check=True, **options):
    return run(godwit.program("godwitctl"), "--store", url, *words, check=check, **options)


# --- changes --------------------------------------------------------------------------------------

def test_what_hset_writes_is_served(server, client):
    server.client.hset("dns:app1.example.com", mapping={"A": "192.0.2.7", "ttl": 60})
    wait_answers(client, "app1.example.com", ["192.0.2.7"])
    assert client.query("app1.example.com").answer[0].ttl == 60


def test_several_records_types_and_ttls_of_a_name(server, client):
    server.client.hset("dns:app.example.com", mapping={
        "a": "192.0.2.7\r\n192.0.2.8\n\n", "MX": "10 mail.example.com", "TXT": '"x y"',
        "ttl": "60", "ttl.MX": "7200", "TTL.txt": "5"})
    wait_answers(client, "app.example.com", ["192.0.2.7", "192.0.2.8"])
    assert addresses(client, "app.example.com", "MX") == ["10 mail.example.com."]
    ttls = {rtype: client.query("app.example.com", rtype).answer[0].ttl
            for rtype in ("A", "MX", "TXT")}
    assert ttls == {"A": 60, "MX": 7200, "TXT": 5}


def test_without_a_ttl_it_is_an_hour(server, client):
    server.client.hset("dns:app.example.com", "A", "192.0.2.7")
    wait_answers(client, "app.example.com", ["192.0.2.7"])
    assert client.query("app.example.com").answer[0].ttl == 3600


def test_del_and_hdel(server, client):
    server.client.hset("dns:www.example.com", "AAAA", "2001:db8::1")
    wait_answers(client, "www.example.com", ["2001:db8::1"], "AAAA")
    server.client.hdel("dns:www.example.com", "A")
    wait_answers(client, "www.example.com", [])
    assert addresses(client, "www.example.com", "AAAA") == ["2001:db8::1"]
    server.client.delete("dns:www.example.com")
    wait_rcode(client, "www.example.com", "NXDOMAIN")


def test_rename(server, client):
    server.client.rename("dns:www.example.com", "dns:web.example.com")
    wait_answers(client, "web.example.com", ["192.0.2.80"])
    wait_rcode(client, "www.example.com", "NXDOMAIN")


def test_expiry(server, client):
    server.client.pexpire("dns:www.example.com", 200)
    wait_rcode(client, "www.example.com", "NXDOMAIN", 3)


def test_a_hash_turned_into_a_string_is_gone_and_comes_back(server, backend, client):
    server.client.set("dns:www.example.com", "nonsense")
    wait_rcode(client, "www.example.com", "NXDOMAIN")
    assert "key=dns:www.example.com" in backend.log()
    server.client.delete("dns:www.example.com")
    server.client.hset("dns:www.example.com", "A", "192.0.2.81")
    wait_answers(client, "www.example.com", ["192.0.2.81"])


def test_flushdb_takes_everything_and_a_new_zone_comes(server, client):
    server.client.flushdb()
    wait_rcode(client, "www.example.com", "REFUSED", 3)
    server.put_zone("example.net", www="192.0.2.90")
    wait_answers(client, "www.example.net", ["192.0.2.90"], timeout=3)


def test_what_one_transaction_writes_is_seen_together(server, client):
    """Two names are always changed together, by a writer that does not wait; whoever sees the
    first name's new value sees at least as new a one of the second."""
    def write(number):
        with server.connect().pipeline(transaction=True) as pipe:
            for name in ("one", "two"):
                pipe.hset(f"dns:{name}.example.com", "A", f"10.0.{number >> 8}.{number & 255}")
            pipe.execute()
    write(0)
    wait_answers(client, "two.example.com", ["10.0.0.0"])
    stop = threading.Event()

    def keep_writing():
        number = 0
        while not stop.is_set():
            number += 1
            write(number)
        numbers.append(number)
    numbers = []
    writer = threading.Thread(target=keep_writing)
    writer.start()

    def value(name):
        octets = addresses(client, name)[0].split(".")
        return int(octets[2]) * 256 + int(octets[3])
    try:
        seen = 0
        deadline = time.monotonic() + 1.5
        while time.monotonic() < deadline:
            two = value("two.example.com")
            assert two >= seen
            seen = two
    finally:
        stop.set()
        writer.join()
    last = f"10.0.{numbers[0] >> 8}.{numbers[0] & 255}"
    wait_answers(client, "one.example.com", [last])
    wait_answers(client, "two.example.com", [last])


def test_an_update_takes_milliseconds(server, client):
    took = []
    for number in range(200):
        server.client.hset("dns:www.example.com", "A", f"10.1.0.{number}")
        written = time.monotonic()
        while addresses(client, "www.example.com") != [f"10.1.0.{number}"]:
            assert time.monotonic() < written + 5
        took.append(time.monotonic() - written)
    took.sort()
    print(f"p50 {took[100] * 1000:.1f} ms, p99 {took[197] * 1000:.1f} ms, max {took[-1] * 1000:.1f}")
    assert took[197] < (0.2 if godwit.SANITIZED else 0.05)


# --- zones ----------------------------------------------------------------------------------------

def test_zones_come_and_go(server, client):
    assert godwit.rcode(client.query("www.example.net")) == "REFUSED"
    server.client.hset("dns:www.example.net", "A", "192.0.2.90")
    server.put_zone("example.net")
    wait_answers(client, "www.example.net", ["192.0.2.90"])
    server.client.delete("dns:example.net")
    wait_rcode(client, "www.example.net", "REFUSED")
    assert addresses(client, "www.example.com") == ["192.0.2.80"]


def test_a_child_zone_takes_its_names_and_gives_them_back(server, client):
    server.client.hset("dns:www.sub.example.com", "A", "192.0.2.91")
    wait_answers(client, "www.sub.example.com", ["192.0.2.91"])
    soa = client.query("nothing.sub.example.com").authority[0].name.to_text()
    assert soa == "example.com."
    server.client.hset("dns:sub.example.com", mapping={
        "SOA": "ns1.example.com. h.example.com. 1 1 1 1 1", "NS": "ns1.sub.example.com."})

    def soa_of(name):
        reply = client.query(name)
        return reply.authority[0].name.to_text() if reply.authority else None
    wait_until(lambda: soa_of("nothing.sub.example.com") == "sub.example.com.", PROMISE_S)
    assert addresses(client, "www.sub.example.com") == ["192.0.2.91"]
    server.client.hset("dns:www.sub.example.com", "A", "192.0.2.92")
    wait_answers(client, "www.sub.example.com", ["192.0.2.92"])
    server.client.hdel("dns:sub.example.com", "SOA", "NS")
    wait_until(lambda: soa_of("nothing.sub.example.com") == "example.com.", PROMISE_S)
    assert addresses(client, "www.sub.example.com") == ["192.0.2.92"]
    server.client.delete("dns:www.sub.example.com")
    wait_rcode(client, "www.sub.example.com", "NXDOMAIN")


def test_at_a_child_zone_ds_is_the_parents(server, client):
    server.client.hset("dns:sub.example.com", mapping={
        "SOA": "ns1.example.com. h.example.com. 1 1 1 1 1", "NS": "ns1.sub.example.com.",
        "DS": "12345 13 2 " + "ab" * 32, "TXT": '"child"'})
    wait_answers(client, "sub.example.com", ['"child"'], "TXT")
    wait_until(lambda: addresses(client, "sub.example.com", "DS"), PROMISE_S)
    server.client.delete("dns:example.com")
    wait_rcode(client, "www.example.com", "REFUSED")
    assert addresses(client, "sub.example.com", "TXT") == ['"child"']


def test_many_zones_at_once(server, client):
    pipe = server.client.pipeline(transaction=False)
    for number in range(2000):
        pipe.hset(f"dns:z{number}.test", mapping={
            key: value.replace("example.com", f"z{number}.test") for key, value in ZONE.items()})
        pipe.hset(f"dns:www.z{number}.test", "A", "192.0.2.5")
    pipe.execute()
    wait_answers(client, "www.z1999.test", ["192.0.2.5"], timeout=10)
    wait_answers(client, "www.z0.test", ["192.0.2.5"], timeout=10)
    pipe = server.client.pipeline(transaction=True)
    for number in range(2000):
        pipe.delete(f"dns:z{number}.test")
    pipe.execute()
    wait_rcode(client, "www.z1999.test", "REFUSED", 10)
    wait_rcode(client, "www.z0.test", "REFUSED", 10)


# --- what makes no sense --------------------------------------------------------------------------

def test_hostile_keys_and_values_harm_nobody(server, backend, client):
    raw = server.connect(decode_responses=False) if False else redis.Redis(port=server.port)
    for key in (b"dns:", b"dns:@", b"dns:.", b"dns:a..b", b"dns:" + b"a" * 300, b"dns:\xff\x00.x",
                b"dns:WWW.Example.COM", b"dns:www.example.com.", b"dns:caf\xc3\xa9.example.com",
                b"dns:" + b"a." * 2000, b"dns:\\", b"dns:a\\", b"dns:\\999.x"):
        raw.hset(key, mapping={b"A": b"192.0.2.66", b"ttl": b"60"})
    raw.hset(b"dns:odd.example.com", mapping={
        b"": b"empty", b"A": b"192.0.2.7", b"B\x00C": b"x", b"TXT": b'"a\x00b"', b"ttl": b"soon",
        b"ttl.A": b"99999999999999999999", b"ttl.": b"1", b"AAAA": b"\xff\xfe", b"SOA": b"",
        b"MX": b"x" * 1000000, b"F" * 1000: b"", b"OPT": b"x", b"\n": b"\n\n"})
    raw.hset(b"dns:big.example.com", mapping={f"X{i}": "y" for i in range(20000)})
    raw.hset(b"dns:many.example.com", "A", "\n".join(f"10.0.{i >> 8}.{i & 255}"
                                                    for i in range(1000)))
    raw.hset(b"dns:last.example.com", b"A", b"192.0.2.9")
    wait_answers(client, "last.example.com", ["192.0.2.9"], timeout=10)
    assert addresses(client, "odd.example.com") == ["192.0.2.7"]
    assert client.query("odd.example.com").answer[0].ttl == 2147483647
    assert addresses(client, "odd.example.com", "TXT") == ['"a\\000b"']
    assert addresses(client, "www.example.com") == ["192.0.2.80"]
    assert len(addresses(client, "many.example.com")) == 1000
    for _ in range(2):
        backend.stop()
        backend.start()
        backend.wait_ready()
    with GrpcClient(backend.address) as again:
        assert addresses(again, "odd.example.com") == ["192.0.2.7"]
        assert addresses(again, "www.example.com") == ["192.0.2.80"]


def test_a_key_in_another_spelling_is_reported_with_the_right_one(server, backend, client):
    server.client.hset("dns:App.Example.com.", "A", "192.0.2.7")
    wait_until(lambda: "right=dns:app.example.com" in backend.log(), 3)


# --- connections ----------------------------------------------------------------------------------

@pytest.mark.parametrize("kind", ["normal", "pubsub"])
def test_a_killed_connection_is_opened_again(server, backend, client, kind):
    loads = backend.metric(LOADS)
    for number in server.clients(kind):
        server.client.client_kill_filter(_id=number)
    server.client.hset("dns:www.example.com", "A", "192.0.2.81")
    wait_answers(client, "www.example.com", ["192.0.2.81"], timeout=3)
    assert backend.metric(LOADS) == loads + 1
    server.client.hset("dns:www.example.com", "A", "192.0.2.82")
    wait_answers(client, "www.example.com", ["192.0.2.82"])


def test_a_server_killed_and_restarted(tmp_path, start_redis, start_backend):
    server = start_redis("--appendonly", "yes", "--appendfsync", "always").put_zone(
        www="192.0.2.80")
    backend = start_backend(server.url).wait_ready()
    with GrpcClient(backend.address) as client:
        server.kill()
        wait_until(lambda: backend.metric(UP) == 0, 3)
        assert addresses(client, "www.example.com") == ["192.0.2.80"]
        server.start()
        server.client.hset("dns:www.example.com", "A", "192.0.2.81")
        wait_answers(client, "www.example.com", ["192.0.2.81"], timeout=3)


def test_a_server_that_says_nothing_is_noticed_and_followed_again(server, backend, client):
    server.pause()
    paused = time.monotonic()
    wait_until(lambda: backend.metric(UP) == 0, 4.5)
    print(f"noticed after {time.monotonic() - paused:.1f} s")
    assert addresses(client, "www.example.com") == ["192.0.2.80"]
    server.resume()
    server.client.hset("dns:www.example.com", "A", "192.0.2.81")
    wait_answers(client, "www.example.com", ["192.0.2.81"], timeout=6)


def test_a_backend_ends_at_once_while_the_server_says_nothing(server, backend):
    server.pause()
    time.sleep(0.1)
    began = time.monotonic()
    backend.stop()
    assert time.monotonic() - began < godwit.STOP_TIMEOUT


def test_a_server_that_comes_late(tmp_path, start_redis, start_backend):
    server = start_redis()
    server.kill()
    backend = start_backend(server.url).wait_alive()
    wait_until(lambda: "cannot connect" in backend.log(), 3)
    server.start()
    server.put_zone(www="192.0.2.80")
    backend.wait_ready()
    with GrpcClient(backend.address) as client:
        wait_answers(client, "www.example.com", ["192.0.2.80"], timeout=3)


# --- ways to connect ------------------------------------------------------------------------------

def test_database_prefix_and_user(tmp_path, start_redis, start_backend):
    server = start_redis()
    server.client.execute_command(
        "ACL", "SETUSER", "godwit", "on", ">s3cret", "~zones/*", "&__redis__:invalidate", "+hgetall",
        "+scan", "+ping", "+multi", "+exec", "+select", "+subscribe", "+client|id",
        "+client|tracking")
    password = tmp_path / "password"
    password.write_text("s3cret\n")
    other = server.connect(db=3)
    other.hset("zones/example.com", mapping=ZONE)
    other.hset("zones/www.example.com", "A", "192.0.2.80")
    backend = start_backend(f"redis://godwit@{server.address}/3?prefix=zones/",
                            password_file=str(password)).wait_ready()
    with GrpcClient(backend.address) as client:
        assert addresses(client, "www.example.com") == ["192.0.2.80"]
        other.hset("zones/www.example.com", "A", "192.0.2.81")
        wait_answers(client, "www.example.com", ["192.0.2.81"])
    refused = ctl(f"redis://godwit@{server.address}/3?prefix=zones/", "--password-file", password,
                  "init", check=False)
    assert refused.returncode == 1 and "+hset" in refused.stderr and "+del" in refused.stderr
    password.write_text("wrong\n")
    refused = ctl(f"redis://godwit@{server.address}/3", "--password-file", password, "zone", "list",
                  check=False)
    assert refused.returncode == 1 and "WRONGPASS" in refused.stderr


def test_a_password_and_none(tmp_path, start_redis):
    server = start_redis("--requirepass", "s3cret", password="s3cret")
    password = tmp_path / "password"
    password.write_text("s3cret\n")
    assert ctl(server.url, "--password-file", password, "init").returncode == 0
    refused = ctl(server.url, "zone", "list", check=False)
    assert refused.returncode == 1 and "password" in refused.stderr


def test_tls(tmp_path, start_redis, start_backend):
    server = start_redis(tls=make_certificates(tmp_path)).put_zone(www="192.0.2.80")
    url = f"rediss://{server.address}/0?ca={server.tls.ca}"
    backend = start_backend(url).wait_ready()
    with GrpcClient(backend.address) as client:
        assert addresses(client, "www.example.com") == ["192.0.2.80"]
        pipe = server.client.pipeline(transaction=False)
        for number in range(20000):
            pipe.hset(f"dns:h{number}.example.com", mapping={"A": "192.0.2.5", "TXT": "x" * 200})
        pipe.execute()
        wait_answers(client, "h19999.example.com", ["192.0.2.5"], timeout=20)
    assert len(ctl(url, "zone", "export", "example.com").stdout.splitlines()) > 20000
    untrusted = ctl(f"rediss://{server.address}", "zone", "list", check=False)
    assert untrusted.returncode == 1 and "certificate" in untrusted.stderr
    wrong_name = ctl(url + "&server_name=other.example", "zone", "list", check=False)
    assert wrong_name.returncode == 1 and "certificate" in wrong_name.stderr
    plain = ctl(server.url, "zone", "list", check=False)
    assert plain.returncode == 1 and len(plain.stderr.splitlines()) == 1


def test_a_unix_socket(tmp_path, start_redis):
    path = tmp_path / "redis.sock"
    server = start_redis("--unixsocket", str(path)).put_zone()
    assert ctl(f"redis+unix://{path}", "zone", "list").stdout == "example.com\n"


def test_replicas_are_tried_in_turn_and_writes_go_to_the_primary(start_redis, start_backend):
    primary = start_redis().put_zone(www="192.0.2.80")
    replica = start_redis("--replicaof", f"127.0.0.1 {primary.port}",
                          "--repl-diskless-sync-delay", "0")
    wait_until(lambda: replica.client.info()["master_link_status"] == "up", 10)
    url = f"redis://{replica.address},{primary.address}"
    backend = start_backend(url).wait_ready()
    with GrpcClient(backend.address) as client:
        ctl(url, "record", "set", "www.example.com", "A", "192.0.2.81")
        wait_answers(client, "www.example.com", ["192.0.2.81"])
        replica.kill()
        primary.client.hset("dns:www.example.com", "A", "192.0.2.82")
        wait_answers(client, "www.example.com", ["192.0.2.82"], timeout=3)
    refused = ctl(f"redis://{start_redis('--replicaof', f'127.0.0.1 {primary.port}').address}",
                  "zone", "add", "example.net", "--ns", "ns1.example.net.", check=False)
    assert refused.returncode == 1 and "replica" in refused.stderr


# --- sentinel -------------------------------------------------------------------------------------

def test_a_failover_by_sentinel_is_followed(tmp_path, start_redis, start_backend):
    primary = start_redis().put_zone(www="192.0.2.80")
    replica = start_redis("--replicaof", f"127.0.0.1 {primary.port}",
                          "--repl-diskless-sync-delay", "0")
    sentinel = Sentinel(tmp_path, primary)
    start_redis.started.append(sentinel)
    wait_until(lambda: sentinel.client.sentinel_slaves("mymaster"), 15)
    wait_until(lambda: replica.client.info()["master_link_status"] == "up", 10)
    url = f"redis+sentinel://127.0.0.1:{godwit.free_port()},{sentinel.address}/mymaster/0"
    backend = start_backend(url).wait_ready()
    with GrpcClient(backend.address) as client:
        assert addresses(client, "www.example.com") == ["192.0.2.80"]
        primary.kill()
        wait_until(lambda: replica.client.info()["role"] == "master", 20)
        assert addresses(client, "www.example.com") == ["192.0.2.80"]
        replica.client.hset("dns:www.example.com", "A", "192.0.2.81")
        wait_answers(client, "www.example.com", ["192.0.2.81"], timeout=5)
        ctl(url, "record", "set", "www.example.com", "A", "192.0.2.82")
        wait_answers(client, "www.example.com", ["192.0.2.82"])


def test_a_switch_of_primaries_that_both_live_is_followed(tmp_path, start_redis, start_backend):
    """SENTINEL FAILOVER: the old primary goes on answering, as a replica."""
    primary = start_redis().put_zone(www="192.0.2.80")
    replica = start_redis("--replicaof", f"127.0.0.1 {primary.port}",
                          "--repl-diskless-sync-delay", "0")
    sentinel = Sentinel(tmp_path, primary)
    start_redis.started.append(sentinel)
    wait_until(lambda: sentinel.client.sentinel_slaves("mymaster"), 15)
    wait_until(lambda: replica.client.info()["master_link_status"] == "up", 10)
    backend = start_backend(f"redis+sentinel://{sentinel.address}/mymaster").wait_ready()
    with GrpcClient(backend.address) as client:
        def fail_over():
            try:
                return sentinel.client.execute_command("SENTINEL FAILOVER mymaster")
            except redis.exceptions.ResponseError:
                return False
        wait_until(fail_over, 15, 0.2)
        wait_until(lambda: replica.client.info()["role"] == "master", 20)
        replica.client.hset("dns:www.example.com", "A", "192.0.2.81")
        wait_answers(client, "www.example.com", ["192.0.2.81"], timeout=15)


# --- cluster --------------------------------------------------------------------------------------

@pytest.fixture
def cluster(tmp_path, start_redis):
    nodes = make_cluster(tmp_path)
    start_redis.started.extend(nodes)
    client = redis.RedisCluster(host="127.0.0.1", port=nodes[0].port, decode_responses=True)
    client.hset("dns:example.com", mapping=ZONE)
    for number in range(100):
        client.hset(f"dns:h{number}.example.com", mapping={"A": f"10.0.0.{number}", "ttl": 60})
    return nodes, client


def move_slot(nodes, key):
    """Moves the slot of a key, with all that is in it, from its node to another."""
    slot = nodes[0].client.cluster("keyslot", key)
    ids = [node.client.cluster("myid") for node in nodes]
    ids = [i.decode() if isinstance(i, bytes) else i for i in ids]

    source = next(i for i, node in enumerate(nodes)
                  if node.client.execute_command("CLUSTER", "COUNTKEYSINSLOT", slot) > 0)
    target = (source + 1) % len(nodes)
    nodes[target].client.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[source])
    nodes[source].client.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[target])
    yield "half"
    keys = nodes[source].client.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 100)
    nodes[source].client.execute_command("MIGRATE", "127.0.0.1", nodes[target].port, "", 0, 5000,
                                         "KEYS", *keys)
    yield "moved"
    for i in (target, source):
        nodes[i].client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", ids[target])
    yield "done"


def test_a_cluster_is_followed(cluster, start_backend):
    nodes, writer = cluster
    backend = start_backend(f"redis+cluster://{nodes[1].address}").wait_ready()
    with GrpcClient(backend.address) as client:
        for number in range(100):
            assert addresses(client, f"h{number}.example.com") == [f"10.0.0.{number}"]
        for number in range(0, 100, 10):
            writer.hset(f"dns:h{number}.example.com", "A", "10.1.0.1")
            wait_answers(client, f"h{number}.example.com", ["10.1.0.1"])
        writer.delete("dns:h1.example.com")
        wait_rcode(client, "h1.example.com", "NXDOMAIN")


def test_a_slot_that_moves_loses_nothing(cluster, start_backend):
    nodes, writer = cluster
    url = f"redis+cluster://{nodes[0].address},{nodes[1].address}"
    backend = start_backend(url).wait_ready()
    loads = backend.metric(LOADS)
    with GrpcClient(backend.address) as client:
        for step in move_slot(nodes, "dns:h7.example.com"):
            assert addresses(client, "h7.example.com") == ["10.0.0.7"]
            ctl(url, "record", "set", "h7.example.com", "A", "10.0.0.7", "10.2.0.1", "--ttl", "60")
            wait_answers(client, "h7.example.com", ["10.0.0.7", "10.2.0.1"])
            ctl(url, "record", "set", "h7.example.com", "A", "10.0.0.7", "--ttl", "60")
            wait_answers(client, "h7.example.com", ["10.0.0.7"])
        writer.hset("dns:h7.example.com", "A", "10.2.0.2")
        wait_answers(client, "h7.example.com", ["10.2.0.2"])
        for number in (0, 50, 99):
            assert addresses(client, f"h{number}.example.com") == [f"10.0.0.{number}"]
    assert backend.metric(LOADS) == loads


def test_godwitctl_on_a_cluster(tmp_path, cluster):
    nodes, _ = cluster
    url = f"redis+cluster://{nodes[2].address}"
    ctl(url, "init")
    zone = tmp_path / "zone"
    zone.write_text(godwit.DEMO_ZONE.replace("example.com", "example.net"))
    ctl(url, "zone", "import", zone)
    assert ctl(url, "zone", "list").stdout == "example.com\nexample.net\n"
    assert "2001:db8::80" in ctl(url, "zone", "export", "example.net").stdout
    ctl(url, "zone", "delete", "example.net")
    assert ctl(url, "zone", "list").stdout == "example.com\n"
    assert sum(node.client.dbsize() for node in nodes) == 101


def test_a_node_of_a_cluster_lost_and_back(cluster, start_backend):
    nodes, _ = cluster
    backend = start_backend(f"redis+cluster://{nodes[0].address}").wait_ready()
    with GrpcClient(backend.address) as client:
        nodes[2].pause()
        wait_until(lambda: backend.metric(UP) == 0, 6)
        assert all(addresses(client, f"h{number}.example.com") for number in range(100))
        nodes[2].resume()
        wait_until(lambda: backend.metric(UP) == 1, 10)
        assert all(addresses(client, f"h{number}.example.com") for number in range(100))


# --- godwitctl ------------------------------------------------------------------------------------

def test_godwitctl_writes_and_the_backend_serves(tmp_path, start_redis, start_backend):
    server = start_redis()
    ctl(server.url, "init")
    backend = start_backend(server.url).wait_ready()
    zone = tmp_path / "zone"
    zone.write_text(godwit.DEMO_ZONE)
    with GrpcClient(backend.address) as client:
        ctl(server.url, "zone", "import", zone)
        wait_answers(client, "www.example.com", ["192.0.2.80"])
        assert server.client.hgetall("dns:ns1.example.com") == {"A": "192.0.2.1", "ttl": "300"}
        ctl(server.url, "record", "add", "www.example.com", "A", "192.0.2.81")
        wait_answers(client, "www.example.com", ["192.0.2.80", "192.0.2.81"])
        ctl(server.url, "record", "set", "www.example.com", "TXT", '"hello"', "--ttl", "5")
        wait_answers(client, "www.example.com", ['"hello"'], "TXT")
        assert server.client.hget("dns:www.example.com", "ttl.TXT") == "5"
        ctl(server.url, "record", "delete", "www.example.com", "A")
        ctl(server.url, "record", "delete", "www.example.com", "AAAA")
        ctl(server.url, "record", "delete", "www.example.com", "TXT")
        wait_rcode(client, "www.example.com", "NXDOMAIN")
        assert not server.client.exists("dns:www.example.com")
        exported = ctl(server.url, "zone", "export", "example.com").stdout
        ctl(server.url, "zone", "delete", "example.com")
        wait_rcode(client, "mail.example.com", "REFUSED")
        assert server.client.dbsize() == 0
        zone.write_text(exported)
        ctl(server.url, "zone", "import", zone)
        wait_answers(client, "mail.example.com", ["192.0.2.3"])
        assert ctl(server.url, "zone", "export", "example.com").stdout == exported


def test_replacing_a_zone_writes_only_what_differs(tmp_path, server):
    zone = tmp_path / "zone"
    zone.write_text(ctl(server.url, "zone", "export", "example.com").stdout)
    before = server.client.info()["total_net_input_bytes"]
    ctl(server.url, "zone", "import", zone, "--replace")
    assert server.client.hgetall("dns:www.example.com") == {"A": "192.0.2.80", "ttl": "60"}
    zone.write_text(zone.read_text().replace("192.0.2.80", "192.0.2.81") + "new A 192.0.2.9\n")
    ctl(server.url, "zone", "import", zone, "--replace")
    assert server.client.hget("dns:www.example.com", "A") == "192.0.2.81"
    assert server.client.hget("dns:new.example.com", "A") == "192.0.2.9"
    assert server.client.info()["total_net_input_bytes"] - before < 10000


def test_deleting_a_zone_leaves_its_child_zone(server):
    server.put_zone("sub.example.com", www="192.0.2.91")
    ctl(server.url, "zone", "delete", "example.com")
    assert sorted(server.client.keys()) == ["dns:sub.example.com", "dns:www.sub.example.com"]
    assert ctl(server.url, "zone", "list").stdout == "sub.example.com\n"


def test_a_zone_that_is_there_is_not_added_again(server):
    again = ctl(server.url, "zone", "add", "example.com", "--ns", "ns1.example.com.", check=False)
    assert again.returncode == 1 and "already" in again.stderr
    missing = ctl(server.url, "zone", "delete", "example.net", check=False)
    assert missing.returncode == 1 and len(missing.stderr.splitlines()) == 1


# --- size -----------------------------------------------------------------------------------------

def fill(server, count):
    server.put_zone()
    pipe = server.client.pipeline(transaction=False)
    for number in range(count):
        pipe.hset(f"dns:h{number}.example.com",
                  mapping={"A": f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", "ttl": 60})
        if number % 5000 == 4999:
            pipe.execute()
    pipe.execute()


def test_a_load_of_many_names_while_they_change(start_redis, start_backend):
    """Names changed while the backend loads are served as they are in the end."""
    server = start_redis()
    count = 20000 if godwit.SANITIZED else 200000
    fill(server, count)
    stop = threading.Event()
    written = {}

    def write():
        writer = server.connect()
        number = 0
        while not stop.is_set():
            number += 1
            name = f"h{number * 7919 % count}.example.com"
            written[name] = f"10.200.{number >> 8 & 255}.{number & 255}"
            writer.hset(f"dns:{name}", "A", written[name])
    thread = threading.Thread(target=write)
    thread.start()
    try:
        began = time.monotonic()
        backend = start_backend(server.url).wait_ready()
        print(f"{count} names loaded in {time.monotonic() - began:.2f} s")
        time.sleep(0.2)
    finally:
        stop.set()
        thread.join()
    with GrpcClient(backend.address) as client:
        for name, address in list(written.items())[-3000:]:
            wait_answers(client, name, [address], timeout=3)
        server.client.hset("dns:sub.example.com", mapping={
            "SOA": "ns1.example.com. h.example.com. 1 1 1 1 1", "NS": "ns1.sub.example.com."})
        began = time.monotonic()
        wait_answers(client, "sub.example.com", ["ns1.sub.example.com."], "NS", timeout=5)
        wait_until(lambda: addresses(client, "sub.example.com", "SOA"), 5)
        print(f"a new zone beside them within {time.monotonic() - began:.3f} s")


def test_a_big_import(tmp_path, start_redis):
    server = start_redis()
    count = 20000 if godwit.SANITIZED else 200000
    zone = tmp_path / "zone"
    with open(zone, "w") as out:
        out.write(godwit.DEMO_ZONE)
        for number in range(count):
            out.write(f"h{number} A 10.{number >> 16}.{number >> 8 & 255}.{number & 255}\n")
    began = time.monotonic()
    ctl(server.url, "zone", "import", zone)
    print(f"{count} records imported in {time.monotonic() - began:.2f} s")
    assert server.client.dbsize() == count + 7
