"""godwit-frontend towards its clients, in front of a foreign backend: protocols, limits, bad input,
starting and stopping."""

import random
import resource
import signal
import socket
import struct
import time

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.opcode
import dns.query
import dns.rcode
import dns.rdataclass
import pytest

from foreign_backend import ForeignBackend
from godwit import (SANITIZED, answers, ask, free_address, free_port, has_ipv6, program, rcode,
                    run, split_address, wait_until)
from machine_clock import Stopwatch

NAME = "www.example.com."


@pytest.fixture
def foreign():
    backend = ForeignBackend(free_address(), 1)
    yield backend
    backend.kill()


@pytest.fixture
def frontend(foreign, start_frontend):
    return start_frontend([foreign.address]).wait_ready()


class Stream:
    """A TCP connection that sends and receives DNS messages."""

    def __init__(self, server, timeout=5):
        self.socket = socket.create_connection(split_address(server.address), timeout)

    def send(self, *messages):
        wires = [m if isinstance(m, bytes) else m.to_wire() for m in messages]
        self.socket.sendall(b"".join(struct.pack("!H", len(w)) + w for w in wires))

    def read(self, size):
        data = b""
        while len(data) < size:
            part = self.socket.recv(size - len(data))
            if not part:
                raise EOFError
            data += part
        return data

    def receive_wire(self):
        return self.read(struct.unpack("!H", self.read(2))[0])

    def receive(self):
        return dns.message.from_wire(self.receive_wire())

    def is_closed(self):
        """True once the server has closed; reads away nothing that matters."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionError:
            return True

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


def exchange(server, wire, timeout=5):
    """Raw octets in, the raw reply out, by UDP."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(timeout)
        client.connect(split_address(server.address))
        client.send(wire)
        return client.recv(65535)


def extended_errors(reply):
    return [option.code for option in reply.options if isinstance(option, dns.edns.EDEOption)]


# --- protocols and addresses ----------------------------------------------------------------------

@pytest.mark.parametrize("tcp", [False, True])
def test_answers_on_every_address(frontend, tcp):
    for address in frontend.addresses:
        assert answers(ask(address, NAME, tcp=tcp)) == ["192.0.2.1"]


def test_reply_leaves_from_the_address_that_was_asked(foreign, start_frontend):
    port = free_port()
    listen = [{"address": f"0.0.0.0:{port}", "protocols": ["udp", "tcp"]}]
    if has_ipv6():
        listen.append({"address": f"[::]:{port}", "protocols": ["udp", "tcp"]})
    start_frontend([foreign.address], listen=listen).wait_ready()
    # dnspython fails on a reply from another address than the one it asked.
    for host in ["127.0.0.2", "127.3.2.1"] + (["::1"] if has_ipv6() else []):
        query = dns.message.make_query(NAME, "A")
        assert answers(dns.query.udp(query, host, port=port, timeout=5)) == ["192.0.2.1"]
        assert answers(dns.query.tcp(query, host, port=port, timeout=5)) == ["192.0.2.1"]


def test_case_of_the_question_is_kept(frontend):
    reply = ask(frontend, "wWw.ExAmPlE.cOm.")
    assert reply.question[0].name.to_text() == "wWw.ExAmPlE.cOm."


def test_reply_is_cut_to_what_the_client_takes(frontend):
    name = "big-0-200.example."
    for payload, limit in [(None, 512), (1232, 1232), (4096, 1232), (100, 512)]:
        options = {"use_edns": 0, "payload": payload} if payload else {}
        query = dns.message.make_query(name, "A", **options)
        wire = exchange(frontend, query.to_wire())
        assert len(wire) <= limit
        reply = dns.message.from_wire(wire)
        assert reply.flags & dns.flags.TC
        if payload:
            assert reply.edns == 0 and reply.payload == 1232
    assert frontend.metric("godwit_frontend_truncated_total") == 4
    assert len(answers(ask(frontend, name, tcp=True))) == 200
    with_retry = run("dig", f"@{frontend.address.split(':')[0]}", "-p",
                     split_address(frontend.address)[1], name, "+short")
    assert len(with_retry.stdout.split()) == 200


def test_largest_tcp_reply(frontend):
    reply = ask(frontend, "big-0-4000.example.", tcp=True)
    assert len(answers(reply)) == 4000 and not reply.flags & dns.flags.TC


def test_udp_payload_is_configurable(foreign, start_frontend):
    frontend = start_frontend([foreign.address], limits={"udp_payload": 4096}).wait_ready()
    reply = ask(frontend, "big-0-200.example.", use_edns=0, payload=4096)
    assert len(answers(reply)) == 200 and reply.payload == 4096


# --- TCP (RFC 7766) -------------------------------------------------------------------------------

def test_pipelined_replies_come_as_they_are_ready(frontend):
    slow = dns.message.make_query("delay-0-1500.example.", "A")
    fast = dns.message.make_query("fast.example.", "A")
    with Stream(frontend) as stream:
        stream.send(slow, fast)
        assert stream.receive().id == fast.id
        assert stream.receive().id == slow.id


def test_more_queries_on_a_connection_than_may_be_in_flight(frontend):
    queries = [dns.message.make_query(f"n{i}.example.", "A", id=i) for i in range(1000)]
    with Stream(frontend, 20) as stream:
        stream.send(*queries)
        assert sorted(stream.receive().id for _ in queries) == list(range(1000))


def test_message_in_single_octets(frontend):
    query = dns.message.make_query(NAME, "A")
    wire = query.to_wire()
    with Stream(frontend) as stream:
        stream.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for octet in struct.pack("!H", len(wire)) + wire:
            stream.socket.sendall(bytes([octet]))
        assert stream.receive().id == query.id


def test_client_that_has_sent_all_still_gets_its_replies(frontend):
    queries = [dns.message.make_query(f"delay-0-200.n{i}.example.", "A") for i in range(5)]
    with Stream(frontend) as stream:
        stream.send(*queries)
        stream.socket.shutdown(socket.SHUT_WR)
        assert {stream.receive().id for _ in queries} == {query.id for query in queries}
        assert stream.is_closed()


def test_idle_connection_is_closed(foreign, start_frontend):
    frontend = start_frontend([foreign.address], limits={"tcp_idle_s": 1}).wait_ready()
    begun = time.monotonic()
    with Stream(frontend) as silent, Stream(frontend) as dripping:
        silent.send(dns.message.make_query(NAME, "A"))
        silent.receive()
        watch = Stopwatch()
        dripping.socket.settimeout(0.1)
        # A length, and then an octet now and again: no progress, however long it goes on.
        dripping.socket.sendall(b"\x00\x40")

        def cut_off():
            try:
                dripping.socket.sendall(b"\x00")
                return dripping.is_closed()
            except socket.timeout:
                return False
            except ConnectionError:
                return True
        wait_until(cut_off, 5, 0.1)
        assert silent.is_closed()
        assert time.monotonic() - begun > 0.99 and watch.seconds < 4
    assert frontend.metric('godwit_frontend_tcp_connections_total{event="idle"}') == 2
    assert frontend.metric("godwit_frontend_tcp_connections") == 0


def test_query_in_flight_keeps_its_connection(foreign, start_frontend):
    frontend = start_frontend([foreign.address], limits={"tcp_idle_s": 1,
                                                 "query_timeout_ms": 10000}).wait_ready()
    with Stream(frontend) as stream:
        stream.send(dns.message.make_query("delay-0-2500.example.", "A"))
        assert answers(stream.receive()) == ["192.0.2.1"]


def test_idle_connections_make_room_at_the_limit(foreign, start_frontend):
    frontend = start_frontend([foreign.address], workers=1, limits={"tcp_connections": 4}).wait_ready()
    streams = [Stream(frontend) for _ in range(4)]
    for stream in streams:
        stream.send(dns.message.make_query(NAME, "A"))
        stream.receive()
    with Stream(frontend) as fifth:
        fifth.send(dns.message.make_query(NAME, "A"))
        assert answers(fifth.receive()) == ["192.0.2.1"]
        assert streams[0].is_closed()
        assert frontend.metric("godwit_frontend_tcp_connections") == 4
    for stream in streams[1:]:
        stream.send(dns.message.make_query(NAME, "A"))
        stream.receive()
        stream.socket.close()


def test_busy_connections_are_not_pushed_out(foreign, start_frontend):
    frontend = start_frontend([foreign.address], workers=1, limits={
        "tcp_connections": 2, "query_timeout_ms": 10000}).wait_ready()
    busy = [Stream(frontend, 10) for _ in range(2)]
    for stream in busy:
        stream.send(dns.message.make_query("delay-0-2000.example.", "A"))
    wait_until(lambda: frontend.metric("godwit_frontend_queries_in_flight") == 2)
    with Stream(frontend) as refused:
        assert refused.is_closed()
    assert frontend.metric('godwit_frontend_tcp_connections_total{event="refused"}') == 1
    for stream in busy:
        assert answers(stream.receive()) == ["192.0.2.1"]
        stream.socket.close()


def test_client_that_does_not_read_is_cut_off(foreign, start_frontend):
    frontend = start_frontend([foreign.address], limits={"tcp_idle_s": 1}).wait_ready()
    query = dns.message.make_query("big-0-3000.example.", "A").to_wire()
    with Stream(frontend) as stream:
        stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stream.socket.settimeout(0.2)
        frame = struct.pack("!H", len(query)) + query
        sent = 0
        try:
            while sent < 20_000_000:
                sent += stream.socket.send(frame * 100)
        except (socket.timeout, ConnectionError):
            pass
        # It stopped reading queries long before it had all of them.
        assert sent < 20_000_000
        wait_until(lambda: frontend.metric("godwit_frontend_tcp_connections") == 0, 20)
    assert frontend.metric('godwit_frontend_queries_total{protocol="tcp"}') < 500
    assert frontend.metric('godwit_frontend_replies_total{rcode="SERVFAIL"}') == 0
    assert answers(ask(frontend, NAME, tcp=True)) == ["192.0.2.1"]


def test_client_that_goes_away_does_no_harm(frontend):
    for _ in range(20):
        with Stream(frontend) as stream:
            stream.send(*[dns.message.make_query("delay-0-300.example.", "A") for _ in range(5)])
            # A reset rather than an orderly end.
            stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wait_until(lambda: frontend.metric("godwit_frontend_queries_in_flight") == 0)
    assert answers(ask(frontend, NAME, tcp=True)) == ["192.0.2.1"]


def test_running_out_of_descriptors_is_got_over(foreign, start_frontend):
    frontend = start_frontend([foreign.address], workers=1).wait_ready()
    limit = int(frontend.metric("process_open_fds")) + 4
    resource.prlimit(frontend.pid, resource.RLIMIT_NOFILE, (limit, limit))
    streams = [Stream(frontend) for _ in range(12)]
    streams[-1].send(dns.message.make_query(NAME, "A"))
    assert answers(streams[-1].receive()) == ["192.0.2.1"]
    assert answers(ask(frontend, NAME)) == ["192.0.2.1"]
    for stream in streams:
        stream.socket.close()
    assert "accepting a TCP connection failed" in frontend.log()


# --- bad input ------------------------------------------------------------------------------------

GOOD = dns.message.make_query(NAME, "A", id=0x1234, use_edns=0).to_wire()
HEADER = struct.Struct("!HHHHHH")


def with_header(flags=0, counts=(1, 0, 0, 0), body=GOOD[12:-11]):
    return HEADER.pack(0x1234, flags, *counts) + body


QUESTION = GOOD[12:-11]
OPT = b"\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00"

BAD = {
    "no question": (with_header(counts=(0, 0, 0, 0), body=b""), "FORMERR"),
    "two questions": (with_header(counts=(2, 0, 0, 0), body=QUESTION * 2), "FORMERR"),
    "question cut off": (with_header(body=QUESTION[:-1]), "FORMERR"),
    "octets after the end": (with_header(body=QUESTION + b"\x00"), "FORMERR"),
    "pointer to itself": (with_header(body=b"\xc0\x0c\x00\x01\x00\x01"), "FORMERR"),
    "pointer forward": (with_header(body=b"\xc0\x20\x00\x01\x00\x01"), "FORMERR"),
    "unknown label type": (with_header(body=b"\x80\x00\x01\x00\x01"), "FORMERR"),
    "name over 255 octets": (with_header(body=b"\x3f" + b"a" * 63 + (b"\x3f" + b"a" * 63) * 4 +
                                         b"\x00\x00\x01\x00\x01"), "FORMERR"),
    "two OPT records": (with_header(counts=(1, 0, 0, 2), body=QUESTION + OPT * 2), "FORMERR"),
    "option cut off": (with_header(counts=(1, 0, 0, 1), body=QUESTION + OPT[:-2] +
                                   b"\x00\x04\x00\x0f\x00\x09"), "FORMERR"),
    "counts that lie": (with_header(counts=(1, 0, 0, 65535), body=QUESTION), "FORMERR"),
    "NOTIFY": (with_header(flags=4 << 11), "NOTIMP"),
    "UPDATE": (with_header(flags=5 << 11), "NOTIMP"),
    "opcode 15": (with_header(flags=15 << 11), "NOTIMP"),
    "class CH": (with_header(body=QUESTION[:-1] + b"\x03"), "REFUSED"),
    "AXFR": (with_header(body=QUESTION[:-4] + b"\x00\xfc\x00\x01"), "REFUSED"),
    "EDNS version 1": (with_header(counts=(1, 0, 0, 1), body=QUESTION + OPT[:6] + b"\x01" +
                                   OPT[7:]), "BADVERS"),
}


def assert_is_error(wire, expected):
    """By hand: dnspython does not read replies of opcodes it does not know."""
    query_id, flags, _, answer, authority, additional = HEADER.unpack(wire[:12])
    assert query_id == 0x1234 and flags & dns.flags.QR
    assert answer == authority == 0
    # The only additional record an error has is an OPT, at the very end: its TTL's first octet.
    extended = wire[-6] if additional else 0
    assert dns.rcode.to_text(extended << 4 | flags & 15) == expected


@pytest.mark.parametrize("case", BAD)
def test_bad_query_is_answered_in_place(frontend, case):
    wire, expected = BAD[case]
    calls = frontend.metric("godwit_frontend_backend_calls_total")
    assert_is_error(exchange(frontend, wire), expected)
    with Stream(frontend) as stream:
        stream.send(wire)
        assert_is_error(stream.receive_wire(), expected)
    assert frontend.metric("godwit_frontend_backend_calls_total") == calls


def test_what_is_no_query_gets_no_reply(frontend):
    drops = 0
    for wire in [b"", b"\x12", GOOD[:11], with_header(flags=0x8000), GOOD[:2] + b"\x80" + GOOD[3:]]:
        with pytest.raises(socket.timeout):
            exchange(frontend, wire, timeout=0.2)
        drops += 1
        wait_until(lambda: frontend.metric(
            'godwit_frontend_drops_total{reason="not_a_query"}') == drops)
    assert answers(ask(frontend, NAME)) == ["192.0.2.1"]


@pytest.mark.parametrize("frame", [b"\x00\x00", b"\x00\x0b" + b"\x00" * 11])
def test_tcp_frame_shorter_than_a_header_ends_the_connection(frontend, frame):
    with Stream(frontend) as stream:
        stream.socket.sendall(frame)
        assert stream.is_closed()


def test_random_damage_does_no_harm(frontend):
    generator = random.Random(1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(split_address(frontend.address))
        for i in range(5000):
            wire = bytearray(GOOD + generator.randbytes(generator.choice([0, 0, 0, 5, 600])))
            for _ in range(generator.randrange(1, 6)):
                wire[generator.randrange(len(wire))] = generator.randrange(256)
            try:
                client.send(bytes(wire[:generator.randrange(1, len(wire) + 1)]))
            except ConnectionError:
                pass
            if i % 200 == 0:
                assert answers(ask(frontend, NAME)) == ["192.0.2.1"]
    for i in range(100):
        with Stream(frontend) as stream:
            try:
                stream.socket.sendall(generator.randbytes(generator.randrange(1, 3000)))
            except ConnectionError:
                pass
    assert answers(ask(frontend, NAME, tcp=True)) == ["192.0.2.1"]


def test_longest_datagram_does_no_harm(frontend):
    assert rcode(dns.message.from_wire(exchange(frontend, GOOD + b"\x00" * 60000))) == "FORMERR"


# --- routes ---------------------------------------------------------------------------------------

def test_longest_zone_decides_and_the_rest_is_refused(start_frontend):
    backends = [ForeignBackend(free_address(), number) for number in (1, 2)]
    try:
        frontend = start_frontend([], routes=[
            {"zone": "example.com", "backends": [backends[0].address]},
            {"zone": "sub.example.com.", "backends": [backends[1].address]}]).wait_ready()
        assert answers(ask(frontend, "www.example.com.")) == ["192.0.2.1"]
        assert answers(ask(frontend, "WWW.Sub.Example.Com.")) == ["192.0.2.2"]
        reply = ask(frontend, "example.net.", use_edns=0)
        assert rcode(reply) == "REFUSED" and extended_errors(reply) == [20]
        assert ask(frontend, "example.net.").edns == -1
    finally:
        for backend in backends:
            backend.kill()


def test_minimal_any_needs_no_backend(start_frontend):
    nobody = free_address()
    frontend = start_frontend([], routes=[
        {"zone": "example.com", "backends": [nobody], "minimal_any": True},
        {"zone": "example.net", "backends": [nobody]}])
    frontend.wait_alive()
    for tcp in (False, True):
        reply = ask(frontend, "wWw.example.com.", "ANY", tcp=tcp)
        assert rcode(reply) == "NOERROR" and reply.flags & dns.flags.AA
        assert [str(rrset) for rrset in reply.answer] == [
            'wWw.example.com. 3600 IN HINFO "RFC8482" ""']
    assert rcode(ask(frontend, "www.example.com.", "A")) == "SERVFAIL"
    assert rcode(ask(frontend, "www.example.net.", "ANY")) == "SERVFAIL"


def test_reload_changes_routes_without_dropping_queries(start_frontend):
    backends = [ForeignBackend(free_address(), number) for number in (1, 2)]
    try:
        frontend = start_frontend([backends[0].address],
                                  limits={"query_timeout_ms": 10000}).wait_ready()
        with Stream(frontend) as stream:
            pending = dns.message.make_query("delay-0-1500.example.", "A")
            stream.send(pending)
            wait_until(lambda: frontend.metric("godwit_frontend_backend_in_flight") == 1)
            text = frontend.config_path.read_text()
            frontend.config_path.write_text(text.replace(backends[0].address, backends[1].address))
            frontend.process.send_signal(signal.SIGHUP)
            wait_until(lambda: answers(ask(frontend, NAME)) == ["192.0.2.2"])
            assert answers(stream.receive()) == ["192.0.2.1"]
        frontend.config_path.write_text("routes: [")
        frontend.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "configuration not reloaded" in frontend.log())
        assert answers(ask(frontend, NAME)) == ["192.0.2.2"]
        frontend.config_path.write_text(text.replace('"listen"', '"workers": 7, "listen"'))
        frontend.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "need a restart" in frontend.log())
        wait_until(lambda: answers(ask(frontend, NAME)) == ["192.0.2.1"])
    finally:
        for backend in backends:
            backend.kill()


# --- starting, stopping, logs ---------------------------------------------------------------------

@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
def test_port_taken_is_said(tmp_path, kind):
    port = free_port()
    config = tmp_path / "frontend.yaml"
    config.write_text(f'listen: [{{ address: "127.0.0.1:{port}", protocols: [udp, tcp] }}]\n'
                      f'admin: "{free_address()}"\n')
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("127.0.0.1", port))
        if kind == socket.SOCK_STREAM:
            taken.listen()
        done = run(program("godwit-frontend"), "--config", config, check=False)
    assert done.returncode == 1
    assert f"127.0.0.1:{port}" in done.stderr and "in use" in done.stderr


def test_second_frontend_does_not_share_the_port(frontend, tmp_path):
    config = tmp_path / "second.yaml"
    config.write_text(f'listen: [{{ address: "{frontend.address}", protocols: [udp] }}]\n'
                      f'admin: "{free_address()}"\n')
    done = run(program("godwit-frontend"), "--config", config, check=False)
    assert done.returncode == 1 and frontend.address in done.stderr


def test_an_address_may_come_later(foreign, start_frontend):
    """Anycast: the announcer puts the address on the machine once it sees us answer."""
    listen = [{"address": f"{address}:{free_port()}", "protocols": ["udp", "tcp"]}
              for address in (["127.0.0.1", "192.0.2.53"] + ["[2001:db8::53]"] * has_ipv6())]
    frontend = start_frontend([foreign.address], listen=listen).wait_ready()
    assert answers(ask(frontend, NAME)) == ["192.0.2.1"]
    log = frontend.log()
    assert log.count("no interface has this address yet") == len(listen) - 1
    assert f'address={listen[1]["address"]}' in log


def test_sigterm_answers_what_is_in_flight(foreign, start_frontend):
    frontend = start_frontend([foreign.address], limits={"query_timeout_ms": 10000}).wait_ready()
    slow, other = (dns.message.make_query(f"delay-0-2500.{name}.example.", "A") for name in "ab")
    with Stream(frontend) as stream, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        client.connect(split_address(frontend.address))
        stream.send(slow)
        client.send(other.to_wire())
        wait_until(lambda: frontend.metric("godwit_frontend_backend_in_flight") == 2)
        frontend.process.send_signal(signal.SIGTERM)
        wait_until(lambda: frontend.get("/readyz")[0] == 503)
        with pytest.raises((ConnectionError, socket.timeout)):
            Stream(frontend, 1).receive()
        assert answers(stream.receive()) == ["192.0.2.1"]
        assert answers(dns.message.from_wire(client.recv(65535))) == ["192.0.2.1"]
        assert stream.is_closed()
    assert frontend.wait_end() == 0


def test_sigterm_does_not_wait_for_ever(foreign, start_frontend):
    frontend = start_frontend([foreign.address], limits={"query_timeout_ms": 60000}).wait_ready()
    with Stream(frontend) as stream:
        stream.send(dns.message.make_query("hang-0-.example.", "A"))
        wait_until(lambda: frontend.metric("godwit_frontend_backend_in_flight") == 1)
        watch = Stopwatch()
        frontend.process.send_signal(signal.SIGTERM)
        assert frontend.wait_end() == 0
        assert SANITIZED or watch.seconds < 5


def test_second_sigterm_ends_at_once(foreign, start_frontend):
    frontend = start_frontend([foreign.address], limits={"query_timeout_ms": 60000}).wait_ready()
    with Stream(frontend) as stream:
        stream.send(dns.message.make_query("hang-0-.example.", "A"))
        wait_until(lambda: frontend.metric("godwit_frontend_backend_in_flight") == 1)
        frontend.process.send_signal(signal.SIGTERM)
        wait_until(lambda: frontend.get("/readyz")[0] == 503)
        frontend.process.send_signal(signal.SIGTERM)
        assert frontend.wait_end(1) == -signal.SIGTERM


def test_queries_are_logged_when_asked_for(foreign, start_frontend):
    frontend = start_frontend([foreign.address], log={"queries": "errors"}).wait_ready()
    ask(frontend, NAME)
    assert rcode(ask(frontend, "error-0-.example.")) == "SERVFAIL"
    wait_until(lambda: "msg=query" in frontend.log())
    lines = [line for line in frontend.log().splitlines() if "msg=query" in line]
    assert len(lines) == 1
    assert "name=error-0-.example." in lines[0] and "rcode=2" in lines[0]
    assert "client=127.0.0.1:" in lines[0] and "protocol=udp" in lines[0]


def test_check_names_the_place_of_an_error(tmp_path):
    config = tmp_path / "frontend.yaml"
    config.write_text("workers: 1\nlimits:\n  udp_payload: 9000\n")
    done = run(program("godwit-frontend"), "--config", config, "--check", check=False)
    assert done.returncode == 1
    assert f"{config}:3: limits.udp_payload" in done.stderr
    config.write_text("workers: 1\nlimits:\n  udp_payload: 1400\n")
    run(program("godwit-frontend"), "--config", config, "--check")
