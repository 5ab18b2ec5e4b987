"""The announcer beside real routers: FRR, BIRD 2 and GoBGP.

Each test has namespaces of its own: a node, with the announcer and a small DNS server it probes,
and a router one link (or, where hops are the matter, two) away. The failures of a node are in
test_failover.py; the lab is described at the top of router_lab.py.
"""

import os
import re
import signal
import socket
import time

import pytest

import godwit
from machine_clock import Stopwatch, seconds_between
from router_lab import (Announcer, Bird, FibWatch, Frr, Gobgp, Lab, Peer, Responder, inside,
                        kernel_next_hops, refusal)

_REFUSAL = refusal()
pytestmark = pytest.mark.skipif(bool(_REFUSAL), reason=str(_REFUSAL))

NODE_AS, ROUTER_AS = 64512, 64513
SERVICE4, SERVICE6 = "192.0.2.53/32", "2001:db8:53::53/128"
NODE4, ROUTER4 = "10.77.0.1", "10.77.0.254"
NODE6, ROUTER6 = "2001:db8:77::1", "2001:db8:77::254"
FAR4, FAR6 = "10.78.0.254", "2001:db8:78::254"  # the router of a multihop session
BFD = {"min_tx_ms": 100, "min_rx_ms": 100, "multiplier": 3}
ROUTERS = [Frr, Bird, Gobgp]
every_router = pytest.mark.parametrize("kind", ROUTERS, ids=lambda kind: kind.kind)
routers_with_kernel = pytest.mark.parametrize("kind", [Frr, Bird], ids=lambda kind: kind.kind)


class World:
    """A node and a router, and what runs on them."""

    def __init__(self, lab, daemons):
        self.lab = lab
        self.daemons = daemons
        self.node = lab.namespace("node")
        self.router_ns = lab.namespace("router")
        self.link = lab.link(self.node, self.router_ns)
        self.router_ns.forward()
        for namespace, interface, addresses in (
                (self.node, self.link.a, (f"{NODE4}/24", f"{NODE6}/64")),
                (self.router_ns, self.link.b, (f"{ROUTER4}/24", f"{ROUTER6}/64"))):
            for address in addresses:
                namespace.add_address(interface, address)
        self.dns = Responder(self.node)
        self.router = None
        self.announcer = None

    def add_hop(self):
        """A further router behind the first, FAR4 and FAR6; returns its namespace."""
        far = self.lab.namespace("far")
        link = self.lab.link(far, self.router_ns)
        far.add_address(link.a, f"{FAR4}/24")
        far.add_address(link.a, f"{FAR6}/64")
        self.router_ns.add_address(link.b, "10.78.0.1/24")
        self.router_ns.add_address(link.b, "2001:db8:78::1/64")
        far.run("ip", "route", "add", "10.77.0.0/24", "via", "10.78.0.1")
        far.run("ip", "-6", "route", "add", "2001:db8:77::/64", "via", "2001:db8:78::1")
        self.node.run("ip", "route", "add", "default", "via", ROUTER4)
        self.node.run("ip", "-6", "route", "add", "default", "via", ROUTER6)
        return far

    def start_router(self, kind, *peers, asn=ROUTER_AS, namespace=None, **options):
        """Without `peers` it knows the node by both of its addresses, unless `extra` tells more."""
        if not peers and "extra" not in options:
            peers = (Peer(NODE4, NODE_AS), Peer(NODE6, NODE_AS))
        self.router = kind(namespace or self.router_ns, asn, "10.77.0.254", peers, **options)
        self.daemons.append(self.router)
        return self.router

    def start_announcer(self, *peers, asn=NODE_AS, addresses=None, **bgp):
        """`peers` are entries of bgp.peers; the others are keys of bgp."""
        peers = peers or ({"address": ROUTER4, "as": ROUTER_AS},
                          {"address": ROUTER6, "as": ROUTER_AS})
        self.announcer = inside(self.node, Announcer, {
            "service": {"probe": {
                "address": "127.0.0.1:53", "protocols": ["udp"], "name": "health.example.",
                "type": "A", "interval_ms": 100, "timeout_ms": 300, "rise": 2, "fall": 3}},
            "addresses": addresses or [{"prefix": SERVICE4, "interface": "lo", "local_pref": 150},
                                       {"prefix": SERVICE6, "interface": "lo", "local_pref": 150}],
            "bgp": {"router_id": NODE4, "as": asn, "next_hop_interface": self.link.a,
                    "connect_retry_ms": 500, "graceful_shutdown_ms": 300, "shutdown_wait_ms": 100,
                    "peers": list(peers), **bgp},
            "log": {"level": "debug"},
        })
        self.daemons.append(self.announcer)
        return self.announcer


@pytest.fixture
def daemons():
    """What a failed test's report shows the logs of; the lab ends them."""
    return []


@pytest.fixture
def world(daemons):
    with Lab() as lab:
        yield World(lab, daemons)


def wait_both(router):
    """The service's routes of both families, once they are there."""
    return router.wait_route(SERVICE4), router.wait_route(SERVICE6)


def hops(route):
    return set(route.next_hops)


# --- sessions and what they carry -----------------------------------------------------------------

@every_router
def test_external_sessions_over_both_transports_carry_both_families(world, kind):
    router = world.start_router(kind)
    world.start_announcer()
    ipv4, ipv6 = wait_both(router)
    for peer in (NODE4, NODE6):
        router.wait_session(peer)
    assert ipv4.as_path == ipv6.as_path == [NODE_AS]
    assert hops(ipv4) == {NODE4} and hops(ipv6) == {NODE6}
    if kind is not Gobgp:
        godwit.wait_until(lambda: kernel_next_hops(world.router_ns, SERVICE4) == {NODE4})


@every_router
def test_internal_sessions_carry_local_preference(world, kind):
    router = world.start_router(kind, Peer(NODE4, NODE_AS), Peer(NODE6, NODE_AS), asn=NODE_AS)
    world.start_announcer({"address": ROUTER4, "as": NODE_AS}, {"address": ROUTER6, "as": NODE_AS})
    ipv4, ipv6 = wait_both(router)
    assert ipv4.as_path == ipv6.as_path == []
    assert ipv4.local_pref == ipv6.local_pref == 150
    assert hops(ipv4) == {NODE4} and hops(ipv6) == {NODE6}


@every_router
def test_a_route_carries_med_communities_and_prepending(world, kind):
    router = world.start_router(kind, Peer(NODE4, NODE_AS))
    world.start_announcer({
        "address": ROUTER4, "as": ROUTER_AS, "med": 77, "prepend": 2,
        "communities": ["64512:53", "64512:100"], "large_communities": ["4200000001:5:3"]})
    for route in wait_both(router):
        assert route.as_path == [NODE_AS] * 3
        assert route.med == 77
        assert sorted(route.communities) == ["64512:100", "64512:53"]
        assert route.large == ["4200000001:5:3"]


@every_router
def test_four_octet_as_numbers(world, kind):
    asn = 4200000001
    router = world.start_router(kind, Peer(NODE4, asn), asn=4200000002)
    world.start_announcer({"address": ROUTER4, "as": 4200000002}, asn=asn)
    assert wait_both(router)[0].as_path == [asn]


def test_a_router_without_capabilities(world):
    """As RFC 4271 alone has it: IPv4, and AS numbers of two octets. (FRR does not look at AS4_PATH
    of a peer that offers four; that it is there is test_bgp_message's to see.)"""
    asn = 4200000001
    router = world.start_router(Frr, asn=ROUTER_AS, extra=f"""
router bgp {ROUTER_AS}
 neighbor {NODE4} remote-as {asn}
 neighbor {NODE4} timers connect 1
 neighbor {NODE4} dont-capability-negotiate
 address-family ipv4 unicast
  neighbor {NODE4} activate
""")
    announcer = world.start_announcer({"address": ROUTER4, "as": ROUTER_AS}, asn=asn)
    assert router.wait_route(SERVICE4).as_path == [23456]
    assert "dvertised" not in router.neighbor(NODE4)["neighborCapabilities"].get("4byteAs", "")
    assert announcer.status()["peers"][0]["ipv6"] is False


def test_a_family_the_router_does_not_have_is_left_out(world):
    router = world.start_router(Bird, extra=f"""
protocol bgp only4 {{ local {ROUTER4} as {ROUTER_AS}; neighbor {NODE4} as {NODE_AS};
  connect delay time 1; error wait time 1, 2; ipv4 {{ import all; export none; }}; }}
""")
    announcer = world.start_announcer({"address": ROUTER4, "as": ROUTER_AS})
    assert hops(router.wait_route(SERVICE4)) == {NODE4}
    assert not router.route(SERVICE6)
    assert "lost" not in announcer.log()


@every_router
def test_routes_of_the_router_are_dropped_without_harm(world, kind):
    if kind is Gobgp:
        router = world.start_router(kind, Peer(NODE4, NODE_AS))
        router.gobgp("global", "rib", "add", "198.51.100.0/24")
        router.gobgp("global", "rib", "add", "-a", "ipv6", "2001:db8:9::/48", "nexthop", ROUTER6)
    else:
        router = world.start_router(kind, Peer(NODE4, NODE_AS, announce=True),
                                    networks=["198.51.100.0/24", "2001:db8:9::/48"])
    announcer = world.start_announcer({"address": ROUTER4, "as": ROUTER_AS})
    wait_both(router)
    godwit.wait_until(
        lambda: announcer.metric("godwit_announcer_peer_routes_received_total") >= 2)
    assert not world.node.run("ip", "route", "show", "198.51.100.0/24").stdout
    assert router.session(NODE4) == "Established"


# --- protection -----------------------------------------------------------------------------------

@every_router
def test_tcp_md5(world, kind):
    router = world.start_router(kind, Peer(NODE4, NODE_AS, password="a_secret_of_ours"),
                                Peer(NODE6, NODE_AS, password="another"))
    world.start_announcer(
        {"address": ROUTER4, "as": ROUTER_AS, "password": "a_secret_of_ours"},
        {"address": ROUTER6, "as": ROUTER_AS, "password": "another"})
    wait_both(router)
    router.wait_session(NODE4)
    router.wait_session(NODE6)


def test_a_wrong_password_makes_no_session(world):
    router = world.start_router(Bird, Peer(NODE4, NODE_AS, password="right", passive=True),
                                Peer(NODE6, NODE_AS))
    world.start_announcer({"address": ROUTER4, "as": ROUTER_AS, "password": "wrong"},
                          {"address": ROUTER6, "as": ROUTER_AS})
    router.wait_session(NODE6)
    assert router.session(NODE4) != "Established"


@every_router
def test_ttl_security(world, kind):
    router = world.start_router(kind, Peer(NODE4, NODE_AS, ttl_security=True),
                                Peer(NODE6, NODE_AS, ttl_security=True))
    world.start_announcer({"address": ROUTER4, "as": ROUTER_AS, "ttl_security": True},
                          {"address": ROUTER6, "as": ROUTER_AS, "ttl_security": True})
    wait_both(router)
    router.wait_session(NODE4)
    router.wait_session(NODE6)


def test_ttl_security_keeps_out_a_router_farther_away(world):
    far = world.add_hop()
    router = world.start_router(Bird, Peer(NODE4, NODE_AS, hops=5, source=FAR4), namespace=far)
    announcer = world.start_announcer(
        {"address": FAR4, "as": ROUTER_AS, "ttl_security": True, "passive": True},
        listen=[f"{NODE4}:179"])
    announcer.wait_alive()
    godwit.wait_until(lambda: "too far away" in announcer.status()["peers"][0]["last_error"], 15)
    assert announcer.metric("godwit_announcer_bgp_accepted_total") == 0
    assert router.session(NODE4) != "Established" and not router.route(SERVICE4)


@every_router
def test_sessions_over_several_hops(world, kind):
    far = world.add_hop()
    router = world.start_router(
        kind, Peer(NODE4, NODE_AS, hops=3, source=FAR4), Peer(NODE6, NODE_AS, hops=3, source=FAR6),
        namespace=far)
    world.start_announcer({"address": FAR4, "as": ROUTER_AS, "multihop": 3},
                          {"address": FAR6, "as": ROUTER_AS, "multihop": 3})
    ipv4, ipv6 = wait_both(router)
    assert hops(ipv4) == {NODE4} and hops(ipv6) == {NODE6}


# --- who connects ---------------------------------------------------------------------------------

@every_router
def test_the_announcer_waits_to_be_connected_to(world, kind):
    router = world.start_router(kind)
    world.start_announcer({"address": ROUTER4, "as": ROUTER_AS, "passive": True},
                          {"address": ROUTER6, "as": ROUTER_AS, "passive": True},
                          listen=[f"{NODE4}:179", f"[{NODE6}]:179"])
    wait_both(router)


@routers_with_kernel
def test_protection_holds_for_connections_accepted_too(world, kind):
    router = world.start_router(kind, Peer(NODE4, NODE_AS, password="one", ttl_security=True),
                                Peer(NODE6, NODE_AS, password="two", ttl_security=True))
    protected = {"as": ROUTER_AS, "passive": True, "ttl_security": True}
    world.start_announcer({"address": ROUTER4, "password": "one", **protected},
                          {"address": ROUTER6, "password": "two", **protected},
                          listen=[f"{NODE4}:179", f"[{NODE6}]:179"])
    wait_both(router)
    router.wait_session(NODE4)
    router.wait_session(NODE6)


@every_router
def test_the_router_waits_to_be_connected_to(world, kind):
    router = world.start_router(kind, Peer(NODE4, NODE_AS, passive=True),
                                Peer(NODE6, NODE_AS, passive=True))
    world.start_announcer()
    wait_both(router)


@every_router
def test_both_sides_connect_and_one_session_remains(world, kind):
    router = world.start_router(kind)
    announcer = world.start_announcer(listen=[f"{NODE4}:179", f"[{NODE6}]:179"], hold_time_s=3)
    wait_both(router)
    for peer in (NODE4, NODE6):
        router.wait_session(peer)
    # Whichever connection was given up, it does not take the other with it.
    lost = announcer.metric("godwit_announcer_bgp_lost_total")
    until = time.monotonic() + 1.5  # longer than keepalives are apart
    while time.monotonic() < until:
        assert router.route(SERVICE4) and router.route(SERVICE6)
    assert announcer.metric("godwit_announcer_bgp_lost_total") == lost
    connections = world.node.run("ss", "-Hnt", "state", "established",
                                 "( sport = :179 or dport = :179 )").stdout
    assert len(connections.splitlines()) == 2, connections


@routers_with_kernel
def test_link_local_peers(world, kind):
    def link_local(namespace, interface):
        text = namespace.run("ip", "-6", "-o", "address", "show", "dev", interface, "scope",
                             "link").stdout
        return re.search(r"inet6 (fe80::\S+)/64", text).group(1)
    node = link_local(world.node, world.link.a)
    there = link_local(world.router_ns, world.link.b)
    if kind is Frr:
        extra = f"""
router bgp {ROUTER_AS}
 neighbor {node} remote-as {NODE_AS}
 neighbor {node} interface {world.link.b}
 address-family ipv6 unicast
  neighbor {node} activate
"""
    else:
        extra = f"""
protocol bgp linklocal {{ local {there} as {ROUTER_AS}; neighbor {node}%{world.link.b} as {NODE_AS};
  connect delay time 1; error wait time 1, 2; ipv6 {{ import all; export none; }}; }}
"""
    router = world.start_router(kind, Peer(NODE4, NODE_AS), extra=extra)
    world.start_announcer({"address": f"{there}%{world.link.a}", "as": ROUTER_AS})
    assert router.wait_route(SERVICE6).as_path == [NODE_AS]


# --- over time ------------------------------------------------------------------------------------

@routers_with_kernel
def test_a_route_refresh_brings_all_routes_again(world, kind):
    router = world.start_router(kind, Peer(NODE4, NODE_AS))
    announcer = world.start_announcer({"address": ROUTER4, "as": ROUTER_AS})
    wait_both(router)
    before = router.updates_received(NODE4)
    router.refresh(NODE4)
    godwit.wait_until(lambda: router.updates_received(NODE4) >= before + 2)
    wait_both(router)
    assert "lost" not in announcer.log()


@every_router
def test_a_restarted_router_is_told_again(world, kind):
    router = world.start_router(kind)
    announcer = world.start_announcer()
    wait_both(router)
    router.kill()
    godwit.wait_until(lambda: all(peer["state"] != "Established"
                                  for peer in announcer.status()["peers"]))
    router.start()
    wait_both(router)


@routers_with_kernel  # GoBGP rests for 30 s after a reset
def test_sessions_that_are_reset_come_back(world, kind):
    router = world.start_router(kind)
    announcer = world.start_announcer()
    wait_both(router)
    for _ in range(3):
        lost = announcer.metric("godwit_announcer_bgp_lost_total")
        router.reset(NODE4)
        godwit.wait_until(lambda n=lost: announcer.metric("godwit_announcer_bgp_lost_total") > n)
        router.wait_session(NODE4)
        godwit.wait_until(lambda: NODE4 in router.wait_route(SERVICE4).next_hops)


def test_a_silent_router_is_given_up_when_the_hold_time_ends(world):
    router = world.start_router(Bird)
    announcer = world.start_announcer(hold_time_s=3)
    wait_both(router)
    watch, stopped = Stopwatch(), time.monotonic()
    router.programs[0].process.send_signal(signal.SIGSTOP)
    godwit.wait_until(lambda: all(peer["state"] != "Established"
                                  for peer in announcer.status()["peers"]), 8)
    assert time.monotonic() - stopped > 1.5 and watch.seconds < 6
    assert "hold timer expired" in announcer.status()["peers"][0]["last_error"]
    router.programs[0].process.send_signal(signal.SIGCONT)
    router.wait_session(NODE4)
    wait_both(router)


def test_an_announcer_stopped_for_longer_than_the_hold_time_takes_up_its_work(world):
    router = world.start_router(Frr)
    announcer = world.start_announcer(hold_time_s=3)
    wait_both(router)
    announcer.process.send_signal(signal.SIGSTOP)
    router.wait_no_route(SERVICE4)
    announcer.process.send_signal(signal.SIGCONT)
    wait_both(router)
    router.wait_session(NODE4)
    router.wait_session(NODE6)
    assert announcer.metric("godwit_announcer_service_downs_total") == 0  # DNS was there throughout


def test_a_next_hop_that_goes_and_another_that_comes(world):
    router = world.start_router(Bird, Peer(NODE4, NODE_AS))
    announcer = world.start_announcer({"address": ROUTER4, "as": ROUTER_AS})
    wait_both(router)
    world.node.run("ip", "-6", "address", "delete", f"{NODE6}/64", "dev", world.link.a)
    router.wait_no_route(SERVICE6)
    godwit.wait_until(lambda: "no next hop" in announcer.status()["peers"][0]["held_back"])
    world.node.add_address(world.link.a, "2001:db8:77::9/64")
    assert hops(router.wait_route(SERVICE6)) == {"2001:db8:77::9"}
    assert announcer.status()["peers"][0]["established"] == 1


@every_router
def test_a_silent_dns_is_withdrawn_and_comes_back(world, kind):
    router = world.start_router(kind)
    world.start_announcer()
    wait_both(router)
    world.dns.answering = False
    router.wait_no_route(SERVICE4)
    router.wait_no_route(SERVICE6)
    assert router.session(NODE4) == router.session(NODE6) == "Established"
    world.dns.answering = True
    wait_both(router)


@every_router
def test_a_clean_end_is_announced_before_it_comes(world, kind):
    """RFC 8326, then the withdrawal, then RFC 9003."""
    internal = kind is Bird
    asn = NODE_AS if internal else ROUTER_AS
    router = world.start_router(kind, Peer(NODE4, NODE_AS), asn=asn)
    announcer = world.start_announcer({"address": ROUTER4, "as": asn}, graceful_shutdown_ms=3000,
                                      shutdown_message="maintenance till six")
    wait_both(router)
    announcer.process.send_signal(signal.SIGTERM)
    for prefix in (SERVICE4, SERVICE6):
        def last_resort():
            route = router.route(prefix)
            return route and "65535:0" in route.communities and route
        route = godwit.wait_until(last_resort, 5, 0.02, f"{prefix} is announced as a last resort")
        assert not internal or route.local_pref == 0
    router.wait_no_route(SERVICE4)
    router.wait_no_route(SERVICE6)
    assert announcer.wait_end(10) == 0
    godwit.wait_until(lambda: "maintenance till six" in router.notified(NODE4),
                      message=router.notified(NODE4))
    assert "192.0.2.53" not in world.node.run("ip", "address", "show", "dev", "lo").stdout


def test_a_router_that_dies_does_not_disturb_the_other(world):
    """FRR over IPv4 and BIRD over IPv6, at the same time."""
    other = Bird(world.router_ns, ROUTER_AS, "10.77.0.253", [Peer(NODE6, NODE_AS, passive=True)])
    world.daemons.append(other)
    far = world.add_hop()
    router = world.start_router(Frr, Peer(NODE4, NODE_AS, hops=3, source=FAR4), namespace=far)
    announcer = world.start_announcer({"address": FAR4, "as": ROUTER_AS, "multihop": 3},
                                      {"address": ROUTER6, "as": ROUTER_AS})
    wait_both(router)
    wait_both(other)
    router.kill()
    godwit.wait_until(lambda: announcer.status()["peers"][0]["state"] != "Established")
    assert announcer.status()["peers"][1]["state"] == "Established"
    wait_both(other)
    router.start()
    wait_both(router)
    assert announcer.status()["peers"][1]["established"] == 1


# --- BFD ------------------------------------------------------------------------------------------

def start_with_bfd(world, kind, family=4, **peer):
    node, there = (NODE4, ROUTER4) if family == 4 else (NODE6, ROUTER6)
    router = world.start_router(kind, Peer(node, NODE_AS, bfd=(100, 100, 3)))
    announcer = world.start_announcer({"address": there, "as": ROUTER_AS, "bfd": BFD, **peer})
    wait_both(router)
    router.wait_bfd(node)
    godwit.wait_until(lambda: announcer.status()["peers"][0]["bfd"]["state"] == "up")
    return router, announcer, node


@pytest.mark.parametrize("family", [4, 6])
@routers_with_kernel
def test_bfd_tells_the_router_of_a_stopped_announcer(world, kind, family):
    _, announcer, node = start_with_bfd(world, kind, family)
    prefix = SERVICE4 if family == 4 else SERVICE6
    godwit.wait_until(lambda: kernel_next_hops(world.router_ns, prefix))
    watch = FibWatch(world.router_ns)
    stopped = time.time()
    announcer.process.send_signal(signal.SIGSTOP)
    gone = watch.wait(prefix, lambda hops: not hops, stopped, 5)
    assert gone and seconds_between(stopped, gone) < 1.2, (gone and gone - stopped, watch.events)
    announcer.process.send_signal(signal.SIGCONT)
    world.router.wait_bfd(node)
    wait_both(world.router)


@routers_with_kernel
def test_bfd_tells_the_announcer_of_a_stopped_router(world, kind):
    router, announcer, node = start_with_bfd(world, kind)
    watch = Stopwatch()
    for program in router.programs:
        program.process.send_signal(signal.SIGSTOP)
    godwit.wait_until(lambda: announcer.status()["peers"][0]["state"] != "Established", 5)
    assert watch.seconds < 1.5
    assert "bfd" in announcer.status()["peers"][0]["last_error"].lower()
    for program in router.programs:
        program.process.send_signal(signal.SIGCONT)
    router.wait_session(node)
    wait_both(router)
    router.wait_bfd(node)


def test_bfd_that_ends_alone_costs_one_reset(world):
    """FRR's bfdd dies and comes back; bgpd goes on."""
    router, announcer, node = start_with_bfd(world, Frr)
    router.restart_bfd()
    godwit.wait_until(lambda: announcer.status()["peers"][0]["bfd"]["downs"] == 1)
    router.wait_bfd(node)
    godwit.wait_until(lambda: announcer.status()["peers"][0]["bfd"]["state"] == "up")
    router.wait_session(node)
    wait_both(router)


@routers_with_kernel
def test_bfd_stays_up_while_dns_is_withdrawn(world, kind):
    router, announcer, node = start_with_bfd(world, kind)
    world.dns.answering = False
    router.wait_no_route(SERVICE4)
    assert router.bfd(node) == "up"
    assert announcer.status()["peers"][0]["bfd"]["state"] == "up"


@routers_with_kernel
def test_bfd_over_several_hops(world, kind):
    far = world.add_hop()
    router = world.start_router(kind, Peer(NODE4, NODE_AS, hops=3, source=FAR4, bfd=(100, 100, 3)),
                                namespace=far)
    announcer = world.start_announcer(
        {"address": FAR4, "as": ROUTER_AS, "multihop": 3, "source": NODE4, "bfd": BFD})
    wait_both(router)
    router.wait_bfd(NODE4)
    watch = FibWatch(far)
    stopped = time.time()
    announcer.process.send_signal(signal.SIGSTOP)
    gone = watch.wait(SERVICE4, lambda hops: not hops, stopped, 5)
    assert gone and seconds_between(stopped, gone) < 1.2
    announcer.process.send_signal(signal.SIGCONT)


@routers_with_kernel
def test_a_clean_end_is_no_failure_to_bfd(world, kind):
    """AdminDown: the router hears of the end by BGP, in its own time."""
    router, announcer, node = start_with_bfd(world, kind)
    announcer.stop()
    godwit.wait_until(lambda: router.bfd(node) != "up")
    assert "bfd" not in router.notified(node).lower()
    router.wait_no_route(SERVICE4)
