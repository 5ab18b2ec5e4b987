"""The announcer on a bad night: routers that flood and talk nonsense, a hundred of them, changes of
the host faster than they can be read, no descriptors left. DNS that fails must still be withdrawn
at once, and all must come back by itself."""

import contextlib
import os
import resource
import signal
import struct
import threading

import pytest

import godwit
import router_lab
from bgp_peer import BgpPeer
from godwit import wait_until
from machine_clock import Stopwatch
from router_lab import Announcer, Lab, Responder, inside

V4 = "192.0.2.53/32"
DNS_PORT = 5353
FALL_MS = 200 + 50 + 100  # timeout, interval, and what is allowed besides


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
    return lab.namespace("host")


@pytest.fixture
def dns_server(host):
    return Responder(host, port=DNS_PORT)


def start(host, peers, **bgp):
    announcer = inside(host, Announcer, {
        "service": {"probe": {
            "address": f"127.0.0.1:{DNS_PORT}", "protocols": ["udp"], "name": "health.example",
            "type": "A", "interval_ms": 50, "timeout_ms": 200}},
        "addresses": [{"prefix": V4, "interface": "lo"}],
        "bgp": {"router_id": "192.0.2.1", "as": 64512, "connect_retry_ms": 100,
                "graceful_shutdown_ms": 0, "shutdown_wait_ms": 0,
                "peers": [{"address": f"{peer.host}:{peer.port}", "as": peer.asn,
                           "next_hop_ipv4": "198.51.100.1"} for peer in peers], **bgp}})
    return announcer.wait_ready()


def update(origin=0):
    """An UPDATE for 10.0.0.0/8; an `origin` over 2 makes it one that is treated as a withdrawal."""
    attributes = (b"\x40\x01\x01" + bytes([origin]) + b"\x40\x02\x06\x02\x01" +
                  struct.pack("!I", 64513) + b"\x40\x03\x04\xc6\x33\x64\x02")
    body = b"\0\0" + struct.pack("!H", len(attributes)) + attributes + b"\x08\x0a"
    return b"\xff" * 16 + struct.pack("!HB", 19 + len(body), 2) + body


class FloodingPeer(BgpPeer):
    """Sends the same octets as fast as they are taken, once told to."""

    def flood(self, octets):
        threading.Thread(target=self._flood, args=(octets,), daemon=True).start()

    def _flood(self, octets):
        with contextlib.suppress(OSError):
            while not self._ended:
                self.send(octets)


def row(announcer):
    return announcer.status()["peers"][0]


def assert_withdrawn_in_time(dns_server, peers):
    watch = Stopwatch()
    dns_server.answering = False
    for peer in peers:
        peer.wait_gone(V4)
    assert watch.seconds < (5 if godwit.SANITIZED else FALL_MS / 1000 + 0.5)


@pytest.mark.parametrize("origin", [0, 9])
def test_a_router_that_floods_delays_no_withdrawal(lab, host, dns_server, origin):
    flooder = lab.keep(FloodingPeer(namespace=host))
    other = lab.keep(BgpPeer(namespace=host, host="127.0.0.2"))
    announcer = start(host, [flooder, other])
    other.wait_route(V4)
    flooder.flood(update(origin) * 200)
    counted = "malformed_received" if origin else "routes_received"
    wait_until(lambda: row(announcer)[counted] > 20000)
    assert_withdrawn_in_time(dns_server, [other, flooder])
    assert row(announcer)["state"] == "Established"
    dns_server.answering = True
    other.wait_route(V4)


def test_a_hundred_routers_hear_of_it_together(lab, host, dns_server):
    peers = [lab.keep(BgpPeer(namespace=host, host=f"127.0.1.{number}"))
             for number in range(1, 101)]
    announcer = start(host, peers)
    for peer in peers:
        peer.wait_route(V4)
    assert_withdrawn_in_time(dns_server, peers)
    assert all(row["state"] == "Established" for row in announcer.status()["peers"])
    watch = Stopwatch()
    announcer.stop()
    assert watch.seconds < 5
    for peer in peers:
        assert peer.wait_event("notification").data[:2] == b"\x06\x02"


def test_changes_of_the_host_that_are_lost_are_made_good(lab, host, dns_server, tmp_path):
    """More than the kernel keeps for us (ENOBUFS), the loss of our own address among them."""
    peer = lab.keep(BgpPeer(namespace=host))
    announcer = start(host, [peer])
    addresses = [f"10.{number >> 8}.{number & 255}.1/32" for number in range(3000)]
    batch = tmp_path / "batch"
    batch.write_text("".join(f"address add {address} dev lo\n" for address in addresses) +
                     f"address del {V4} dev lo\n")
    before = len(peer.events)
    announcer.process.send_signal(signal.SIGSTOP)
    host.run("ip", "-batch", batch)
    announcer.process.send_signal(signal.SIGCONT)
    wait_until(lambda: f"inet {V4} " in host.run("ip", "address", "show", "dev", "lo").stdout)
    peer.wait_route(V4)
    assert row(announcer)["state"] == "Established"
    assert not any(event.kind == "down" for event in peer.events[before:])
    assert_withdrawn_in_time(dns_server, [peer])


def test_without_descriptors_it_withdraws_and_comes_back(lab, host, dns_server):
    peer = lab.keep(BgpPeer(namespace=host))
    announcer = start(host, [peer])
    used = len(os.listdir(f"/proc/{announcer.process.pid}/fd"))
    before = resource.prlimit(announcer.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(announcer.process.pid, resource.RLIMIT_NOFILE, (3, before[1]))
    peer.wait_gone(V4)
    wait_until(lambda: "Too many open files" in announcer.log())
    resource.prlimit(announcer.process.pid, resource.RLIMIT_NOFILE, before)
    peer.wait_route(V4)
    assert row(announcer)["state"] == "Established"
    assert len(os.listdir(f"/proc/{announcer.process.pid}/fd")) <= used + 3
    assert dns_server.answering
