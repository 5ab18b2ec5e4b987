"""The backend's gRPC service, seen by an independent client: Query, Health, and what bad, slow and
vanishing clients can do to it (nothing)."""

import concurrent.futures
import os
import pathlib
import resource
import signal
import socket
import stat
import threading

import dns.flags
import dns.message
import dns.rcode
import grpc
import pytest

import godwit
import raw_http2
from godwit import GrpcClient, wait_until
from machine_clock import Stopwatch

QUERY = "/coredns.dns.DnsService/Query"
WATCH = "/grpc.health.v1.Health/Watch"


@pytest.fixture
def client(backend):
    with GrpcClient(backend.address) as client:
        yield client


def raw_call(client, method):
    """A method taking and giving octets instead of messages."""
    return client.channel.unary_unary(method, lambda octets: octets, lambda octets: octets)


def status_of(call, *arguments, **options):
    """The gRPC status code that a call fails with."""
    with pytest.raises(grpc.RpcError) as failure:
        call(*arguments, **options)
    return failure.value.code()


def packet(wire):
    return godwit.stubs("dns").DnsPacket(msg=wire).SerializeToString()


def status_name(response):
    return godwit.stubs("health").HealthCheckResponse.ServingStatus.Name(response.status)


class Watcher:
    """Collects what a Watch stream says, on a thread."""

    def __init__(self, client, service=""):
        self.stream = client.watch(service)
        self.said = []
        self.code = None
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        try:
            for response in self.stream:
                self.said.append(status_name(response))
        except grpc.RpcError as failure:
            self.code = failure.code()

    def wait_for(self, *expected, timeout=10):
        wait_until(lambda: self.said == list(expected), timeout,
                   message=f"heard {self.said}, expected {expected}")

    def wait_end(self):
        self.thread.join(10)
        assert not self.thread.is_alive()
        return self.code

    def cancel(self):
        self.stream.cancel()
        self.thread.join(10)


# --- Query ----------------------------------------------------------------------------------------

@pytest.mark.parametrize("name, rtype, expected", [
    ("www.example.com", "A", ["192.0.2.80"]),
    ("www.example.com", "AAAA", ["2001:db8::80"]),
    ("WwW.eXample.COM", "A", ["192.0.2.80"]),
    ("alias.example.com", "A", ["192.0.2.80", "www.example.com."]),
    ("anything.wild.example.com", "A", ["192.0.2.99"]),
    ("example.com", "MX", ["10 mail.example.com."]),
    ("example.com", "TXT", ['"v=spf1 -all"']),
])
def test_query_is_answered_with_authority(client, name, rtype, expected):
    reply = client.query(name, rtype)
    assert godwit.answers(reply) == expected
    assert reply.flags & dns.flags.AA
    assert not reply.flags & dns.flags.RA


def test_missing_names_and_foreign_zones(client):
    reply = client.query("nobody.example.com")
    assert godwit.rcode(reply) == "NXDOMAIN"
    assert str(reply.authority[0].name) == "example.com."
    assert godwit.rcode(client.query("www.example.net")) == "REFUSED"


def test_reply_carries_our_edns_payload_size(client):
    reply = client.query("www.example.com", use_edns=0, payload=4096)
    assert (reply.edns, reply.payload) == (0, 1232)
    assert client.query("www.example.com").edns == -1


def test_hundreds_of_concurrent_calls_each_get_their_own_answer(store, start_backend):
    for number in range(256):
        store.add_record("example.com", f"host{number}.example.com", "A", f"198.51.100.{number}")
    backend = start_backend(store).wait_ready()
    with GrpcClient(backend.address) as client:
        questions = [dns.message.make_query(f"host{number % 256}.example.com", "A", id=number)
                     for number in range(1500)]
        packets = [godwit.stubs("dns").DnsPacket(msg=question.to_wire()) for question in questions]
        futures = [client.query_call.future(packet, timeout=30) for packet in packets]
        for number, future in enumerate(futures):
            reply = dns.message.from_wire(future.result().msg)
            assert questions[number].is_response(reply)
            assert godwit.answers(reply) == [f"198.51.100.{number % 256}"]


def test_several_query_threads_answer(store, start_backend):
    backend = start_backend(store, threads=4).wait_ready()
    for _ in range(8):
        with GrpcClient(backend.address) as client:
            assert godwit.answers(client.query("www.example.com")) == ["192.0.2.80"]
    assert backend.metric('godwit_backend_calls_total{method="Query",status="OK"}') == 8


# --- what is not a query --------------------------------------------------------------------------

@pytest.mark.parametrize("method", [
    "/coredns.dns.DnsService/Other", "/nobody.Nothing/Here", "/coredns.dns.DnsService/query"])
def test_unknown_method_is_unimplemented_at_once(client, method):
    client.check()
    watch = Stopwatch()
    assert status_of(raw_call(client, method), b"", timeout=30) == grpc.StatusCode.UNIMPLEMENTED
    assert watch.seconds < 1


def test_octets_that_are_no_packet_are_an_invalid_argument(client):
    call = raw_call(client, QUERY)
    for octets in [b"\xff", b"\x0a\xff\xff\xff\xff\x0f", b"\x0a\x05abc", b"\x0c", b"\x00" * 9]:
        assert status_of(call, octets, timeout=5) == grpc.StatusCode.INVALID_ARGUMENT
    assert godwit.answers(client.query("www.example.com")) == ["192.0.2.80"]


def test_unknown_fields_and_repeated_ones_are_read_as_protobuf_says(client):
    wire = dns.message.make_query("www.example.com", "A").to_wire()
    call = raw_call(client, QUERY)
    extra = b"\x12\x03abc" + b"\x18\x07"
    reply = godwit.stubs("dns").DnsPacket.FromString(
        call(packet(b"not this one") + extra + packet(wire), timeout=5))
    assert godwit.answers(dns.message.from_wire(reply.msg)) == ["192.0.2.80"]


def test_thousands_of_unknown_fields_are_refused(client):
    call = raw_call(client, QUERY)
    assert status_of(call, b"\x18\x07" * 30000, timeout=5) == grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("wire", [
    b"", b"\x00" * 11, dns.message.make_response(dns.message.make_query("example.com", "A")).to_wire()],
    ids=["nothing", "no header", "a reply"])
def test_packets_without_a_reply_are_an_invalid_argument(client, wire):
    with pytest.raises(grpc.RpcError) as failure:
        client.query_bytes(wire)
    assert failure.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "not a DNS query" in failure.value.details()


def test_packets_of_64_kilobytes(client):
    wire = dns.message.make_query("www.example.com", "A", id=7).to_wire()
    reply = dns.message.from_wire(client.query_bytes(wire + b"\x00" * (65535 - len(wire))))
    assert (reply.id, godwit.rcode(reply)) == (7, "FORMERR")
    call = raw_call(client, QUERY)
    assert status_of(call, packet(b"\x00" * 65536), timeout=5) == grpc.StatusCode.INVALID_ARGUMENT
    assert status_of(call, packet(b"\x00" * 200000), timeout=5) == \
        grpc.StatusCode.RESOURCE_EXHAUSTED


def test_random_packets_never_hurt(client, backend):
    call = raw_call(client, QUERY)
    query = dns.message.make_query("www.example.com", "A", use_edns=0).to_wire()
    for number in range(400):
        octets = bytearray(query)
        for _ in range(number % 7):
            octets[os.urandom(1)[0] % len(octets)] = os.urandom(1)[0]
        try:
            call(packet(bytes(octets[:len(octets) - number % 11])), timeout=5)
        except grpc.RpcError as failure:
            assert failure.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert backend.is_running()


def test_compressed_requests_are_refused(backend):
    with grpc.insecure_channel(backend.address, compression=grpc.Compression.Gzip) as channel:
        call = channel.unary_unary(QUERY, lambda octets: octets, lambda octets: octets)
        assert status_of(call, packet(b"\x00" * 60000), timeout=5) == \
            grpc.StatusCode.UNIMPLEMENTED


# --- clients that misbehave -----------------------------------------------------------------------

def test_octets_that_are_no_http2(backend, client):
    for octets in [b"GET / HTTP/1.1\r\n\r\n", os.urandom(1000), b""]:
        with socket.create_connection(godwit.split_address(backend.address)) as connection:
            connection.sendall(octets)
    assert godwit.answers(client.query("www.example.com")) == ["192.0.2.80"]


def test_clients_that_vanish_in_the_middle_of_a_call(backend, client):
    request = packet(dns.message.make_query("www.example.com", "A").to_wire())
    for number in range(100):
        connection = raw_http2.Connection(backend.address)
        for _ in range(5):
            connection.call(QUERY, request, end=number % 3 != 0)
        connection.reset() if number % 2 else connection.close()
    assert godwit.answers(client.query("www.example.com")) == ["192.0.2.80"]


def test_clients_that_take_no_reply_are_given_up(backend, client):
    """Their calls hold slots; others are answered meanwhile, and the slots come back."""
    request = packet(dns.message.make_query("www.example.com", "A").to_wire())
    with raw_http2.Connection(backend.address, window=0) as stalled:
        for _ in range(300):
            stalled.call(QUERY, request)
        wait_until(lambda: backend.metric(
            'godwit_backend_calls_total{method="Query",status="OK"}') >= 300)
        assert godwit.answers(client.query("www.example.com", timeout=2)) == ["192.0.2.80"]
        wait_until(lambda: backend.metric("godwit_backend_calls_stalled_total") == 300, 20)


def test_running_out_of_descriptors_passes(backend):
    """More connections than there may be; when they are gone, others are accepted again."""
    resource.prlimit(backend.pid, resource.RLIMIT_NOFILE, (40, 40))
    address = godwit.split_address(backend.address)
    connections = [socket.create_connection(address) for _ in range(60)]
    wait_until(lambda: "connection not accepted for now" in backend.log())
    for connection in connections:
        connection.close()

    def answered():
        with GrpcClient(backend.address) as client:
            try:
                return godwit.answers(client.query("www.example.com", timeout=1))
            except grpc.RpcError:
                return None
    assert wait_until(answered) == ["192.0.2.80"]


def test_a_client_that_hangs_up_while_calls_wait(backend, client):
    futures = [client.query_call.future(godwit.stubs("dns").DnsPacket(
        msg=dns.message.make_query("www.example.com", "A").to_wire())) for _ in range(300)]
    for future in futures:
        future.cancel()
    assert godwit.answers(client.query("www.example.com")) == ["192.0.2.80"]


# --- health ---------------------------------------------------------------------------------------

def test_health_is_serving_once_records_are_loaded(client):
    assert client.check() == "SERVING"
    assert client.check("coredns.dns.DnsService") == "SERVING"


def test_health_check_of_an_unknown_service_is_not_found(client):
    assert status_of(client.check, "nobody.Nothing") == grpc.StatusCode.NOT_FOUND


def test_health_requests_that_are_none(client):
    for method in ["/grpc.health.v1.Health/Check", WATCH]:
        assert status_of(raw_call(client, method), b"\x0a\x7f", timeout=5) == \
            grpc.StatusCode.INVALID_ARGUMENT


def test_health_follows_the_store(tmp_path, start_backend):
    """No store yet: NOT_SERVING and UNAVAILABLE. Created: SERVING. Asked to end: NOT_SERVING."""
    store = godwit.Store(tmp_path, "late.db")
    backend = start_backend(store).wait_alive()
    with GrpcClient(backend.address) as client:
        assert client.check() == "NOT_SERVING"
        assert status_of(client.query, "www.example.com") == grpc.StatusCode.UNAVAILABLE
        code, reason = backend.get("/readyz")
        assert code == 503 and "late.db" in reason
        watchers = [Watcher(client), Watcher(client, "coredns.dns.DnsService")]
        for watcher in watchers:
            watcher.wait_for("NOT_SERVING")
        store.init().load_zone()
        for watcher in watchers:
            watcher.wait_for("NOT_SERVING", "SERVING")
        assert client.check() == "SERVING"
        backend.wait_ready()
        wait_until(lambda: godwit.rcode(client.query("www.example.com")) == "NOERROR")
        backend.stop()
        for watcher in watchers:
            watcher.wait_for("NOT_SERVING", "SERVING", "NOT_SERVING")
            assert watcher.wait_end() == grpc.StatusCode.UNAVAILABLE


def test_a_client_that_checks_health_itself_waits_for_the_records(tmp_path, start_backend):
    """gRPC's own client-side health checking, as balancers use it: it rests on Watch."""
    store = godwit.Store(tmp_path, "late.db")
    backend = start_backend(store).wait_alive()
    service_config = godwit.json.dumps({
        "loadBalancingConfig": [{"round_robin": {}}],
        "healthCheckConfig": {"serviceName": "coredns.dns.DnsService"}})
    with GrpcClient(backend.address, **{"grpc.service_config": service_config}) as client:
        question = dns.message.make_query("www.example.com", "A")
        waiting = client.query_call.future(godwit.stubs("dns").DnsPacket(
            msg=question.to_wire()), timeout=20, wait_for_ready=True)
        wait_until(lambda: backend.metric("godwit_backend_health_watchers") == 1)
        assert not waiting.done()
        store.init().load_zone()
        assert question.is_response(dns.message.from_wire(waiting.result().msg))
    unavailable = 'godwit_backend_calls_total{method="Query",status="UNAVAILABLE"}'
    assert backend.metric(unavailable) == 0


def test_watch_of_an_unknown_service_stays_open(client):
    watcher = Watcher(client, "nobody.Nothing")
    watcher.wait_for("SERVICE_UNKNOWN")
    assert watcher.thread.is_alive()
    watcher.cancel()


def test_cancelled_watches_make_room_for_others(backend, client):
    """More streams than can be open at once, one after the other."""
    request = godwit.stubs("health").HealthCheckRequest().SerializeToString()
    refused = 'godwit_backend_calls_total{method="Watch",status="RESOURCE_EXHAUSTED"}'
    opened = 'godwit_backend_calls_total{method="Watch",status="OK"}'
    for round_number in range(1, 5):
        with raw_http2.Connection(backend.address) as connection:
            for _ in range(400):
                connection.call(WATCH, request)
            wait_until(lambda: backend.metric(opened) == 400 * round_number)
        wait_until(lambda: backend.metric("godwit_backend_health_watchers") == 0)
    assert backend.metric(refused) == 0
    watcher = Watcher(client)
    watcher.wait_for("SERVING")
    watcher.cancel()


def test_too_many_watches_are_refused(backend, client):
    request = godwit.stubs("health").HealthCheckRequest().SerializeToString()
    connections = [raw_http2.Connection(backend.address) for _ in range(3)]
    for connection in connections:
        for _ in range(400):
            connection.call(WATCH, request)
    refused = 'godwit_backend_calls_total{method="Watch",status="RESOURCE_EXHAUSTED"}'
    wait_until(lambda: backend.metric(refused) == 1200 - 1024)
    assert client.check() == "SERVING"
    for connection in connections:
        connection.close()
    wait_until(lambda: backend.metric("godwit_backend_health_watchers") == 0)


# --- the end --------------------------------------------------------------------------------------

def test_sigterm_with_calls_under_way_and_streams_open(backend):
    """Every call is answered right or fails as one to try elsewhere; streams end; status 0."""
    stop = threading.Event()

    def ask_until_refused():
        answered = 0
        with GrpcClient(backend.address) as client:
            while not stop.is_set():
                try:
                    assert godwit.answers(client.query("www.example.com")) == ["192.0.2.80"]
                    answered += 1
                except grpc.RpcError as failure:
                    # CANCELLED is gRPC's word to calls that cross its GOAWAY on the wire
                    assert failure.code() in (
                        grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
                    return answered
        return answered

    with GrpcClient(backend.address) as watching, \
            concurrent.futures.ThreadPoolExecutor(8) as pool:
        watchers = [Watcher(watching) for _ in range(20)]
        for watcher in watchers:
            watcher.wait_for("SERVING")
        results = [pool.submit(ask_until_refused) for _ in range(8)]
        wait_until(lambda: backend.metric(
            'godwit_backend_calls_total{method="Query",status="OK"}') > 50)
        backend.stop()
        stop.set()
        assert sum(result.result(10) for result in results) > 50
        for watcher in watchers:
            assert watcher.wait_end() == grpc.StatusCode.UNAVAILABLE
            assert watcher.said == ["SERVING", "NOT_SERVING"]


def test_sigterm_with_clients_that_take_nothing(backend):
    """A reply nobody reads and a request that never ends do not hold up the end."""
    request = packet(dns.message.make_query("www.example.com", "A").to_wire())
    health = godwit.stubs("health").HealthCheckRequest().SerializeToString()
    with raw_http2.Connection(backend.address, window=0) as connection:
        for _ in range(50):
            connection.call(QUERY, request)
            connection.call(QUERY, request, end=False)
            connection.call(WATCH, health)
        wait_until(lambda: backend.metric(
            'godwit_backend_calls_total{method="Watch",status="OK"}') == 50)
        backend.stop()


def test_sigterm_while_there_is_no_store(tmp_path, start_backend):
    backend = start_backend(godwit.Store(tmp_path, "missing.db")).wait_alive()
    backend.stop()
    assert "level=info msg=stopped" in backend.log()


def test_sigint_ends_it_too(backend):
    backend.process.send_signal(signal.SIGINT)
    assert backend.wait_end() == 0


def test_sighup_takes_over_the_log_level(backend):
    backend.config["log"] = {"level": "debug", "format": "json"}
    backend.config_path.write_text(godwit.json.dumps(backend.config))
    backend.process.send_signal(signal.SIGHUP)
    wait_until(lambda: '"msg":"configuration read anew"' in backend.log())
    backend.config_path.write_text("listen: 5")
    backend.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "configuration not read anew" in backend.log())
    assert backend.is_running()


# --- where it listens -----------------------------------------------------------------------------

def test_a_port_that_is_taken_is_named(store, backend, start_backend):
    other = start_backend(store, listen=[backend.address])
    assert other.wait_end() == 1
    assert backend.address in other.log() and "in use" in other.log()


def test_unix_socket(tmp_path, store, start_backend):
    path = tmp_path / "backend.sock"
    backend = start_backend(store, listen=[f"unix:{path}"]).wait_ready()
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    with GrpcClient(f"unix:{path}") as client:
        assert godwit.answers(client.query("www.example.com")) == ["192.0.2.80"]
    other = start_backend(store, listen=[f"unix:{path}"])
    assert other.wait_end() == 1 and "another process listens" in other.log()
    backend.kill()
    assert path.exists()
    start_backend(store, listen=[f"unix:{path}"]).wait_ready()
    with GrpcClient(f"unix:{path}") as client:
        assert godwit.answers(client.query("www.example.com")) == ["192.0.2.80"]


def test_unix_socket_where_there_cannot_be_one(tmp_path, store, start_backend):
    backend = start_backend(store, listen=[f"unix:{tmp_path}/missing/backend.sock"])
    assert backend.wait_end() == 1 and f"{tmp_path}/missing" in backend.log()
    (tmp_path / "file").write_text("mine")
    backend = start_backend(store, listen=[f"unix:{tmp_path}/file"])
    assert backend.wait_end() == 1
    assert pathlib.Path(tmp_path / "file").read_text() == "mine"


@pytest.mark.skipif(not godwit.has_ipv6(), reason="no IPv6 on this machine")
def test_several_addresses_ipv6_included(store, start_backend):
    listen = [godwit.free_address(), godwit.free_address("::1")]
    start_backend(store, listen=listen).wait_ready()
    for address in listen:
        with GrpcClient(address) as client:
            assert godwit.answers(client.query("www.example.com")) == ["192.0.2.80"]
