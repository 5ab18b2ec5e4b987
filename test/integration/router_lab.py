"""Real routers in network namespaces, for the announcer's tests and its benchmark.

    refusal()                   why this machine cannot have such a lab, or None
    Lab()                       namespaces, links and all that runs in them; a context manager that
                                ends and removes everything
    lab.namespace(name)         a Namespace: .entered(), .run(*command), .start(name, *command)
    lab.link(a, b)              a veth pair between two namespaces; Link.a and Link.b are the ends'
                                interface names
    lab.switch([a, b, ...])     a bridge between namespaces; .cut(namespace) takes one off it so that
                                no carrier changes anywhere, .mend(namespace) puts it back
    Peer(address, asn, ...)     a neighbour as a router is to know it
    Frr, Bird, Gobgp            routers with one face: .session(peer), .route(prefix), .bfd(peer),
                                .refresh(peer), .reset(peer), .notified(peer), .restart(), .kill()
    Announcer, Frontend, ...    godwit's programs in a namespace: inside(namespace, cls, ...)
    FibWatch(namespace)         the kernel's routes as they change, with the time of each change
    SteadyClient(namespace)     a client that asks at a steady rate, and what became of each query
    Responder(namespace)        a DNS server of a few lines that can fall silent

A namespace here has no name: it is held by a descriptor, and is gone with the last process in it,
however the tests end. All processes die with the thread that started them.
"""

import contextlib
import ctypes
import dataclasses
import datetime
import ipaddress
import json
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

import godwit

CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
FRR_PROGRAMS = pathlib.Path("/usr/lib/frr")
CLIENT = pathlib.Path(__file__).with_name("steady_client.py")

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result, what):
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")


def _die_with_parent():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _own_namespace():
    """The calling thread's network namespace, as a descriptor."""
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def refusal():
    """Why there can be no lab here, in words for a skipped test; None when there can."""
    if not shutil.which("ip"):
        return "no network namespaces: the program ip (iproute2) is missing"
    try:
        with Lab() as lab:
            lab.switch([lab.namespace("a"), lab.namespace("b")])
    except OSError as error:
        return f"the kernel refuses network namespaces: {error}"
    except AssertionError as error:
        return f"the kernel refuses virtual links: {error}"
    return None


# --- namespaces and links -------------------------------------------------------------------------

class Program:
    """A process of the lab, with its output in a file."""

    def __init__(self, name, command, directory, env=None):
        self.name = name
        self.log_path = pathlib.Path(directory) / f"{name}.log"
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [str(part) for part in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd=directory, env=env or godwit.environment(), preexec_fn=_die_with_parent)

    @property
    def pid(self):
        return self.process.pid

    def log(self):
        return self.log_path.read_text(errors="replace")

    def is_running(self):
        return self.process.poll() is None

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self, timeout=5):
        if self.is_running():
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()


class Namespace:
    """A network namespace. Routers and programs in it are started through its lab."""

    def __init__(self, lab, name):
        self.lab = lab
        self.name = name
        before = _own_namespace()
        try:
            _check(_libc.unshare(CLONE_NEWNET), "unshare(CLONE_NEWNET)")
            self.fd = _own_namespace()
            _check(_libc.setns(before, CLONE_NEWNET), "setns")
        finally:
            os.close(before)
        self.path = f"/proc/{os.getpid()}/fd/{self.fd}"
        self.run("ip", "link", "set", "lo", "up")
        self.sysctl("net.ipv6.conf.all.accept_dad", 0)
        self.sysctl("net.ipv6.conf.default.accept_dad", 0)
        self.sysctl("net.ipv4.conf.all.rp_filter", 0)
        self.sysctl("net.ipv4.conf.default.rp_filter", 0)

    @contextlib.contextmanager
    def entered(self):
        """The calling thread's sockets and children are in here meanwhile."""
        before = _own_namespace()
        _check(_libc.setns(self.fd, CLONE_NEWNET), "setns")
        try:
            yield self
        finally:
            _check(_libc.setns(before, CLONE_NEWNET), "setns")
            os.close(before)

    def run(self, *command, check=True, timeout=20):
        with self.entered():
            return godwit.run(*command, check=check, timeout=timeout)

    def start(self, name, *command, directory=None, env=None):
        with self.entered():
            program = Program(name, command, directory or self.lab.make_directory(name), env)
        return self.lab.keep(program)

    def sysctl(self, name, value):
        with self.entered():
            pathlib.Path("/proc/sys", *name.split(".")).write_text(str(value))

    def forward(self):
        """Makes it a router that spreads flows over equal paths by address and port."""
        self.sysctl("net.ipv4.ip_forward", 1)
        self.sysctl("net.ipv6.conf.all.forwarding", 1)
        self.sysctl("net.ipv4.fib_multipath_hash_policy", 1)
        self.sysctl("net.ipv6.fib_multipath_hash_policy", 1)

    def add_address(self, interface, address):
        options = ["nodad"] if ":" in address else []
        self.run("ip", "address", "add", address, "dev", interface, *options)

    def close(self):
        os.close(self.fd)


@dataclasses.dataclass
class Link:
    a: str
    b: str


class Switch:
    """A bridge in a namespace of its own. Cutting off one of its ports is what a cable cut two
    switches away looks like: frames are lost and nobody sees a carrier change."""

    def __init__(self, lab, members):
        self.namespace = lab.namespace("switch")
        self.namespace.run("ip", "link", "add", "bridge", "type", "bridge", "mcast_snooping", "0")
        self.namespace.run("ip", "link", "set", "bridge", "up")
        self.interface = {}
        self._port = {}
        for member in members:
            link = lab.link(member, self.namespace)
            self.interface[member] = link.a
            self._port[member] = link.b
            self.mend(member)

    def cut(self, member):
        self.namespace.run("ip", "link", "set", self._port[member], "nomaster")

    def mend(self, member):
        self.namespace.run("ip", "link", "set", self._port[member], "master", "bridge")


class Lab:
    """Owns namespaces, processes and a directory for all their files, readable by all users."""

    def __init__(self):
        self._stack = contextlib.ExitStack()
        self._kept = []
        self._links = 0

    def __enter__(self):
        self.directory = pathlib.Path(
            self._stack.enter_context(tempfile.TemporaryDirectory(prefix="godwit-lab-")))
        self.directory.chmod(0o755)
        return self

    def __exit__(self, *exception):
        for thing in self._kept:
            if hasattr(thing, "begin_stop"):
                thing.begin_stop()
        return self._stack.__exit__(*exception)

    def make_directory(self, name):
        directory = pathlib.Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.directory))
        directory.chmod(0o755)
        return directory

    def keep(self, thing):
        """Ends `thing` with the lab, before what was kept earlier."""
        self._kept.append(thing)
        self._stack.callback(thing.stop)
        return thing

    def namespace(self, name):
        namespace = Namespace(self, name)
        self._stack.callback(namespace.close)
        return namespace

    def link(self, a, b):
        self._links += 1
        names = Link(f"{b.name}{self._links}"[:15], f"{a.name}{self._links}"[:15])
        a.run("ip", "link", "add", "name", names.a, "type", "veth", "peer", "name", names.b,
              "netns", b.path)
        a.run("ip", "link", "set", names.a, "up")
        b.run("ip", "link", "set", names.b, "up")
        return names

    def switch(self, members):
        return Switch(self, members)


# --- godwit's programs ----------------------------------------------------------------------------

class Announcer(godwit.Daemon):
    """`config` is announcer.yaml as a dict; "admin" is filled in."""

    name = "godwit-announcer"

    def __init__(self, directory, config, env=None):
        super().__init__(directory, {"admin": godwit.free_address(), **config}, env)

    def status(self):
        code, body = self.get("/status.json")
        assert code == 200, (code, body, self.log())
        return json.loads(body)

    def post(self, path):
        """(status, body) of a POST to the admin server."""
        host, port = godwit.split_address(self.admin)
        with socket.create_connection((host, port), timeout=5) as connection:
            connection.sendall(f"POST {path} HTTP/1.0\r\nContent-Length: 0\r\n\r\n".encode())
            reply = b""
            while piece := connection.recv(4096):
                reply += piece
        head, _, body = reply.partition(b"\r\n\r\n")
        return int(head.split()[1]), body.decode()


def inside(namespace, cls, *arguments, **options):
    """Starts a godwit.Daemon in a namespace and talks to it there. Ends with the lab."""

    class Inside(cls):
        def start(self):
            with namespace.entered():
                return super().start()

        def get(self, path, timeout=5):
            with namespace.entered():
                return super().get(path, timeout)

        if hasattr(cls, "post"):
            def post(self, path):
                with namespace.entered():
                    return super().post(path)

        def begin_stop(self):
            """Has the lab wait for the ends of all programs at the same time."""
            if self.is_running():
                self.process.send_signal(signal.SIGTERM)
                self.process.send_signal(signal.SIGCONT)
                self.ending = True

        def stop(self, expect=0):
            if self.ending:
                assert self.wait_end() == expect, self.log()
            super().stop(expect)

        ending = False

    return namespace.lab.keep(Inside(namespace.lab.directory, *arguments, **options))


# --- routers --------------------------------------------------------------------------------------

@dataclasses.dataclass
class Peer:
    """A neighbour as a router is told of it. `bfd` is (min_tx_ms, min_rx_ms, multiplier)."""

    address: str
    asn: int
    password: str = None
    ttl_security: bool = False
    hops: int = 1
    bfd: tuple = None
    passive: bool = False
    source: str = None
    announce: bool = False  # whether routes of its own are exported to it

    @property
    def family(self):
        return ipaddress.ip_address(self.address).version


@dataclasses.dataclass
class Route:
    """A BGP route as a router has it; what it does not have is None or empty."""

    next_hops: list
    as_path: list
    local_pref: int = None
    med: int = None
    communities: list = dataclasses.field(default_factory=list)
    large: list = dataclasses.field(default_factory=list)


class Router:
    """What the kinds have in common: one set of processes, restarted with the same files."""

    kind = None
    admin = ""

    @property
    def name(self):
        return self.kind

    def __init__(self, namespace, asn, router_id, peers, networks=(), extra=""):
        self.namespace = namespace
        self.asn = asn
        self.router_id = router_id
        self.peers = list(peers)
        self.networks = list(networks)  # announced by itself
        self.extra = extra
        self.directory = namespace.lab.make_directory(self.kind)
        self.programs = []
        namespace.lab.keep(self)
        self.start()

    def run(self, *command, check=True):
        return self.namespace.run(*command, check=check).stdout

    def _launch(self, name, *command):
        with self.namespace.entered():
            self.programs.append(Program(name, command, self.directory))

    def _wait(self, condition, what):
        def ready():
            for program in self.programs:
                assert program.is_running(), f"{program.name} ended:\n{program.log()[-3000:]}"
            return condition()
        godwit.wait_until(ready, 20, 0.05, f"{self.kind}: {what}")

    def stop(self):
        for program in reversed(self.programs):
            program.stop()
        self.programs = []

    def kill(self):
        """All its processes at once, as a crash; routes in the kernel are left."""
        for program in self.programs:
            program.process.kill()
        for program in self.programs:
            program.process.wait()
        self.programs = []

    def restart(self):
        self.stop()
        self.start()

    def log(self):
        return "\n".join(f"--- {path.name}\n{path.read_text(errors='replace')}"
                         for path in sorted(self.directory.glob("*.log")))

    def wait_session(self, peer, state="Established", timeout=20):
        godwit.wait_until(lambda: self.session(peer) == state, timeout, 0.05,
                          f"{self.kind} has {peer} {state}")

    def wait_route(self, prefix, timeout=10):
        return godwit.wait_until(lambda: self.route(prefix), timeout, 0.05,
                                 f"{self.kind} has {prefix}")

    def wait_no_route(self, prefix, timeout=10):
        godwit.wait_until(lambda: not self.route(prefix), timeout, 0.05,
                          f"{self.kind} is rid of {prefix}")

    def wait_bfd(self, peer, state="up", timeout=15):
        godwit.wait_until(lambda: self.bfd(peer) == state, timeout, 0.05,
                          f"{self.kind} has BFD with {peer} {state}")


class Frr(Router):
    """zebra, bgpd and bfdd of FRR."""

    kind = "frr"

    def _configuration(self):
        lines = ["frr defaults datacenter", "log timestamp precision 3",
                 f"router bgp {self.asn}", f" bgp router-id {self.router_id}",
                 " no bgp ebgp-requires-policy", " no bgp default ipv4-unicast",
                 " no bgp network import-check", " bgp bestpath as-path multipath-relax",
                 " bgp graceful-restart-disable", " timers bgp 3 9"]
        for peer in self.peers:
            lines += self._neighbor(peer)
        for version in (4, 6):
            lines += [f" address-family ipv{version} unicast", "  maximum-paths 8",
                      "  maximum-paths ibgp 8"]
            lines += [f"  network {network}" for network in self.networks
                      if ipaddress.ip_network(network).version == version]
            for peer in self.peers:
                lines.append(f"  neighbor {peer.address} activate")
                if not peer.announce:
                    lines.append(f"  neighbor {peer.address} route-map nothing out")
            lines.append(" exit-address-family")
        lines += ["exit", "route-map nothing deny 10", "exit", self.extra]
        return "\n".join(lines) + "\n"

    @staticmethod
    def _neighbor(peer):
        lines = [f"remote-as {peer.asn}", "timers connect 1", "advertisement-interval 0"]
        if peer.password:
            lines.append(f"password {peer.password}")
        if peer.ttl_security:
            lines.append(f"ttl-security hops {peer.hops}")
        elif peer.hops > 1:
            lines.append(f"ebgp-multihop {peer.hops}")
        if peer.passive:
            lines.append("passive")
        if peer.source:
            lines.append(f"update-source {peer.source}")
        if peer.bfd:
            tx, rx, multiplier = peer.bfd
            lines.append(f"bfd {multiplier} {rx} {tx}")
        return [f" neighbor {peer.address} {line}" for line in lines]

    def start(self):
        frr = pwd.getpwnam("frr")
        (self.directory / "empty.conf").write_text("frr defaults datacenter\n")
        (self.directory / "bgpd.conf").write_text(self._configuration())
        for path in [self.directory, *self.directory.glob("*")]:
            os.chown(path, frr.pw_uid, frr.pw_gid)
        common = self._common()
        self._launch("zebra", FRR_PROGRAMS / "zebra", *common,
                     "-f", self.directory / "empty.conf", "-i", self.directory / "zebra.pid")
        self._wait((self.directory / "zserv.api").exists, "zebra listens")
        self._start_bfd(common)
        self._launch("bgpd", FRR_PROGRAMS / "bgpd", *common,
                     "-f", self.directory / "bgpd.conf", "-i", self.directory / "bgpd.pid")
        self._wait(lambda: self._json("show bgp summary json") is not None, "bgpd answers")

    def _common(self):
        return ["-z", self.directory / "zserv.api", "--vty_socket", self.directory, "-P", "0",
                "-A", "127.0.0.1", "--log", "stdout", "-u", "frr", "-g", "frr"]

    def _start_bfd(self, common):
        self._launch("bfdd", FRR_PROGRAMS / "bfdd", *common, "--bfdctl",
                     self.directory / "bfdd.sock", "-f", self.directory / "empty.conf",
                     "-i", self.directory / "bfdd.pid")

    def restart_bfd(self):
        """Kills bfdd alone and starts it again."""
        for program in [program for program in self.programs if program.name == "bfdd"]:
            program.kill()
            self.programs.remove(program)
        self._start_bfd(self._common())

    def stop(self):
        super().stop()
        for path in self.directory.glob("*.api"):
            path.unlink()

    def kill(self):
        super().kill()
        for path in self.directory.glob("*.api"):
            path.unlink()

    def vtysh(self, *commands, check=True):
        arguments = [part for command in commands for part in ("-c", command)]
        return self.run("vtysh", "--vty_socket", self.directory, *arguments, check=check)

    def _json(self, command):
        text = self.vtysh(command, check=False)
        try:
            return json.loads(text)
        except ValueError:
            return None

    def neighbor(self, peer):
        return (self._json(f"show bgp neighbors {peer} json") or {}).get(peer, {})

    def session(self, peer):
        return self.neighbor(peer).get("bgpState")

    def refreshes_sent(self, peer):
        return self.neighbor(peer)["messageStats"]["routeRefreshSent"]

    def notified(self, peer):
        """The words of the last NOTIFICATION from the peer."""
        neighbor = self.neighbor(peer)
        return f"{neighbor.get('lastNotificationReason', '')}: " \
               f"{neighbor.get('lastShutdownDescription', '')}"

    def updates_received(self, peer):
        return self.neighbor(peer)["messageStats"]["updatesRecv"]

    def reset(self, peer):
        """Ends the session, and begins another."""
        self.vtysh(f"clear bgp {peer}")

    def refresh(self, peer):
        """Asks the peer for all its routes again (RFC 2918)."""
        for version in (4, 6):
            self.vtysh(f"clear bgp ipv{version} unicast {peer} in")

    def route(self, prefix):
        version = ipaddress.ip_network(prefix).version
        reply = self._json(f"show bgp ipv{version} unicast {prefix} json") or {}
        paths = [path for path in reply.get("paths", []) if path.get("valid")]
        if not paths:
            return None
        best = [path for path in paths if path.get("bestpath", {}).get("overall")] or paths
        first = best[0]
        return Route(
            next_hops=sorted(hop["ip"] for path in paths for hop in path["nexthops"]
                             if hop.get("scope", "global") == "global"),
            as_path=[int(asn) for asn in re.findall(r"\d+", first["aspath"]["string"])],
            local_pref=first.get("locPrf"), med=first.get("metric"),
            communities=_frr_communities(first),
            large=first.get("largeCommunity", {}).get("list", []))

    def bfd(self, peer):
        for session in self._json("show bfd peers json") or []:
            if session["peer"] == peer:
                return session["status"]
        return None


def _frr_communities(path):
    names = {"gracefulShutdown": "65535:0", "noExport": "65535:65281"}
    return [names.get(name, name) for name in path.get("community", {}).get("list", [])]


class Bird(Router):
    """BIRD 2."""

    kind = "bird"

    def _configuration(self):
        text = f"""
log "{self.directory}/bird.messages.log" {{ info, remote, warning, error, auth, fatal, bug }};
router id {self.router_id};
protocol device {{ scan time 2; }}
protocol direct {{ ipv4; ipv6; interface -"lo", "*"; }}
protocol bfd {{ }}
"""
        for version in (4, 6):
            text += f"""
protocol kernel kernel{version} {{
  ipv{version} {{ import all; export where source = RTS_BGP; }};
  learn; merge paths on;
}}
"""
            routes = "".join(f"  route {network} unreachable;\n" for network in self.networks
                             if ipaddress.ip_network(network).version == version)
            text += f"protocol static static{version} {{\n  ipv{version};\n{routes}}}\n"
        for peer in self.peers:
            text += self._neighbor(peer)
        return text + self.extra

    def _neighbor(self, peer):
        lines = [f"local {peer.source + ' ' if peer.source else ''}as {self.asn}",
                 f"neighbor {peer.address} as {peer.asn}",
                 "hold time 9", "connect retry time 1", "connect delay time 1",
                 "error wait time 1, 2", "graceful restart off", "med metric on",
                 "default bgp_local_pref 100"]
        if peer.password:
            lines.append(f'password "{peer.password}"')
        if peer.hops > 1:
            lines.append(f"multihop {peer.hops}")
        else:
            lines.append("direct")
        if peer.ttl_security:
            lines.append("ttl security on")
        if peer.passive:
            lines.append("passive on")
        if peer.bfd:
            tx, rx, multiplier = peer.bfd
            lines.append(f"bfd {{ min tx interval {tx} ms; min rx interval {rx} ms; "
                         f"multiplier {multiplier}; }}")
        export = "where source = RTS_STATIC" if peer.announce else "none"
        for version in (4, 6):
            lines.append(f"ipv{version} {{ import all; export {export}; }}")
        body = "".join(f"  {line};\n" for line in lines)
        return f"protocol bgp {self._protocol(peer.address)} {{\n{body}}}\n"

    @staticmethod
    def _protocol(address):
        return "bgp_" + re.sub(r"[.:]", "_", address)

    def start(self):
        (self.directory / "bird.conf").write_text(self._configuration())
        self._launch("bird", shutil.which("bird", path="/usr/sbin:/usr/bin"), "-f",
                     "-c", self.directory / "bird.conf", "-s", self.directory / "bird.ctl",
                     "-P", self.directory / "bird.pid")
        self._wait(lambda: "BIRD 2" in self.birdc("show status", check=False), "birdc answers")

    def birdc(self, *command, check=True):
        birdc = shutil.which("birdc", path="/usr/sbin:/usr/bin")
        return self.run(birdc, "-s", self.directory / "bird.ctl", *command, check=check)

    def session(self, peer):
        text = self.birdc("show", "protocols", "all", self._protocol(peer), check=False)
        found = re.search(r"BGP state:\s+(\S+)", text)
        return found and found.group(1)

    def updates_received(self, peer):
        text = self.birdc("show", "protocols", "all", self._protocol(peer))
        return sum(int(count) for count in re.findall(r"Import updates:\s+(\d+)", text))

    def notified(self, peer):
        found = re.findall(rf"{self._protocol(peer)}: Received: (.*)", self.log())
        return found[-1] if found else ""

    def reset(self, peer):
        self.birdc("restart", self._protocol(peer))

    def refresh(self, peer):
        self.birdc("reload", "in", self._protocol(peer))

    def route(self, prefix):
        text = self.birdc("show", "route", "for", prefix, "all", check=False)
        blocks = [block for block in re.split(r"\n(?=\S|\s+unicast \[|\s+unreachable \[)", text)
                  if "BGP.next_hop" in block]
        if not blocks:
            return None
        first = blocks[0]

        def number(key):
            found = re.search(rf"BGP\.{key}: (\d+)", first)
            return int(found.group(1)) if found else None

        def line(key):
            found = re.search(rf"BGP\.{key}: ?(.*)", first)
            return found.group(1) if found else ""
        return Route(
            next_hops=sorted(re.search(r"BGP\.next_hop: (\S+)", block).group(1)
                             for block in blocks),
            as_path=[int(asn) for asn in line("as_path").split()],
            local_pref=number("local_pref"), med=number("med"),
            communities=[f"{a}:{b}" for a, b in re.findall(r"\((\d+),(\d+)\)", line("community"))],
            large=[":".join(parts) for parts in
                   re.findall(r"\((\d+), (\d+), (\d+)\)", line("large_community"))])

    def bfd(self, peer):
        for line in self.birdc("show", "bfd", "sessions", check=False).splitlines():
            fields = line.split()
            if fields and fields[0] == peer:
                return fields[2].lower()
        return None


class Gobgp(Router):
    """gobgpd, which has no kernel routes and no BFD."""

    kind = "gobgp"

    def _configuration(self):
        text = f"""
[global.config]
  as = {self.asn}
  router-id = "{self.router_id}"
"""
        for peer in self.peers:
            text += f"""
[[neighbors]]
  [neighbors.config]
    neighbor-address = "{peer.address}"
    peer-as = {peer.asn}
    {f'auth-password = "{peer.password}"' if peer.password else ''}
  [neighbors.timers.config]
    connect-retry = 1
    idle-hold-time-after-reset = 1
    hold-time = 9
    keepalive-interval = 3
  [neighbors.transport.config]
    passive-mode = {str(peer.passive).lower()}
    {f'local-address = "{peer.source}"' if peer.source else ''}
"""
            if peer.ttl_security:
                text += f"""
  [neighbors.ttl-security.config]
    enabled = true
    ttl-min = {256 - peer.hops}
"""
            elif peer.hops > 1:
                text += f"""
  [neighbors.ebgp-multihop.config]
    enabled = true
    multihop-ttl = {peer.hops}
"""
            for version in (4, 6):
                text += f"""
  [[neighbors.afi-safis]]
    [neighbors.afi-safis.config]
      afi-safi-name = "ipv{version}-unicast"
"""
        return text + self.extra

    def start(self):
        (self.directory / "gobgpd.toml").write_text(self._configuration())
        self._launch("gobgpd", shutil.which("gobgpd"), "-f", self.directory / "gobgpd.toml", "-p",
                     "--pprof-disable", "--api-hosts", "127.0.0.1:50051", "--cpus", "1")
        self._wait(lambda: self._json("global") is not None, "gobgp answers")

    def gobgp(self, *command, check=True):
        return self.run("gobgp", *command, check=check)

    def _json(self, *command):
        text = self.gobgp("-j", *command, check=False)
        try:
            return json.loads(text)
        except ValueError:
            return None

    def session(self, peer):
        states = ["Unknown", "Idle", "Connect", "Active", "OpenSent", "OpenConfirm", "Established"]
        reply = self._json("neighbor", peer)
        return states[reply.get("state", {}).get("session_state", 0)] if reply else None

    def updates_received(self, peer):
        messages = self._json("neighbor", peer)["state"]["messages"]["received"]
        return messages.get("update", 0)

    def notified(self, peer):
        found = re.findall(r'msg="received notification".*', self.log(), re.I)
        return found[-1] if found else ""

    def reset(self, peer):
        self.gobgp("neighbor", peer, "reset")

    def refresh(self, peer):
        self.gobgp("neighbor", peer, "softresetin")

    def route(self, prefix):
        version = ipaddress.ip_network(prefix).version
        reply = self._json("global", "rib", "-a", f"ipv{version}", prefix)
        paths = (reply or {}).get(prefix, [])
        if not paths:
            return None
        attributes = {}
        for attribute in paths[0]["attrs"]:
            attributes[attribute["type"]] = attribute
        segments = attributes.get(2, {}).get("as_paths", [])
        return Route(
            next_hops=sorted(_gobgp_next_hop(path["attrs"]) for path in paths),
            as_path=[asn for segment in segments for asn in segment["asns"]],
            local_pref=attributes.get(5, {}).get("value"), med=attributes.get(4, {}).get("metric"),
            communities=[f"{value >> 16}:{value & 0xffff}"
                         for value in attributes.get(8, {}).get("communities", [])],
            large=[f"{value['ASN']}:{value['LocalData1']}:{value['LocalData2']}"
                   for value in attributes.get(32, {}).get("value", [])])


def _gobgp_next_hop(attributes):
    for attribute in attributes:
        if attribute["type"] in (3, 14):
            return attribute["nexthop"]
    return None


# --- watching -------------------------------------------------------------------------------------

class FibWatch:
    """Follows the kernel's routes in a namespace. Times are those of time.time()."""

    _LINE = re.compile(r"^\[([^\]]+)\]\s*(Deleted )?(?:unicast )?(\S+)(.*)$")

    def __init__(self, namespace):
        with namespace.entered():
            self._process = subprocess.Popen(
                ["ip", "-ts", "-o", "monitor", "route"], stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, text=True, env={**os.environ, "TZ": "UTC"},
                preexec_fn=_die_with_parent)
        self._changed = threading.Condition()
        self.events = []  # (time, prefix as ip shows it, frozenset of next hops)
        threading.Thread(target=self._read, daemon=True).start()
        namespace.lab.keep(self)

    def stop(self):
        self._process.kill()
        self._process.wait()

    def _read(self):
        for line in self._process.stdout:
            found = self._LINE.match(line)
            if not found:
                continue
            when = datetime.datetime.fromisoformat(found.group(1) + "+00:00").timestamp()
            hops = frozenset() if found.group(2) else \
                frozenset(re.findall(r"via (?:inet6 )?(\S+)", found.group(4)))
            with self._changed:
                self.events.append((when, found.group(3), hops))
                self._changed.notify_all()

    def wait(self, prefix, condition, since, timeout):
        """The time of the first change of `prefix` after `since` that leaves next hops for which
        `condition` holds; None when there is none in time."""
        shown = re.sub(r"/(32|128)$", "", prefix)
        deadline = time.monotonic() + timeout
        seen = 0
        with self._changed:
            while True:
                for when, name, hops in self.events[seen:]:
                    if name == shown and when >= since and condition(hops):
                        return when
                seen = len(self.events)
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    return None
                self._changed.wait(remaining)

    def wait_gone(self, prefix, hop, since, timeout=10):
        """When the kernel ceased to send packets for `prefix` to `hop`."""
        return self.wait(prefix, lambda hops: hop not in hops, since, timeout)


def kernel_next_hops(namespace, prefix):
    """Where the kernel sends packets for `prefix` now."""
    version = "-6" if ":" in prefix else "-4"
    text = namespace.run("ip", version, "-o", "route", "show", prefix).stdout
    return set(re.findall(r"via (?:inet6 )?(\S+)", text))


@dataclasses.dataclass
class Outage:
    """What a client saw: of `asked` queries `lost` had no good answer; and the longest time, in
    seconds, in which no answer came."""

    asked: int
    lost: int
    silence: float


class SteadyClient:
    """Asks `server` for `name` every `interval_ms`, each time from another port, and never again."""

    def __init__(self, namespace, server, name="www.example.com", interval_ms=5):
        self._path = namespace.lab.make_directory("client") / "queries"
        with namespace.entered():
            self._process = subprocess.Popen(
                [sys.executable, str(CLIENT), server, name, str(interval_ms), str(self._path)],
                stdin=subprocess.PIPE, preexec_fn=_die_with_parent)
        namespace.lab.keep(self)
        godwit.wait_until(lambda: self._path.exists(), 10, 0.01, "the client has an answer")

    def stop(self):
        """Ends it, after it has waited for answers to its last queries."""
        self._process.stdin.close()
        self._process.wait(20)
        self.stop = lambda: None

    def queries(self):
        """What became of each, after the end: [sent, answered or None, its port]."""
        return json.loads(self._path.read_text())

    def outage(self, since=0.0, until=float("inf")):
        """Ends it. Counts queries sent between the two times."""
        self.stop()
        queries = [query for query in self.queries() if since <= query[0] <= until]
        answered = sorted(when for _, when, _ in queries if when is not None)
        edges = [queries[0][0], *answered] if queries else []
        silence = max((b - a for a, b in zip(edges, edges[1:])), default=0.0)
        if queries and not answered:
            silence = queries[-1][0] - queries[0][0]
        return Outage(len(queries), len(queries) - len(answered), silence)


class Responder:
    """Answers every query over UDP with one A record, while `answering`."""

    def __init__(self, namespace, address="127.0.0.1", port=53):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with namespace.entered():
            self._socket = socket.socket(family, socket.SOCK_DGRAM)
            self._socket.bind((address, port))
        self._socket.settimeout(0.1)
        self.answering = True
        self._ended = False
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        namespace.lab.keep(self)

    def _serve(self):
        record = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xc0\x00\x02\x01"
        while not self._ended:
            with contextlib.suppress(TimeoutError):
                query, client = self._socket.recvfrom(4096)
                if not self.answering or len(query) < 17:
                    continue
                end = 12
                while query[end]:
                    end += query[end] + 1
                question = query[12:end + 5]
                header = query[:2] + b"\x84\x00\x00\x01\x00\x01\x00\x00\x00\x00"
                self._socket.sendto(header + question + record, client)

    def stop(self):
        self._ended = True
        self._thread.join()
        self._socket.close()
