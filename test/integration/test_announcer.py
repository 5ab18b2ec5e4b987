"""The announcer as a whole, beside a DNS server, a front end's life line and a BGP neighbour that
the test plays: what is announced when, how it is taken back, and what becomes of the addresses.

All in a network namespace of the test's own. Real routers are in test_routers.py, real front ends
in test_failover.py."""

import json
import re
import shutil
import signal
import socket
import time

import pytest

import godwit
import router_lab
from bgp_peer import GRACEFUL_SHUTDOWN, BgpPeer
from godwit import wait_until
from machine_clock import Stopwatch
from router_lab import Announcer, Lab, Responder, inside

V4, V6 = "192.0.2.53/32", "2001:db8::53/128"
GRACEFUL_MS = 300
WAIT_MS = 100
DNS_PORT = 5353


@pytest.fixture(scope="module", autouse=True)
def needs_namespaces():
    refused = router_lab.refusal()
    if refused:
        pytest.skip(refused)


@pytest.fixture
def lab():
    with Lab() as lab:
        yield lab


@pytest.fixture
def host(lab):
    """The namespace everything is in."""
    return lab.namespace("host")


@pytest.fixture
def peer(lab, host):
    return lab.keep(BgpPeer(namespace=host))


@pytest.fixture
def dns_server(host):
    return Responder(host, port=DNS_PORT)


@pytest.fixture
def start_announcer(host, peer):
    """Starts an announcer whose only peer is `peer`. Keyword arguments are top-level keys of its
    configuration; `bgp` and `service` are added to what stands there anyway."""
    def start(wait=True, service=None, bgp=None, **config):
        config.setdefault("addresses", [{"prefix": V4, "interface": "lo"}])
        if "services" not in config:
            config["service"] = {"probe": probe(), **(service or {})}
        announcer = inside(host, Announcer, {
            **config,
            "bgp": {"router_id": "192.0.2.1", "as": 64512, "connect_retry_ms": 100,
                    "graceful_shutdown_ms": GRACEFUL_MS, "shutdown_wait_ms": WAIT_MS,
                    "shutdown_message": "maintenance until noon",
                    "peers": [{"address": f"127.0.0.1:{peer.port}", "as": peer.asn,
                               "next_hop_ipv4": "198.51.100.1",
                               "next_hop_ipv6": "2001:db8:1::1"}], **(bgp or {})},
        })
        return announcer.wait_ready() if wait else announcer.wait_alive()
    return start


def probe(**keys):
    return {"address": f"127.0.0.1:{DNS_PORT}", "protocols": ["udp"], "name": "health.example",
            "type": "A", "interval_ms": 50, "timeout_ms": 200, **keys}


def addresses_of(host, interface="lo"):
    listed = json.loads(host.run("ip", "-json", "address", "show", "dev", interface).stdout)
    return {f"{entry['local']}/{entry['prefixlen']}"
            for link in listed for entry in link.get("addr_info", [])}


def address_status(announcer, prefix=V4):
    return next(row for row in announcer.status()["addresses"] if row["prefix"] == prefix)


def service_status(announcer, name="dns"):
    return next(row for row in announcer.status()["services"] if row["name"] == name)


# --- announcing and withdrawing -------------------------------------------------------------------

def test_nothing_is_announced_before_dns_answers(host, peer, start_announcer):
    announcer = start_announcer(wait=False)
    peer.wait_event("up")
    wait_until(lambda: "refused" in service_status(announcer)["cause"])
    status, reason = announcer.get("/readyz")
    assert status == 503 and reason.startswith("dns: down: probe udp: ")
    assert not peer.routes and V4 in addresses_of(host)
    Responder(host, port=DNS_PORT)
    route = peer.wait_route(V4)
    assert route.next_hop == "198.51.100.1" and route.as_path == [64512]
    assert route.local_pref is None and not route.communities
    assert announcer.wait_ready().get("/readyz") == (200, "announced to 1 of 1 peers\n")
    assert re.search(r'msg="service up" service=dns reason="probe udp answers?"', announcer.log())


def test_silent_dns_is_withdrawn_and_comes_back(peer, dns_server, start_announcer):
    announcer = start_announcer(addresses=[{"prefix": V4, "interface": "lo"},
                                           {"prefix": V6, "interface": "lo"}])
    assert peer.wait_route(V6).next_hop == "2001:db8:1::1"
    dns_server.answering = False
    peer.wait_gone(V4)
    peer.wait_gone(V6)
    wait_until(lambda: service_status(announcer)["state"] == "down")
    assert re.search(r'msg="service down" service=dns reason="probe udp: no answer', announcer.log())
    assert announcer.get("/readyz")[0] == 503
    assert announcer.metric("godwit_announcer_service_downs_total") == 1
    assert announcer.metric('godwit_announcer_service_up{service="dns"}') == 0
    dns_server.answering = True
    peer.wait_route(V4)
    announcer.wait_ready()
    assert announcer.metric("godwit_announcer_service_ups_total") == 2


def test_a_lost_session_announces_again_by_itself(peer, dns_server, start_announcer):
    announcer = start_announcer()
    before = peer.mark()
    peer.drop()
    peer.wait_event("down", after=before)
    peer.wait_event("announce", V4, after=before)
    wait_until(lambda: announcer.status()["peers"][0]["established"] == 2)
    assert announcer.status()["peers"][0]["last_error"]
    assert announcer.is_running() and dns_server.answering


def test_the_status_says_what_is_announced_and_why(peer, dns_server, start_announcer):
    announcer = start_announcer()
    code, text = announcer.get("/status")
    assert code == 200
    assert re.search(r"^AS 64512, router ID 192\.0\.2\.1$", text, re.M)
    assert re.search(r"^service dns: up for \d+s: probe udp answers?$", text, re.M)
    assert f"  {V4} on lo, local preference 100: announced to 1 of 1 peers\n" in text
    assert re.search(r"^peer 127\.0\.0\.1.*AS 64513: Established for \d+s, 1 prefix announced",
                     text, re.M)
    row = address_status(announcer)
    assert row["announced"] and row["on_interface"] and row["put_there_by_us"]
    assert len(row["announced_to"]) == 1
    metrics = announcer.metrics()
    name = announcer.status()["peers"][0]["address"]
    assert metrics[f'godwit_announcer_peer_up{{peer="{name}"}}'] == 1
    assert metrics[f'godwit_announcer_peer_state{{peer="{name}"}}'] == 5
    assert metrics[f'godwit_announcer_peer_announced_prefixes{{peer="{name}"}}'] == 1
    assert metrics[f'godwit_announcer_address_announced_peers{{service="dns",prefix="{V4}"}}'] == 1
    assert metrics[f'godwit_announcer_address_on_interface{{service="dns",prefix="{V4}"}}'] == 1
    assert metrics['godwit_announcer_service_announced{service="dns"}'] == 1
    assert metrics['godwit_announcer_service_drained{service="dns"}'] == 0
    assert dns_server.answering and peer.routes


# --- draining -------------------------------------------------------------------------------------

def assert_drained(peer, prefix, after):
    """The route was announced as a last resort first, and withdrawn later."""
    last_resort = peer.wait_event("announce", prefix, after=after)
    assert last_resort.route.communities == [GRACEFUL_SHUTDOWN]
    withdrawn = peer.wait_event("withdraw", prefix, after=after)
    # From before the beginning: a test that is late reads of it late.
    assert milliseconds_between(after.time, withdrawn.time) >= GRACEFUL_MS
    return withdrawn


def milliseconds_between(begin, end):
    """In whole ones of the monotonic clock, as the announcer counts."""
    return int(end * 1000) - int(begin * 1000)


def test_draining_by_hand_and_back(peer, dns_server, start_announcer):
    announcer = start_announcer()
    before = peer.mark()
    assert announcer.post("/drain") == (200, "dns: to be drained\n")
    assert_drained(peer, V4, before)
    wait_until(lambda: service_status(announcer)["state"] == "drained")
    assert announcer.get("/readyz") == (200, "0 announced, 1 drained\n")
    assert announcer.metric('godwit_announcer_service_drained{service="dns"}') == 1
    assert announcer.post("/undrain?service=dns")[0] == 200
    assert not peer.wait_route(V4).communities
    assert announcer.post("/drain?service=nobody") == (409, "there is no service nobody\n")
    assert announcer.post("/drain?what=dns")[0] == 409
    assert dns_server.answering


def test_a_drain_file(tmp_path, peer, dns_server, start_announcer):
    file = tmp_path / "drain"
    announcer = start_announcer(service={"drain_file": str(file)})
    before = peer.mark()
    file.touch()
    assert_drained(peer, V4, before)
    wait_until(lambda: service_status(announcer)["cause"] == "the drain file is there")
    file.unlink()
    peer.wait_route(V4)
    assert dns_server.answering


def test_dns_that_dies_while_draining_is_withdrawn_at_once(peer, dns_server, start_announcer):
    announcer = start_announcer(bgp={"graceful_shutdown_ms": 60000})
    before = peer.mark()
    announcer.post("/drain")
    peer.wait_event("announce", V4, after=before)
    dns_server.answering = False
    peer.wait_event("withdraw", V4, after=before)
    wait_until(lambda: service_status(announcer)["state"] == "drained")


# --- the end --------------------------------------------------------------------------------------

def test_the_order_of_the_end(host, peer, dns_server, start_announcer):
    announcer = start_announcer(addresses=[{"prefix": V4, "interface": "lo"}])
    before = peer.mark()
    announcer.process.send_signal(signal.SIGTERM)
    withdrawn = assert_drained(peer, V4, before)
    notification = peer.wait_event("notification", after=before)
    assert notification.time > withdrawn.time
    assert milliseconds_between(before.time, notification.time) >= GRACEFUL_MS + WAIT_MS
    assert notification.data[:2] == b"\x06\x02"  # Cease, Administrative Shutdown
    assert notification.data[3:].decode() == "maintenance until noon"
    assert announcer.wait_end() == 0
    assert V4 not in addresses_of(host)
    announcer.stop()
    assert dns_server.answering


def test_a_stop_while_drained_is_quick(peer, dns_server, start_announcer):
    announcer = start_announcer(bgp={"graceful_shutdown_ms": 1000})
    announcer.post("/drain")
    peer.wait_gone(V4)
    wait_until(lambda: service_status(announcer)["state"] == "drained")
    watch = Stopwatch()
    announcer.stop()
    assert watch.seconds < (5 if godwit.SANITIZED else 0.9)
    assert dns_server.answering


def test_a_stop_that_no_router_would_hear_of_is_quick(dns_server, start_announcer):
    announcer = start_announcer(wait=False, bgp={
        "graceful_shutdown_ms": 60000, "peers": [{"address": "127.0.0.1:1179", "as": 64513}]})
    wait_until(lambda: service_status(announcer)["state"] == "up")
    watch = Stopwatch()
    announcer.stop()
    assert watch.seconds < 5
    assert dns_server.answering


def test_a_second_signal_ends_at_once(peer, dns_server, start_announcer):
    announcer = start_announcer(bgp={"graceful_shutdown_ms": 60000})
    before = peer.mark()
    announcer.process.send_signal(signal.SIGTERM)
    peer.wait_event("announce", V4, after=before)
    assert announcer.is_running()
    announcer.process.send_signal(signal.SIGTERM)
    assert announcer.wait_end() == -signal.SIGTERM
    peer.wait_gone(V4)
    assert dns_server.answering


def test_a_router_that_is_gone_does_not_hold_up_the_end(lab, host, dns_server, start_announcer):
    router = lab.namespace("router")
    link = lab.link(host, router)
    host.add_address(link.a, "198.51.100.1/24")
    router.add_address(link.b, "198.51.100.2/24")
    peer = lab.keep(BgpPeer(namespace=router, host="198.51.100.2"))
    announcer = start_announcer(bgp={"peers": [
        {"address": f"198.51.100.2:{peer.port}", "as": peer.asn}]})
    router.run("ip", "address", "del", "198.51.100.2/24", "dev", link.b)
    watch = Stopwatch()
    announcer.process.send_signal(signal.SIGTERM)
    assert announcer.wait_end(timeout=20) == 0
    assert watch.seconds < 8
    assert V4 not in addresses_of(host)
    assert "a router has not acknowledged the withdrawal" in announcer.log()
    assert dns_server.answering


# --- addresses ------------------------------------------------------------------------------------

def test_an_address_that_is_taken_away_is_put_back(host, peer, dns_server, start_announcer):
    announcer = start_announcer()
    host.run("ip", "address", "del", V4, "dev", "lo")
    wait_until(lambda: V4 in addresses_of(host))
    wait_until(lambda: "address put back" in announcer.log())
    announcer.stop()
    assert V4 not in addresses_of(host)
    assert peer.events and dns_server.answering


def test_an_address_that_was_there_stays(host, peer, dns_server, start_announcer):
    host.add_address("lo", V4)
    announcer = start_announcer()
    assert not address_status(announcer)["put_there_by_us"]
    announcer.stop()
    assert V4 in addresses_of(host)
    assert peer.events and dns_server.answering


def test_addresses_only_while_healthy(host, peer, dns_server, start_announcer):
    start_announcer(addresses=[{"prefix": V4, "interface": "lo", "assign": "healthy"},
                               {"prefix": V6, "interface": "lo", "assign": "healthy"}])
    peer.wait_route(V4)
    assert {V4, V6} <= addresses_of(host)
    dns_server.answering = False
    peer.wait_gone(V4)
    wait_until(lambda: not {V4, V6} & addresses_of(host))
    dns_server.answering = True
    peer.wait_route(V6)
    assert {V4, V6} <= addresses_of(host)


def test_an_address_of_others_is_announced_only_while_it_is_there(host, peer, dns_server,
                                                                  start_announcer):
    announcer = start_announcer(wait=False, addresses=[
        {"prefix": V4, "interface": "lo", "assign": "never"}])
    wait_until(lambda: service_status(announcer)["state"] == "up")
    assert not peer.routes
    assert announcer.get("/readyz") == (503, f"dns: {V4}: it is not on lo\n")
    host.add_address("lo", V4)
    peer.wait_route(V4)
    host.run("ip", "address", "del", V4, "dev", "lo")
    peer.wait_gone(V4)
    assert dns_server.answering


def test_an_interface_that_comes_later(host, peer, dns_server, start_announcer):
    announcer = start_announcer(wait=False, addresses=[{"prefix": V4, "interface": "later0"}])
    wait_until(lambda: "later0: No such device" in address_status(announcer)["why"])
    host.run("ip", "link", "add", "later0", "type", "veth", "peer", "name", "later1")
    host.run("ip", "link", "set", "later0", "up")
    peer.wait_route(V4)
    assert V4 in addresses_of(host, "later0")
    host.run("ip", "link", "del", "later0")
    peer.wait_gone(V4)
    assert dns_server.answering


def test_a_start_that_fails_leaves_no_address_behind(host, tmp_path):
    config = tmp_path / "announcer.yaml"
    config.write_text(json.dumps({
        "service": {"probe": probe()}, "addresses": [{"prefix": V4, "interface": "lo"}],
        "bgp": {"router_id": "192.0.2.1", "as": 64512}, "admin": "198.51.100.9:9155"}))
    done = host.run(godwit.program("godwit-announcer"), "--config", config, check=False)
    assert done.returncode == 1
    assert 'reason="cannot listen on 198.51.100.9:9155' in done.stderr
    assert f"address={V4}" in done.stderr and V4 not in addresses_of(host)


def test_without_the_privilege_the_start_says_what_is_missing(host, lab, start_announcer, tmp_path):
    if not shutil.which("setpriv"):
        pytest.skip("setpriv (util-linux) is missing")
    config = tmp_path / "announcer.yaml"
    config.write_text(json.dumps({
        "service": {"probe": probe()}, "addresses": [{"prefix": V4, "interface": "lo"}],
        "bgp": {"router_id": "192.0.2.1", "as": 64512}, "admin": godwit.free_address()}))
    done = host.run("setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin",
                    godwit.program("godwit-announcer"), "--config", config, check=False)
    assert done.returncode == 1
    assert f"{V4} cannot be put on lo: that needs CAP_NET_ADMIN" in done.stderr


def test_without_the_privilege_addresses_of_others_are_announced(host, peer, dns_server, lab):
    if not shutil.which("setpriv"):
        pytest.skip("setpriv (util-linux) is missing")
    host.add_address("lo", V4)
    config = lab.make_directory("unprivileged") / "announcer.yaml"
    config.write_text(json.dumps({
        "service": {"probe": probe()}, "addresses": [{"prefix": V4, "interface": "lo"}],
        "bgp": {"router_id": "192.0.2.1", "as": 64512, "peers": [
            {"address": f"127.0.0.1:{peer.port}", "as": peer.asn}]},
        "admin": godwit.free_address()}))
    host.start("unprivileged", "setpriv", "--bounding-set", "-net_admin", "--inh-caps",
               "-net_admin", godwit.program("godwit-announcer"), "--config", config)
    peer.wait_route(V4)
    assert dns_server.answering


def test_two_who_disagree_about_an_address_do_not_race(host, peer, dns_server, start_announcer):
    announcer = start_announcer()
    begin = time.monotonic()
    while time.monotonic() < begin + 2.5:
        host.run("ip", "address", "del", V4, "dev", "lo", check=False)
    count = announcer.log().count("address put back")
    assert 1 <= count <= 2 + (time.monotonic() - begin)
    wait_until(lambda: V4 in addresses_of(host))
    peer.wait_route(V4)
    assert dns_server.answering


def test_the_router_id_is_no_announced_address(host, lab, peer, dns_server, start_announcer):
    link = lab.link(host, lab.namespace("router"))
    host.add_address(link.a, V4)
    host.add_address(link.a, "198.51.100.7/24")
    announcer = start_announcer(
        addresses=[{"prefix": V4, "interface": link.a}],
        bgp={"router_id": None, "next_hop_interface": link.a})
    assert announcer.status()["router_id"] == "198.51.100.7"
    assert peer.routes and dns_server.answering


def test_labels_are_a_second_source(host, peer, dns_server, start_announcer):
    announcer = start_announcer(labels={"interface": "lo", "prefix": "dns", "local_pref": 200})
    host.run("ip", "address", "add", "192.0.2.60/32", "dev", "lo", "label", "lo:dns1")
    host.run("ip", "address", "add", "192.0.2.61/32", "dev", "lo", "label", "lo:other")
    host.run("ip", "address", "add", "192.0.2.62/31", "dev", "lo", "label", "lo:dns2")
    peer.wait_route("192.0.2.60/32")
    wait_until(lambda: "192.0.2.60/32" in
               [row["prefix"] for row in announcer.status()["addresses"]])
    row = address_status(announcer, "192.0.2.60/32")
    assert row["local_pref"] == 190 and row["labelled"] and not row["put_there_by_us"]
    wait_until(lambda: "192.0.2.62/31" in
               [row["prefix"] for row in announcer.status()["addresses"]])
    wait_until(lambda: "lo:dns2" in address_status(announcer, "192.0.2.62/31")["why"])
    assert set(peer.routes) == {V4, "192.0.2.60/32"}
    host.run("ip", "address", "del", "192.0.2.60/32", "dev", "lo")
    peer.wait_gone("192.0.2.60/32")
    assert V4 in peer.routes and dns_server.answering


# --- several services -----------------------------------------------------------------------------

def test_services_live_and_die_alone(host, peer, dns_server, start_announcer):
    other = Responder(host, port=DNS_PORT + 1)
    announcer = start_announcer(
        addresses=[], services=[
            {"name": "one", "probe": probe(), "addresses": [{"prefix": V4, "interface": "lo"}]},
            {"name": "two", "probe": probe(address=f"127.0.0.1:{DNS_PORT + 1}"),
             "addresses": [{"prefix": V6, "interface": "lo"}]}])
    peer.wait_route(V4)
    peer.wait_route(V6)
    other.answering = False
    peer.wait_gone(V6)
    wait_until(lambda: announcer.get("/readyz")[1].startswith("two: down: probe udp"))
    before = peer.mark()
    assert announcer.post("/drain?service=one") == (200, "one: to be drained\n")
    assert_drained(peer, V4, before)
    other.answering = True
    peer.wait_route(V6)
    assert V4 not in peer.routes
    announcer.wait_ready()
    assert announcer.get("/readyz")[1] == "1 announced, 1 drained\n"
    assert dns_server.answering


# --- the life line --------------------------------------------------------------------------------

class FrontendEnd:
    """The front end's end of a life line."""

    def __init__(self, path):
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen()
        self._listener.settimeout(10)
        self._line = None

    def accept(self):
        self._line, _ = self._listener.accept()
        self._line.settimeout(10)
        return self

    def say(self, words):
        self._line.sendall(f"{words}\n".encode())

    def hear(self):
        """One line, without its end."""
        data = b""
        while not data.endswith(b"\n"):
            piece = self._line.recv(1)
            assert piece, "the announcer has closed its life line"
            data += piece
        return data[:-1].decode()

    def die(self):
        self._listener.close()
        if self._line:
            self._line.close()


@pytest.fixture
def life_line(tmp_path):
    ends = []

    def start():
        ends.append(FrontendEnd(tmp_path / "life.sock"))
        return ends[-1]
    start.path = str(tmp_path / "life.sock")
    yield start
    for end in ends:
        end.die()


def test_the_front_end_must_say_that_it_serves(peer, dns_server, life_line, start_announcer):
    announcer = start_announcer(wait=False, service={"watch_socket": life_line.path})
    wait_until(lambda: service_status(announcer)["probe_up"])
    assert service_status(announcer)["cause"].startswith("life line: the front end is not there")
    frontend = life_line().accept()
    wait_until(lambda: service_status(announcer)["life_line"] == "silent")
    assert not peer.routes
    frontend.say("serving")
    peer.wait_route(V4)
    frontend.say("not serving")
    peer.wait_gone(V4)
    frontend.say("serving")
    peer.wait_route(V4)
    assert dns_server.answering


def test_a_front_end_that_says_it_serves_is_asked_at_once(peer, dns_server, life_line,
                                                          start_announcer):
    """Not when the next probe is due."""
    dns_server.answering = False
    frontend = life_line()
    announcer = start_announcer(wait=False, service={
        "watch_socket": life_line.path,
        "probe": probe(interval_ms=60000, timeout_ms=100, fast_interval_ms=20)})
    frontend.accept()
    wait_until(lambda: "no answer" in service_status(announcer)["probe"])
    dns_server.answering = True
    frontend.say("serving")
    peer.wait_route(V4, timeout=10)


def test_a_front_end_that_dies_is_withdrawn_at_once(peer, dns_server, life_line, start_announcer):
    frontend = life_line()
    announcer = start_announcer(wait=False, service={
        "watch_socket": life_line.path, "probe": probe(interval_ms=10000, timeout_ms=10000,
                                                       fast_interval_ms=50)})
    frontend.accept().say("serving")
    peer.wait_route(V4)
    # What answered before must not count for the next front end, which is up but silent.
    dns_server.answering = False
    before = peer.mark()
    watch = Stopwatch()
    frontend.die()
    peer.wait_event("withdraw", V4, after=before)
    assert watch.seconds < (1 if godwit.SANITIZED else 0.25)
    frontend = life_line().accept()
    frontend.say("serving")
    wait_until(lambda: service_status(announcer)["life_line"] == "serving")
    assert service_status(announcer)["state"] == "down" and not peer.routes
    assert announcer.metric("godwit_announcer_life_line_lost_total") == 1
    dns_server.answering = True
    peer.wait_route(V4, timeout=20)


def test_a_front_end_that_drains_is_told_when_it_may_end(peer, dns_server, life_line,
                                                         start_announcer):
    frontend = life_line()
    announcer = start_announcer(wait=False, service={"watch_socket": life_line.path})
    frontend.accept().say("serving")
    peer.wait_route(V4)
    before = peer.mark()
    frontend.say("draining")
    assert frontend.hear() == "withdrawn"
    told = time.monotonic()
    assert_drained(peer, V4, before)
    assert milliseconds_between(before.time, told) >= GRACEFUL_MS + WAIT_MS
    frontend.die()
    wait_until(lambda: service_status(announcer)["state"] == "down")
    frontend = life_line().accept()
    frontend.say("serving")
    peer.wait_route(V4)
    assert dns_server.answering


def test_a_front_end_that_drains_while_down_may_end_at_once(dns_server, life_line,
                                                            start_announcer):
    dns_server.answering = False
    frontend = life_line()
    start_announcer(wait=False, service={"watch_socket": life_line.path},
                    bgp={"graceful_shutdown_ms": 60000, "shutdown_wait_ms": 60000})
    frontend.accept().say("draining")
    assert frontend.hear() == "withdrawn"


def test_front_end_and_announcer_stopped_together(peer, dns_server, life_line, start_announcer):
    frontend = life_line()
    announcer = start_announcer(wait=False, service={"watch_socket": life_line.path})
    frontend.accept().say("serving")
    peer.wait_route(V4)
    before = peer.mark()
    announcer.process.send_signal(signal.SIGTERM)
    frontend.say("draining")
    assert frontend.hear() == "withdrawn"
    assert_drained(peer, V4, before)
    assert announcer.wait_end() == 0
    assert dns_server.answering


# --- changes while running ------------------------------------------------------------------------

def test_sighup_takes_over_the_log_and_names_the_rest(peer, dns_server, start_announcer):
    announcer = start_announcer()

    def reload(text, expected):
        announcer.config_path.write_text(text)
        announcer.process.send_signal(signal.SIGHUP)
        wait_until(lambda: expected in announcer.log(), message=expected)

    reload(json.dumps({**announcer.config, "log": {"format": "json"}}),
           '"log":"applied","other_changes":"none"')
    reload(json.dumps({**announcer.config, "labels": {"interface": "lo", "prefix": "dns"}}),
           'other_changes="need restart"')
    reload("nonsense: 1", "nonsense")
    assert announcer.get("/readyz")[0] == 200 and V4 in peer.routes and dns_server.answering


def test_the_admin_server_answers_while_it_drains(peer, dns_server, start_announcer):
    announcer = start_announcer(bgp={"graceful_shutdown_ms": 1500})
    before = peer.mark()
    announcer.process.send_signal(signal.SIGTERM)
    peer.wait_event("announce", V4, after=before)
    wait_until(lambda: announcer.get("/readyz") == (503, "shutting down\n"))
    assert announcer.get("/livez") == (200, "alive\n")
    assert announcer.status()["stopping"]
    assert dns_server.answering
    assert announcer.wait_end() == 0
