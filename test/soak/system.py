"""The system under soak: two backends on one store, two front ends on both, all that they need."""

import contextlib
import pathlib
import socket
import ssl
import statistics
import time

import dns.exception
import pytest

import quic_client
from certificates import Authority, Mount
from clients import open_files
from godwit import SANITIZED, Backend, Frontend, ask, free_address, split_address, wait_until
from stores import STORES, ZONE, Writer
from truth import BOUND_S, Fixed, Flip, Judge, Subject, ZoneFlip, show

BACKENDS = (0, 1)
FRONTENDS = (0, 1)
STREAMS = ("tcp", "tls", "https", "quic")
RECOVERY_S = 90 if SANITIZED else 30
CONNECTIONS_MAX = 96  # of TCP, and as many of TLS, HTTPS and QUIC
# A sanitizer keeps what is freed for a while: less of it, so that a leak is seen beside it.
SANITIZER = {"ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:exitcode=99:quarantine_size_mb=8"}


def can_quic():
    """Whether there is a client for DNS over QUIC."""
    try:
        quic_client.aioquic()
        return True
    except pytest.skip.Exception:
        return False


class System:
    def __init__(self, directory, store_kind, rng):
        self.directory = pathlib.Path(directory)
        self.kinds = ["udp", "tcp", "tls", "https"] + (["quic"] if can_quic() else [])
        self.authority = Authority(directory)
        self.mount = Mount(directory, self.issue())
        self.certificate = None  # a new one that has to be seen
        self.is_mutual = rng.random() < 0.5  # TLS between the two halves, both with certificates
        self.backends, self.frontends = [], []
        self.store = STORES[store_kind](directory)
        self.beacon = Subject(f"beacon.{ZONE}")
        self.judge = Judge(self.make_subjects())
        self.writer = Writer(self.store, [subject for subject in self.judge.subjects
                                          if not isinstance(subject, Fixed)], rng, 0.02)
        self.samples = {}     # process id: [name, [resident octets]]
        self.open_files = {}  # process id: descriptors when all was well
        try:
            self.start()
        except BaseException:
            self.destroy()
            raise

    # --- made ---------------------------------------------------------------------------------

    def issue(self):
        return self.authority.issue("dns.example", "DNS:dns.example,IP:127.0.0.1")

    def make_subjects(self):
        rows = [Subject(f"row{i}.{ZONE}") for i in range(6)]
        return rows + [
            Subject(f"target.{ZONE}", lambda rng: f"alias.{ZONE}"),
            Subject(f"*.wild.{ZONE}", lambda rng: f"n{rng.randrange(2000)}.wild.{ZONE}"),
            Flip(f"flip0.{ZONE}"), Flip(f"flip1.{ZONE}"),
            ZoneFlip("comes.test", lambda rng: "www.comes.test"),
            *[Fixed(f"fixed{i}.{ZONE}", frozenset([f"192.0.2.{i}"])) for i in range(6)],
            Fixed("", "NXDOMAIN", lambda rng: f"x{rng.getrandbits(40):x}.{ZONE}"),
            Fixed("", "NXDOMAIN", lambda rng: f"absent{rng.randrange(50)}.{ZONE}"),
            Fixed("", "REFUSED", lambda rng: f"x{rng.randrange(1000)}.elsewhere.test"),
        ]

    def start(self):
        self.fill()
        for number in BACKENDS:
            self.backends.append(self.start_backend(number).wait_ready())
        for _ in FRONTENDS:
            self.frontends.append(self.start_frontend())

    def fill(self):
        self.store.add_zone(ZONE)
        self.store.alias(f"alias.{ZONE}", f"target.{ZONE}")
        for subject in [self.beacon, *self.judge.subjects]:
            subject.begin(self.store)

    def tls(self, **options):
        return {"certificate": str(self.mount.certificate), "key": str(self.mount.key), **options}

    def start_backend(self, number):
        tls = {"tls": self.tls(client_ca=str(self.authority.certificate))} if self.is_mutual else {}
        return Backend(self.directory, self.store.url, env=SANITIZER,
                       snapshot=str(self.directory / f"backend{number}.snapshot"),
                       **self.store.options, **tls)

    def route(self, zone, backends):
        route = {"zone": zone, "backends": [backend.address for backend in backends]}
        if self.is_mutual:
            route["tls"] = self.tls(ca=str(self.authority.certificate), server_name="dns.example")
        return route

    def start_frontend(self):
        listen = [{"address": free_address(), "protocols": ["udp", "tcp"]},
                  {"address": free_address(), "protocols": ["tls"]},
                  {"address": free_address(), "protocols": ["https"]},
                  {"address": free_address(), "protocols": ["quic"]}]
        frontend = Frontend(
            self.directory, self.backends, listen=listen, env=SANITIZER, workers=2, tls=self.tls(),
            routes=[self.route(".", self.backends)],
            limits={"tcp_connections": CONNECTIONS_MAX, "tls_connections": CONNECTIONS_MAX,
                    "query_timeout_ms": 5000 if SANITIZED else 2000})
        frontend.at = dict(zip(("udp", "tls", "https", "quic"), frontend.addresses))
        frontend.at["tcp"] = frontend.at["udp"]
        return frontend

    @property
    def daemons(self):
        return [*self.backends, *self.frontends]

    def listeners(self):
        return {kind: [frontend.at[kind] for frontend in self.frontends] for kind in self.kinds}

    # --- well again ---------------------------------------------------------------------------

    def what_ails(self):
        """The first thing that is not as it should be, or None."""
        for daemon in self.daemons:
            if not daemon.is_running():
                return f"{daemon.name} {daemon.admin} has ended: {daemon.process.returncode}"
            status, page = daemon.get("/readyz", timeout=2)
            if status != 200:
                return f"{daemon.name} {daemon.admin} is not ready: {page.strip()}"
        for number, frontend in enumerate(self.frontends):
            metrics = frontend.metrics()
            for backend in self.backends:
                wanted = {"backend_up": 1, "backend_streams": 1, "backend_store_up": 1}
                for name, least in wanted.items():
                    found = sum(value for key, value in metrics.items()
                                if key.startswith(f"godwit_frontend_{name}{{")
                                and backend.address in key)
                    if found < least:
                        return f"front end {number}: {name} of {backend.address} is {found}"
        return None

    def serves_certificate(self, frontend):
        """Whether a new connection is shown the newest certificate."""
        context = ssl.create_default_context(cafile=str(self.authority.certificate))
        with contextlib.suppress(OSError), \
                socket.create_connection(split_address(frontend.at["tls"]), 5) as plain, \
                context.wrap_socket(plain, server_hostname="dns.example") as client:
            return client.getpeercert(True) == self.certificate
        return False

    def sees_beacon(self, frontend):
        state = self.beacon.history[-1][2]
        with contextlib.suppress(OSError, dns.exception.DNSException):
            return show(ask(frontend, self.beacon.owner, timeout=1)) == state
        return False

    def has_too_many_files(self):
        """A daemon that has opened more than it had, clients of a busy moment aside."""
        for daemon in self.daemons:
            before = self.open_files.setdefault(daemon.pid, open_files(daemon.pid))
            if open_files(daemon.pid) > before + 40:
                return f"{daemon.name} {daemon.admin} has {open_files(daemon.pid)} files open, " \
                       f"had {before}"
        return None

    def wait_well(self):
        """Until everything is as it was before a fault; the seconds it took."""
        began = time.time()
        try:
            wait_until(lambda: not self.what_ails(), RECOVERY_S, 0.1)
        except AssertionError:
            raise AssertionError(f"not well after {RECOVERY_S} s: {self.what_ails()}") from None
        self.writer.step(self.beacon)
        for number, frontend in enumerate(self.frontends):
            wait_until(lambda: self.sees_beacon(frontend), BOUND_S * 4, 0.02,
                       f"front end {number} shows a change of now")
            if self.certificate:
                wait_until(lambda: self.serves_certificate(frontend), 30, 0.1,
                           f"front end {number} serves the new certificate")
        self.certificate = None
        return time.time() - began

    # --- how much they use --------------------------------------------------------------------

    def sample(self):
        for daemon in self.daemons:
            status = pathlib.Path(f"/proc/{daemon.pid}/status").read_text()
            resident = int(status.split("VmRSS:")[1].split()[0]) * 1024
            self.samples.setdefault(daemon.pid, [daemon.name, []])[1].append(resident)

    def growths(self):
        """Of each process that has lived long enough: (name, samples, octets early, octets late)."""
        for name, samples in self.samples.values():
            if len(samples) >= 12:
                quarter = len(samples) // 4
                yield (name, len(samples), statistics.median(samples[quarter:2 * quarter]),
                       statistics.median(samples[-quarter:]))

    def stop(self):
        """Ends everything; what was not clean, in words."""
        wrongs = []
        for daemon in [*self.frontends, *self.backends]:
            try:
                assert daemon.is_running(), f"{daemon.name} has ended:\n{daemon.log()[-3000:]}"
                daemon.stop()
            except AssertionError as failure:
                wrongs.append(str(failure)[-4000:])
        return wrongs

    def destroy(self):
        """The end of what may still run, whatever has happened."""
        for daemon in self.daemons:
            if daemon.is_running():
                daemon.kill()
        self.store.destroy()
