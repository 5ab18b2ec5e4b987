"""The status page at "/" of the admin addresses, in a real browser where there is one."""

import contextlib
import itertools
import json
import re

import pytest

import browser
import godwit
from bgp_peer import BgpPeer
from certificates import Authority
from fake_backend import FakeBackend
from godwit import answers, ask, wait_until
from router_lab import Announcer, Lab, Responder

PHONE, DESKTOP = (390, 844), (1200, 1000)


@pytest.fixture(scope="module")
def chromium():
    if browser.refusal():
        pytest.skip(browser.refusal())
    with browser.Browser() as started:
        yield started


@pytest.fixture
def page(chromium):
    chromium.complaints.clear()
    chromium.resize(*DESKTOP)
    yield Page(chromium)
    chromium.open("about:blank")  # or it would go on asking a daemon that ends now
    assert chromium.complaints == []


class Page:
    def __init__(self, chromium):
        self.chromium = chromium

    def open(self, daemon):
        self.chromium.open(f"http://{daemon.admin}/")
        self.wait_looks(1)
        return self

    def wait_looks(self, count):
        """Until the page has looked at the figures so many times."""
        wait_until(lambda: int(self.js("document.body.dataset.looks || 0")) >= count, timeout=30)

    def wait_next_look(self):
        """Until it has looked again, twice, for one may be under way."""
        self.wait_looks(int(self.js("document.body.dataset.looks")) + 2)

    def js(self, expression):
        return self.chromium.evaluate(expression)

    def text(self, selector="body"):
        return self.js(f"document.querySelector({selector!r})?.innerText")

    def tile(self, label):
        return self.text(f'[data-tile="{label}"]')

    def table(self, title):
        """Rows of cells."""
        return self.js(f"""[...document.querySelectorAll('[data-table="{title}"] tbody tr')]
            .map((row) => [...row.children].map((cell) => cell.innerText))""")

    def figure(self, key):
        """A number of the list of every figure."""
        self.js("document.getElementById('all').open = true")
        return wait_until(lambda: self.js(f"""[...document.querySelectorAll('[data-metric]')]
            .find((row) => row.dataset.metric === {json.dumps(key)})?.lastChild.innerText"""))


def test_the_page_of_a_front_end_shows_what_its_metrics_say(backend, frontend, page):
    for _ in range(3):
        ask(frontend, "www.example.com")
    ask(frontend, "nowhere.example.com")
    page.open(frontend)
    assert page.text("#name") == "Godwit front end"
    assert page.text("#ready") == "ready"
    assert page.text("#reason") == "every route has a backend"
    assert page.text('[data-tile="Queries"] + span') == "4 so far"
    assert page.tile("Backends up") == "1 of 1"
    assert page.table("Backends")[0][:2] == [backend.address, "up"]
    for key in ('godwit_frontend_replies_total{rcode="NOERROR"}', "godwit_frontend_cache_entries",
                "godwit_frontend_cache_hits_total"):
        assert float(page.figure(key)) == frontend.metric(key)


@pytest.fixture
def old_backend():
    backend = FakeBackend(1)
    yield backend
    backend.stop()


def test_the_page_of_a_front_end_shows_how_old_the_backends_data_is(
        store, backend, old_backend, start_frontend, page):
    page.open(start_frontend([backend, old_backend.address]).wait_ready())

    def data(address):
        return {row[0]: row[2] for row in page.table("Backends")}.get(address, "")

    wait_until(lambda: re.fullmatch(r"[\d.]+ (µs|ms|s) old", data(backend.address)))
    assert data(old_backend.address) == "unknown"
    assert re.fullmatch(r"[\d.]+ (µs|ms|s)", page.tile("Oldest data"))
    store.path.rename(store.path.with_suffix(".away"))
    wait_until(lambda: data(backend.address).endswith(" old, store away"), timeout=20)


def test_the_page_of_a_front_end_shows_how_long_its_certificates_last(tmp_path, store, start_backend,
                                                                      start_frontend, page):
    authority = Authority(tmp_path)
    served = authority.issue("dns.example", days=40)
    shown = authority.issue("frontend", days=2)
    tls = {"certificate": str(shown.certificate), "key": str(shown.key)}
    backend = start_backend(store, tls={**tls, "client_ca": str(authority.certificate)}).wait_ready()
    page.open(start_frontend(
        [], tls={"certificate": str(served.certificate), "key": str(served.key)},
        listen=[{"address": godwit.free_address(), "protocols": ["tls"]}],
        routes=[{"zone": ".", "backends": [backend.address],
                 "tls": {**tls, "ca": str(authority.certificate)}}]).wait_ready())
    wait_until(lambda: len(page.table("Certificates")) == 2)
    lasting = dict(page.table("Certificates"))
    assert re.fullmatch(r"(40\.0|39\.9) days", lasting[str(served.certificate)])
    assert re.fullmatch(r"(48\.0|47\.9) h", lasting[str(shown.certificate)])


def test_the_page_follows(frontend, page):
    page.open(frontend)
    assert page.text('[data-tile="Queries"] + span') == "0 so far"
    ask(frontend, "www.example.com")
    wait_until(lambda: page.text('[data-tile="Queries"] + span') == "1 so far")
    wait_until(lambda: "NOERROR" in page.text("#panels"))
    page.wait_next_look()
    assert page.js("document.querySelectorAll('.plot svg path').length") > 3


def test_the_page_of_a_front_end_shows_the_zones_asked_for_most(store, backend, start_frontend,
                                                                page):
    frontend = start_frontend([backend], workers=1).wait_ready()
    # Answers of calls, before the stream is open, tell no zone.
    wait_until(lambda: frontend.metric("godwit_frontend_backend_streams") == 1)
    store.load_zone("$ORIGIN example.org.\n@ 60 SOA ns1 h 1 1 1 1 1\n@ NS ns1\nwww A 192.0.2.81\n")
    wait_until(lambda: answers(ask(frontend, "www.example.org")) == ["192.0.2.81"])
    page.open(frontend)
    for _ in range(50):
        ask(frontend, "www.example.com")
    wait_until(lambda: [row[::2] for row in page.table("Top zones")] ==
               [["example.com", "50"], ["example.org", "1"]])
    # Whatever is hot now comes first; a while later nothing is.
    asked = itertools.count(2)

    def first_when_asked_for():
        ask(frontend, "www.example.org")
        next(asked)
        return page.table("Top zones")[0][0] == "example.org"
    wait_until(first_when_asked_for)
    assert re.fullmatch(r"[\d.]+/s", page.table("Top zones")[0][1])
    told = sorted([["example.com", "0/s", "50"], ["example.org", "0/s", str(next(asked) - 1)]])
    wait_until(lambda: sorted(page.table("Top zones")) == told)


def test_the_page_of_a_backend_shows_how_fresh_its_data_is(store, backend, frontend, page):
    page.open(backend)
    assert page.text("#name") == "Godwit backend"
    assert page.tile("Store") == "followed"
    assert page.tile("Zones") == "1"
    assert page.tile("Records") == str(int(backend.metric("godwit_backend_records")))
    assert re.fullmatch(r"[\d.]+ (µs|ms|s)", page.tile("Age of data"))
    wait_until(lambda: page.tile("Front ends") == "1")
    store.ctl("record", "set", "new.example.com", "A", "192.0.2.7")
    wait_until(lambda: page.tile("Records") == str(int(backend.metric("godwit_backend_records"))))


def test_the_page_says_when_the_program_is_gone_and_when_it_is_back(backend, frontend, page):
    page.open(frontend)
    backend.stop()
    wait_until(lambda: page.text("#ready") == "not ready", timeout=20)
    wait_until(lambda: page.tile("Backends up") == "0 of 1", timeout=20)
    frontend.stop()
    wait_until(lambda: page.text("#ready") == "no answer", timeout=20)
    assert page.js("document.body.className") == "lost"
    backend.start()
    frontend.start()
    wait_until(lambda: page.text("#ready") == "ready", timeout=30)
    assert page.js("document.body.className") == ""
    # A browser says so itself when nobody answers.
    refused = [line for line in page.chromium.complaints if "ERR_CONNECTION_REFUSED" not in line
               and "503" not in line]
    assert refused == []
    page.chromium.complaints.clear()


def test_the_page_needs_no_scrolling_sideways_on_a_phone_dark_or_light(frontend, page):
    page.open(frontend)
    page.wait_looks(2)  # then there are charts
    for dark in (False, True):
        page.chromium.resize(*PHONE, dark=dark)
        assert page.js("document.documentElement.scrollWidth") <= PHONE[0]
        red, green, blue = map(int, re.findall(
            r"\d+", page.js("getComputedStyle(document.body).backgroundColor"))[:3])
        assert (red + green + blue < 200) == dark


def test_the_page_runs_no_script_but_its_own(frontend, page):
    page.open(frontend)
    page.js("""new Promise((resolve) => {
        document.addEventListener('securitypolicyviolation', resolve, { once: true });
        const script = document.createElement('script');
        script.textContent = 'window.broken = true';
        document.body.append(script);
    })""")
    assert page.js("window.broken === undefined")
    assert page.chromium.complaints
    page.chromium.complaints.clear()


class Here:
    """Stands for the network namespace the tests are in, which is the browser's."""

    def __init__(self, lab):
        self.lab = lab

    def entered(self):
        return contextlib.nullcontext()


def test_the_page_of_an_announcer_shows_peers_services_and_addresses(page):
    """With a router at loopback that the test plays."""
    with Lab() as lab:
        peer = lab.keep(BgpPeer())
        port = godwit.free_port()
        Responder(Here(lab), port=port)
        announcer = lab.keep(Announcer(lab.directory, {
            "service": {"probe": {"address": f"127.0.0.1:{port}", "protocols": ["udp"],
                                  "name": "health.example", "type": "A", "interval_ms": 50}},
            "addresses": [{"prefix": "192.0.2.53/32", "assign": "never"}],
            "bgp": {"router_id": "192.0.2.1", "as": 64512, "connect_retry_ms": 100,
                    "graceful_shutdown_ms": 100, "shutdown_wait_ms": 100,
                    "peers": [{"address": f"127.0.0.1:{peer.port}", "as": peer.asn,
                               "next_hop_ipv4": "198.51.100.1"}]},
        })).wait_ready()
        page.open(announcer)
        assert page.text("#name") == "Godwit announcer"
        wait_until(lambda: page.tile("BGP peers up") == "1 of 1")
        wait_until(lambda: page.table("Services") == [["dns", "good", "yes", "no"]])
        assert page.table("Peers")[0][1] == "Established"
        assert page.table("Addresses")[0][0] == "192.0.2.53/32"
        assert page.table("Addresses")[0][3] == "1"
