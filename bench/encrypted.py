"""What encryption costs: Godwit beside dnsdist, on one machine in one run.

    encrypted.py [--quick] [--contestants LIST] [--parts LIST] [--rounds N] [--seconds S]
                 [--hold N] [--json FILE]

Both serve a zone of 10,000 names, all of them in their caches, with one worker on one CPU: Godwit
before its backend, dnsdist with a packet cache before a Knot. The load comes from another CPU.
Round after round each contestant is measured in turn; the figures shown are the medians of the
rounds, the JSON has every round. CPU time is user and system of all processes of a server.

A silence - the longest time that a connection with queries under way heard nothing - is shown with
the rate, the worst of the rounds, and what can be known of its cause is told beside.

Parts:

  tls         queries on warm connections; "10 x 16" is ten connections with sixteen queries always
              under way on each. Every query has a TLS record of its own (lane_tls.h).
  https       the same over HTTP/2, by GET, from h2load
  quic        the same by QUIC, with a stream and a packet for each query (lane_quic.h); of Godwit
              alone: dnsdist has it from version 1.9 on, Knot 3.2 on an XDP interface only
  handshakes  connections that are opened, ask one query and are closed (handshakes.c): full
              handshakes with an ECDSA P-256 and an RSA 2048 key, and resumed sessions; by QUIC,
              too, and by plain TCP to compare with
  idle        memory of connections that have asked one query each and stay

The rate is bounded by the load's own CPU where that is cheaper to serve than to ask; CPU time per
query or handshake is not.
"""

import argparse
import base64
import functools
import json
import os
import random
import re
import resource
import shutil
import ssl
import statistics
import subprocess
import sys
import time

import dns.message

import databases
import peers
from databases import ZONE, owner
from lab import (Lab, cpu_between, cpu_times, godwit, install, longest_wait, machine, print_table,
                 process_tree, resident_bytes, say, wait_times)
from speed import NAMES, PATTERNS, TYPES, bench_program, choose_cpus, split_list

PARTS = ("tls", "https", "quic", "handshakes", "idle")
# Connections, and queries under way on each.
SHAPES = ((1, 1), (1, 32), (10, 16), (100, 8), (100, 1))
# What is measured, the key, and handshakes.c's options. A server without QUIC has no such line.
HANDSHAKES = (("plain TCP", "ecdsa", ("--tcp",)),
              ("TLS 1.3, full, P-256", "ecdsa", ("--tls", "1.3")),
              ("TLS 1.2, full, P-256", "ecdsa", ("--tls", "1.2")),
              ("TLS 1.3, full, RSA 2048", "rsa", ("--tls", "1.3")),
              ("TLS 1.2, full, RSA 2048", "rsa", ("--tls", "1.2")),
              ("TLS 1.3, resumed", "ecdsa", ("--tls", "1.3", "--resume")),
              ("TLS 1.2, resumed", "ecdsa", ("--tls", "1.2", "--resume")),
              ("QUIC, full, P-256", "ecdsa", ("--quic",)),
              ("QUIC, full, RSA 2048", "rsa", ("--quic",)),
              ("QUIC, resumed", "ecdsa", ("--quic", "--resume")))
KEYS = {"ecdsa": ("ec", "-pkeyopt", "ec_paramgen_curve:P-256"), "rsa": ("rsa:2048",)}
H2LOAD_URIS = 5000
# What tells a stall, in milliseconds but for the last: how long a connection heard nothing, the
# load's program was kept from its CPU, and a thread of the server was; queries never answered.
STALL = ("silence_ms", "pause_ms", "server_wait_ms", "lost_at_end")
STALL_MS = 200  # a silence that is told of


# --- the contestants ------------------------------------------------------------------------------

def make_pair(lab, kind):
    """A key and its certificate, signed by itself: nobody looks at it."""
    directory = lab.make_directory(kind)
    pair = directory / "crt.pem", directory / "key.pem"
    godwit.run("openssl", "req", "-x509", "-newkey", *KEYS[kind], "-nodes", "-subj",
               "/CN=dns.example", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "3",
               "-out", pair[0], "-keyout", pair[1])
    return pair


class Server:
    """A contestant with one key: addresses for TCP, TLS, HTTPS and QUIC (None: it has none)."""

    def __init__(self, pid, pids, tcp, tls, https, quic=None):
        self.pid = pid  # of the process that holds the connections
        self.pids = process_tree(pids)
        self.tcp = tcp
        self.tls = tls
        self.https = https
        self.quic = quic


class Field:
    """Starts servers, each once."""

    def __init__(self, lab):
        self.lab = lab
        self.pairs = {kind: make_pair(lab, kind) for kind in KEYS}
        self._backend = None
        self._knot = None
        self._servers = {}

    def server(self, name, kind):
        if (name, kind) not in self._servers:
            self._servers[name, kind] = CONTESTANTS[name][1](self, self.pairs[kind])
        return self._servers[name, kind]

    def godwit(self, pair):
        if not self._backend:
            store = databases.Sqlite(self.lab)
            store.fill(NAMES, TYPES)
            self._backend = self.lab.backend(store.url).wait_ready(300)
        protocols = "tcp", "tls", "https", "quic"
        ports = [godwit.free_port() for _ in protocols]
        listen = [{"address": f"127.0.0.1:{port}", "protocols": [protocol]}
                  for port, protocol in zip(ports, protocols)]
        frontend = self.lab.frontend(
            [self._backend], listen=listen, workers=1,
            tls={"certificate": str(pair[0]), "key": str(pair[1])},
            limits={"tls_connections": 100000, "client_connections": 10000, "tls_idle_s": 600},
        ).wait_ready()
        tcp, tls, https, quic = frontend.addresses
        return Server(frontend.pid, [frontend.pid, self._backend.pid], tcp, tls,
                      https if speaks_tls(https) else None, quic)

    def dnsdist(self, pair):
        if not self._knot:
            zone = databases.write_zone(self.lab.directory / "bench.zone", NAMES, TYPES)
            self._knot = peers.Knot(self.lab, zone).wait_answer(owner(0))
        server = peers.Dnsdist(self.lab, self._knot, name=f"dnsdist-{pair[0].parent.name}",
                               pair=pair)
        server.wait_answer(owner(0))
        return Server(server.program.pid, server.pids(), server.address, server.tls, server.https)


# name: (Debian packages, how it is started)
CONTESTANTS = {"godwit": ([], Field.godwit), "dnsdist": (["dnsdist", "knot"], Field.dnsdist)}


def speaks_tls(address):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        plain = godwit.socket.create_connection(godwit.split_address(address), 5)
        with plain, context.wrap_socket(plain):
            return True
    except OSError:
        return False


# --- the load -------------------------------------------------------------------------------------

class Load:
    """Programs that load a server from a CPU of their own."""

    def __init__(self, cpu):
        self.cpu = cpu

    def start(self, *command, **options):
        return subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, text=True,
                                preexec_fn=lambda: os.sched_setaffinity(0, {self.cpu}), **options)

    def run(self, server, *command):
        """The figures of a program of ours, and `cpu_us` per answer."""
        process = self.start(*command)
        try:
            marks, waits = [], []
            for line in process.stdout:
                if not line.startswith("{"):
                    marks.append(cpu_times(server.pids))
                    waits.append(wait_times(server.pids))
                    continue
                figures = json.loads(line)
                figures["server_wait_ms"] = 1e3 * longest_wait(*waits)
                figures["cpu_us"] = 1e6 * cpu_between(*marks) / max(1, figures["answered"])
                return figures
        finally:
            stop(process)
        raise RuntimeError(f"{command[0]} failed")


def stop(process):
    process.kill()
    process.wait()
    process.stdout.close()


def measure_load(protocol, load, server, plan, connections, under_way):
    figures = load.run(server, bench_program("load"), f"--{protocol}",
                       "--server", getattr(server, protocol), "--pattern", PATTERNS["names"],
                       "--names", NAMES, "--types", ",".join(TYPES),
                       "--sockets", connections, "--window", connections * under_way,
                       "--seconds", plan.seconds, "--warm", plan.warm)
    wrong = figures["answered"] - figures["rcodes"].get("0", 0) + figures["empty"]
    return {"rate": figures["rate"], "cpu_us": figures["cpu_us"], "p50_us": figures["p50_us"],
            "p99_us": figures["p99_us"], "generator_idle": figures["idle"],
            **{key: figures[key] for key in STALL},
            "odd": figures["lost"] + figures["reconnects"] + max(0, wrong)}


def fill_caches(field, load, plan):
    """All names are asked for, by TLS."""
    warm = argparse.Namespace(seconds=0.1, warm=2.0)
    for name in plan.contestants:
        measure_load("tls", load, field.server(name, "ecdsa"), warm, 10, 16)


def write_uris(lab):
    """What h2load asks, in a file: GET requests as RFC 8484 has them."""
    chosen = random.Random(1)
    path = lab.directory / "uris"
    with open(path, "w", encoding="ascii") as file:
        for _ in range(H2LOAD_URIS):
            query = dns.message.make_query(owner(chosen.randrange(NAMES)), chosen.choice(TYPES),
                                           use_edns=False)
            query.id = 0
            text = base64.urlsafe_b64encode(query.to_wire()).rstrip(b"=").decode()
            file.write(f"/dns-query?dns={text}\n")
    return path


def measure_https(load, server, plan, connections, under_way):
    """h2load says on its output when it begins to count and when it ends. It takes whole seconds."""
    seconds, warm = max(1, round(plan.seconds)), max(1, round(plan.warm))
    process = load.start("h2load", "-t", 1, "-c", connections, "-m", under_way, "-D", seconds,
                         f"--warm-up-time={warm}", "-H", "accept: application/dns-message",
                         "-B", f"https://{server.https}", "-i", plan.uris)
    try:
        marks, text = [], ""
        for line in process.stdout:
            if line.startswith("Main benchmark duration is"):
                marks.append((time.monotonic(), cpu_times(server.pids)))
            text += line
    finally:
        stop(process)
    counts = re.search(r"requests: .* (\d+) done, (\d+) succeeded, (\d+) failed", text)
    if len(marks) != 2 or not counts:
        raise RuntimeError(f"h2load failed:\n{text[-2000:]}")
    (begun, before), (ended, after) = marks
    done, succeeded, _ = (int(figure) for figure in counts.groups())
    return {"rate": done / (ended - begun), "odd": done - succeeded,
            "cpu_us": 1e6 * cpu_between(before, after) / max(1, done)}


def measure_handshakes(load, server, plan, options):
    address = server.quic if "--quic" in options else server.tcp if "--tcp" in options \
        else server.tls
    figures = load.run(server, bench_program("handshakes"), "--server", address,
                       "--pattern", PATTERNS["names"], "--names", NAMES,
                       "--seconds", plan.seconds, "--warm", plan.warm, *options)
    resumed = figures["resumed"] if "--resume" not in options else \
        figures["answered"] - figures["resumed"]
    return {"rate": figures["rate"], "cpu_us": figures["cpu_us"], "p50_us": figures["p50_us"],
            "p99_us": figures["p99_us"], "odd": figures["failed"] + resumed}


def hold(load, server, count):
    """Resident octets of the server per connection, `count` of them idle."""
    def opened(number):
        process = load.start(bench_program("handshakes"), "--server", server.tls, "--pattern",
                             PATTERNS["names"], "--names", 1, "--hold", number,
                             stdin=subprocess.PIPE)
        if process.stdout.readline() != "holding\n":
            stop(process)
            raise RuntimeError(f"{number} connections could not be held")
        return process

    first = opened(100)  # what is allocated once is not counted
    before = resident_bytes(server.pid)
    process = opened(count)
    each = (resident_bytes(server.pid) - before) / count
    for holder in first, process:
        holder.stdin.close()
        stop(holder)
    return each


# --- the run --------------------------------------------------------------------------------------

def words_for_stall(figures):
    """A silence must not hide in a rate: how long it was, and who was kept from a CPU meanwhile."""
    if figures.get("silence_ms", 0) < STALL_MS and not figures.get("lost_at_end"):
        return ""
    silence, pause, wait, lost = (figures[key] for key in STALL)
    return (f"  silent for {silence:.0f} ms (the load waited up to {pause:.0f} ms for its CPU, a "
            f"thread of the server {wait:.0f} ms in all); {lost} unanswered at the end")


def run_rounds(entries, plan):
    """`entries` are (labels, function): each in turn, round by round; medians, and all rounds."""
    rounds = [[] for _ in entries]
    for number in range(plan.rounds):
        say(f"round {number + 1} of {plan.rounds}")
        for (labels, function), found in zip(entries, rounds):
            found.append(function())
            say(f"  {'  '.join(labels.values()):44}{found[-1]['rate']:10,.0f}/s "
                f"{found[-1]['cpu_us']:9.2f} us"
                f"{'  odd: ' + str(found[-1]['odd']) if found[-1]['odd'] else ''}"
                f"{words_for_stall(found[-1])}")
    return [{**labels, **{key: (max if key in STALL else statistics.median)(
        one[key] for one in found) for key in found[0]},
             "rounds": found} for (labels, _), found in zip(entries, rounds)]


def query_entries(field, load, plan):
    measures = {"tls": functools.partial(measure_load, "tls"), "https": measure_https,
                "quic": functools.partial(measure_load, "quic")}
    for part, measure in measures.items():
        for connections, under_way in SHAPES if part in plan.parts else ():
            for name in plan.contestants:
                server = field.server(name, "ecdsa")
                if not getattr(server, part):
                    continue
                labels = {"part": part, "what": f"{connections} x {under_way}", "server": name}
                yield labels, lambda m=measure, s=server, c=connections, u=under_way: \
                    m(load, s, plan, c, u)


def handshake_entries(field, load, plan):
    for what, key, options in HANDSHAKES if "handshakes" in plan.parts else ():
        for name in plan.contestants:
            server = field.server(name, key)
            if "--quic" in options and not server.quic:
                continue
            yield {"part": "handshakes", "what": what, "server": name}, \
                lambda s=server, o=options: measure_handshakes(load, s, plan, o)


def measure_idle(field, load, plan):
    rows = []
    for name in plan.contestants if "idle" in plan.parts else ():
        server = field.server(name, "ecdsa")
        say(f"{plan.hold} idle connections to {name}")
        each = hold(load, server, plan.hold)
        rows.append({"part": "idle", "server": name, "connections": plan.hold,
                     "kib_each": each / 1024, "mib": each * plan.hold / (1 << 20)})
    return rows


def print_results(rows, idle):
    shown = [("what", "connections"), ("server", "server"), ("rate", "queries/s"),
             ("cpu_us", "CPU us"), ("p50_us", "p50 us"), ("p99_us", "p99 us"),
             ("silence_ms", "silence ms"), ("odd", "odd")]
    titles = {"tls": "DNS over TLS, warm connections (connections x queries under way)",
              "https": "DNS over HTTPS, HTTP/2, warm connections",
              "quic": "DNS over QUIC, warm connections (no other server here has it)",
              "handshakes": "Connections with one query each"}
    for part, title in titles.items():
        chosen = [row for row in rows if row["part"] == part]
        columns = shown
        if part == "handshakes":
            columns = [("what", "handshake"), shown[1], ("rate", "per second"), *shown[3:6], shown[-1]]
        if chosen:
            print_table(title, chosen, columns)
    if idle:
        print_table("Idle TLS connections", idle,
                    [("server", "server"), ("connections", "connections"),
                     ("kib_each", "KiB each"), ("mib", "MiB")])


def parse(arguments):
    parser = argparse.ArgumentParser(prog="scripts/bench encrypted", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--contestants", default=",".join(CONTESTANTS), metavar="LIST",
                        help="default: %(default)s")
    parser.add_argument("--parts", default=",".join(PARTS), metavar="LIST",
                        help="default: %(default)s")
    parser.add_argument("--rounds", type=int, help="default: 3")
    parser.add_argument("--seconds", type=float, help="of each measurement; default: 2")
    parser.add_argument("--hold", type=int, help="idle connections; default: 10000")
    parser.add_argument("--json", metavar="FILE", help="write the figures there, too")
    plan = parser.parse_args(arguments)
    plan.contestants = split_list(parser, plan.contestants, CONTESTANTS)
    plan.parts = split_list(parser, plan.parts, PARTS)
    plan.rounds = max(1, plan.rounds or (1 if plan.quick else 3))
    plan.seconds = plan.seconds or (0.7 if plan.quick else 2.0)
    plan.warm = 0.3 if plan.quick else 0.5
    plan.hold = plan.hold or (1000 if plan.quick else 10_000)
    return plan


def choose(plan):
    """Leaves out what cannot be had here, and says so."""
    for name in list(plan.contestants):
        missing = install(CONTESTANTS[name][0])
        if missing:
            say(f"{name} is left out: {' '.join(missing)} cannot be installed")
            plan.contestants.remove(name)
    if "https" in plan.parts and (install(["nghttp2-client"]) or not shutil.which("h2load")):
        say("https is left out: it takes h2load, from nghttp2-client")
        plan.parts.remove("https")


def raise_descriptors():
    """For servers and clients: two for each connection, and some."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def main():
    plan = parse(sys.argv[1:])
    choose(plan)
    raise_descriptors()
    server_cpus, load_cpu = choose_cpus()
    load = Load(load_cpu)
    about = machine()
    if about["load_average"] > 0.5:
        say(f"the machine is not quiet (load average {about['load_average']:.1f}): rates and "
            "latencies mean little, CPU per query something")
    with Lab() as lab:
        lab.cpus = {server_cpus[0]}
        field = Field(lab)
        plan.uris = write_uris(lab)
        for name in plan.contestants:
            if "https" in plan.parts and not field.server(name, "ecdsa").https:
                say(f"{name} does not speak HTTPS here: left out of that part")
        idle = measure_idle(field, load, plan)
        fill_caches(field, load, plan)
        rows = run_rounds([*query_entries(field, load, plan), *handshake_entries(field, load, plan)],
                          plan)
    print_results(rows, idle)
    if plan.json:
        with open(plan.json, "w", encoding="utf-8") as file:
            json.dump({"machine": about, "names": NAMES, "results": rows, "idle": idle}, file,
                      indent=1)
            file.write("\n")


if __name__ == "__main__":
    main()
