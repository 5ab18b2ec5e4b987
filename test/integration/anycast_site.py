"""Two DNS nodes behind one router, and a client: where failures are tested and measured.

    client --- router --- switch --- node 1, node 2

Each node is a namespace with a backend on a store of its own, a front end on port 53 of all its
addresses, and what announces the service's address to the router: the announcer, in Site, or
another program in bench/failover.py. The client's way to the service is what the router has
learned.

    Site(lab, router_kind)      starts it all; preferred=True: node 1 has the better route (MED),
                                else flows are spread over both
    site.nodes[0].frontend      likewise .backend, .announcer, .next_hop
    site.wait_both()            until the router has the routes of both (or of the better) in its FIB
    site.cut(node), .mend(node) takes a node off the network so that nobody sees a carrier change
"""

import godwit
from router_lab import (Announcer, FibWatch, Peer, SteadyClient, inside, kernel_next_hops)

NODE_AS, ROUTER_AS = 64512, 64513
SERVICE4, SERVICE6 = "192.0.2.53", "2001:db8:53::53"
ROUTER4, ROUTER6 = "10.77.0.254", "2001:db8:77::fe"
BFD_MS, BFD_MULTIPLIER = 100, 3
INTERVAL_MS, FALL = 200, 3  # of the probe


class Node:
    """One node. `number` is 1 or 2."""

    def __init__(self, site, number):
        self.site = site
        self.number = number
        self.namespace = site.lab.namespace(f"node{number}")
        self.next_hop = f"10.77.0.{number}"
        self.next_hop6 = f"2001:db8:77::{number}"
        self.backend = self.frontend = self.announcer = None

    def configure_network(self, interface):
        self.interface = interface
        self.namespace.add_address(interface, f"{self.next_hop}/24")
        self.namespace.add_address(interface, f"{self.next_hop6}/64")
        self.namespace.run("ip", "route", "add", "default", "via", ROUTER4)
        self.namespace.run("ip", "-6", "route", "add", "default", "via", ROUTER6)

    def start_dns(self, cache_mb=8):
        directory = self.site.lab.make_directory("store")
        store = godwit.Store(directory).init().load_zone()
        self.backend = inside(self.namespace, godwit.Backend, store)
        self.frontend = inside(
            self.namespace, godwit.Frontend, [self.backend],
            listen=[{"address": f"{any_}:53", "protocols": ["udp", "tcp"]}
                    for any_ in ("0.0.0.0", "[::]")],
            workers=1, cache={"size_mb": cache_mb, "serve_stale_s": 3600},
            **self.frontend_options())

    def frontend_options(self):
        return {"watch_socket": str(self.life_line)}

    def wait_dns(self):
        self.backend.wait_ready()
        self.frontend.wait_ready()

    def start_announcer(self, bfd=True):
        """The announcer, as close to a plain configuration as can be."""
        addresses = [{"prefix": f"{SERVICE4}/32", "interface": "lo"},
                     {"prefix": f"{SERVICE6}/128", "interface": "lo"}]
        peer = {"address": ROUTER4, "as": ROUTER_AS, "med": self.med}
        if bfd:
            peer["bfd"] = {"min_tx_ms": BFD_MS, "min_rx_ms": BFD_MS, "multiplier": BFD_MULTIPLIER}
        self.announcer = inside(self.namespace, Announcer, {
            "service": {
                "probe": {"address": "127.0.0.1:53", "protocols": ["udp", "tcp"],
                          "name": "example.com.", "type": "SOA", "interval_ms": INTERVAL_MS,
                          "timeout_ms": 500, "rise": 3, "fall": FALL},
                "watch_socket": str(self.life_line)},
            "addresses": addresses,
            "bgp": {"router_id": self.next_hop, "as": NODE_AS, "next_hop_interface": self.interface,
                    "hold_time_s": 9, "connect_retry_ms": 500, "graceful_shutdown_ms": 500,
                    "shutdown_wait_ms": 300, "peers": [peer]},
        })

    @property
    def med(self):
        return 100 * (self.number - 1) if self.site.preferred else 0

    @property
    def life_line(self):
        """The front end's life line, where it and the announcer meet."""
        return self.site.lab.directory / f"life{self.number}.sock"


class Site:
    def __init__(self, lab, router_kind, preferred=False, bfd=True, node_class=Node, **dns):
        self.lab = lab
        self.preferred = preferred
        self.nodes = [node_class(self, number) for number in (1, 2)]
        self._lay_network()
        peer_bfd = (BFD_MS, BFD_MS, BFD_MULTIPLIER) if bfd else None
        self.router = router_kind(
            self.router_ns, ROUTER_AS, ROUTER4,
            [Peer(node.next_hop, NODE_AS, bfd=peer_bfd) for node in self.nodes])
        self.fib = FibWatch(self.router_ns)
        for node in self.nodes:
            self.start_node(node, bfd, **dns)
        for node in self.nodes:
            node.wait_dns()

    def start_node(self, node, bfd, **dns):
        node.start_dns(**dns)
        node.start_announcer(bfd)

    def _lay_network(self):
        self.client_ns = self.lab.namespace("client")
        self.router_ns = self.lab.namespace("router")
        self.router_ns.forward()
        self.switch = self.lab.switch([self.router_ns] + [node.namespace for node in self.nodes])
        for node in self.nodes:
            node.configure_network(self.switch.interface[node.namespace])
        interface = self.switch.interface[self.router_ns]
        self.router_ns.add_address(interface, f"{ROUTER4}/24")
        self.router_ns.add_address(interface, f"{ROUTER6}/64")
        link = self.lab.link(self.client_ns, self.router_ns)
        for address, gateway in (("10.79.0.2/24", "10.79.0.1"),
                                 ("2001:db8:79::2/64", "2001:db8:79::1")):
            self.client_ns.add_address(link.a, address)
            self.router_ns.add_address(link.b, gateway + "/" + address.split("/")[1])
            self.client_ns.run("ip", "-6" if ":" in gateway else "-4", "route", "add", "default",
                               "via", gateway)

    def client(self, server=SERVICE4, **options):
        return SteadyClient(self.client_ns, server, **options)

    def cut(self, node):
        self.switch.cut(node.namespace)

    def mend(self, node):
        self.switch.mend(node.namespace)

    def wait_next_hops(self, *nodes, timeout=20):
        """Until the router's kernel sends the service's packets to exactly these nodes."""
        expected = {node.next_hop for node in nodes}
        godwit.wait_until(
            lambda: kernel_next_hops(self.router_ns, f"{SERVICE4}/32") == expected, timeout, 0.02,
            f"the router sends to {expected}")

    def wait_both(self, timeout=20):
        if self.preferred:
            for node in self.nodes:
                godwit.wait_until(
                    lambda hop=node.next_hop: hop in (self.router.route(f"{SERVICE4}/32") or
                                                      self.NOTHING).next_hops,
                    timeout, 0.05, f"the router knows {node.next_hop}")
            self.wait_next_hops(self.nodes[0], timeout=timeout)
        else:
            self.wait_next_hops(*self.nodes, timeout=timeout)

    class NOTHING:
        next_hops = ()
