"""What each record store costs, and how soon a changed record is on the wire, beside PowerDNS on
the same database.

    stores.py [--quick] [--stores LIST] [--sizes LIST] [--updates N] [--no-peers] [--json FILE]

Loading: the store is filled by godwitctl with one zone of SIZE names, an A record each; then a
backend is started on it. Its load time is from its start to "ready", its memory the resident set;
octets a name are the growth over a backend on a zone without names. PowerDNS keeps no records of
its own: its start is until it answers the first query. The databases' own memory is not counted.

Latency: a client asks for names by UDP again and again while one writer changes records of random
names, each change a commit of its own. The time counts from the return of the commit until the
client gets the new address. Names are asked for about once a second also before they change, as
names in use are, so that caches hold them. A change that is not seen within the time limit counts
as lost, and with the time limit in the percentiles.

Godwit answers through a front end and a backend, both with their defaults.
"""

import argparse
import json
import random
import socket
import struct
import sys
import threading
import time

import databases
import peers
from databases import ZONE, owner
from lab import (Lab, find_program, godwit, install, machine, percentile, print_table,
                 resident_bytes, say)

READY_SECONDS = 300
ASK_EACH_SECONDS = 1.0


class Asker:
    """Asks one server for A records by UDP, one query at a time."""

    def __init__(self, address):
        host, port = godwit.split_address(address)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect((host, port))
        self.socket.settimeout(0.5)
        self.id = 0
        self.failures = 0

    @staticmethod
    def question(name):
        labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
        return struct.pack("!5H", 0x0100, 1, 0, 0, 0) + labels + b"\0\0\1\0\1"

    def ask(self, question):
        """The last four octets of the reply: the address, when one A record is all it has."""
        self.id = (self.id + 1) & 0xFFFF
        identity = struct.pack("!H", self.id)
        try:
            self.socket.send(identity + question)
            while True:
                reply = self.socket.recv(4096)
                if reply[:2] == identity:
                    return reply[-4:]
        except OSError:
            self.failures += 1
            return b""

    def close(self):
        self.socket.close()


class Change:
    """One name, and what became of the change of its address."""

    def __init__(self, number, sequence):
        self.name = owner(number)
        self.question = Asker.question(self.name)
        self.address = struct.pack("!I", (10 << 24) + sequence + 1)
        self.committed = None  # both in seconds of time.monotonic()
        self.seen = None
        self.asked = 0.0

    def text(self):
        return socket.inet_ntoa(self.address)


class Writer(threading.Thread):
    """Commits the changes one after the other at random distances, `gap` seconds on average."""

    def __init__(self, connection, changes, gap, delay):
        super().__init__(daemon=True)
        self.connection = connection
        self.changes = changes
        self.gap = gap
        self.delay = delay
        self.pending = []  # handed over: list operations are atomic
        self.failure = None

    def run(self):
        try:
            time.sleep(self.delay)
            for change in self.changes:
                time.sleep(random.expovariate(1 / self.gap))
                self.connection.set_address(change.name, change.text())
                change.committed = time.monotonic()
                self.pending.append(change)
        except Exception as failure:  # whatever the database's client raises: told by the caller
            self.failure = failure


def _ask_as_client(asker, changes, now):
    """Asks for some of the names whose time has come, as clients that know of no change do."""
    for change in random.sample(changes, min(10, len(changes))):
        if change.seen is None and now - change.asked > ASK_EACH_SECONDS:
            change.asked = now
            asker.ask(change.question)


def measure_latency(address, connection, names, plan):
    """Seconds from commit to wire, of all the plan's updates."""
    changes = [Change(number, i)
               for i, number in enumerate(random.sample(range(names), plan.updates))]
    asker = Asker(address)
    writer = Writer(connection, changes, plan.gap, plan.warm)
    writer.start()
    waiting = []
    while writer.is_alive() or waiting or writer.pending:
        while writer.pending:
            waiting.append(writer.pending.pop(0))
        now = time.monotonic()
        _ask_as_client(asker, changes, now)
        for change in waiting:
            if asker.ask(change.question) == change.address:
                change.seen = time.monotonic()
        waiting = [c for c in waiting
                   if c.seen is None and now - c.committed < plan.patience]
    asker.close()
    connection.close()
    if writer.failure:
        raise writer.failure
    return [min(plan.patience, (c.seen or float("inf")) - c.committed) for c in changes]


def latency_row(store, contestant, seconds, plan):
    lost = sum(1 for value in seconds if value >= plan.patience)
    return {"store": store, "server": contestant, "updates": len(seconds),
            **{key: 1000 * percentile(seconds, share)
               for key, share in (("p50_ms", 0.5), ("p99_ms", 0.99), ("max_ms", 1))},
            "not_seen": lost}


# --- Godwit ---------------------------------------------------------------------------------------

def backend_start(lab, store):
    """(seconds to ready, resident octets) of a backend on a store; ended again."""
    started = time.monotonic()
    backend = lab.backend(store.url).wait_ready(READY_SECONDS)
    seconds = time.monotonic() - started
    resident = resident_bytes(backend.pid)
    backend.stop()
    return seconds, resident


def godwit_latency(lab, store, names, plan):
    backend = lab.backend(store.url).wait_ready(READY_SECONDS)
    frontend = lab.frontend([backend]).wait_ready()
    try:
        return measure_latency(frontend.address, store.writer(), names, plan)
    finally:
        frontend.stop()
        backend.stop()


# --- PowerDNS -------------------------------------------------------------------------------------

def powerdns_start(lab, store, names):
    started = time.monotonic()
    server = peers.PowerDns(lab, store.powerdns()).wait_answer(owner(names - 1))
    seconds = time.monotonic() - started
    resident = resident_bytes(server.program.pid)
    server.stop()
    return seconds, resident


def powerdns_latency(lab, store, names, plan, caches):
    server = peers.PowerDns(lab, store.powerdns(), caches).wait_answer(owner(0))
    try:
        return measure_latency(server.address, store.writer(), names, plan)
    finally:
        server.stop()


# --- the run --------------------------------------------------------------------------------------

def load_rows(lab, store, names, empty, import_seconds, with_peer):
    seconds, resident = backend_start(lab, store)
    rows = [{"store": store.name, "server": "Godwit", "names": names,
             "import_s": import_seconds, "start_s": seconds, "memory_mb": resident / 1e6,
             "octets_per_name": (resident - empty) / names}]
    if with_peer:
        seconds, resident = powerdns_start(lab, store, names)
        rows.append({"store": store.name, "server": "PowerDNS", "names": names,
                     "start_s": seconds, "memory_mb": resident / 1e6})
    return rows


def latency_rows(lab, store, names, plan, with_peer):
    rows = []

    def measure(contestant, function, *arguments):
        say(f"{store.name}: {plan.updates} updates, {contestant}")
        seconds = function(lab, store, names, plan, *arguments)
        rows.append(latency_row(store.name, contestant, seconds, plan))

    measure("Godwit", godwit_latency)
    if with_peer:
        measure("PowerDNS, caches off", powerdns_latency, False)
        measure("PowerDNS, default caches", powerdns_latency, True)
    return rows


def measure_store(lab, name, plan):
    """(rows about loading, rows about latency) of one kind of store."""
    kind = databases.STORES[name]
    store = kind(lab)
    with_peer = plan.peers and store.powerdns() is not None and name in plan.peer_stores
    store.fill(0)
    _, empty = backend_start(lab, store)
    store.stop()
    loads, latencies = [], []
    for names in plan.sizes:
        say(f"{name}: {names} names")
        store = kind(lab)
        loads += load_rows(lab, store, names, empty, store.fill(names), with_peer)
        if names == plan.sizes[0]:
            latencies = latency_rows(lab, store, names, plan, with_peer)
        store.stop()
    return loads, latencies


def install_what_is_needed(plan):
    """Takes out what cannot be run here, and says so."""
    for name in list(plan.stores):
        missing = install(databases.PACKAGES[name])
        if missing:
            say(f"{name} is left out: {' '.join(missing)} cannot be installed")
            plan.stores.remove(name)
    plan.peer_stores = []
    for name in set(plan.stores) & set(peers.POWERDNS_PACKAGES) if plan.peers else ():
        missing = install(peers.POWERDNS_PACKAGES[name])
        if missing or not find_program("pdns_server"):
            say(f"PowerDNS on {name} is left out: {' '.join(missing)} cannot be installed")
        else:
            plan.peer_stores.append(name)


def parse(arguments):
    parser = argparse.ArgumentParser(prog="scripts/bench stores", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="10,000 names, 100 updates")
    parser.add_argument("--stores", default=",".join(databases.STORES), help="default: %(default)s")
    parser.add_argument("--sizes", help="names; default: 100000,1000000")
    parser.add_argument("--updates", type=int, help="default: 1000")
    parser.add_argument("--no-peers", dest="peers", action="store_false", help="Godwit alone")
    parser.add_argument("--json", metavar="FILE", help="write the figures there, too")
    plan = parser.parse_args(arguments)
    plan.stores = plan.stores.split(",")
    unknown = set(plan.stores) - set(databases.STORES)
    if unknown:
        parser.error(f"no such store: {' '.join(unknown)}")
    plan.sizes = [int(size) for size in (plan.sizes or ("10000" if plan.quick else
                                                        "100000,1000000")).split(",")]
    plan.updates = min(plan.updates or (100 if plan.quick else 1000), min(plan.sizes))
    plan.gap = 0.02 if plan.quick else 0.04      # seconds between updates, on average
    plan.warm = 1.0 if plan.quick else 5.0       # seconds of queries before the first
    plan.patience = 45.0 if plan.quick else 120.0  # seconds until an update counts as not seen
    return plan


def main():
    plan = parse(sys.argv[1:])
    about = machine()
    sys.setswitchinterval(0.0005)
    install_what_is_needed(plan)
    loads, latencies = [], []
    with Lab() as lab:
        for name in plan.stores:
            if not databases.is_supported(name, lab):
                say(f"{name} is left out: this version of Godwit has no such store")
                continue
            rows = measure_store(lab, name, plan)
            loads += rows[0]
            latencies += rows[1]
    print_table("Loading", loads, [
        ("store", "store"), ("server", "server"), ("names", "names"), ("import_s", "import s"),
        ("start_s", "start s"), ("memory_mb", "memory MB"), ("octets_per_name", "octets/name")])
    print_table(f"From commit to wire ({ZONE} of {plan.sizes[0]} names), milliseconds", latencies, [
        ("store", "store"), ("server", "server"), ("updates", "updates"), ("p50_ms", "p50"),
        ("p99_ms", "p99"), ("max_ms", "max"), ("not_seen", "not seen")])
    if plan.json:
        with open(plan.json, "w", encoding="utf-8") as file:
            json.dump({"machine": about, "loading": loads, "latency": latencies}, file, indent=1)
            file.write("\n")


if __name__ == "__main__":
    main()
