"""What the integration tests stand on: real programs, real stores, real clients.

    Store(directory)            a SQLite store: .init(), .load_zone(text), .sql(statement), .url
    Backend, Frontend           a running daemon: .address, .admin, .stop(), .kill(), .log(),
                                .wait_ready(), .get("/readyz"), .metrics(), .metric("name{labels}")
    ask(server, name, type)     one query by UDP (or tcp=True), a dns.message.Message back
    answers(reply)              the answer section as a sorted list of data, like `dig +short`
    GrpcClient(address)         an independent gRPC client of a backend, from the unmodified protos
    wait_until(condition)       polls until the condition is true; fails after a deadline, which is
                                of the machine's time (machine_clock.py)
    free_port()                 a port that is free for UDP and TCP, IPv4 and IPv6
    run(*command)               a program to its end, output captured

Fixtures upon these are in conftest.py. Everything listens on loopback only.
"""

import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import grpc

from machine_clock import Stopwatch

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("GODWIT_BUILD", REPOSITORY / "build")).resolve()
PROTO = REPOSITORY / "proto"

DEMO_ZONE = """\
$ORIGIN example.com.
$TTL 300
@       SOA   ns1 hostmaster 1 10800 3600 604800 300
@       NS    ns1
@       NS    ns2
@       MX    10 mail
@       TXT   "v=spf1 -all"
ns1     A     192.0.2.1
ns2     A     192.0.2.2
mail    A     192.0.2.3
www     A     192.0.2.80
www     AAAA  2001:db8::80
alias   CNAME www
*.wild  A     192.0.2.99
"""


def _is_sanitized():
    cache = BUILD / "CMakeCache.txt"
    return cache.exists() and re.search(r"^GODWIT_SANITIZE:\w+=.+", cache.read_text(), re.M)


# True when the programs were built with sanitizers, and so are several times slower.
SANITIZED = bool(_is_sanitized())
# Seconds a daemon may take to end after SIGTERM; leak checking at exit takes its own time.
STOP_TIMEOUT = 15 if SANITIZED else 5
READY_TIMEOUT = 60 if SANITIZED else 20

_SANITIZER_ENVIRONMENT = {
    "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:exitcode=99",
    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1:exitcode=99",
    "TSAN_OPTIONS": f"exitcode=99:suppressions={REPOSITORY}/test/tsan.supp",
}
_SANITIZER_REPORT = re.compile(
    r"ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|runtime error:|SUMMARY: \w+Sanitizer")


def program(name):
    """The path of one of the built programs."""
    path = BUILD / "bin" / name
    assert path.exists(), f"{path} is not built (GODWIT_BUILD names the build directory)"
    return str(path)


def environment(**extra):
    """The environment programs run in: sanitizers strict, no settings of the user's own."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("GODWIT_")}
    return {**env, **_SANITIZER_ENVIRONMENT, **{key: str(value) for key, value in extra.items()}}


def assert_no_sanitizer_report(text):
    found = _SANITIZER_REPORT.search(text)
    assert not found, f"a sanitizer reports:\n{text[max(0, found.start() - 200):][:6000]}"


def run(*command, check=True, timeout=60, env=None, **kwargs):
    """Runs a program to its end and returns the CompletedProcess, output as text."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True,
                          timeout=timeout, env=env or environment(), **kwargs)
    assert_no_sanitizer_report(done.stderr)
    if check:
        assert done.returncode == 0, f"{command} exits {done.returncode}:\n{done.stderr}"
    return done


def wait_until(condition, timeout=10, interval=0.01, message=None):
    """Polls `condition` until it returns something true, which is returned. The time is the
    machine's: that others keep it busy is no failure of who is waited for."""
    watch = Stopwatch()
    while True:
        result = condition()
        if result:
            return result
        if watch.seconds > timeout:
            raise AssertionError(f"not within {timeout} s: {message or condition}")
        time.sleep(interval)


# --- ports ----------------------------------------------------------------------------------------

_given_ports = set()


def _own_ports():
    """The ports this process gives out: below the range that outgoing connections take theirs from,
    and with pytest-xdist no other worker's."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    share = 22000 // workers
    return range(10000 + worker * share, 10000 + (worker + 1) * share)


def has_ipv6():
    """Whether ::1 can be used on this machine."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
        return True
    except OSError:
        return False


def _port_is_free(port):
    hosts = [(socket.AF_INET, "127.0.0.1")]
    if has_ipv6():
        hosts.append((socket.AF_INET6, "::1"))
    for family, host in hosts:
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            with socket.socket(family, kind) as probe:
                try:
                    probe.bind((host, port))
                except OSError:
                    return False
    return True


def free_port():
    """A port nobody listens on, and not given out before by this process."""
    ports = _own_ports()
    for _ in range(1000):
        port = random.choice(ports)
        if port not in _given_ports and _port_is_free(port):
            _given_ports.add(port)
            return port
    raise AssertionError("no free port found")


def free_address(host="127.0.0.1"):
    return f"[{host}]:{free_port()}" if ":" in host else f"{host}:{free_port()}"


def split_address(address):
    """("127.0.0.1", 53) from "127.0.0.1:53" or "[::1]:53"."""
    host, port = address.rsplit(":", 1)
    return host.strip("[]"), int(port)


# --- stores ---------------------------------------------------------------------------------------

class Store:
    """A SQLite store in `directory`; nothing is created before init()."""

    def __init__(self, directory, name="godwit.db"):
        self.directory = pathlib.Path(directory)
        self.path = self.directory / name
        self.url = f"sqlite:{self.path}"

    def ctl(self, *arguments, check=True, **kwargs):
        """Runs godwitctl on this store."""
        return run(program("godwitctl"), "--store", self.url, *arguments, check=check, **kwargs)

    def init(self):
        self.ctl("init")
        return self

    def load_zone(self, text=DEMO_ZONE, *options, timeout=60):
        """Imports one zone from master-file text."""
        with tempfile.NamedTemporaryFile("w", suffix=".zone", dir=self.directory) as file:
            file.write(text)
            file.flush()
            self.ctl("zone", "import", file.name, *options, timeout=timeout)
        return self

    def connect(self):
        """A plain connection, as another system would open it; autocommit."""
        return sqlite3.connect(self.path, timeout=10, isolation_level=None)

    def sql(self, statement, parameters=()):
        """Runs one SQL statement the way another program would, and returns its rows."""
        connection = self.connect()
        try:
            return connection.execute(statement, parameters).fetchall()
        finally:
            connection.close()

    def shell(self, script):
        """Runs SQL by the sqlite3 program itself and returns its output."""
        return run("sqlite3", "-cmd", ".timeout 10000", self.path, script).stdout

    def add_record(self, zone, name, rtype, content, ttl=300):
        """INSERTs one record as PowerDNS's tables have it, names without trailing dots."""
        self.sql("INSERT INTO records (domain_id, name, type, content, ttl) "
                 "SELECT id, ?, ?, ?, ? FROM domains WHERE name = ?",
                 (name, rtype, content, ttl, zone))


# --- daemons --------------------------------------------------------------------------------------

class Daemon:
    """A program that runs until it is stopped. `config` is its configuration as a dict, written as
    YAML (JSON is YAML) into `directory`, where the program also runs."""

    name = None

    def __init__(self, directory, config, env=None):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix=self.name + "-", dir=directory))
        self.config = config
        self.config_path = self.directory / "config.yaml"
        self.config_path.write_text(json.dumps(config, indent=1) + "\n")
        self.log_path = self.directory / "stderr.log"
        self.admin = config["admin"]
        self._env = env or {}
        self.process = None
        self.start()

    def start(self):
        """Starts the program (again). It may not listen yet: see wait_ready, wait_alive."""
        assert not self.is_running()
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [program(self.name), "--config", str(self.config_path)], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, cwd=self.directory, env=environment(**self._env))
        return self

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self):
        return self.process.pid

    def log(self):
        """Everything it has written to standard error."""
        return self.log_path.read_text(errors="replace")

    def get(self, path, timeout=5):
        """(status, body) of an admin page; (None, "") when nobody answers."""
        try:
            with urllib.request.urlopen(f"http://{self.admin}{path}", timeout=timeout) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except (urllib.error.URLError, OSError):
            return None, ""

    def _wait_page(self, path, timeout):
        def answered():
            assert self.is_running(), f"{self.name} ended ({self.process.returncode}):\n{self.log()}"
            return self.get(path)[0] == 200
        wait_until(answered, timeout, 0.02, f"{path} of {self.name}: {self.get(path)}\n{self.log()}")
        return self

    def wait_alive(self, timeout=READY_TIMEOUT):
        """Until the admin server answers, ready or not."""
        return self._wait_page("/livez", timeout)

    def wait_ready(self, timeout=READY_TIMEOUT):
        return self._wait_page("/readyz", timeout)

    def metrics(self):
        """All samples: {'name{labels}': value}."""
        status, text = self.get("/metrics")
        assert status == 200
        samples = {}
        for line in text.splitlines():
            if line and not line.startswith("#"):
                key, value = line.rsplit(" ", 1)
                samples[key] = float(value)
        return samples

    def metric(self, key, default=None):
        """One sample by name and labels; or the sum over all labels when only a name is given and
        the metric has labels. `default`, when given, stands for one that is not there."""
        samples = self.metrics()
        if key in samples:
            return samples[key]
        found = [value for name, value in samples.items() if name.startswith(key + "{")]
        assert found or default is not None, f"no metric {key} in {sorted(samples)}"
        return sum(found) if found else default

    def wait_end(self, timeout=STOP_TIMEOUT):
        """Waits for the program to end and returns its exit status."""
        try:
            wait_until(lambda: self.process.poll() is not None, timeout)
        except AssertionError:
            self.kill()
            raise AssertionError(f"{self.name} still runs after {timeout} s:\n{self.log()}") from None
        return self.process.returncode

    def stop(self, expect=0):
        """SIGTERM; asserts a clean end in time and no sanitizer report. Harmless when ended."""
        if self.is_running():
            self.process.send_signal(signal.SIGTERM)
            status = self.wait_end()
            assert_no_sanitizer_report(self.log())
            assert status == expect, f"{self.name} exits {status}:\n{self.log()}"
        assert_no_sanitizer_report(self.log())

    def kill(self):
        """SIGKILL: an end the program cannot see coming."""
        self.process.kill()
        self.process.wait()


class Backend(Daemon):
    name = "godwit-backend"

    def __init__(self, directory, storage, listen=None, env=None, **config):
        self.address = (listen or [free_address()])[0]
        super().__init__(directory, {
            "listen": listen or [self.address],
            "storage": storage.url if isinstance(storage, Store) else storage,
            "admin": free_address(),
            **config,
        }, env)


class Frontend(Daemon):
    """Listens on 127.0.0.1 and, if the machine has it, ::1, one port for all."""

    name = "godwit-frontend"

    def __init__(self, directory, backends, listen=None, env=None, **config):
        port = free_port()
        hosts = ["127.0.0.1"] + (["[::1]"] if has_ipv6() else [])
        listen = listen or [
            {"address": f"{host}:{port}", "protocols": ["udp", "tcp"]} for host in hosts]
        backends = [b.address if isinstance(b, Backend) else b for b in backends]
        self.addresses = [entry["address"] for entry in listen]
        self.address = self.addresses[0]
        super().__init__(directory, {
            "listen": listen,
            "routes": [{"zone": ".", "backends": backends}],
            "admin": free_address(),
            **config,
        }, env)


# --- DNS clients ----------------------------------------------------------------------------------

def ask(server, name, rtype="A", tcp=False, timeout=5, **options):
    """One query to a Frontend or an "ip:port". `options` are dns.message.make_query's, such as
    use_edns=0, payload=1232, want_dnssec=True."""
    host, port = split_address(server if isinstance(server, str) else server.address)
    query = dns.message.make_query(name, rtype, **options)
    if tcp:
        return dns.query.tcp(query, host, port=port, timeout=timeout)
    return dns.query.udp(query, host, port=port, timeout=timeout)


def answers(reply):
    """The data of the answer section, sorted, as `dig +short` shows it."""
    return sorted(str(rdata) for rrset in reply.answer for rdata in rrset)


def rcode(reply):
    """The response code's name, "NXDOMAIN"."""
    return dns.rcode.to_text(reply.rcode())


# --- gRPC client ----------------------------------------------------------------------------------

_stubs_directory = None
_stubs_lock = threading.Lock()


def stubs(name):
    """The module protoc makes of proto/NAME.proto: stubs("dns").DnsPacket, stubs("health")..."""
    global _stubs_directory
    with _stubs_lock:
        if _stubs_directory is None:
            directory = tempfile.TemporaryDirectory(prefix="godwit-stubs-")
            protos = sorted(str(path) for path in PROTO.glob("*.proto"))
            run("protoc", f"--python_out={directory.name}", f"-I{PROTO}", *protos)
            sys.path.append(directory.name)
            _stubs_directory = directory
    return __import__(f"{name}_pb2")


class GrpcClient:
    """An independent client of coredns.dns.DnsService and grpc.health.v1.Health. Use as a context
    manager, or close()."""

    def __init__(self, address, **options):
        target = address if address.startswith("unix:") else f"dns:///{address}"
        if re.match(r"^(\d+\.\d+\.\d+\.\d+|\[.*\]):", address):
            target = address
        self.channel = grpc.insecure_channel(target, options=[
            ("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0),
            *options.items()])
        packet = stubs("dns").DnsPacket
        health = stubs("health")
        self.query_call = self.channel.unary_unary(
            "/coredns.dns.DnsService/Query", packet.SerializeToString, packet.FromString)
        self.check_call = self.channel.unary_unary(
            "/grpc.health.v1.Health/Check", health.HealthCheckRequest.SerializeToString,
            health.HealthCheckResponse.FromString)
        self.watch_call = self.channel.unary_stream(
            "/grpc.health.v1.Health/Watch", health.HealthCheckRequest.SerializeToString,
            health.HealthCheckResponse.FromString)

    def query_bytes(self, wire, timeout=5):
        """DNS octets in, DNS octets out. Raises grpc.RpcError."""
        return self.query_call(stubs("dns").DnsPacket(msg=wire), timeout=timeout).msg

    def query(self, name, rtype="A", timeout=5, **options):
        """One query as dns.message, checked to be answered by its own reply."""
        question = dns.message.make_query(name, rtype, **options)
        reply = dns.message.from_wire(self.query_bytes(question.to_wire(), timeout))
        assert question.is_response(reply)
        return reply

    def check(self, service="", timeout=5):
        """Health's word: "SERVING", "NOT_SERVING". Raises grpc.RpcError."""
        health = stubs("health")
        reply = self.check_call(health.HealthCheckRequest(service=service), timeout=timeout)
        return health.HealthCheckResponse.ServingStatus.Name(reply.status)

    def watch(self, service="", timeout=None):
        """The stream of Health/Watch: iterate it for responses, .cancel() ends it."""
        return self.watch_call(stubs("health").HealthCheckRequest(service=service), timeout=timeout)

    def close(self):
        self.channel.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def has_program(name):
    return shutil.which(name) is not None
