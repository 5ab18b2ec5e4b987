"""HTTP/2 clients that cost more than they ask: each kind of frame over and over, header blocks that
never end, streams that are not wanted. Each is bounded, counted and said in the log, and others are
served meanwhile and after it.

test_https_http2.py has windows, bodies and what is not HTTP/2 at all; h2spec the protocol itself.
"""

import ssl
import struct

import h2.settings
import pytest

from godwit import ask, wait_until
from https_clients import (
    H2, NAME, TYPE, assert_serves, event, frame, frontend, get_path, query_of, start,
    status_count)
from secure_frontend import authority, foreign, pair, start_secure

DATA, HEADERS, PRIORITY, RESET, SETTINGS, _, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
ALTSVC, ORIGIN, PRIORITY_UPDATE = 10, 12, 16
END_STREAM, END_HEADERS, PADDED = 1, 4, 8
CALM = 0xb  # ENHANCE_YOUR_CALM
MIB = 1 << 20
FRAMES = 30_000  # HTTP2_FRAMES_SPARE and what a long while earns, many times over


def flood_count(frontend):
    return frontend.metric("godwit_frontend_http2_floods_total")


def drain(http):
    """Reads what has come, and lets it be."""
    http.socket.settimeout(0)
    try:
        while http.socket.recv(65536):
            pass
        raise ConnectionError("ended")
    except ssl.SSLWantReadError:
        http.socket.settimeout(10)


def send_all(http, octets, times=FRAMES):
    """Sends `octets` that often, or until the server has had enough. What it says is read in
    between, for a full socket would be a bound of its own."""
    piece = max(1, 8192 // len(octets))
    try:
        for _ in range(0, times, piece):
            http.socket.sendall(octets * piece)
            drain(http)
    except OSError:
        pass


def assert_ended_as_flood(frontend, authority):
    wait_until(lambda: event(frontend, "error") == 1)
    assert flood_count(frontend) == 1
    wait_until(lambda: "flood of frames or resets" in frontend.log())
    assert_serves(frontend, authority)


def post(http):
    """A POST whose body is to come."""
    stream = http.h2.get_next_available_stream_id()
    http.h2.send_headers(stream, http.headers("/dns-query", ("content-type", TYPE), method="POST"))
    http.flush()
    return stream


def get(http):
    http.get()
    return http.finish_one()


@pytest.mark.parametrize("name", ["www.example.com.", "hang-0-.example."])
def test_rapid_reset_is_ended(start, authority, name):
    """CVE-2023-44487: streams opened and cancelled at once."""
    frontend = start(limits={"query_timeout_ms": 100})
    ask(frontend, NAME)
    with H2(frontend, authority) as http:
        try:
            for i in range(5000):
                stream = http.get(get_path(query_of(name)), flush=False)
                http.h2.reset_stream(stream, error_code=8)
                if i % 50 == 49:
                    http.flush()
        except OSError:
            pass
        assert http.wait_goaway() in (CALM, None)
    assert_ended_as_flood(frontend, authority)
    assert frontend.metric('godwit_frontend_queries_total{protocol="https"}') < 1500


def test_cancelling_now_and_then_is_no_flood(frontend, authority):
    with H2(frontend, authority) as http:
        for i in range(200):
            stream = http.get(get_path(query_of(f"n{i}.example.")))
            if i % 5 == 0:
                http.h2.reset_stream(stream, error_code=8)
            else:
                assert http.statuses[http.finish_one()] == "200"
    assert flood_count(frontend) == 0


def test_pings_without_reading_do_not_fill_memory(frontend, authority):
    http = H2(frontend, authority)
    before = frontend.metric("process_resident_memory_bytes")
    http.socket.settimeout(1)
    try:
        for _ in range(200):
            http.socket.sendall(frame(PING, 0, 0, b"12345678") * 1000)
    except OSError:
        pass
    wait_until(lambda: event(frontend, "error") == 1)
    assert frontend.metric("process_resident_memory_bytes") - before < 30 * MIB
    http.socket.close()


@pytest.mark.parametrize("octets", [
    frame(SETTINGS, 0, 0, struct.pack("!HI", 3, 100)), frame(SETTINGS, 0, 0),
    frame(SETTINGS, 0, 0, struct.pack("!HI", 1, 0) + struct.pack("!HI", 1, 4096)),
    frame(PING, 0, 0, b"12345678"), frame(PING, 1, 0, b"12345678"),
    frame(PRIORITY, 0, 9, b"\0\0\0\0\7"), frame(WINDOW, 0, 0, b"\0\0\0\1"),
    frame(WINDOW, 0, 1, b"\0\0\0\1"), frame(RESET, 0, 1, b"\0\0\0\10"),
    frame(ALTSVC, 0, 0, b"\0\1a"), frame(ORIGIN, 0, 0),
    frame(PRIORITY_UPDATE, 0, 0, b"\0\0\0\1u=1"), frame(0xf0, 0, 0),
    frame(0xf0, 0, 1, b"x" * 1000)],
    ids=["settings", "empty settings", "table sizes", "ping", "pong", "priority", "window",
         "window of a closed stream", "reset of a closed stream", "altsvc", "origin",
         "priority update", "unknown", "unknown and long"])
def test_frames_over_and_over(frontend, authority, octets):
    with H2(frontend, authority) as http:
        get(http)
        send_all(http, octets)
        assert_ended_as_flood(frontend, authority)


def test_no_more_after_goodbye(frontend, authority):
    """A client's GOAWAY ends the connection when nothing is under way, in good order."""
    with H2(frontend, authority) as http:
        get(http)
        send_all(http, frame(GOAWAY, 0, 0, b"\0\0\0\0\0\0\0\0"), 10_000)
        wait_until(lambda: frontend.metric("godwit_frontend_tls_connections") == 0)
    assert event(frontend, "error") == flood_count(frontend) == 0


@pytest.mark.parametrize("octets", [b"", b"\0", b"\xff" + b"\0" * 255],
                         ids=["empty", "short", "padding"])
def test_bodies_of_nothing(frontend, authority, octets):
    """CVE-2019-9518."""
    with H2(frontend, authority) as http:
        flags = PADDED if len(octets) > 1 else 0
        send_all(http, frame(DATA, flags, post(http), octets))
        assert_ended_as_flood(frontend, authority)


def test_bodies_after_the_reply(frontend, authority):
    """The rest of a body that was refused is let go by, but not for ever."""
    with H2(frontend, authority) as http:
        stream = http.h2.get_next_available_stream_id()
        http.h2.send_headers(stream, http.headers("/dns-query", ("content-type", TYPE),
                                                  ("content-length", "70000"), method="POST"))
        http.flush()
        assert http.finish_one() == stream and http.statuses[stream] == "413"
        for _ in range(20):
            http.socket.sendall(frame(DATA, 0, stream, b"x" * 100))
        assert get(http) == stream + 2  # it goes on
        send_all(http, frame(DATA, 0, stream, b"x"))
        assert_ended_as_flood(frontend, authority)


def closed(http):
    """A stream that the client has ended, and one that it never began."""
    first = get(http)
    http.h2.get_next_available_stream_id()
    http.h2.send_headers(first + 4, http.headers(), end_stream=True)
    http.flush()
    http.finish_one()
    return first, first + 2


@pytest.mark.parametrize("kind", [DATA, HEADERS])
@pytest.mark.parametrize("which", [0, 1], ids=["ended", "passed over"])
def test_streams_that_are_over(frontend, authority, kind, which):
    """RFC 9113 sections 5.1 and 5.1.1: STREAM_CLOSED and PROTOCOL_ERROR."""
    with H2(frontend, authority) as http:
        stream = closed(http)[which]
        block = http.h2.encoder.encode(http.headers()) if kind == HEADERS else b""
        http.socket.sendall(frame(kind, END_STREAM | END_HEADERS if block else END_STREAM, stream,
                                  block))
        assert http.wait_goaway() == (5, 1)[which]
    wait_until(lambda: event(frontend, "error") == 1)
    wait_until(lambda: ("STREAM_CLOSED", "PROTOCOL_ERROR")[which] in frontend.log())
    assert_serves(frontend, authority)


@pytest.mark.parametrize("size", [0, 5, 16384])
def test_endless_continuations(frontend, authority, size):
    """CVE-2024-27316: empty ones, short ones, long ones."""
    field = b"\x00\x01x\x01y"
    with H2(frontend, authority) as http:
        block = http.h2.encoder.encode(http.headers())
        http.socket.sendall(frame(HEADERS, END_STREAM, 1, block))
        before = frontend.metric("process_resident_memory_bytes")
        piece = (field * (size // len(field)))[:size]
        send_all(http, frame(CONTINUATION, 0, 1, piece), 3000)
        wait_until(lambda: event(frontend, "error") == 1)
    wait_until(lambda: "HTTP/2 connection closed" in frontend.log())
    assert frontend.metric("process_resident_memory_bytes") - before < 20 * MIB
    assert_serves(frontend, authority)


def test_streams_that_the_server_resets(start, authority):
    """CVE-2025-8671: requests that are whole, each with a window that makes the server reset it."""
    frontend = start(limits={"query_timeout_ms": 100})
    path = get_path(query_of("hang-0-.example."))
    with H2(frontend, authority) as http:
        try:
            for _ in range(3000):
                stream = http.get(path, flush=False)
                http.socket.sendall(http.h2.data_to_send() +
                                    frame(WINDOW, 0, stream, b"\x7f\xff\xff\xff"))
                http.h2.reset_stream(stream)  # so that it knows of no more than it may have
                http.h2.clear_outbound_data_buffer()
                drain(http)
        except OSError:
            pass
        assert_ended_as_flood(frontend, authority)
    assert frontend.metric('godwit_frontend_queries_total{protocol="https"}') < 1500


def literal(name, value, first=b"\0"):
    """A header field in plain (RFC 7541 section 6.2); with `first` 0x40 it goes into the table."""
    size = bytes([len(value)]) if len(value) < 127 else bytes(
        [127, (len(value) - 127) & 127 | 128, (len(value) - 127) >> 7])
    return first + bytes([len(name)]) + name.encode() + size + value.encode()


def test_header_blocks_that_grow(frontend, authority):
    """CVE-2016-6581: one entry of the table, referred to 12,000 times, is 46 MB. It is not kept."""
    with H2(frontend, authority) as http:
        before = frontend.metric("process_resident_memory_bytes")
        request = b"".join(literal(*field) for field in http.headers())
        block = request + literal("x", "y" * 3900, b"\x40") + b"\xbe" * 12_000
        for stream in range(1, 21, 2):
            http.socket.sendall(frame(HEADERS, END_STREAM | END_HEADERS, stream, block))
        wait_until(lambda: status_count(frontend, "other") == 10)  # 431
        assert frontend.metric("process_resident_memory_bytes") - before < 10 * MIB
        assert event(frontend, "error") == 0
    assert_serves(frontend, authority)


def test_replies_taken_octet_by_octet(frontend, authority):
    """CVE-2019-9511: a window that opens by one octet at a time."""
    window = {h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 1}
    with H2(frontend, authority, settings=window) as http:
        stream = http.get(get_path(query_of("big-0-1000.example.")))
        wait_until(lambda: status_count(frontend, 200) == 1)
        send_all(http, frame(WINDOW, 0, stream, b"\0\0\0\1"), 5000)
        assert_ended_as_flood(frontend, authority)
