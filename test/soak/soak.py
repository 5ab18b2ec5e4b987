"""Nothing kills it: the whole system on loopback under steady load, with writers that change its
records, while a seeded series of faults goes over it.

    soak.py [--minutes N] [--seed S] [--store sqlite|redis|mariadb] [--keep DIRECTORY]

A store, two backends, two front ends. Clients ask by UDP, TCP, TLS, HTTPS and QUIC (where aioquic can
be had) for names that change, that come and go, that are at random, and hold every answer against
what was in the store (truth.py). Others send nonsense and connect to do nothing (clients.py). Then
backends, front ends and the store are killed, stopped for a while, ended and started again, in turn
and two at a time (faults.py). After each fault all must be well again by itself.

What must hold: every answer shows a state of the store of the last moments, or within a fault and its
recovery one since its beginning; no query goes without answer or fails but where the fault excuses it;
memory and descriptors come back to a plateau; no sanitizer reports, if the build has any; and every
program ends cleanly. The seed is printed first and each fault as it comes; the same seed and store
give the same faults. Leaves with 1 when anything was wrong.
"""

import argparse
import collections
import pathlib
import random
import re
import shutil
import signal
import sys
import tempfile
import time

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "test" / "integration"))

import clients
import godwit
from faults import Plan
from stores import STORES, ZONE
from system import System
from truth import BOUND_S

# How much a process may have grown between the second quarter of its life and the last.
GROWTH = 1.10
GROWTH_OCTETS = (64 if godwit.SANITIZED else 6) << 20

CLIENTS = {"udp": (clients.UdpClient, 2), "tcp": (clients.TcpClient, 1),
           "tls": (clients.TlsClient, 1), "https": (clients.HttpsClient, 1),
           "quic": (clients.QuicClient, 1)}


class Soak:
    def __init__(self, directory, store, seed):
        self.began = time.time()
        self.wrongs = []
        self.rounds = 0
        self.system = System(directory, store, random.Random(f"{seed} writer"))
        self.judge = self.system.judge
        self.plan = Plan(self.system.store, random.Random(f"{seed} faults"))
        self.clients = [
            make(self.judge, number, frontend.at[kind], self.system.authority,
                 f"{seed} {kind} {number} {copy}")
            for kind in self.system.kinds for make, count in [CLIENTS[kind]]
            for number, frontend in enumerate(self.system.frontends) for copy in range(count)]
        self.noise = clients.Noise(self.system.listeners(), ZONE, f"{seed} noise")

    def say(self, words):
        print(f"{time.time() - self.began:7.1f} s  {words}", flush=True)

    def begin(self):
        self.say(f"{len(self.clients)} clients by {', '.join(self.system.kinds)}; between the halves "
                 f"{'TLS with certificates of both' if self.system.is_mutual else 'plaintext'}")
        for frontend in self.system.frontends:
            frontend.wait_ready()
        for thread in [self.system.writer, *self.clients, self.noise]:
            thread.start()
        self.system.wait_well()
        time.sleep(3)
        self.system.has_too_many_files()  # what is usual

    def round(self):
        this = self.plan.next()
        self.rounds += 1
        before = self.judge.counts.copy()
        window = self.judge.open(**this.excuses())
        words = f"round {self.rounds}: {this.words()}"
        try:
            this.run(self.system)
            took = self.system.wait_well()
        except Exception as failure:
            self.say(words + ": NOT WELL AGAIN")
            raise AssertionError(f"{words}: {type(failure).__name__}: {failure}") from failure
        time.sleep(BOUND_S)  # what was under way comes in
        window.end = time.time()
        self.say(f"{words}; well after {took:.1f} s; {self.told(before)}")
        time.sleep(this.calm)
        self.check_files(words)
        self.system.sample()

    def told(self, before):
        new = self.judge.counts - before
        asked = sum(new[kind] for kind in CLIENTS)
        others = [f"{new[key]} {key}" for key in sorted(new) if key not in CLIENTS]
        return ", ".join([f"{asked} answers", *others])

    def check_files(self, words):
        try:
            godwit.wait_until(lambda: not self.system.has_too_many_files(), 40, 0.5)
        except AssertionError:
            self.wrongs.append(f"after {words}: {self.system.has_too_many_files()}")

    def go_on(self, until):
        while time.time() < until and not self.wrongs and not self.judge.violations:
            self.round()

    def finish(self):
        for client in [*self.clients, self.noise]:
            client.stop()
        for client in [*self.clients, self.noise]:
            client.join(2 * clients.PATIENCE_S + 10)
        self.system.writer.stop()
        self.wrongs += self.system.stop()
        self.wrongs += self.judge.violations
        for name, count, early, late in self.system.growths():
            self.say(f"{name}: {early / 1e6:.1f} MB resident early, {late / 1e6:.1f} MB late, of "
                     f"{count} samples")
            if late > early * GROWTH + GROWTH_OCTETS:
                self.wrongs.append(f"{name} has grown from {early} to {late} octets")

    def summary(self):
        counts = ", ".join(f"{count} {key}" for key, count in sorted(self.judge.counts.items()))
        self.say(f"{self.rounds} rounds, {self.system.writer.writes} changes "
                 f"({self.system.writer.failures} refused), {self.noise.turns} turns of noise; "
                 f"answers: {counts}")
        self.say(f"the oldest answer outside faults was replaced {self.judge.worst_age:.3f} s before "
                 "it was asked for")
        said = collections.Counter()
        for daemon in self.system.daemons:
            for line in daemon.log().splitlines():
                if found := re.search(r'level=(warning|error) msg=("[^"]*"|\S+)', line):
                    said[f"{daemon.name} {found[1]} {found[2]}"] += 1
        for words, count in sorted(said.items()):
            self.say(f"{count:6} x {words}")


def parse():
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__.split("\n\n")[0])
    parser.add_argument("--minutes", type=float, default=10, help="how long (10)")
    parser.add_argument("--seed", help="of another run, to have its faults again")
    parser.add_argument("--store", choices=sorted(STORES), default="sqlite", help="(sqlite)")
    parser.add_argument("--keep", metavar="DIRECTORY",
                        help="where logs and configurations go, to be kept; an empty directory")
    return parser.parse_args()


def soak(options, directory, seed):
    run = Soak(directory, options.store, seed)
    try:
        run.begin()
        run.go_on(run.began + options.minutes * 60)
    except AssertionError as failure:
        run.wrongs.append(str(failure))
    finally:
        run.finish()
        run.system.destroy()
    run.summary()
    return run.wrongs


def main():
    options = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # everything is taken down on the way
    seed = options.seed or f"{random.SystemRandom().getrandbits(32):x}"
    directory = pathlib.Path(options.keep or tempfile.mkdtemp(prefix="godwit-soak-"))
    directory.mkdir(exist_ok=True)
    print(f"scripts/soak --minutes {options.minutes:g} --store {options.store} --seed {seed}   "
          f"({godwit.BUILD}{', sanitized' if godwit.SANITIZED else ''})", flush=True)
    wrongs = soak(options, directory.resolve(), seed)
    for wrong in wrongs:
        print(f"WRONG: {wrong}", flush=True)
    if wrongs:
        print(f"scripts/soak: {len(wrongs)} wrong; logs are in {directory}", file=sys.stderr)
    elif not options.keep:
        shutil.rmtree(directory, ignore_errors=True)
    return 1 if wrongs else 0


sys.exit(main())
