"""Private Redis servers for the tests, on free ports and in directories of their own.

    RedisServer(directory, *options)    a redis-server: .url, .client, .stop(), .kill(), .start()
    Sentinel(directory, master)         a redis-sentinel that watches it
    make_cluster(directory, count)      RedisServers that are the masters of one cluster
    make_certificates(directory)        a CA and a server's certificate for 127.0.0.1

And what the tests of the Redis store have in common: questions to a backend, godwitctl, fixtures.
"""

import os
import pathlib
import signal
import subprocess
import tempfile

import pytest
import redis

import godwit
from godwit import free_port, run, wait_until

ZONE = {"SOA": "ns1.example.com. hostmaster.example.com. 1 10800 3600 604800 300",
        "NS": "ns1.example.com.\nns2.example.com.", "ttl": "300"}


class RedisServer:
    """A redis-server that keeps nothing on disk unless told to. `options` are its own, such as
    ("--requirepass", "secret")."""

    program = "redis-server"

    def __init__(self, directory, *options, user=None, password=None, tls=None):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="redis-", dir=directory))
        self.port = free_port()
        self.bus_port = free_port()  # of a cluster's nodes among themselves
        self.host = "127.0.0.1"
        self.options = options
        self.log_path = self.directory / "redis.log"
        self.tls = tls
        self.user, self.password = user, password
        self.process = None
        self.start()

    @property
    def address(self):
        return f"{self.host}:{self.port}"

    @property
    def url(self):
        return f"redis://{self.address}"

    def command(self):
        ports = ["--port", self.port]
        if self.tls:
            ports = ["--port", 0, "--tls-port", self.port, "--tls-cert-file", self.tls.certificate,
                     "--tls-key-file", self.tls.key, "--tls-ca-cert-file", self.tls.ca,
                     "--tls-auth-clients", "optional"]
        if "--cluster-enabled" in self.options:
            ports += ["--cluster-port", self.bus_port]
        return [self.program, *ports, "--bind", self.host, "--save", "", "--dir", self.directory,
                *self.options]

    def connect(self, **options):
        if self.tls:
            options = {"ssl": True, "ssl_ca_certs": str(self.tls.ca),
                       "ssl_certfile": str(self.tls.certificate),
                       "ssl_keyfile": str(self.tls.key), **options}
        return redis.Redis(host=self.host, port=self.port, username=self.user,
                           password=self.password, decode_responses=True, **options)

    def answers(self):
        try:
            self.connect(socket_timeout=1).ping()
            return True
        except redis.exceptions.AuthenticationError:
            return True
        except redis.exceptions.RedisError:
            return False

    def start(self):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([str(word) for word in self.command()],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until(lambda: self.answers() or self.process.poll() is not None, 10, 0.02,
                   f"{self.program} answers")
        assert self.process.poll() is None, f"{self.program} ended:\n{self.log()}"
        self.client = self.connect()
        return self

    def log(self):
        return self.log_path.read_text(errors="replace")

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def stop(self):
        """Its end, whatever state it is in; what a fixture calls."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.kill()

    def pause(self):
        """SIGSTOP: from outside as if packets were dropped."""
        self.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED)  # until all its threads have stopped

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def put_zone(self, apex="example.com", **names):
        """A zone, and A records of names in it."""
        self.client.hset(f"dns:{apex}", mapping={
            key: value.replace("example.com", apex) for key, value in ZONE.items()})
        for name, address in names.items():
            self.client.hset(f"dns:{name}.{apex}", mapping={"A": address, "ttl": "60"})
        return self

    def role(self):
        """"master" or "slave"; None while it does not say. A failover closes all connections."""
        try:
            return self.connect(socket_timeout=1).info()["role"]
        except redis.exceptions.RedisError:
            return None

    def clients(self, kind):
        """The ids of connections of a type, "normal" or "pubsub", but for this test's own."""
        own = {self.client.client_id()}
        return [entry["id"] for entry in self.client.client_list(_type=kind)
                if int(entry["id"]) not in own]


class Sentinel(RedisServer):
    program = "redis-sentinel"

    def __init__(self, directory, master, quorum=1):
        self.master, self.quorum = master, quorum
        super().__init__(directory)

    def command(self):
        config = self.directory / "sentinel.conf"
        if not config.exists():
            config.write_text(
                f"port {self.port}\nbind 127.0.0.1\ndir {self.directory}\n"
                f"sentinel monitor mymaster 127.0.0.1 {self.master.port} {self.quorum}\n"
                "sentinel down-after-milliseconds mymaster 500\n"
                "sentinel failover-timeout mymaster 3000\n"
                "sentinel parallel-syncs mymaster 1\n")
        return [self.program, config]


def make_cluster(directory, count=3):
    nodes = [RedisServer(directory, "--cluster-enabled", "yes", "--cluster-node-timeout", "1000",
                         "--cluster-require-full-coverage", "no") for _ in range(count)]
    share = 16384 // count
    for number, node in enumerate(nodes):
        last = 16383 if number == count - 1 else (number + 1) * share - 1
        node.client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        node.client.execute_command("CLUSTER", "ADDSLOTSRANGE", number * share, last)
        node.client.execute_command("CLUSTER", "MEET", "127.0.0.1", nodes[0].port,
                                    nodes[0].bus_port)

    def is_whole():
        states = [node.client.cluster("info") for node in nodes]
        return all(state["cluster_state"] == "ok" and state["cluster_known_nodes"] == str(count)
                   for state in states)
    wait_until(is_whole, 20, 0.05)
    return nodes


class Certificates:
    def __init__(self, directory):
        self.ca = directory / "ca.crt"
        self.certificate = directory / "redis.crt"
        self.key = directory / "redis.key"


def make_certificates(directory, names="IP:127.0.0.1"):
    made = Certificates(pathlib.Path(directory))
    ca_key, request = directory / "ca.key", directory / "redis.csr"
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-keyout", ca_key, "-out", made.ca, "-subj", "/CN=test CA", "-days", "2")
    run("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-keyout", made.key, "-out", request, "-subj", "/CN=redis",
        "-addext", f"subjectAltName={names}")
    run("openssl", "x509", "-req", "-in", request, "-CA", made.ca, "-CAkey", ca_key,
        "-CAcreateserial", "-copy_extensions", "copy", "-out", made.certificate, "-days", "2")
    return made


# --- what the tests ask -----------------------------------------------------------------------------

# Seconds within which a change is served.
PROMISE_S = 1.0 if godwit.SANITIZED else 0.3


def addresses(client, name, rtype="A"):
    return godwit.answers(client.query(name, rtype))


def wait_answers(client, name, expected, rtype="A", timeout=PROMISE_S):
    wait_until(lambda: addresses(client, name, rtype) == expected, timeout,
               message=f"{name} {rtype} is {addresses(client, name, rtype)}, not {expected}")


def wait_rcode(client, name, expected, timeout=PROMISE_S):
    wait_until(lambda: godwit.rcode(client.query(name)) == expected, timeout,
               message=f"{name} is {godwit.rcode(client.query(name))}, not {expected}")


def ctl(url, *words, check=True, **options):
    """godwitctl on that store."""
    return run(godwit.program("godwitctl"), "--store", url, *words, check=check, **options)


# --- fixtures: import them ------------------------------------------------------------------------

@pytest.fixture
def start_redis(tmp_path):
    """start_redis(*options, **settings) -> RedisServer; a list of all to stop is its `started`."""
    started = []

    def start(*options, **settings):
        started.append(RedisServer(tmp_path, *options, **settings))
        return started[-1]
    start.started = started
    yield start
    for server in reversed(started):
        server.stop()


@pytest.fixture
def server(start_redis):
    """A server with the zone example.com."""
    return start_redis().put_zone(www="192.0.2.80", ns1="192.0.2.1", ns2="192.0.2.2")


@pytest.fixture
def backend(server, start_backend):
    """A backend on `server`."""
    return start_backend(server.url).wait_ready()


@pytest.fixture
def client(backend):
    with godwit.GrpcClient(backend.address) as grpc:
        yield grpc
