"""A front end that sleeps - stopped, or on a machine that stands still for a while - and finds, when it
wakes, that its own timers are due before it has read what its backends said meanwhile."""

import contextlib
import os
import signal
import socket
import time

import dns.flags
import dns.message
import dns.rcode
import pytest

from godwit import split_address, wait_until

COUNT = 40
# Longer than one backend has for an answer, and of two the first.
PAUSE_S = 2.5
TIMEOUT_S = {1: 2.0, 2: 5.0}  # of a query, limits.query_timeout_ms


@contextlib.contextmanager
def asleep(daemon):
    daemon.process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, daemon.pid, os.WSTOPPED)  # until all its threads have stopped
    try:
        yield
    finally:
        daemon.process.send_signal(signal.SIGCONT)


class Questions:
    """COUNT queries for names that no cache has, each from a socket of its own."""

    def __init__(self, frontend):
        self.pending = {}
        for number in range(COUNT):
            query = dns.message.make_query(f"n{number}.wild.example.com", "A")
            client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            client.connect(split_address(frontend.address))
            client.send(query.to_wire())
            self.pending[client] = query

    def replies(self, timeout):
        """The rcodes of those that are answered within so many seconds."""
        codes, deadline = [], time.monotonic() + timeout
        for client, query in self.pending.items():
            client.settimeout(max(0.001, deadline - time.monotonic()))
            with client, contextlib.suppress(TimeoutError):
                reply = dns.message.from_wire(client.recv(4096))
                assert query.is_response(reply)
                codes.append(dns.rcode.to_text(reply.rcode()))
        return codes


def asked(frontend):
    return frontend.metric('godwit_frontend_queries_total{protocol="udp"}')


def answered(backends):
    return sum(backend.metric("godwit_backend_queries_total") for backend in backends)


@pytest.fixture(params=[1, 2], ids=["one backend", "two backends"])
def backends(request, store, start_backend):
    return [start_backend(store).wait_ready() for _ in range(request.param)]


@pytest.fixture
def frontend(backends, start_frontend):
    frontend = start_frontend(backends, workers=1,
                              limits={"query_timeout_ms": int(TIMEOUT_S[len(backends)] * 1000)})
    frontend.wait_ready()
    wait_until(lambda: all(backend.metric("godwit_backend_exchange_streams") == 1
                           for backend in backends))
    return frontend


def failures(frontend):
    names = ("backend_failures_total", "retries_total")
    return sum(frontend.metric(f"godwit_frontend_{name}", 0) for name in names)


def test_answers_that_came_during_a_pause_are_read_before_their_queries_are_given_up(
        backends, frontend):
    before = answered(backends)
    with contextlib.ExitStack() as held:
        for backend in backends:
            held.enter_context(asleep(backend))
        seen = asked(frontend)
        questions = Questions(frontend)
        wait_until(lambda: asked(frontend) == seen + COUNT)
        with asleep(frontend):
            held.close()
            wait_until(lambda: answered(backends) > before)  # those that had left already
            time.sleep(PAUSE_S)
        assert questions.replies(5) == ["NOERROR"] * COUNT
    assert failures(frontend) == 0


def test_a_pause_does_not_keep_queries_from_being_given_up(backends, frontend):
    """Whom nobody has answered is told so, soon after the pause and once."""
    with contextlib.ExitStack() as held:
        for backend in backends:
            held.enter_context(asleep(backend))
        seen = asked(frontend)
        questions = Questions(frontend)
        wait_until(lambda: asked(frontend) == seen + COUNT)
        with asleep(frontend):
            time.sleep(PAUSE_S)
        assert questions.replies(TIMEOUT_S[2]) == ["SERVFAIL"] * COUNT
