"""HTTP/2 by hand: header lists, bodies, windows, and what is not HTTP/2. Floods are in
test_https_floods.py."""

import contextlib
import os
import socket
import ssl
import time

import dns.message
import h2.settings
import pytest

from godwit import answers, ask, split_address, wait_until
from machine_clock import Stopwatch
from https_clients import (
    GOOD, H2, Http1, NAME, TYPE, WIRE, assert_serves, connect, event, frame, frontend,
    get_path, query_of, start, status_count)
from secure_frontend import authority, foreign, pair, start_secure


def test_long_header_lists_are_refused(frontend, authority):
    with H2(frontend, authority) as http:
        # By reference to one entry of the dynamic table, again and again: small on the wire.
        bomb = [("x-long", "y" * 3000)] * 100
        assert http.get(GOOD, *bomb) == http.finish_one()
        assert http.statuses[1] == "431"
        assert http.get(GOOD, *[(f"x-{i}", "") for i in range(101)]) == http.finish_one()
        assert http.statuses[3] == "431"
        assert http.get() == http.finish_one()
        assert http.statuses[5] == "200"


MALFORMED = [
    [(":method", "GET"), (":path", GOOD)], [(":path", GOOD), (":scheme", "https")],
    [(":method", "GET"), (":scheme", "https"), (":authority", "a"), (":path", "")],
    [(":method", "GET"), (":scheme", "https"), (":authority", "a"), (":path", GOOD),
     (":path", GOOD)],
    [(":method", "GET"), (":scheme", "https"), (":authority", "a"), (":path", GOOD),
     ("connection", "close")],
    [(":method", "GET"), (":scheme", "https"), (":authority", "a"), (":path", GOOD),
     ("transfer-encoding", "chunked")],
    [(":method", "GET"), (":scheme", "https"), (":authority", "a"), (":path", GOOD),
     ("Upper", "case")],
    [(":method", "GET"), (":scheme", "https"), (":authority", "a"), (":path", GOOD),
     ("content-length", "5")],
    [(":method", "GET"), (":scheme", "https"), (":authority", "a"), ("x", "y"), (":path", GOOD)]]


def test_malformed_requests_reset_their_stream(frontend, authority):
    for headers in MALFORMED:
        with H2(frontend, authority) as http:
            http.h2.send_headers(1, headers, end_stream=True)
            http.flush()
            while 1 not in http.resets and 1 not in http.ended:
                assert http.pump()
            assert http.resets.get(1) == 1 or http.statuses[1] == "400", headers
            http.ended.clear()
            stream = http.get()
            assert http.finish_one() == stream and http.statuses[stream] == "200"


def test_more_streams_than_allowed(frontend, authority):
    """The front end says how many it takes; a client that opens more is refused or ended, and no
    more than CONNECTION_QUERIES_MAX of its queries are ever in flight."""
    with H2(frontend, authority) as http:
        while not http.h2.remote_settings.max_concurrent_streams < 1000:
            http.pump()
        assert http.h2.remote_settings.max_concurrent_streams == 64
        http.h2.remote_settings._settings[
            h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS].append(10000)
        http.h2.remote_settings.acknowledge()
        for i in range(200):
            http.get(get_path(query_of(f"hang-0-.n{i}.example.")), flush=False)
        http.flush()
        wait_until(lambda: event(frontend, "error") == 1 or
                   frontend.metric("godwit_frontend_queries_in_flight") == 64)
        assert frontend.metric("godwit_frontend_queries_in_flight") <= 64
    assert_serves(frontend, authority)


def test_bodies(frontend, authority):
    """Slow ones are waited for, long ones refused at once, many unfinished ones bounded."""
    post = [("content-type", TYPE)]
    with H2(frontend, authority) as http:
        for end in range(3):  # octet by octet; in one piece; with an empty last frame
            stream = http.h2.get_next_available_stream_id()
            http.h2.send_headers(stream, http.headers("/dns-query", *post, method="POST"))
            if end == 0:
                for octet in WIRE:
                    http.h2.send_data(stream, bytes([octet]))
            else:
                http.h2.send_data(stream, WIRE, end_stream=end == 1)
            if end != 1:
                http.h2.end_stream(stream)
            http.flush()
            assert http.finish_one() == stream and http.statuses[stream] == "200"
        stream = http.h2.get_next_available_stream_id()
        http.h2.send_headers(stream, http.headers("/dns-query", *post, ("content-length", "70000"),
                                                  method="POST"))
        http.flush()
        assert http.finish_one() == stream and http.statuses[stream] == "413"
        stream = http.h2.get_next_available_stream_id()
        http.h2.send_headers(stream, http.headers("/dns-query", *post, method="POST"))
        sent = 0
        while sent < 65536 + 10:
            size = min(16384, http.h2.local_flow_control_window(stream), 65546 - sent)
            if size == 0:
                break
            http.h2.send_data(stream, b"x" * size)
            http.flush()
            sent += size
        assert http.finish_one() == stream and http.statuses[stream] == "413"


def test_unfinished_bodies_are_bounded_and_no_progress(start, authority):
    frontend = start(limits={"tls_idle_s": 1})
    with H2(frontend, authority) as http:
        before = frontend.metric("process_resident_memory_bytes")
        sent, windows = 0, 0
        while not http.h2.remote_settings.max_concurrent_streams < 1000:
            http.pump()
        for _ in range(60):
            stream = http.h2.get_next_available_stream_id()
            http.h2.send_headers(stream, http.headers("/dns-query", ("content-type", TYPE),
                                                      method="POST"))
            while (size := min(16384, http.h2.local_flow_control_window(stream))) > 0:
                http.h2.send_data(stream, b"x" * size)
                sent += size
            http.flush()
        assert sent <= 256 * 1024
        assert frontend.metric("process_resident_memory_bytes") - before < 20 * 2**20
        assert http.wait_goaway() is None
    assert event(frontend, "idle") == 1


def test_pings_are_no_progress(start, authority):
    frontend = start(limits={"tls_idle_s": 1})
    begun = time.monotonic()
    with H2(frontend, authority) as http:
        watch = Stopwatch()
        http.socket.settimeout(0.2)
        while watch.seconds < 8:
            try:
                http.h2.ping(b"12345678")
                http.flush()
                if not http.pump():
                    break
            except socket.timeout:
                continue
            except OSError:
                break
            time.sleep(0.05)
        assert time.monotonic() - begun > 0.99 and watch.seconds < 4
    assert event(frontend, "idle") == 1


def test_a_window_that_stays_shut_is_bounded(start, authority):
    """Replies wait for the client's window, and the connection is idle as long as it stays shut."""
    frontend = start(limits={"tls_idle_s": 1})
    ask(frontend, NAME)
    with H2(frontend, authority, settings={h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 0}) as http:
        for _ in range(60):
            http.get(flush=False)
        http.flush()
        wait_until(lambda: status_count(frontend, 200) == 60)
        http.wait_goaway()
        assert len(http.statuses) == 60 and not http.bodies
    assert event(frontend, "idle") == 1


@pytest.mark.parametrize("name", ["big-0-100.example.", "delay-0-300.example."],
                         ids=["before it leaves", "after it has left"])
def test_who_has_left_opens_no_window(frontend, authority, name):
    """A reply that waits for a window does not hold the connection when its client has gone."""
    with H2(frontend, authority, settings={h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 0}) as http:
        http.get()
        while len(http.statuses) < 1:
            http.pump()
        http.get(get_path(query_of(name)))
        while name.startswith("big") and len(http.statuses) < 2:
            http.pump()
        wait_until(lambda: frontend.metric(
            'godwit_frontend_queries_total{protocol="https"}') == 2)
        http.socket.settimeout(0)
        with contextlib.suppress(ssl.SSLWantReadError):
            http.socket.unwrap()  # says goodbye, and does not wait for an answer
        wait_until(lambda: frontend.metric("godwit_frontend_tls_connections") == 0)
    assert event(frontend, "idle") == event(frontend, "error") == 0


def test_windows_are_kept(frontend, authority):
    """A long reply comes as the client makes room."""
    with H2(frontend, authority, settings={h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 1000}) as http:
        stream = http.get(get_path(query_of("big-0-2000.example.")))
        assert http.finish_one() == stream
        assert len(answers(dns.message.from_wire(http.bodies[stream]))) == 2000


def test_replies_beyond_the_window_come_when_it_opens(start, authority):
    """More than the front end sends before it stops reading, had the client's windows not to be read."""
    frontend = start(limits={"query_timeout_ms": 30000})  # the backend makes long ones slowly
    with H2(frontend, authority) as http:
        streams = {http.get(get_path(query_of("big-0-4000.example."))) for _ in range(4)}
        assert {http.finish_one() for _ in streams} == streams
        for stream in streams:
            assert len(answers(dns.message.from_wire(http.bodies[stream]))) == 4000


def test_what_is_held_for_a_client_is_bounded(start, authority):
    """Long replies that are not taken: more requests are put off (REFUSED_STREAM)."""
    frontend = start(limits={"tls_idle_s": 1})
    with H2(frontend, authority, settings={h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 0}) as http:
        for _ in range(20):
            http.get(get_path(query_of("big-0-4000.example.")))
            wait_until(lambda: frontend.metric("godwit_frontend_queries_in_flight") == 0)
        http.wait_goaway()
        assert len(http.statuses) < 10
        assert http.resets and set(http.resets.values()) == {7}
    assert event(frontend, "idle") == 1


@pytest.mark.parametrize("octets", [b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"\x00" * 100,
                                    os.urandom(300)], ids=["http1", "zeros", "random"])
def test_what_is_not_http2_is_ended(frontend, authority, octets):
    with connect(frontend, authority, "h2") as stream:
        stream.sendall(octets)
        try:
            while stream.recv(65536):
                pass
        except OSError:
            pass
    wait_until(lambda: event(frontend, "error") == 1)
    assert_serves(frontend, authority)


def test_plain_http_is_not_spoken(frontend):
    with socket.create_connection(split_address(frontend.secure), 10) as plain:
        plain.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0))
        try:
            assert b"HTTP" not in plain.recv(1000)
        except ConnectionError:
            pass
    wait_until(lambda: event(frontend, "handshake_failed") == 1)


def test_random_octets_after_a_good_beginning(frontend, authority):
    for seed in range(20):
        rest = bytes((seed * 37 + i * i * 11) & 0xff for i in range(400))
        for kind in range(10):
            with H2(frontend, authority) as http:
                try:
                    http.socket.sendall(frame(kind, seed & 0xff, seed % 3, rest[:seed * 5]) + rest)
                except OSError:
                    pass
        for start_of in Http1.get(), Http1.post(WIRE, f"Content-Length: {len(WIRE)}"):
            octets = bytearray(start_of)
            octets[seed * 3 % len(octets)] ^= 1 << seed % 8
            with Http1(frontend, authority) as http:
                http.send(bytes(octets))
    assert_serves(frontend, authority)
    assert frontend.is_running()
