"""Queries by zone at /metrics: the zones are the backend's, the counts the front end's."""

import random
import socket

import dns.message
import dns.name
import pytest

import godwit
from fake_backend import FakeBackend
from foreign_backend import ForeignBackend
from godwit import answers, ask, rcode, wait_until

METRIC = "godwit_frontend_zone_queries_total"
SECOND_ZONE = """\
$ORIGIN example.org.
$TTL 300
@    SOA  ns1.example.com. hostmaster 1 10800 3600 604800 300
@    NS   ns1.example.com.
www  A    192.0.2.81
www  AAAA 2001:db8::81
"""


def zones(frontend):
    """{zone: queries}, as told at /metrics."""
    start = METRIC + '{zone="'
    return {key[len(start):-2]: value for key, value in frontend.metrics().items()
            if key.startswith(start)}


def count_hits(frontend):
    return frontend.metric("godwit_frontend_cache_hits_total")


def send_many(frontend, names, count, window=100):
    """Asks for names of the list, drawn at random, `window` at a time, and waits for all replies."""
    host, port = godwit.split_address(frontend.address)
    wires = [dns.message.make_query(name, "A").to_wire() for name in names]
    drawn = random.Random(7)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect((host, port))
        client.settimeout(10)
        for _ in range(count // window):
            for _ in range(window):
                client.send(drawn.choice(wires))
            for _ in range(window):
                client.recv(4096)


WORKERS = 2


@pytest.fixture
def start_counting(start_frontend):
    """A front end before one backend, when answers tell their zones: those of unary calls, asked
    before a stream is open, do not."""
    def start(backend, **config):
        frontend = start_frontend([backend], workers=WORKERS, **config).wait_ready()
        wait_until(lambda: frontend.metric("godwit_frontend_backend_streams") == WORKERS)
        return frontend
    return start


@pytest.fixture
def frontend(backend, start_counting):
    return start_counting(backend)


@pytest.fixture
def two_zones(store):
    return store.load_zone(SECOND_ZONE)


def test_each_query_counts_for_its_zone(two_zones, start_backend, start_counting):
    frontend = start_counting(start_backend(two_zones).wait_ready())
    assert zones(frontend) == {}
    for _ in range(3):
        ask(frontend, "WWW.Example.com")
        ask(frontend, "www.example.com", tcp=True)
    ask(frontend, "www.example.org", "AAAA")
    assert zones(frontend) == {"example.com": 6, "example.org": 1}
    # The alias leads nowhere else; what does not exist is its zone's, too.
    ask(frontend, "alias.example.com")
    assert rcode(ask(frontend, "no.such.example.org")) == "NXDOMAIN"
    assert rcode(ask(frontend, "no.such.example.org")) == "NXDOMAIN"
    assert zones(frontend) == {"example.com": 7, "example.org": 3}


def test_names_of_no_zone_do_not_appear(backend, frontend):
    for number in range(50):
        assert rcode(ask(frontend, f"www.example{number}.net")) == "REFUSED"
    assert rcode(ask(frontend, "example.com", rdclass="CH")) == "REFUSED"
    ask(frontend, "www.example.com")
    assert zones(frontend) == {"example.com": 1}


def test_a_load_of_hits_is_told_in_its_proportions(two_zones, start_backend, start_counting):
    """However fast it comes: exactly, or by samples, whose error is five times less than allowed."""
    frontend = start_counting(start_backend(two_zones).wait_ready())
    send_many(frontend, ["www.example.com", "mail.example.com", "ns1.example.com",
                         "www.example.org"], 60000)
    assert count_hits(frontend) > 59000
    told = zones(frontend)
    assert sum(told.values()) == pytest.approx(60000, rel=0.1)
    assert told["example.com"] / told["example.org"] == pytest.approx(3, rel=0.25)
    # Nor is anything told twice.
    assert zones(frontend) == told


def test_a_flood_of_nonsense_does_not_hide_the_zones_there_are(backend, frontend):
    """Names that are refused have no zone, and those of one zone are one."""
    for _ in range(20):
        ask(frontend, "www.example.com")
    send_many(frontend, [f"x{number}.example{number}.net" for number in range(2000)] +
              [f"x{number}.wild.example.com" for number in range(2000)], 12000)
    told = zones(frontend)
    assert list(told) == ["example.com"]
    assert told["example.com"] == pytest.approx(6020, rel=0.35)


def test_zones_are_counted_without_a_cache(backend, start_counting):
    frontend = start_counting(backend, cache={"size_mb": 0})
    for _ in range(4):
        ask(frontend, "www.example.com")
    assert zones(frontend) == {"example.com": 4}


def test_stale_answers_count_for_their_zone(backend, frontend):
    ask(frontend, "www.example.com")
    backend.kill()
    wait_until(lambda: frontend.metric("godwit_frontend_backend_up") == 0)
    assert answers(ask(frontend, "www.example.com")) == ["192.0.2.80"]
    assert frontend.metric("godwit_frontend_cache_stale_total") >= 1
    assert zones(frontend) == {"example.com": 2}


def test_the_number_of_zones_told_is_bounded(two_zones, backend, start_counting):
    frontend = start_counting(backend, top_zones=1)
    ask(frontend, "www.example.org")
    for _ in range(2):
        ask(frontend, "www.example.com")
    assert zones(frontend) == {"example.com": 2}


def test_zones_need_not_be_counted(backend, start_counting):
    frontend = start_counting(backend, top_zones=0)
    ask(frontend, "www.example.com")
    ask(frontend, "www.example.com")
    assert METRIC not in frontend.get("/metrics")[1]


def test_a_backend_that_tells_no_zones_is_as_good(start_frontend):
    foreign = ForeignBackend(godwit.free_address())
    try:
        frontend = start_frontend([foreign.address]).wait_ready()
        # What it answers is kept once it is known to tell no changes either.
        wait_until(lambda: ask(frontend, "warm.example.com") and count_hits(frontend) > 0)
        hits = count_hits(frontend)
        for _ in range(3):
            assert answers(ask(frontend, "www.example.com")) == ["192.0.2.1"]
        assert count_hits(frontend) == hits + 2
        assert zones(frontend) == {}
    finally:
        foreign.kill()


@pytest.fixture
def before_fake(start_frontend):
    """before_fake(size): a front end whose backend says that zones' names have so many octets."""
    fakes = []

    def start(size):
        def exchange(fake, questions):
            told = fake.answers(questions.question)
            for answer in told.answer:
                answer.zone_size = size
            yield told
        fakes.append(FakeBackend(exchange=exchange))
        frontend = start_frontend([fakes[-1].address]).wait_ready()
        wait_until(lambda: fakes[-1].streams > 0)
        return frontend
    yield start
    for fake in fakes:
        fake.stop()


@pytest.mark.parametrize("size, zone", [
    (17, "www.example.com"), (13, "example.com"), (5, "com"), (1, "."),
    (0, None), (2, None), (4, None), (12, None), (16, None), (18, None), (255, None),
    (13 + 256, None), (2 ** 32 - 1, None)])
def test_what_is_no_end_of_the_name_is_no_zone(before_fake, size, zone):
    frontend = before_fake(size)

    def asked_on_the_stream():
        assert answers(ask(frontend, "www.example.com")) == ["192.0.2.1"]
        return frontend.metric("godwit_frontend_stream_questions_total") > 0
    wait_until(asked_on_the_stream)
    ask(frontend, "www.example.com")
    assert list(zones(frontend)) == ([zone] if zone else [])


def test_no_name_breaks_the_page_of_metrics(before_fake):
    hostile = dns.name.Name([b'a"} 1\n', b"\\", b"\xff<b>", b""])
    frontend = before_fake(len(hostile.to_wire()))
    wait_until(lambda: ask(frontend, hostile) and zones(frontend))
    assert list(zones(frontend)) == [r'a\\\"}\\0321\\010.\\\\.\\255<b>']
