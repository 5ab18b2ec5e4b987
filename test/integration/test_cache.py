"""The answer cache in front of a foreign backend, over the wire: TTLs counted down, negative answers,
failures, refreshing, serving stale, flushing. What Godwit's own backends make of it is in
test_coherence.py."""

import re
import socket
import time
import urllib.error
import urllib.request

import dns.edns
import dns.flags
import dns.message
import pytest

from foreign_backend import ForeignBackend
from godwit import answers, ask, free_address, program, rcode, run, split_address, wait_until
from machine_clock import Stopwatch


@pytest.fixture
def foreign():
    backend = ForeignBackend(free_address(), 1)
    yield backend
    backend.kill()


def is_cached(frontend, name):
    """Asks twice; true when the second answer was the cache's."""
    ask(frontend, name)
    before = counters(frontend)["hits"]
    ask(frontend, name)
    return counters(frontend)["hits"] > before


@pytest.fixture
def start_cache(foreign, start_frontend):
    """A front end of one worker, which knows already that its backend tells no changes."""
    def start(backends=None, **config):
        frontend = start_frontend(backends or [foreign.address], workers=1, **config).wait_ready()
        wait_until(lambda: is_cached(frontend, "warm.example."))
        return frontend
    return start


def counters(frontend):
    names = ("hits", "misses", "invalid", "stale", "fills", "evictions", "put_off", "refreshes")
    samples = frontend.metrics()
    return {name: samples[f"godwit_frontend_cache_{name}_total"] for name in names}


def extended_errors(reply):
    return [option.code for option in reply.options if isinstance(option, dns.edns.EDEOption)]


def test_second_answer_comes_from_the_cache(start_cache):
    frontend = start_cache()
    before = counters(frontend)
    for _ in range(5):
        assert answers(ask(frontend, "ttl-0-100.example.")) == ["198.51.100.1"]
    after = counters(frontend)
    assert after["hits"] - before["hits"] == 4 and after["fills"] - before["fills"] == 1
    assert frontend.metric("godwit_frontend_cache_entries") == 2
    assert 60e6 < frontend.metric("godwit_frontend_cache_size_bytes") < 68e6
    assert frontend.metric("godwit_frontend_queries_in_flight") == 0


def test_hit_is_made_for_its_client(start_cache):
    frontend = start_cache()
    name = "ttl-0-100.example."
    ask(frontend, name, use_edns=0)
    for tcp in (False, True):
        for asked in (name, "tTl-0-100.ExAmPlE."):
            for options in ({}, {"use_edns": 0, "payload": 1232}):
                reply = ask(frontend, asked, tcp=tcp, **options)
                assert answers(reply) == ["198.51.100.1"]
                assert reply.question[0].name.to_text() == asked
                assert reply.flags & dns.flags.RD and reply.flags & dns.flags.AA
                assert reply.edns == (0 if options else -1)
                assert not options or reply.payload == 1232
    query = dns.message.make_query(name, "A", flags=0)
    wire = query.to_wire()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        client.connect(split_address(frontend.address))
        client.send(wire)
        assert not dns.message.from_wire(client.recv(4096)).flags & dns.flags.RD


def test_long_hit_is_cut_to_what_the_client_takes(start_cache):
    frontend = start_cache()
    name = "big-0-100.example."
    assert len(answers(ask(frontend, name, tcp=True))) == 100
    before = counters(frontend)["hits"]
    assert len(answers(ask(frontend, name, tcp=True))) == 100
    assert ask(frontend, name).flags & dns.flags.TC
    assert counters(frontend)["hits"] == before + 2


def test_ttl_is_counted_down(start_cache):
    frontend = start_cache()
    name = "ttl-0-100.example."
    kept_after = time.monotonic()
    ask(frontend, name)
    kept_before = time.monotonic()
    seen = []
    while time.monotonic() - kept_before < 2.5:
        asked = time.monotonic()
        reply = ask(frontend, name)
        assert answers(reply) == ["198.51.100.1"]
        gone = 100 - reply.answer[0].ttl
        assert asked - kept_before - 1 <= gone <= time.monotonic() - kept_after
        seen.append(reply.answer[0].ttl)
        time.sleep(0.05)
    assert seen == sorted(seen, reverse=True) and len(set(seen)) >= 3
    # One who does not ask again and again: no refreshing.
    name = "ttl-0-1.other.example."
    assert answers(ask(frontend, name)) == ["198.51.100.1"]
    time.sleep(1.05)
    assert answers(ask(frontend, name)) == ["198.51.100.2"]


def test_negative_answers_and_failures(start_cache):
    frontend = start_cache()
    # One that is asked for once is kept for nobody.
    assert rcode(ask(frontend, "nx-0-1.example.")) == "NXDOMAIN"
    assert counters(frontend)["put_off"] == 1
    before = counters(frontend)
    assert rcode(ask(frontend, "nx-0-1.example.")) == "NXDOMAIN"
    assert counters(frontend)["fills"] == before["fills"] + 1
    assert rcode(ask(frontend, "nx-0-1.example.")) == "NXDOMAIN"
    assert rcode(ask(frontend, "servfail-0-.example.")) == "SERVFAIL"
    assert rcode(ask(frontend, "servfail-0-.example.")) == "SERVFAIL"
    assert counters(frontend)["hits"] - before["hits"] == 2
    assert counters(frontend)["put_off"] == 1
    time.sleep(1.05)
    assert rcode(ask(frontend, "nx-0-1.example.")) == "NXDOMAIN"
    assert rcode(ask(frontend, "servfail-0-.example.")) == "SERVFAIL"
    assert counters(frontend)["hits"] - before["hits"] == 2


def test_hot_answers_are_refreshed_before_they_expire(start_cache):
    frontend = start_cache()
    name = "ttl-0-4.example."
    misses = counters(frontend)["misses"]
    watch = Stopwatch()
    while answers(ask(frontend, name)) != ["198.51.100.3"]:
        assert watch.seconds < 10
        time.sleep(0.01)
    # The first one only had to wait for the backend.
    assert counters(frontend)["misses"] == misses + 1
    assert counters(frontend)["refreshes"] == 2


def test_stale_answers_when_no_backend_is_there(foreign, start_cache):
    frontend = start_cache(limits={"query_timeout_ms": 500})
    name = "ttl-0-1.example."
    assert answers(ask(frontend, name)) == ["198.51.100.1"]
    foreign.kill()
    wait_until(lambda: ask(frontend, name) and counters(frontend)["stale"] > 0)
    reply = ask(frontend, name, use_edns=0)
    assert answers(reply) == ["198.51.100.1"] and reply.answer[0].ttl == 1
    assert extended_errors(reply) == [3]
    assert ask(frontend, name).edns == -1
    assert "serving stale answers" in frontend.log()
    # What was never asked for is not there.
    reply = ask(frontend, "other.example.", use_edns=0)
    assert rcode(reply) == "SERVFAIL" and extended_errors(reply) == [22]
    foreign.start()
    wait_until(lambda: answers(ask(frontend, name)) == ["198.51.100.1"]
               and not extended_errors(ask(frontend, name, use_edns=0)))


def test_stale_answers_when_the_backend_hangs(foreign, start_cache):
    frontend = start_cache(limits={"query_timeout_ms": 300})
    name = "ttl-0-1.example."
    assert answers(ask(frontend, name)) == ["198.51.100.1"]
    time.sleep(1.05)
    foreign.freeze()
    try:
        watch = Stopwatch()
        reply = ask(frontend, name, use_edns=0)
        assert answers(reply) == ["198.51.100.1"] and extended_errors(reply) == [3]
        assert watch.seconds < 1
    finally:
        foreign.thaw()


def test_stale_answers_do_not_wait_for_a_long_timeout(foreign, start_cache):
    """RFC 8767's client response timer: 1.8 s, for those that a stale answer can be given to."""
    frontend = start_cache(limits={"query_timeout_ms": 3000})
    name = "ttl-0-1.example."
    assert answers(ask(frontend, name)) == ["198.51.100.1"]
    time.sleep(1.05)
    foreign.freeze()
    clients = {}
    try:
        watch, begun = Stopwatch(), time.monotonic()
        for asked in (name, "ttl-0-100.unknown.example."):
            clients[asked] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            clients[asked].settimeout(10)
            clients[asked].connect(split_address(frontend.address))
            clients[asked].send(dns.message.make_query(asked, "A", use_edns=0).to_wire())
        reply = dns.message.from_wire(clients[name].recv(4096))
        assert answers(reply) == ["198.51.100.1"] and extended_errors(reply) == [3]
        assert time.monotonic() - begun > 1.7 and watch.seconds < 2.8
        reply = dns.message.from_wire(clients["ttl-0-100.unknown.example."].recv(4096))
        assert rcode(reply) == "SERVFAIL" and time.monotonic() - begun > 2.9
    finally:
        foreign.thaw()
        for client in clients.values():
            client.close()


def test_stale_answers_end(foreign, start_cache):
    frontend = start_cache(cache={"serve_stale_s": 1})
    name = "ttl-0-1.example."
    assert answers(ask(frontend, name)) == ["198.51.100.1"]
    foreign.kill()
    wait_until(lambda: rcode(ask(frontend, name)) == "SERVFAIL", 5)
    assert counters(frontend)["stale"] > 0


class Crowd:
    """Clients that ask at once, each with a spelling, an ID and EDNS or not of its own."""

    def __init__(self, frontend, name, count, rtype="A"):
        self.queries = []
        self.sockets = []
        for number in range(count):
            spelled = "".join(c.upper() if number >> i & 1 else c for i, c in enumerate(name))
            self.queries.append(dns.message.make_query(spelled, rtype,
                                                       use_edns=0 if number % 2 else -1))
            client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            client.settimeout(10)
            client.connect(split_address(frontend.address))
            client.send(self.queries[-1].to_wire())
            self.sockets.append(client)

    def replies(self):
        """All replies, which are the clients' own."""
        replies = []
        for query, client in zip(self.queries, self.sockets):
            with client:
                reply = dns.message.from_wire(client.recv(4096))
            assert reply.id == query.id and reply.edns == query.edns
            assert reply.question[0].name.to_text() == query.question[0].name.to_text()
            replies.append(reply)
        return replies


def wait_in_flight(frontend, count):
    wait_until(lambda: frontend.metric("godwit_frontend_queries_in_flight") == count)


def joined(frontend):
    return frontend.metric("godwit_frontend_joined_total")


def test_equal_questions_in_flight_are_asked_once(foreign, start_cache):
    frontend = start_cache(limits={"query_timeout_ms": 8000})
    foreign.freeze()
    try:
        crowd = Crowd(frontend, "ttl-0-100.example.", 30)
        other = Crowd(frontend, "ttl-0-100.other.example.", 1)
        wait_in_flight(frontend, 31)
        wait_until(lambda: joined(frontend) == 29)
    finally:
        foreign.thaw()
    # The backend counts how often it is asked, and says it in its answer.
    assert {tuple(answers(reply)) for reply in crowd.replies()} == {("198.51.100.1",)}
    assert answers(other.replies()[0]) == ["198.51.100.1"]
    wait_in_flight(frontend, 0)
    assert answers(ask(frontend, "ttl-0-100.example.")) == ["198.51.100.1"]


def test_what_joined_shares_denials_and_failures(foreign, start_cache):
    frontend = start_cache(limits={"query_timeout_ms": 8000})
    for name, expected in (("nx-0-100.example.", "NXDOMAIN"), ("servfail-0-.example.", "SERVFAIL")):
        before = joined(frontend)
        foreign.freeze()
        try:
            crowd = Crowd(frontend, name, 10)
            wait_in_flight(frontend, 10)
            wait_until(lambda: joined(frontend) == before + 9)
        finally:
            foreign.thaw()
        assert {rcode(reply) for reply in crowd.replies()} == {expected}
        # Asked for more than once: kept.
        hits = counters(frontend)["hits"]
        assert rcode(ask(frontend, name)) == expected
        assert counters(frontend)["hits"] == hits + 1


def test_who_joins_late_has_time_of_his_own(start_cache):
    """A question that hangs is given up at its own deadline, and those that joined it ask again."""
    frontend = start_cache(limits={"query_timeout_ms": 2000})
    begun = time.monotonic()
    first = Crowd(frontend, "hang-0-.example.", 1)
    time.sleep(0.5)
    second = Crowd(frontend, "hang-0-.example.", 2)
    wait_in_flight(frontend, 3)
    wait_until(lambda: joined(frontend) == 2)
    assert rcode(first.replies()[0]) == "SERVFAIL"
    assert time.monotonic() - begun > 1.9
    assert {rcode(reply) for reply in second.replies()} == {"SERVFAIL"}
    assert time.monotonic() - begun > 2.4
    assert frontend.metric("godwit_frontend_queries_in_flight") == 0


def test_cache_can_be_off(foreign, start_frontend):
    frontend = start_frontend([foreign.address], cache={"size_mb": 0}).wait_ready()
    for i in range(1, 4):
        assert answers(ask(frontend, "ttl-0-100.example.")) == [f"198.51.100.{i}"]
    assert counters(frontend)["misses"] == 0
    assert "godwit_frontend_cache_entries" not in frontend.metrics()


def flush(frontend, query=""):
    """(status, text) of POST /cache/flush."""
    request = urllib.request.Request(f"http://{frontend.admin}/cache/flush{query}", b"")
    try:
        with urllib.request.urlopen(request, timeout=5) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_cache_can_be_flushed(start_cache):
    frontend = start_cache()
    first, second = "ttl-0-100.a.example.", "ttl-0-100.b.example."
    for name in (first, second):
        assert answers(ask(frontend, name)) == ["198.51.100.1"]
    assert flush(frontend, "?name=TTL-0-100.A.example") == (200, "1 answer forgotten\n")
    assert answers(ask(frontend, first)) == ["198.51.100.2"]
    assert answers(ask(frontend, second)) == ["198.51.100.1"]
    assert flush(frontend)[0] == 200
    assert frontend.metric("godwit_frontend_cache_entries") == 0
    assert answers(ask(frontend, second)) == ["198.51.100.2"]
    status, text = flush(frontend, "?name=a..b")
    assert status == 409 and "a..b" in text
    assert flush(frontend, "?all=1")[0] == 409
    assert frontend.get("/cache/flush")[0] == 405


def ctl(*words):
    return run(program("godwitctl"), "cache", *words, check=False)


def test_godwitctl_flushes(start_cache):
    frontend = start_cache()
    first, second = "ttl-0-100.a.example.", "ttl-0-100.b.example."
    for name in (first, second):
        assert answers(ask(frontend, name)) == ["198.51.100.1"]
    done = ctl("flush", "TTL-0-100.A.example", "--admin", frontend.admin)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{frontend.admin}  1 answer forgotten\n"
    assert answers(ask(frontend, first)) == ["198.51.100.2"]
    assert answers(ask(frontend, second)) == ["198.51.100.1"]
    done = ctl("flush", "--admin", frontend.admin)
    assert (done.returncode, done.stdout) == (0, f"{frontend.admin}  3 answers forgotten\n")
    assert answers(ask(frontend, second)) == ["198.51.100.2"]


def test_godwitctl_shows_answers_kept_by_ttl(start_cache):
    frontend = start_cache()
    for name in ("ttl-0-1.example.", "ttl-0-100.example.", "nx-0-100.example."):
        for _ in range(2 if name.startswith("nx") else 1):
            ask(frontend, name)
            ask(frontend, name, want_dnssec=True)
    time.sleep(1.05)
    states = {}
    for name in ("ttl-0-1.example", "TTL-0-100.example.", "nx-0-100.example"):
        done = ctl("show", name, "--admin", frontend.admin)
        assert (done.returncode, done.stderr) == (0, ""), done
        first, *rest = done.stdout.splitlines()
        assert first == f"{frontend.admin}  2 answers for {name.rstrip('.')}."
        assert sorted(line.split("  ")[2] for line in rest) == ["A", "A +DO"]
        states[name] = [re.sub(r"\d+ (s|octets)", r"N \1", line.split("  ", 3)[3]) for line in rest]
    record = "1 record  N octets  by TTL, "
    assert states == {
        "ttl-0-1.example": 2 * [f"NOERROR  {record}over since N s  N s old  expired"],
        "TTL-0-100.example.": 2 * [f"NOERROR  {record}N s left  N s old  good"],
        "nx-0-100.example": 2 * [f"NXDOMAIN  {record}N s left  N s old  good"],
    }
    done = ctl("show", "nobody\\032asked.example.", "--admin", frontend.admin)
    assert done.stdout == f"{frontend.admin}  0 answers for nobody\\032asked.example.\n"


def test_godwitctl_shows_answers_kept_by_facts(backend, frontend):
    def state():
        done = ctl("show", "www.example.com", "--admin", frontend.admin)
        assert done.returncode == 0, done
        return re.findall(r"^    A  NOERROR  .* octets  by facts of source \d+  \d+ s old  (\w+)$",
                          done.stdout, re.M)

    # Kept from the moment on that the backend's changes are heard.
    wait_until(lambda: ask(frontend, "www.example.com") and state() == ["good"])
    backend.kill()
    wait_until(lambda: state() == ["suspect"])


def test_what_cannot_be_shown_is_refused(foreign, start_frontend):
    frontend = start_frontend([foreign.address], cache={"size_mb": 0}).wait_ready()
    for words in (("show", "www.example.com"), ("flush",)):
        done = ctl(*words, "--admin", frontend.admin)
        assert done.returncode == 1 and "1 of 1" in done.stderr
        assert done.stdout == f"{frontend.admin}  there is no cache: cache.size_mb is 0\n"
    assert frontend.get("/cache")[0] == 409
    assert flush(frontend)[0] == 409


@pytest.mark.parametrize("queries", ["all", "errors"])
def test_hits_are_logged_when_queries_are(start_cache, queries):
    frontend = start_cache(log={"queries": queries})
    for _ in range(2):
        assert answers(ask(frontend, "ttl-0-100.example.")) == ["198.51.100.1"]
    lines = [line for line in frontend.log().splitlines() if "name=ttl-0-100.example." in line]
    assert len(lines) == (2 if queries == "all" else 0)
