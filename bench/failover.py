"""How soon a dead DNS node is out of the router, and what it costs the clients.

    failover.py [--quick] [--runs N] [--contestants LIST] [--scenarios LIST] [--router bird|frr]
                [--json FILE]

Two nodes with a godwit-frontend and a godwit-backend each, behind one router (BIRD, or FRR, which
by itself takes some 70 ms from a withdrawal to its kernel); all clients go to node 1 until it
fails, then to node 2. Everything is in network namespaces; see test/integration/anycast_site.py. A
client asks 200 times a second and never twice. What differs is who announces:

    godwit    godwit-announcer: probe every 200 ms, fall 3; BFD 100 ms x 3; the front end's life line
    vtysh     a shell loop, once a second: dig, and `network` or `no network` by vtysh into FRR
    gobgp     gobgpd, fed by the same loop with `gobgp global rib add` and `del`

The loops withdraw at the first failed dig (1 s time-out), and their BGP sessions have a hold time of
9 s, the shortest that is usual, and no BFD.

    killed     kill -9 of the front end
    silent     SIGSTOP of the front end: it is there and does not answer
    cut        the node is cut off from the network and nobody sees a carrier change
    restart    SIGTERM of the front end, and a new one as soon as it has ended
    announcer  SIGTERM of what announces, and a new one

For each run: the time from the failure until the kernel of the router has the node's route no more
(as `ip monitor` tells it), the queries without an answer within a second, from the failure until
after the node is back, and the longest time without an answer. The table has medians and the worst.
"""

import argparse
import contextlib
import json
import random
import signal
import statistics
import sys
import time

from lab import install, machine, print_table, say

import router_lab  # noqa: E402  (lab puts the integration tests' helpers into the path)
from anycast_site import NODE_AS, ROUTER4, ROUTER_AS, SERVICE4, SERVICE6, Node, Site
from router_lab import Bird, Frr, Gobgp, Peer

PREFIX = f"{SERVICE4}/32"
PACKAGES = ["iproute2", "frr", "bird2", "gobgpd", "bind9-dnsutils"]
INTERVAL_MS = 5
AIMS = {"killed": "50 ms", "silent": "700 ms", "cut": "400 ms", "restart": "0 lost",
        "announcer": "0 lost"}

LOOP = """\
up=no
while :; do
    if dig +time=1 +tries=1 +short @127.0.0.1 example.com SOA | grep -q '^ns1'; then
        [ $up = yes ] || { %(announce)s; } && up=yes
    else
        [ $up = no ] || { %(withdraw)s; } && up=no
    fi
    sleep 1
done
"""


# --- the contestants ------------------------------------------------------------------------------

class GodwitNode(Node):
    name, bfd = "godwit", True

    def restart_announcer(self):
        self.announcer.stop()
        self.announcer.start()


class LoopNode(Node):
    """A node whose service is announced by a shell loop, through a router on the node itself."""

    bfd = False

    def frontend_options(self):
        return {}

    def start_announcer(self, bfd=True):
        del bfd
        for address in (f"{SERVICE4}/32", f"{SERVICE6}/128"):
            self.namespace.add_address("lo", address)
        self.speaker = self.start_speaker(Peer(ROUTER4, ROUTER_AS, announce=True))
        self.start_loop()

    def start_loop(self):
        self.loop = self.namespace.start("loop", "bash", "-c", LOOP % self.commands())

    def restart_announcer(self):
        self.loop.stop()
        self.speaker.restart()
        self.start_loop()


class VtyshNode(LoopNode):
    name = "vtysh"

    def start_speaker(self, peer):
        return Frr(self.namespace, NODE_AS, self.next_hop, [peer],
                   extra=f"route-map service permit 10\n set metric {self.med}\nexit\n")

    def commands(self):
        vtysh = (f"vtysh --vty_socket {self.speaker.directory} -c 'configure terminal' "
                 f"-c 'router bgp {NODE_AS}' -c 'address-family ipv4 unicast' -c ")
        return {"announce": f"{vtysh}'network {PREFIX} route-map service'",
                "withdraw": f"{vtysh}'no network {PREFIX}'"}


class GobgpNode(LoopNode):
    name = "gobgp"

    def start_speaker(self, peer):
        return Gobgp(self.namespace, NODE_AS, self.next_hop, [peer])

    def commands(self):
        return {"announce": f"gobgp global rib add {PREFIX} med {self.med}",
                "withdraw": f"gobgp global rib del {PREFIX}"}


CONTESTANTS = {cls.name: cls for cls in (GodwitNode, VtyshNode, GobgpNode)}


# --- the scenarios --------------------------------------------------------------------------------

# What fails, and how it comes back.

class Killed:
    def fail(self, site, node):
        node.frontend.process.kill()

    def heal(self, site, node):
        node.frontend.process.wait()
        node.frontend.start()


class Silent:
    def fail(self, site, node):
        node.frontend.process.send_signal(signal.SIGSTOP)

    def heal(self, site, node):
        """As the night shift would: what waits in its sockets is lost."""
        node.frontend.kill()
        node.frontend.start()


class Cut:
    def fail(self, site, node):
        site.cut(node)

    def heal(self, site, node):
        site.mend(node)


class Restart:
    def fail(self, site, node):
        node.frontend.process.send_signal(signal.SIGTERM)
        node.frontend.process.wait(20)
        node.frontend.start()

    def heal(self, site, node):
        pass


class AnnouncerRestart:
    def fail(self, site, node):
        node.restart_announcer()

    def heal(self, site, node):
        pass


SCENARIOS = {"killed": Killed, "silent": Silent, "cut": Cut, "restart": Restart,
             "announcer": AnnouncerRestart}


def run_once(site, scenario):
    """One failure of node 1 and its return."""
    node = site.nodes[0]
    client = site.client(interval_ms=INTERVAL_MS)
    time.sleep(0.2 + random.random())  # anywhere in the probe's and the loops' rounds
    failed = time.time()
    scenario.fail(site, node)
    gone = site.fib.wait_gone(PREFIX, node.next_hop, failed, timeout=20)
    time.sleep(0.3)
    scenario.heal(site, node)
    site.wait_both(60)
    time.sleep(0.3)
    outage = client.outage(since=failed - 0.05)
    return {"gone_ms": (gone - failed) * 1000 if gone else None, "lost": outage.lost,
            "silence_ms": outage.silence * 1000}


def measure(contestant, scenario_names, router_kind, runs):
    rows = []
    with contextlib.ExitStack() as stack:
        lab = stack.enter_context(router_lab.Lab())
        site = Site(lab, router_kind, preferred=True, bfd=contestant.bfd, node_class=contestant)
        site.wait_both(60)
        for name in scenario_names:
            say(f"{contestant.name}: {name}, {runs} runs")
            results = [run_once(site, SCENARIOS[name]()) for _ in range(runs)]
            rows.append(summary(contestant.name, name, results))
        # Figures that were taken are not lost for a program that ends badly, but it is told.
        lab_end = stack.pop_all()
    try:
        lab_end.close()
    except AssertionError as failure:
        say(f"{contestant.name}: {failure}")
    return rows


def summary(contestant, scenario, results):
    gone = [result["gone_ms"] for result in results if result["gone_ms"] is not None]
    return {
        "contestant": contestant, "scenario": scenario, "aim": AIMS[scenario],
        "gone_ms": statistics.median(gone) if gone else None,
        "gone_worst_ms": max(gone, default=None),
        "never_gone": len(results) - len(gone),
        "lost": statistics.median(result["lost"] for result in results),
        "lost_worst": max(result["lost"] for result in results),
        "silence_ms": statistics.median(result["silence_ms"] for result in results),
        "silence_worst_ms": max(result["silence_ms"] for result in results),
        "runs": results,
    }


# --- the program ----------------------------------------------------------------------------------

def parse_arguments():
    parser = argparse.ArgumentParser(
        prog="scripts/bench failover", description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="3 runs instead of 20")
    parser.add_argument("--runs", type=int)
    parser.add_argument("--contestants", default=",".join(CONTESTANTS))
    parser.add_argument("--scenarios", default=",".join(SCENARIOS))
    parser.add_argument("--router", choices=["bird", "frr"], default="bird")
    parser.add_argument("--json", metavar="FILE", help="every run's figures")
    options = parser.parse_args()
    options.runs = options.runs or (3 if options.quick else 20)
    for key, known in (("contestants", CONTESTANTS), ("scenarios", SCENARIOS)):
        names = getattr(options, key).split(",")
        unknown = sorted(set(names) - set(known))
        if unknown:
            parser.error(f"{key}: {', '.join(unknown)} is not one of {', '.join(known)}")
        setattr(options, key, names)
    return options


def main():
    options = parse_arguments()
    missing = install(PACKAGES)
    if missing:
        sys.exit(f"failover.py: cannot do without {', '.join(missing)}")
    refusal = router_lab.refusal()
    if refusal:
        sys.exit(f"failover.py: {refusal}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    router_kind = {"bird": Bird, "frr": Frr}[options.router]
    rows = []
    for name in options.contestants:
        rows += measure(CONTESTANTS[name], options.scenarios, router_kind, options.runs)
    rows.sort(key=lambda row: options.scenarios.index(row["scenario"]))
    print_table(
        f"Node 1 of 2 fails; router {options.router}; medians (and worst) of {options.runs} runs",
        rows, [("scenario", "scenario"), ("contestant", "announced by"),
               ("gone_ms", "route gone, ms"), ("gone_worst_ms", "(worst)"), ("aim", "aim"),
               ("lost", "queries lost"), ("lost_worst", "(worst)"),
               ("silence_ms", "no answer for, ms"), ("silence_worst_ms", "(worst)")])
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"machine": machine(), "router": options.router,
                       "queries_per_second": 1000 / INTERVAL_MS, "results": rows}, file, indent=1)


if __name__ == "__main__":
    main()
