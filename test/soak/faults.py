"""What goes wrong, one context manager each: inside it has gone wrong, afterwards it is over, and the
system has to find its own way back. FAULTS names them all; a Plan is what a seed makes of them.

What a fault excuses is what docs/ say of it, and no more: `stale`, answers as old as the fault; `out`,
the backends that do not answer (with all of them away, what is in no cache fails); `forgetful`, the
front ends whose caches may be empty; and `lost`, whose clients may go without an answer.
"""

import contextlib
import dataclasses
import json
import resource
import signal
import ssl
import time

from clients import crowd, flood, open_files
from stores import ZONE
from system import BACKENDS, CONNECTIONS_MAX, FRONTENDS, STREAMS

NONE = frozenset()


@dataclasses.dataclass
class Fault:
    """`run` is a context manager function of (system); `words` tell people."""

    words: str
    run: object
    out: frozenset = NONE
    forgetful: frozenset = NONE
    lost: frozenset = NONE
    stale: bool = False
    alone: bool = False  # no other fault beside it


# --- processes ------------------------------------------------------------------------------------

@contextlib.contextmanager
def killed(daemons):
    for daemon in daemons:
        daemon.kill()
    try:
        yield
    finally:
        for daemon in daemons:
            daemon.start()


@contextlib.contextmanager
def ended(daemons):
    """A clean end, and a new beginning."""
    for daemon in daemons:
        daemon.stop()
    try:
        yield
    finally:
        for daemon in daemons:
            daemon.start()


@contextlib.contextmanager
def stopped(daemons):
    for daemon in daemons:
        daemon.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for daemon in daemons:
            daemon.process.send_signal(signal.SIGCONT)


def of_backend(how, numbers):
    names = "both backends" if len(numbers) > 1 else f"backend {numbers[0]}"
    return Fault(f"{names} {how.__name__}",
                 lambda system: how([system.backends[number] for number in numbers]),
                 out=frozenset(numbers), stale=True)


def of_frontend(how, number, lost):
    return Fault(f"front end {number} {how.__name__}",
                 lambda system: how([system.frontends[number]]), stale=True,
                 forgetful=frozenset([number] if lost else []),
                 lost=frozenset((number, kind) for kind in lost))


def of_store(how):
    return Fault(f"store {how}", lambda system: getattr(system.store, how)(), stale=True)


# --- configuration --------------------------------------------------------------------------------

@contextlib.contextmanager
def routes_changed(system):
    """Other routes are taken over while queries are under way, and the old ones again."""
    for frontend in system.frontends:
        reload_routes(frontend, [system.route("extra.test", system.backends[:1]),
                                 system.route(".", system.backends[::-1])])
    yield
    for frontend in system.frontends:
        reload_routes(frontend, frontend.config["routes"])


def reload_routes(frontend, routes):
    config = {**frontend.config, "routes": routes}
    new = frontend.config_path.with_suffix(".new")
    new.write_text(json.dumps(config))
    new.rename(frontend.config_path)
    frontend.process.send_signal(signal.SIGHUP)


@contextlib.contextmanager
def certificates_replaced(system):
    """By new ones, which new connections shall see when all is well; no connection is lost."""
    pair = system.issue()
    system.mount.swap(pair)
    system.certificate = ssl.PEM_cert_to_DER_cert(pair.certificate.read_text())
    yield


# --- too much of something ------------------------------------------------------------------------

@contextlib.contextmanager
def crowded(system, number):
    """More connections than there may be."""
    frontend = system.frontends[number]
    clients = crowd([frontend.at["tcp"]], CONNECTIONS_MAX + 20) + \
        crowd([frontend.at["tls"], frontend.at["https"]], CONNECTIONS_MAX + 20)
    try:
        yield
    finally:
        for client in clients:
            client.close()


@contextlib.contextmanager
def short_of_files(daemon, addresses):
    """It may open a few more files, and others want it to open many."""
    pid = daemon.pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (open_files(pid) + 4, before[1]))
    clients = crowd(addresses, 60)
    try:
        yield
    finally:
        if daemon.is_running():
            resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, before)
        for client in clients:
            client.close()


def streams_of(number):
    return frozenset((number, kind) for kind in STREAMS)


def frontend_crowded(number):
    return Fault(f"front end {number} crowded", lambda system: crowded(system, number),
                 lost=streams_of(number))


def frontend_flooded(number):
    return Fault(f"front end {number} flooded",
                 lambda system: flood(system.frontends[number].at["udp"], ZONE),
                 out=frozenset(BACKENDS), stale=True, forgetful=frozenset(FRONTENDS),
                 lost=frozenset([(number, "udp")]))


def frontend_short(number):
    def run(system):
        frontend = system.frontends[number]
        return short_of_files(frontend, [frontend.at["tcp"], frontend.at["tls"]])
    return Fault(f"front end {number} short of files", run, lost=streams_of(number), alone=True)


def backend_short(number):
    def run(system):
        backend = system.backends[number]
        return short_of_files(backend, [backend.address])
    return Fault(f"backend {number} short of files", run, alone=True, stale=True)


# --- the plan -------------------------------------------------------------------------------------

def all_faults(store):
    """Every fault there is, those that are likelier more often."""
    faults = [of_backend(how, [number]) for how in (killed, ended, stopped) for number in BACKENDS]
    faults += [of_backend(how, list(BACKENDS)) for how in (killed, stopped)]
    faults += [of_frontend(stopped, number, ()) for number in FRONTENDS for _ in range(2)]
    faults += [of_frontend(how, 1, ("udp", *STREAMS)) for how in (killed, ended)]
    faults += [of_store(how) for how in store.OUTAGES for _ in range(3)]
    faults += [Fault("certificates replaced", certificates_replaced),
               Fault("routes changed", routes_changed, forgetful=frozenset(FRONTENDS))] * 2
    faults += [make(number) for make in (frontend_crowded, frontend_flooded, frontend_short)
               for number in FRONTENDS]
    faults += [backend_short(number) for number in BACKENDS]
    return faults


@dataclasses.dataclass
class Round:
    """One or two faults at once, the seconds they last, and the calm after they are over."""

    faults: list
    seconds: float
    calm: float

    def words(self):
        return f"{' and '.join(fault.words for fault in self.faults)} for {self.seconds:.1f} s"

    def excuses(self):
        out = frozenset().union(*(fault.out for fault in self.faults))
        return {"stale": any(fault.stale for fault in self.faults),
                "servfail": out == frozenset(BACKENDS),
                "forgetful": frozenset().union(*(fault.forgetful for fault in self.faults)),
                "lost": frozenset().union(*(fault.lost for fault in self.faults))}

    def run(self, system):
        with contextlib.ExitStack() as trouble:
            for fault in self.faults:
                trouble.enter_context(fault.run(system))
            time.sleep(self.seconds)


class Plan:
    """The rounds that a seed makes, without end: the same seed and store, the same rounds."""

    def __init__(self, store, rng):
        self.faults = all_faults(store)
        self.rng = rng

    def target(self, fault):
        """Two faults at once have different targets."""
        words = fault.words.split()
        return words[:2] if words[0] in ("backend", "front") else words[:1]

    def next(self):
        first = self.rng.choice(self.faults)
        faults = [first]
        if self.rng.random() < 0.4 and not first.alone:
            other = self.rng.choice(self.faults)
            clash = other.alone or self.target(other)[0] == self.target(first)[0] or \
                {self.target(other)[0], self.target(first)[0]} == {"both", "backend"}
            faults += [] if clash else [other]
        return Round(faults, self.rng.uniform(0.3, 5.0), self.rng.uniform(0.5, 4.0))
