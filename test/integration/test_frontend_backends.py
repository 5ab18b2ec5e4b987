"""godwit-frontend towards its backends, foreign ones: those that fail, hang, die and come back, and
more queries than they can take."""

import concurrent.futures
import socket
import time

import dns.edns
import dns.message
import dns.rcode
import pytest

from foreign_backend import ForeignBackend
from godwit import (SANITIZED, answers, ask, free_address, free_port, has_ipv6, rcode,
                    split_address, wait_until)
from machine_clock import Stopwatch

NAME = "www.example.com."


@pytest.fixture
def start_foreign():
    started = []

    def start(number, address=None):
        started.append(ForeignBackend(address or free_address(), number))
        return started[-1]
    yield start
    for backend in started:
        if backend.process.poll() is None:
            backend.kill()


@pytest.fixture
def start_frontend(start_frontend):
    """Without a cache: each answer shows who gave it."""
    return lambda backends, **config: start_frontend(backends, **{"cache": {"size_mb": 0}, **config})


@pytest.fixture
def pair(start_foreign):
    return start_foreign(1), start_foreign(2)


def extended_errors(reply):
    return [option.code for option in reply.options if isinstance(option, dns.edns.EDEOption)]


def who(frontend, count=40):
    """The answers to `count` queries, as a set: which backends gave them."""
    return {answers(ask(frontend, f"n{i}.example."))[0] for i in range(count)}


def is_up(frontend, backend):
    return frontend.metric(f'godwit_frontend_backend_up{{backend="{backend.address}"}}') == 1


class Load:
    """Asks without a pause, from `threads` clients, until stopped; keeps every outcome."""

    def __init__(self, frontend, threads=8, timeout=8, zone="example."):
        self.frontend = frontend
        self.zone = zone
        self.timeout = timeout
        self.outcomes = []
        self.stopped = False
        self.pool = concurrent.futures.ThreadPoolExecutor(threads)
        self.clients = [self.pool.submit(self.run, i) for i in range(threads)]

    def run(self, client):
        i = 0
        while not self.stopped:
            i += 1
            try:
                reply = ask(self.frontend, f"c{client}n{i}.{self.zone}", timeout=self.timeout)
                self.outcomes.append(rcode(reply))
            except Exception as error:  # whatever it is, the assertion shows it
                self.outcomes.append(repr(error))

    def grow(self, count):
        """Waits for `count` more outcomes."""
        target = len(self.outcomes) + count
        wait_until(lambda: len(self.outcomes) >= target, 30)

    def stop(self):
        self.stopped = True
        for client in self.clients:
            client.result()
        self.pool.shutdown()
        return self.outcomes


# --- addresses ------------------------------------------------------------------------------------

def test_backend_on_a_unix_socket(start_foreign, start_frontend, tmp_path):
    backend = start_foreign(1, f"unix:{tmp_path}/backend.sock")
    frontend = start_frontend([backend.address]).wait_ready()
    assert answers(ask(frontend, NAME)) == ["192.0.2.1"]


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")
def test_backend_on_ipv6(start_foreign, start_frontend):
    backend = start_foreign(1, free_address("::1"))
    frontend = start_frontend([backend.address]).wait_ready()
    assert answers(ask(frontend, NAME)) == ["192.0.2.1"]
    assert is_up(frontend, backend)


def test_backend_by_name(start_foreign, start_frontend):
    port = free_port()
    start_foreign(1, f"127.0.0.1:{port}")
    frontend = start_frontend([f"localhost:{port}"]).wait_ready()
    assert answers(ask(frontend, NAME)) == ["192.0.2.1"]
    assert frontend.metric(f'godwit_frontend_backend_up{{backend="127.0.0.1:{port}"}}') == 1


def test_name_that_does_not_resolve(start_frontend):
    frontend = start_frontend([], routes=[{"zone": ".", "backends": ["no-such-host.invalid:53"],
                                           "insecure": True}]).wait_alive()
    reply = ask(frontend, NAME, use_edns=0)
    assert rcode(reply) == "SERVFAIL" and extended_errors(reply) == [22]
    wait_until(lambda: "no-such-host.invalid" in frontend.log())
    status, text = frontend.get("/readyz")
    assert status == 503 and "route ." in text


# --- spreading and failing over -------------------------------------------------------------------

def test_all_backends_are_asked(pair, start_frontend):
    frontend = start_frontend([b.address for b in pair]).wait_ready()
    wait_until(lambda: all(is_up(frontend, backend) for backend in pair))
    assert who(frontend) == {"192.0.2.1", "192.0.2.2"}


@pytest.mark.parametrize("mode", ["error", "garbage", "wrongid", "wrongname", "empty", "huge"])
def test_bad_reply_is_asked_for_elsewhere(pair, start_frontend, mode):
    frontend = start_frontend([b.address for b in pair]).wait_ready()
    wait_until(lambda: all(is_up(frontend, backend) for backend in pair))
    for i in range(20):
        assert answers(ask(frontend, f"{mode}-1-.n{i}.example.")) == ["192.0.2.2"]
    assert frontend.metric("godwit_frontend_retries_total") > 0
    failures = f'godwit_frontend_backend_failures_total{{backend="{pair[0].address}"}}'
    assert frontend.metric(failures) > 0


def test_query_that_all_fail_on_takes_no_backend_away(pair, start_frontend):
    frontend = start_frontend([b.address for b in pair]).wait_ready()
    for i in range(30):
        reply = ask(frontend, f"error-0-.n{i}.example.", use_edns=0)
        assert rcode(reply) == "SERVFAIL" and extended_errors(reply) == [23]
        assert rcode(ask(frontend, NAME)) == "NOERROR"


def test_backend_killed_under_load_loses_no_query(pair, start_frontend):
    frontend = start_frontend([b.address for b in pair]).wait_ready()
    wait_until(lambda: all(is_up(frontend, backend) for backend in pair))
    load = Load(frontend)
    load.grow(100)
    pair[0].kill()
    load.grow(200)
    wait_until(lambda: not is_up(frontend, pair[0]))
    pair[0].start()
    wait_until(lambda: is_up(frontend, pair[0]))
    load.grow(100)
    assert set(load.stop()) == {"NOERROR"}
    assert who(frontend) == {"192.0.2.1", "192.0.2.2"}


def test_backend_of_two_addresses_killed_under_load_loses_no_query(store, start_backend, start_frontend):
    # As a pod has one of each family. Both fail at once, and a query may meet the one after the other.
    addresses = [[free_address(), free_address()] for _ in range(2)]
    backends = [start_backend(store, listen=two).wait_ready() for two in addresses]
    every = [address for two in addresses for address in two]
    frontend = start_frontend(every).wait_ready()

    def all_up():
        return all(frontend.metric(f'godwit_frontend_backend_up{{backend="{address}"}}') == 1
                   for address in every)
    wait_until(all_up)
    load = Load(frontend, threads=16, zone="wild.example.com.")
    for backend in backends * 4:
        load.grow(300)
        backend.kill()
        load.grow(300)
        backend.start()
        wait_until(all_up)
    assert set(load.stop()) == {"NOERROR"}


def test_backend_that_hangs_loses_no_query(pair, start_frontend):
    frontend = start_frontend([b.address for b in pair]).wait_ready()
    wait_until(lambda: all(is_up(frontend, backend) for backend in pair))
    load = Load(frontend)
    load.grow(50)
    pair[0].freeze()
    try:
        wait_until(lambda: not is_up(frontend, pair[0]), 20)
        load.grow(100)
        # Its queries have moved, and no more are spent on it.
        watch = Stopwatch()
        assert who(frontend, 20) == {"192.0.2.2"}
        assert SANITIZED or watch.seconds < 1
    finally:
        pair[0].thaw()
    wait_until(lambda: is_up(frontend, pair[0]), 20)
    assert set(load.stop()) == {"NOERROR"}
    assert who(frontend) == {"192.0.2.1", "192.0.2.2"}


def test_slow_answer_of_an_only_backend_is_waited_for(start_foreign, start_frontend):
    frontend = start_frontend([start_foreign(1).address]).wait_ready()
    # Longer than a first attempt may take where there is somebody else to ask.
    assert answers(ask(frontend, "delay-0-1500.example.")) == ["192.0.2.1"]


def test_servfail_when_no_backend_is_there(start_frontend):
    frontend = start_frontend([free_address()]).wait_alive()
    wait_until(lambda: "backend not reachable" in frontend.log())
    watch = Stopwatch()
    reply = ask(frontend, NAME, use_edns=0)
    assert rcode(reply) == "SERVFAIL" and extended_errors(reply) == [22]
    assert SANITIZED or watch.seconds < 0.5
    reply = ask(frontend, NAME, tcp=True)
    assert rcode(reply) == "SERVFAIL" and reply.edns == -1
    assert frontend.get("/readyz")[0] == 503


def test_backend_that_starts_later_is_found(start_foreign, start_frontend):
    address = free_address()
    frontend = start_frontend([address]).wait_alive()
    assert rcode(ask(frontend, NAME)) == "SERVFAIL"
    start_foreign(1, address)
    frontend.wait_ready(5)
    assert answers(ask(frontend, NAME)) == ["192.0.2.1"]


def test_deadline_is_kept(start_foreign, start_frontend):
    frontend = start_frontend([start_foreign(1).address],
                              limits={"query_timeout_ms": 500}).wait_ready()
    watch, begun = Stopwatch(), time.monotonic()
    reply = ask(frontend, "hang-0-.example.", use_edns=0)
    assert time.monotonic() - begun > 0.4 and watch.seconds < (3 if SANITIZED else 1)
    assert rcode(reply) == "SERVFAIL" and extended_errors(reply) == [23]
    assert rcode(ask(frontend, NAME)) == "NOERROR"


# --- more than the backends can take --------------------------------------------------------------

def received(frontend):
    return frontend.metric('godwit_frontend_queries_total{protocol="udp"}')


def test_overload_is_bounded_and_ends(start_foreign, start_frontend):
    backend = start_foreign(1)
    frontend = start_frontend([backend.address], workers=1).wait_ready()
    before = frontend.metric("process_resident_memory_bytes")
    backend.freeze()
    replies = {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_000_000)
        client.connect(split_address(frontend.address))
        client.settimeout(0.5)
        try:
            for i in range(5000):
                client.send(dns.message.make_query(f"n{i}.example.", "A", id=i).to_wire())
                if i % 100 == 0:
                    assert frontend.metric("godwit_frontend_backend_in_flight") <= 128
            in_flight = frontend.metric("godwit_frontend_queries_in_flight")
            assert in_flight <= 128 + 1024
            assert frontend.metric('godwit_frontend_unanswered_total{cause="overload"}') > 0
            grown = frontend.metric("process_resident_memory_bytes") - before
            assert SANITIZED or grown < 50_000_000
        finally:
            backend.thaw()
        # Whoever was not turned away gets an answer, or at the deadline SERVFAIL: nobody gets
        # nothing, but for what the kernel did not keep.
        watch = Stopwatch()
        while len(replies) < received(frontend) and watch.seconds < 10:
            try:
                while len(replies) < 5000:
                    reply = dns.message.from_wire(client.recv(65535))
                    replies[reply.id] = rcode(reply)
            except socket.timeout:
                pass
    assert len(replies) > 4000 and len(replies) <= received(frontend)
    assert set(replies.values()) <= {"NOERROR", "SERVFAIL"}
    wait_until(lambda: rcode(ask(frontend, NAME)) == "NOERROR", 10)
    wait_until(lambda: frontend.metric("godwit_frontend_queries_in_flight") == 0)


def test_queries_in_line_are_answered_when_there_is_room(start_foreign, start_frontend):
    frontend = start_frontend([start_foreign(1).address], workers=1,
                              limits={"query_timeout_ms": 10000}).wait_ready()
    # Twice as many as may be called at a time.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(split_address(frontend.address))
        client.settimeout(15)
        for i in range(256):
            client.send(dns.message.make_query(f"delay-0-500.n{i}.example.", "A", id=i).to_wire())
        replies = [dns.message.from_wire(client.recv(65535)) for _ in range(256)]
    assert {reply.id for reply in replies} == set(range(256))
    assert {rcode(reply) for reply in replies} == {"NOERROR"}
