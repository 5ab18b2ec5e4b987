"""Ways to the Redis store and what can happen to them: connections killed, servers killed, stopped
and restarted, passwords, TLS, replicas, sentinels and clusters."""

import socket
import threading
import time

import pytest
import redis

import godwit
from godwit import GrpcClient, wait_until
from redis_server import (Sentinel, ZONE, addresses, backend, client, ctl, make_certificates,
                          make_cluster, server, start_redis, wait_answers, wait_rcode)

OUTAGES = "godwit_backend_store_outages_total"
LOADS = "godwit_backend_store_loads_total"
UP = "godwit_backend_store_up"


# --- connections ----------------------------------------------------------------------------------

@pytest.mark.parametrize("kind", ["normal", "pubsub"])
def test_a_killed_connection_is_opened_again(server, backend, client, kind):
    loads = backend.metric(LOADS)
    for number in server.clients(kind):
        server.client.client_kill_filter(_id=number)
    server.client.hset("dns:www.example.com", "A", "192.0.2.81")
    wait_answers(client, "www.example.com", ["192.0.2.81"], timeout=3)
    wait_until(lambda: backend.metric(LOADS) == loads + 1)
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


def test_a_server_restarted_empty_takes_nothing_away(server, backend, client):
    server.kill()
    server.start()
    wait_until(lambda: "without" in backend.get("/readyz")[1], 5)
    assert addresses(client, "www.example.com") == ["192.0.2.80"]
    server.put_zone(www="192.0.2.81", ns1="192.0.2.1", ns2="192.0.2.2")
    wait_answers(client, "www.example.com", ["192.0.2.81"], timeout=8)


def ask_a_server_that_says(said):
    """What godwitctl says when that is the answer to whatever it asks: a line, and it ends."""
    def serve():
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            with peer:
                peer.recv(1000)
                peer.sendall(said)
                peer.shutdown(socket.SHUT_WR)
                while peer.recv(1000):
                    pass
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            done = ctl(f"redis://127.0.0.1:{listener.getsockname()[1]}", "zone", "list",
                       check=False, timeout=20)
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    return done.stderr


@pytest.mark.parametrize("said", [
    b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"$-7\r\n", b"*3\r\n:1\r\n", b"+OK\r\n" * 50,
    b"$99999999999999999999\r\n", b"*2\r\n$1\r\n0\r\n*1\r\n*0\r\n", b"-\r\n",
    b"*2\r\n$1\r\n0\r\n*-1\r\n", b"\x00\xff" * 1000, b"*9\r\n" * 12,
    b"*2\r\n$1\r\n0\r\n*1\r\n$5\r\ndns:a\r\n*3\r\n$1\r\nA\r\n$1\r\nx\r\n$1\r\ny\r\n"])
def test_a_peer_that_is_no_redis(said):
    ask_a_server_that_says(said)


@pytest.mark.parametrize("said", [b"*1048577\r\n", b"*1000000000\r\n", b"*2\r\n*1000000000\r\n"])
def test_an_array_larger_than_any_is_not_believed(said):
    assert "too large" in ask_a_server_that_says(said)
    assert "closed the connection" in ask_a_server_that_says(b"*1048576\r\n")


def test_a_server_that_says_nothing_is_noticed_and_followed_again(server, backend, client):
    server.pause()
    paused = time.monotonic()
    wait_until(lambda: backend.metric(UP) == 0, 4.5)
    print(f"noticed after {time.monotonic() - paused:.1f} s")
    assert addresses(client, "www.example.com") == ["192.0.2.80"]
    server.resume()
    server.client.hset("dns:www.example.com", "A", "192.0.2.81")
    wait_answers(client, "www.example.com", ["192.0.2.81"], timeout=6 if godwit.SANITIZED else 2)


def test_a_backend_ends_at_once_while_the_server_says_nothing(server, backend):
    server.pause()
    time.sleep(0.1)
    backend.stop()  # in time, or it fails


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


def test_a_server_that_asks_for_a_certificate(tmp_path, start_redis, start_backend):
    server = start_redis("--tls-auth-clients", "yes", tls=make_certificates(tmp_path))
    server.put_zone(www="192.0.2.80")
    bare = f"rediss://{server.address}/0?ca={server.tls.ca}"
    key = tmp_path / "client.key"
    key.write_bytes(server.tls.key.read_bytes())
    url = f"{bare}&cert={server.tls.certificate}&key={key}"
    backend = start_backend(url).wait_ready()
    with GrpcClient(backend.address) as client:
        server.client.hset("dns:new.example.com", "A", "192.0.2.81")
        wait_answers(client, "new.example.com", ["192.0.2.81"])
        for kind in "normal", "pubsub":  # and again at each new connection
            for number in server.clients(kind):
                server.client.client_kill_filter(_id=number)
        server.client.hset("dns:new.example.com", "A", "192.0.2.82")
        wait_answers(client, "new.example.com", ["192.0.2.82"], timeout=10)
    assert ctl(url, "zone", "list").stdout == "example.com\n"
    without = ctl(bare, "zone", "list", check=False)
    assert without.returncode == 1 and "certificate" in without.stderr, without.stderr
    other = make_certificates(make_directory(tmp_path / "other"))
    foreign = ctl(f"{bare}&cert={other.certificate}&key={other.key}", "zone", "list", check=False)
    assert foreign.returncode == 1 and len(foreign.stderr.splitlines()) == 1
    key.unlink()
    missing = ctl(url, "zone", "list", check=False)
    assert missing.returncode == 1 and str(key) in missing.stderr


def make_directory(path):
    path.mkdir()
    return path


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


def test_a_replica_that_loses_its_primary_is_left(start_redis, start_backend):
    primary = start_redis().put_zone(www="192.0.2.80")
    replica = start_redis("--replicaof", f"127.0.0.1 {primary.port}",
                          "--repl-diskless-sync-delay", "0")
    wait_until(lambda: replica.client.info()["master_link_status"] == "up", 10)
    backend = start_backend(f"redis://{replica.address},{primary.address}").wait_ready()
    with GrpcClient(backend.address) as client:
        assert addresses(client, "www.example.com") == ["192.0.2.80"]
        replica.client.replicaof("127.0.0.1", godwit.free_port())
        primary.client.hset("dns:www.example.com", "A", "192.0.2.81")
        wait_answers(client, "www.example.com", ["192.0.2.81"], timeout=5)
        primary.kill()
        wait_until(lambda: backend.metric(UP) == 1 and backend.metric(LOADS) >= 3, 10)
        assert backend.metric(UP) == 1  # the replica is better than nothing


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
        wait_until(lambda: replica.role() == "master", 20)
        assert addresses(client, "www.example.com") == ["192.0.2.80"]
        replica.connect().hset("dns:www.example.com", "A", "192.0.2.81")
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
        wait_until(lambda: replica.role() == "master", 20)
        replica.connect().hset("dns:www.example.com", "A", "192.0.2.81")
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


def test_a_replica_that_takes_over_in_a_cluster_is_followed(cluster, start_redis, start_backend):
    nodes, _ = cluster
    replica = start_redis("--cluster-enabled", "yes", "--cluster-node-timeout", "1000",
                          "--cluster-replica-validity-factor", "0",
                          "--repl-diskless-sync-delay", "0")
    replica.client.execute_command("CLUSTER", "MEET", "127.0.0.1", nodes[0].port,
                                   nodes[0].bus_port)
    first = nodes[0].client.cluster("myid")

    def replicate():
        try:
            return replica.client.execute_command("CLUSTER", "REPLICATE", first)
        except redis.exceptions.ResponseError:
            return False  # it has not heard of the node yet
    wait_until(replicate, 10, 0.1)
    wait_until(lambda: replica.client.info()["master_link_status"] == "up", 10)
    url = f"redis+cluster://{nodes[0].address},{nodes[1].address}"
    backend = start_backend(url).wait_ready()
    key = next(key for key in nodes[0].client.keys("dns:h*"))
    with GrpcClient(backend.address) as client:
        nodes[0].kill()
        wait_until(lambda: replica.role() == "master", 30)
        assert all(addresses(client, f"h{number}.example.com") for number in range(100))
        replica.connect().hset(key, "A", "10.9.9.9")
        wait_answers(client, key[4:], ["10.9.9.9"], timeout=10)
        assert all(addresses(client, f"h{number}.example.com") for number in range(100))
