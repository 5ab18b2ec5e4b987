"""How fast Godwit answers, beside other servers, on one machine in one run.

    speed.py [--quick] [--contestants LIST] [--streams LIST] [--rounds N] [--seconds S]
             [--sizes LIST] [--json FILE]

All serve the same zone, 10,000 names with an A and an AAAA record. Every server runs on one CPU and
the load generator (load.c) on another. Round after round each contestant is measured in turn, three
ways: with 128 queries always under way (queries per second, loss, and CPU time per query: user and
system of all its processes, databases included), with half as many queries per second as that
brought (latency), and with one query at a time (idle latency). The figures shown are the medians of
the rounds; the JSON has every round.

Streams of queries: udp:names and tcp:names ask for names of the zone, udp:nxdomain and tcp:nxdomain
for random names that do not exist. "odd" is the share of replies that are not what the stream must
bring: a warning not to trust the row.

Contestants: echo sends queries back as they are: the least that any server can cost. godwit-nocache
asks its backend for everything. godwit-N has N workers, on as many CPUs as there are beside the
generator's, and N times as many queries under way.

At the end, Godwit again on stores of the sizes asked for, to see how its cost grows.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import threading

import databases
import peers
from databases import ZONE, owner
from lab import (Lab, cpu_between, cpu_times, godwit, install, machine, print_table,
                 process_tree, say)

NAMES = 10_000
TYPES = ("A", "AAAA")
PATTERNS = {"names": f"h#######.{ZONE}", "nxdomain": f"x????????????.{ZONE}"}
RCODES = {"names": "0", "nxdomain": "3"}
STREAMS = ("udp:names", "udp:nxdomain", "tcp:names", "tcp:nxdomain")
WINDOW = 128  # queries under way: what every server's socket buffer has room for
SOCKETS = 8


def bench_program(name):
    path = godwit.BUILD / "bench" / name
    if not path.exists():
        sys.exit(f"speed.py: {path} is not built")
    return path


# --- the contestants ------------------------------------------------------------------------------

class Contestant:
    """A running server: where it listens and whose CPU time counts."""

    def __init__(self, name, address, pids, streams=STREAMS, warm=0.0, workers=1):
        self.name = name
        self.address = address
        self.pids = process_tree(pids)
        self.streams = streams
        self.warm = warm  # seconds of load more than others need until its caches are full
        self.workers = workers
        self.answers = name != "echo"


class Field:
    """Starts contestants, and what several of them share only once."""

    def __init__(self, lab, cpus):
        self.lab = lab
        self.cpus = cpus
        self.zone_file = databases.write_zone(lab.directory / "bench.zone", NAMES, TYPES)
        self._databases = {}
        self._cacheless = False  # whether this Godwit was found to have no cache yet

    def database(self, kind):
        """A filled store, shared by all that want one of its kind."""
        if kind not in self._databases:
            self._databases[kind] = kind(self.lab)
            self._databases[kind].fill(NAMES, TYPES)
        return self._databases[kind]

    def echo(self, name):
        port = godwit.free_port()
        program = self.lab.start(name, bench_program("echo"), port)
        return Contestant(name, f"127.0.0.1:{port}", [program.pid],
                          streams=("udp:names",))

    def godwit(self, name, workers=1, cache_mb=64, store=None):
        if cache_mb > 0 and self._cacheless:
            return None
        store = store or self.database(databases.Sqlite)
        self.lab.cpus = set(self.cpus[:workers])
        try:
            backend = self.lab.backend(store.url).wait_ready(300)
            frontend = self.lab.frontend(
                [backend], workers=workers,
                cache={"size_mb": cache_mb, "serve_stale_s": 86400}).wait_ready()
        finally:
            self.lab.cpus = {self.cpus[0]}
        if cache_mb > 0 and not has_cache(frontend):
            say("this Godwit has no cache yet: only godwit-nocache and its like are measured")
            self._cacheless = True
            frontend.stop()
            backend.stop()
            return None
        return Contestant(name, frontend.address, [frontend.pid, backend.pid, *store.pids()],
                          workers=workers)

    def peer(self, name, server, warm=0.0, more=()):
        server.wait_answer(owner(0))
        return Contestant(name, server.address, [*server.pids(), *more], warm=warm)

    def dnsdist(self, name, cache):
        knot = peers.Knot(self.lab, self.zone_file, f"{name}-knot").wait_answer(owner(0))
        return self.peer(name, peers.Dnsdist(self.lab, knot, cache, name))

    def powerdns(self, name, caches):
        store = self.database(databases.MariaDB)
        server = peers.PowerDns(self.lab, store.powerdns(), caches, name)
        return self.peer(name, server, 4.0 if caches else 0.0, store.pids())


def has_cache(frontend):
    return any(key.startswith("godwit_frontend_cache") for key in frontend.metrics())


def _godwits():
    """Godwit with one worker, with two, and with more where there are CPUs for them."""
    for workers in (1, 2, *(n for n in (4, 8, 16) if n < os.cpu_count())):
        name = "godwit" if workers == 1 else f"godwit-{workers}"
        yield name, ([], lambda field, name, n=workers: field.godwit(name, n))
        yield f"{name}-nocache", ([], lambda field, name, n=workers: field.godwit(name, n, 0))


# name: (Debian packages, how it is started)
CONTESTANTS = {
    "echo": ([], lambda field, name: field.echo(name)),
    **dict(_godwits()),
    "knot": (["knot"],
             lambda field, name: field.peer(name, peers.Knot(field.lab, field.zone_file, name))),
    "nsd": (["nsd"],
            lambda field, name: field.peer(name, peers.Nsd(field.lab, field.zone_file, name))),
    "dnsdist": (["dnsdist", "knot"], lambda field, name: field.dnsdist(name, True)),
    "dnsdist-nocache": (["dnsdist", "knot"], lambda field, name: field.dnsdist(name, False)),
    "powerdns": (peers.POWERDNS_PACKAGES["mariadb"] + databases.PACKAGES["mariadb"],
                 lambda field, name: field.powerdns(name, True)),
    "powerdns-nocache": (peers.POWERDNS_PACKAGES["mariadb"] + databases.PACKAGES["mariadb"],
                         lambda field, name: field.powerdns(name, False)),
}


def start_contestants(field, names):
    """Those of `names` that can be run here; the others are told about."""
    started = []
    for name in names:
        packages, start = CONTESTANTS[name]
        missing = install(packages)
        if missing:
            say(f"{name} is left out: {' '.join(missing)} cannot be installed")
            continue
        try:
            contestant = start(field, name)
        except (AssertionError, RuntimeError) as failure:
            say(f"{name} is left out, it does not start: {failure}")
            continue
        if contestant:
            started.append(contestant)
    return started


# --- measuring ------------------------------------------------------------------------------------

class Generator:
    """Runs load.c on a CPU of its own."""

    def __init__(self, cpu, options):
        self.cpu = cpu
        self.options = options
        self.program = bench_program("load")

    def run(self, contestant, workload, names, seconds, warm, *options):
        """The generator's figures, and `cpu_us`, the server's CPU time per answer."""
        command = [self.program, "--server", contestant.address, "--pattern", PATTERNS[workload],
                   "--names", names, "--types", ",".join(TYPES), "--seconds", seconds,
                   "--warm", warm, *self.options, *options]
        process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE,
                                   text=True, preexec_fn=self._take_place)
        watchdog = threading.Timer(seconds + warm + 30, process.kill)
        watchdog.start()
        try:
            marks = []
            for line in process.stdout:
                if not line.startswith("{"):
                    marks.append(cpu_times(contestant.pids))
                    continue
                figures = json.loads(line)
                spent = cpu_between(*marks)
                figures["cpu_us"] = 1e6 * spent / max(1, figures["answered"])
                return figures
        finally:
            watchdog.cancel()
            process.kill()
            process.wait()
            process.stdout.close()
        raise RuntimeError(f"the load generator failed on {contestant.name}")

    def _take_place(self):
        os.sched_setaffinity(0, {self.cpu})


def odd_share(contestant, workload, figures):
    """The share of replies that are not what they should be."""
    total = sum(figures["rcodes"].values())
    if not contestant.answers or total == 0:
        return 0.0 if total else 1.0
    right = figures["rcodes"].get(RCODES[workload], 0)
    if workload == "names":
        right -= figures["empty"]
    return 1 - right / total


def measure(generator, contestant, stream, plan, names=NAMES, latency=True):
    """One round's figures of one contestant."""
    transport, workload = stream.split(":")
    tcp = ["--tcp"] if transport == "tcp" else []
    sockets = ["--sockets", SOCKETS * contestant.workers, *tcp]
    full = generator.run(contestant, workload, names, plan.seconds, plan.warm + contestant.warm,
                         "--window", WINDOW * contestant.workers, *sockets)
    row = {"rate": full["rate"], "cpu_us": full["cpu_us"],
           "loss_percent": 100 * full["lost"] / max(1, full["sent"]),
           "odd_percent": 100 * odd_share(contestant, workload, full),
           "generator_idle": full["idle"], "full_p50_us": full["p50_us"],
           "full_p99_us": full["p99_us"]}
    if latency and full["rate"] > 2:
        half = generator.run(contestant, workload, names, plan.paced_seconds, 0.2,
                             "--rate", full["rate"] / 2, *sockets)
        alone = generator.run(contestant, workload, names, plan.alone_seconds, 0.1,
                              "--window", 1, "--sockets", 1, *tcp)
        asked = half["sent"] + half["skipped"]
        row |= {"p50_us": half["p50_us"], "p99_us": half["p99_us"],
                "half_loss_percent": 100 * (half["lost"] + half["skipped"]) / max(1, asked),
                "alone_p50_us": alone["p50_us"]}
    return row


def summarize(rounds):
    """Medians, figure by figure."""
    return {key: statistics.median([one[key] for one in rounds if key in one])
            for key in rounds[0]}


def run_rounds(entries, rounds, what):
    """`entries` are (key, function that measures): each in turn, round by round. Returns
    [{key's own fields, medians, "rounds": all}]."""
    results = {index: [] for index in range(len(entries))}
    for number in range(rounds):
        say(f"{what}: round {number + 1} of {rounds}")
        for index, (key, function) in enumerate(entries):
            results[index].append(function())
            figures = results[index][-1]
            say(f"  {' '.join(str(part) for part in key.values()):40}"
                f"{figures['rate']:10,.0f} q/s {figures['cpu_us']:8.2f} us")
    return [{**entries[index][0], **summarize(found), "rounds": found}
            for index, found in results.items()]


def compare(field, generator, plan):
    contestants = start_contestants(field, plan.contestants)
    entries = [({"stream": stream, "server": one.name},
                lambda one=one, stream=stream: measure(generator, one, stream, plan))
               for stream in plan.streams for one in contestants if stream in one.streams]
    rows = run_rounds(entries, plan.rounds, "contestants")
    for figure, server in (("times_echo", "echo"), ("times_hit", "godwit")):
        base = next((row for row in rows
                     if (row["server"], row["stream"]) == (server, "udp:names")), None)
        for row in rows:
            if base and row["stream"].startswith("udp:"):
                row[figure] = statistics.median(
                    one["cpu_us"] / other["cpu_us"]
                    for one, other in zip(row["rounds"], base["rounds"]))
    return rows


def grow(field, generator, plan):
    """Godwit on stores of several sizes, every name of them asked for."""
    rows = []
    for names in plan.sizes:
        store = databases.Sqlite(field.lab)
        say(f"a store of {names} names, filled in {store.fill(names, TYPES):.1f} s")
        found = [one for one in (field.godwit("godwit", store=store),
                                 field.godwit("godwit-nocache", cache_mb=0, store=store)) if one]
        entries = [({"server": one.name, "names": names, "stream": stream},
                    lambda one=one, stream=stream, names=names:
                        measure(generator, one, stream, plan, names, latency=False))
                   for one in found for stream in plan.streams if stream.startswith("udp:")]
        rows += run_rounds(entries, plan.rounds, f"{names} names")
    return rows


# --- the run --------------------------------------------------------------------------------------

FIGURES = [("rate", "queries/s"), ("loss_percent", "loss %"), ("cpu_us", "CPU us"),
           ("times_echo", "x echo"), ("times_hit", "x hit"), ("p50_us", "p50 us"), ("p99_us", "p99 us"),
           ("alone_p50_us", "idle us"), ("odd_percent", "odd %")]


def print_results(rows, growth):
    for stream in STREAMS:
        chosen = [row for row in rows if row["stream"] == stream]
        if chosen:
            print_table(f"{stream} (p50 and p99 at half load)", chosen,
                        [("server", "server"), *FIGURES])
    if growth:
        print_table("UDP, by the number of names in the store", growth,
                    [("server", "server"), ("stream", "stream"), ("names", "names"),
                     *(figure for figure in FIGURES[:3])])


def split_list(parser, text, known):
    chosen = text.split(",")
    unknown = set(chosen) - set(known)
    if unknown:
        parser.error(f"unknown: {' '.join(sorted(unknown))}; there are {' '.join(known)}")
    return chosen


def parse(arguments):
    parser = argparse.ArgumentParser(prog="scripts/bench speed", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one short round, no other sizes")
    parser.add_argument("--contestants", default=",".join(CONTESTANTS), metavar="LIST",
                        help="default: %(default)s")
    parser.add_argument("--streams", default=",".join(STREAMS[:3]), metavar="LIST",
                        help="default: %(default)s; there is also tcp:nxdomain")
    parser.add_argument("--rounds", type=int, help="default: 3")
    parser.add_argument("--seconds", type=float, help="of each measurement; default: 2")
    parser.add_argument("--single", action="store_true",
                        help="send every query on its own (see lane.h): the generator tires sooner")
    parser.add_argument("--awake", action="store_true",
                        help="keep the CPUs from sleeping: for latencies on a virtual machine")
    parser.add_argument("--sizes", metavar="LIST",
                        help="names of other stores; default: 1000,100000,1000000; 0: none")
    parser.add_argument("--json", metavar="FILE", help="write the figures there, too")
    plan = parser.parse_args(arguments)
    plan.contestants = split_list(parser, plan.contestants, CONTESTANTS)
    plan.streams = split_list(parser, plan.streams, STREAMS)
    plan.rounds = max(1, plan.rounds or (1 if plan.quick else 3))
    plan.seconds = plan.seconds or (0.7 if plan.quick else 2.0)
    plan.warm = 0.3 if plan.quick else 0.5
    plan.paced_seconds = 0.75 * plan.seconds
    plan.alone_seconds = 0.25 * plan.seconds
    sizes = plan.sizes or ("0" if plan.quick else "1000,100000,1000000")
    plan.sizes = [int(size) for size in sizes.split(",") if int(size) > 0]
    return plan


def choose_cpus():
    """(CPUs of the servers, CPU of the generator)"""
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        say("there is only one CPU: servers and generator share it, and the figures say little")
        return cpus, cpus[0]
    return cpus[:-1], cpus[-1]


def main():
    plan = parse(sys.argv[1:])
    server_cpus, generator_cpu = choose_cpus()
    generator = Generator(generator_cpu, ["--single"] if plan.single else [])
    about = machine()
    if about["load_average"] > 0.5:
        say(f"the machine is not quiet (load average {about['load_average']:.1f}): rates and "
            "latencies mean little, CPU per query something")
    with Lab() as lab:
        lab.cpus = {server_cpus[0]}
        if plan.awake:
            lab.keep_awake([*server_cpus, generator_cpu])
        field = Field(lab, server_cpus)
        rows = compare(field, generator, plan)
        growth = grow(field, generator, plan)
    print_results(rows, growth)
    if plan.json:
        with open(plan.json, "w", encoding="utf-8") as file:
            json.dump({"machine": about, "names": NAMES, "results": rows, "growth": growth}, file,
                      indent=1)
            file.write("\n")


if __name__ == "__main__":
    main()
