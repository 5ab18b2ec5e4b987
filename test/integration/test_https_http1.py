"""HTTP/1.1 by hand: what could be read in two ways, slow and greedy clients."""

import socket
import ssl
import time

import dns.message
import pytest

from godwit import SANITIZED, answers, split_address, wait_until
from machine_clock import Stopwatch
from https_clients import (
    GOOD, H2, Http1, WIRE, both_versions, event, frontend, get_path, query_of, start,
    status_count)
from secure_frontend import authority, foreign, pair, start_secure

SMUGGLED = [
    (Http1.post(WIRE, f"Content-Length: {len(WIRE)}", "Transfer-Encoding: chunked"), 400),
    (Http1.post(WIRE, "Transfer-Encoding: chunked", f"Content-Length: {len(WIRE)}"), 400),
    (Http1.post(WIRE, f"Content-Length: {len(WIRE)}", f"Content-Length: {len(WIRE)}"), 400),
    (Http1.post(WIRE, f"Content-Length: {len(WIRE)}", "Content-Length: 0"), 400),
    (Http1.post(WIRE, f"Content-Length: {len(WIRE)}, {len(WIRE)}"), 400),
    (Http1.post(WIRE, f"Content-Length: +{len(WIRE)}"), 400),
    (Http1.post(WIRE, f"Content-Length: 0x{len(WIRE):x}"), 400),
    (Http1.post(WIRE, "Content-Length: -1"), 400),
    (Http1.post(WIRE, "Content-Length:"), 400),
    (Http1.post(WIRE, "Content-Length: 18446744073709551645"), 413),
    (Http1.post(WIRE, f"Content-Length : {len(WIRE)}"), 400),
    (Http1.post(WIRE, "X: y", f" Content-Length: {len(WIRE)}"), 400),
    (Http1.post(WIRE), 411),
    (Http1.post(b"1d\r\n" + WIRE + b"\r\n0\r\n\r\n", "Transfer-Encoding: chunked"), 411),
    (Http1.post(b"", "Transfer-Encoding: gzip, chunked"), 501),
    (Http1.post(b"", "Transfer-Encoding: \x0bchunked"), 400),
    (Http1.post(WIRE, f"Content-Length: {len(WIRE)}", "Expect: miracles"), 417),
    (Http1.get(GOOD, "Host: other.example"), 400),
    (Http1.get(GOOD, "Bad\x00Name: x"), 400),
    (Http1.get(GOOD, "X: a\x00b"), 400),
    (Http1.get(GOOD, "X: a\rb"), 400),
    (Http1.get(GOOD, "no colon"), 400),
    (Http1.get(GOOD, ": no name"), 400),
    (Http1.get(GOOD + " "), 400),
    (Http1.get("/dns query"), 400),
    (Http1.get("dns-query"), 400),
    (Http1.get("/dns-query#x"), 400),
    (b"GET " + GOOD.encode() + b" HTTP/1.1\r\n\r\n", 400),  # no Host
    (b"GET " + GOOD.encode() + b" HTTP/1.1\nHost: a\n\n\r\n\r\n", 400),
    (b"GET " + GOOD.encode() + b"\r\n\r\n", 400),  # HTTP/0.9
    (b"GET " + GOOD.encode() + b" HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    (b"GET " + GOOD.encode() + b" http/1.1\r\nHost: a\r\n\r\n", 400),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    (b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    (b"G(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"\x16\x03\x01\x02\x00\r\n\r\n", 400),
    (Http1.get(GOOD, "X: " + "y" * 17000), 431),
    (Http1.get(GOOD, *["X: y"] * 101), 431),
    (b"A" * 17000, 414),
]


def test_what_could_be_read_in_two_ways_is_refused(frontend, authority):
    for octets, status in SMUGGLED:
        with Http1(frontend, authority) as http:
            http.send(octets + http.get())  # which must not be taken for another request
            found, headers, _ = http.receive()
            assert found == status, octets[:300]
            assert headers["connection"] == "close"
            may_still_come = status in (411, 413, 414, 417, 431)
            http.socket.settimeout(0.02 if may_still_come else 10)
            try:
                assert http.ended(), octets[:300]
            except socket.timeout:
                assert may_still_come
    assert status_count(frontend, 200) == 0


def test_requests_that_are_taken(frontend, authority):
    half = len(WIRE) // 2
    with Http1(frontend, authority) as http:
        for octets in (
                b"\r\n" + http.get(), http.get("https://other.example" + GOOD),
                http.get(GOOD, "ACCEPT:x", "x-y: \t z \t"), http.get(GOOD, "Connection: a, b"),
                http.post(WIRE, f"content-LENGTH: \t00{len(WIRE)} "),
                http.get(GOOD, "Content-Length: 5") + b"hello"):
            http.send(octets)
            status, headers, body = http.receive()
            assert status == 200 and "connection" not in headers, octets
            assert answers(dns.message.from_wire(body)) == ["192.0.2.1"]
        # In pieces, and with the client waiting to be told to go on.
        octets = http.post(WIRE, f"Content-Length: {len(WIRE)}", "Expect: 100-continue")
        for octet in octets[:-len(WIRE)]:
            http.send(bytes([octet]))
        assert http.receive()[0] == 100
        http.send(WIRE[:half])
        time.sleep(0.05)
        http.send(WIRE[half:])
        assert http.receive()[0] == 200
        http.send(http.get(GOOD, "Connection: x, Close") + http.get())
        status, headers, _ = http.receive()
        assert status == 200 and headers["connection"] == "close"
        assert http.ended()
    with Http1(frontend, authority) as http:  # HTTP/1.0: one request
        http.send(f"GET {GOOD} HTTP/1.0\r\n\r\n".encode())
        assert http.receive()[0] == 200 and http.ended()


def test_a_client_that_has_ended_gets_its_replies_on_http1(frontend, authority):
    """It says that it sends no more (close_notify), and goes on listening."""
    context = ssl.create_default_context(cafile=str(authority.certificate))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    stream = context.wrap_bio(incoming, outgoing, server_hostname="dns.example")
    with socket.create_connection(split_address(frontend.secure), 10) as plain:

        def do(function, *arguments):
            while True:
                try:
                    return function(*arguments)
                except ssl.SSLWantReadError:
                    plain.sendall(outgoing.read())
                    incoming.write(plain.recv(65536))

        do(stream.do_handshake)
        stream.write(b"".join(Http1.get(get_path(query_of(f"delay-0-100.n{i}.example.")))
                              for i in range(3)))
        with pytest.raises(ssl.SSLWantReadError):
            stream.unwrap()
        plain.sendall(outgoing.read())
        received = b""
        while part := plain.recv(65536):
            incoming.write(part)
            try:
                while part := stream.read():
                    received += part
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLZeroReturnError:
                break
        assert received.count(b"HTTP/1.1 200 OK") == 3


@pytest.mark.parametrize("octets", [b"", b"GET /dns", Http1.get()[:-2], Http1.post(
    WIRE[:10], f"Content-Length: {len(WIRE)}")], ids=["none", "line", "head", "body"])
def test_slow_requests_are_no_progress(start, authority, octets):
    frontend = start(limits={"tls_idle_s": 1})
    with Http1(frontend, authority) as http:
        begun = time.monotonic()
        http.send(http.get())
        assert http.receive()[0] == 200
        watch = Stopwatch()
        http.socket.settimeout(0.1)
        http.send(octets)
        while watch.seconds < 8:  # an octet now and then, of a header that never ends
            try:
                if octets:
                    http.send(b"x")
                if http.socket.recv(1) == b"":
                    break
            except socket.timeout:
                continue
            except OSError:
                break
        assert time.monotonic() - begun > 0.99 and watch.seconds < 4
    assert event(frontend, "idle") == 1


@both_versions
def test_a_client_that_does_not_read_is_cut_off(start, authority, http2):
    frontend = start(limits={"tls_idle_s": 1})
    path = get_path(query_of("big-0-3000.example."))
    http = (H2 if http2 else Http1)(frontend, authority)
    with http:
        http.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        http.socket.settimeout(0.2)
        sent = 0
        try:
            while sent < 5_000_000:
                octets = http.get(path) if not http2 else b""
                for _ in range(64 if http2 else 0):
                    http.get(path, flush=False)
                octets = octets * 100 if not http2 else http.h2.data_to_send()
                sent += http.socket.send(octets) if octets else 0
                if http2:
                    break
        except (socket.timeout, OSError):
            pass
        wait_until(lambda: event(frontend, "idle") + event(frontend, "error") == 1, 15)
    assert frontend.metric("process_resident_memory_bytes") < (2000 if SANITIZED else 200) * 2**20


def test_requests_behind_one_that_waits_stay_with_the_client(frontend, authority):
    with Http1(frontend, authority) as http:
        http.send(http.get(get_path(query_of("hang-0-.example."))))
        http.socket.settimeout(0.3)
        many = http.get() * 5000
        sent, most = 0, 40_000_000  # several times what the kernels of both sides keep
        try:
            while sent < most:
                sent += http.socket.send(many)
        except OSError:
            pass
        assert sent < most
