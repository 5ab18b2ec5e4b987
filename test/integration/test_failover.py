"""What clients see when a part of one of two nodes fails: queries lost and the time without an answer.

The site is described at the top of anycast_site.py: two nodes, each with a backend, a front end
and an announcer, behind one router. Where one node is preferred all clients are its own until it
fails, so that each moment of the failure is felt; else the router spreads flows over both.

The bounds are of the machine's time (machine_clock.py) and about three times the aims; what is reached
on a quiet machine is measured by bench/failover.py. FRR takes 50 ms from a withdrawal to its own decision and 10 ms
more to the kernel.
"""

import re
import signal
import time

import pytest

import godwit
from anycast_site import BFD_MS, BFD_MULTIPLIER, FALL, INTERVAL_MS, SERVICE4, SERVICE6, Site
from machine_clock import seconds_between
from router_lab import Bird, Frr, Lab, refusal

_REFUSAL = refusal()
pytestmark = pytest.mark.skipif(bool(_REFUSAL), reason=str(_REFUSAL))

PREFIX = f"{SERVICE4}/32"
SLOWER = 4 if godwit.SANITIZED else 1
# Seconds from a failure to the route gone from the router's kernel.
CLOSED = 0.35 * SLOWER  # a connection that the failure itself closes
SILENT = (FALL * INTERVAL_MS + 100) / 1000 * 2.5 * SLOWER
DETECTED = 0.4 * 3 * SLOWER  # by BFD
assert BFD_MS * BFD_MULTIPLIER < 1000 * DETECTED
every_router = pytest.mark.parametrize("kind", [Frr, Bird], ids=lambda kind: kind.kind)


@pytest.fixture
def daemons():
    """What a failed test's report shows the logs of; the lab ends them."""
    return []


@pytest.fixture
def lab():
    with Lab() as made:
        yield made


@pytest.fixture
def start_site(lab, daemons):
    def start(kind=Frr, **options):
        site = Site(lab, kind, **options)
        for node in site.nodes:
            daemons.extend([node.frontend, node.announcer])
        site.wait_both(godwit.READY_TIMEOUT + 10)
        return site
    return start


class Watched:
    """One failure: what a client and the router's kernel saw of it."""

    def __init__(self, site, **client):
        self.site = site
        self.node = site.nodes[0]
        self.client = site.client(**client)
        self.failed = None
        self.gone = None

    def fail(self, action):
        self.failed = time.time()
        action()

    def send(self, program, number):
        self.fail(lambda: program.process.send_signal(number))

    def wait_gone(self):
        """Seconds from the failure until the router's kernel sent nothing to the node."""
        when = self.site.fib.wait_gone(PREFIX, self.node.next_hop, self.failed, 15)
        assert when is not None, f"{PREFIX} still goes to {self.node.next_hop}: " \
            f"{self.site.fib.events}\n{self.site.router.log()[-3000:]}"
        return seconds_between(self.failed, when)

    def outage(self, settle=0.3):
        time.sleep(settle)  # of asking on, to see that nothing more is lost
        now = time.time()
        stood_still = now - self.failed - seconds_between(self.failed, now)
        outage = self.client.outage(since=self.failed - 0.05)
        outage.silence = max(0.0, outage.silence - stood_still)
        print(f"asked {outage.asked}, lost {outage.lost}, silent {outage.silence:.3f} s")
        assert outage.asked > 20
        return outage


# --- a part of a node dies ------------------------------------------------------------------------

@every_router
def test_a_killed_front_end_is_out_of_the_router_at_once(start_site, kind):
    site = start_site(kind, preferred=True)
    watched = Watched(site)
    watched.send(site.nodes[0].frontend, signal.SIGKILL)
    assert watched.wait_gone() < CLOSED
    outage = watched.outage()
    assert outage.silence < CLOSED + 0.1 * SLOWER
    assert re.search(r'service down" .*reason="?life line', site.nodes[0].announcer.log())
    # And it is announced again when it answers again, which costs nothing.
    client = site.client()
    started = time.time()
    site.nodes[0].frontend.wait_end()
    site.nodes[0].frontend.start()
    site.wait_both()
    time.sleep(0.3)
    assert client.outage(since=started).lost == 0


def test_a_killed_front_end_takes_ipv6_away_as_well(start_site):
    site = start_site(preferred=True)
    godwit.wait_until(lambda: site.router.route(f"{SERVICE6}/128"))
    watched = Watched(site, server=SERVICE6)
    watched.send(site.nodes[0].frontend, signal.SIGKILL)
    assert watched.wait_gone() < CLOSED
    assert watched.outage().silence < CLOSED + 0.2 * SLOWER


def test_a_killed_backend_costs_nothing_while_the_cache_has_the_answers(start_site):
    site = start_site(preferred=True)
    watched = Watched(site)
    watched.send(site.nodes[0].backend, signal.SIGKILL)
    outage = watched.outage(settle=1.5)
    assert outage.lost == 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "silent"])
def test_a_backend_that_is_gone_withdraws_a_front_end_without_a_cache(start_site, number):
    site = start_site(preferred=True, cache_mb=0)
    watched = Watched(site)
    watched.send(site.nodes[0].backend, number)
    # Killed: the first probes are told SERVFAIL. Silent: nothing is told until probes time out.
    assert watched.wait_gone() < SILENT + CLOSED
    watched.outage()
    site.wait_next_hops(site.nodes[1])
    backend = site.nodes[0].backend
    if number == signal.SIGSTOP:
        backend.process.send_signal(signal.SIGCONT)
    else:
        backend.wait_end()
        backend.start()
    site.wait_both(30)


def test_a_silent_front_end_is_withdrawn_by_the_probe(start_site):
    site = start_site(preferred=True)
    watched = Watched(site)
    watched.send(site.nodes[0].frontend, signal.SIGSTOP)
    assert watched.wait_gone() < SILENT
    site.nodes[0].frontend.kill()
    assert watched.outage().silence < SILENT + 0.2 * SLOWER
    site.nodes[0].frontend.start()
    site.wait_both()


def test_a_killed_announcer_takes_its_routes_with_it_and_no_query_is_lost(start_site):
    site = start_site(preferred=True)
    watched = Watched(site)
    watched.send(site.nodes[0].announcer, signal.SIGKILL)
    assert watched.wait_gone() < CLOSED
    assert watched.outage().lost == 0
    # A new one finds the addresses where the old one left them, and takes up the work.
    site.nodes[0].announcer.wait_end()
    site.nodes[0].announcer.start()
    site.wait_both()


def test_a_stopped_announcer_is_given_up_by_bfd_and_no_query_is_lost(start_site):
    site = start_site(preferred=True)
    for node in site.nodes:
        site.router.wait_bfd(node.next_hop)
    watched = Watched(site)
    watched.send(site.nodes[0].announcer, signal.SIGSTOP)
    assert watched.wait_gone() < DETECTED
    assert watched.outage().lost == 0
    site.nodes[0].announcer.process.send_signal(signal.SIGCONT)
    site.wait_both()


# --- the network fails ----------------------------------------------------------------------------

@every_router
def test_a_node_cut_off_is_given_up_by_bfd(start_site, kind):
    site = start_site(kind, preferred=True)
    for node in site.nodes:
        site.router.wait_bfd(node.next_hop)
    watched = Watched(site)
    watched.fail(lambda: site.cut(site.nodes[0]))
    assert watched.wait_gone() < DETECTED
    assert watched.outage().silence < DETECTED + 0.2 * SLOWER
    announcer = site.nodes[0].announcer
    godwit.wait_until(lambda: "bfd" in announcer.status()["peers"][0]["last_error"].lower())
    site.mend(site.nodes[0])
    site.wait_both(30)


def test_only_the_flows_of_the_failed_node_suffer(start_site):
    site = start_site()
    for node in site.nodes:
        site.router.wait_bfd(node.next_hop)
    watched = Watched(site, interval_ms=4)
    watched.fail(lambda: site.cut(site.nodes[0]))
    assert watched.wait_gone() < DETECTED
    outage = watched.outage()
    assert 0 < outage.lost < outage.asked * 0.8
    assert outage.silence < 0.3 * SLOWER  # the other node's answers went on


@every_router
def test_both_nodes_come_back_to_a_router_that_restarts(start_site, kind):
    site = start_site(kind)
    site.router.kill()
    for node in site.nodes:
        godwit.wait_until(lambda announcer=node.announcer: all(
            peer["state"] != "Established" for peer in announcer.status()["peers"]))
    client = site.client()
    restarted = time.time()
    site.router.start()
    godwit.wait_until(lambda: all(
        peer["state"] == "Established" for node in site.nodes
        for peer in node.announcer.status()["peers"]), 20)
    site.wait_both()
    came_back = time.time()
    assert client.outage(since=restarted).silence < came_back - restarted + 0.5
    client = site.client()
    time.sleep(0.3)
    assert client.outage().lost == 0


# --- planned ends ---------------------------------------------------------------------------------

@pytest.mark.parametrize("preferred", [True, False], ids=["preferred", "spread"])
def test_a_front_end_that_restarts_loses_no_query(start_site, preferred):
    site = start_site(preferred=preferred)
    watched = Watched(site, interval_ms=4)
    frontend = site.nodes[0].frontend
    watched.send(frontend, signal.SIGTERM)
    assert watched.wait_gone() < 5
    assert frontend.wait_end(15) == 0
    frontend.start()
    site.wait_both()
    assert watched.outage().lost == 0


def test_an_announcer_that_restarts_loses_no_query(start_site):
    site = start_site()
    watched = Watched(site, interval_ms=4)
    announcer = site.nodes[0].announcer
    watched.send(announcer, signal.SIGTERM)
    assert watched.wait_gone() < 5
    assert announcer.wait_end(10) == 0
    announcer.start()
    site.wait_both()
    assert watched.outage().lost == 0


def test_a_node_drained_by_hand_loses_no_query(start_site):
    site = start_site(preferred=True)
    watched = Watched(site, interval_ms=4)
    announcer = site.nodes[0].announcer
    watched.fail(lambda: announcer.post("/drain"))
    assert watched.wait_gone() < 5
    site.wait_next_hops(site.nodes[1])
    assert announcer.post("/undrain")[0] == 200
    site.wait_both()
    assert watched.outage().lost == 0
