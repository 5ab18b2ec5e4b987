"""Clients that ask, and hold every answer against the truth; and others that only want to harm."""

import contextlib
import os
import random
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time

import dns.exception
import dns.message
import dns.query
import httpx

import https_clients
import quic_client
from godwit import SANITIZED, split_address

PATIENCE_S = 30 if SANITIZED else 12
FAILURES = (OSError, EOFError, dns.exception.DNSException, httpx.HTTPError, quic_client.Ended)


class Client(threading.Thread):
    """Asks one front end in one way, a question at a time with short pauses, until stopped."""

    kind = None
    attempts = 2  # a connection that has ended costs no answer: RFC 7766 section 6.2.4

    def __init__(self, judge, number, address, authority, seed):
        super().__init__(daemon=True)
        self.judge, self.number, self.authority = judge, number, authority
        self.address = split_address(address)
        self.text = address
        self.rng = random.Random(seed)
        self._stop_it = threading.Event()

    def exchange(self, query):
        raise NotImplementedError

    def close(self):
        pass

    def _exchange(self, query):
        for attempt in range(self.attempts):
            try:
                return self.exchange(query)
            except FAILURES as failure:
                self.close()
                reason = failure
                if isinstance(failure, (TimeoutError, dns.exception.Timeout)):
                    break
        return f"{type(reason).__name__}: {reason}"

    def ask_one(self):
        subject = self.rng.choice(self.judge.subjects)
        query = dns.message.make_query(subject.question(self.rng), "A",
                                       use_edns=self.rng.choice([False, 0]))
        asked = time.time()
        reply = self._exchange(query)
        if isinstance(reply, str):
            self.judge.lost(self.number, self.kind, asked, reply)
        else:
            self.judge.answered(self.number, self.kind, subject, asked, reply)

    def run(self):
        while not self._stop_it.wait(self.rng.uniform(0, 0.04)):
            self.ask_one()
        self.close()

    def stop(self):
        self._stop_it.set()


class UdpClient(Client):
    kind = "udp"
    attempts = 1

    def exchange(self, query):
        host, port = self.address
        return dns.query.udp(query, host, port=port, timeout=PATIENCE_S, ignore_unexpected=True)


class StreamClient(Client):
    """Some queries on each connection."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.socket = None
        self.left = 0

    def connect(self):
        return socket.create_connection(self.address, PATIENCE_S)

    def exchange(self, query):
        if self.left == 0:
            self.close()
        if not self.socket:
            self.socket, self.left = self.connect(), self.rng.randrange(1, 30)
        self.left -= 1
        deadline = time.time() + PATIENCE_S
        dns.query.send_tcp(self.socket, query, deadline)
        reply, _ = dns.query.receive_tcp(self.socket, deadline)
        if not query.is_response(reply):
            raise dns.query.BadResponse
        return reply

    def close(self):
        if self.socket:
            self.socket.close()
        self.socket = None


class TcpClient(StreamClient):
    kind = "tcp"


class TlsClient(StreamClient):
    kind = "tls"

    def connect(self):
        context = ssl.create_default_context(cafile=str(self.authority.certificate))
        plain = socket.create_connection(self.address, PATIENCE_S)
        # dnspython waits by itself, as sockets that do not block have it.
        secure = context.wrap_socket(plain, server_hostname="dns.example")
        secure.setblocking(False)
        return secure


class HttpsClient(Client):
    kind = "https"

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.http = None
        self.left = 0

    def exchange(self, query):
        if self.left == 0:
            self.close()
        if not self.http:
            http2 = self.rng.random() < 0.5
            self.http = httpx.Client(http1=not http2, http2=http2, timeout=PATIENCE_S,
                                     verify=str(self.authority.certificate))
            self.left = self.rng.randrange(1, 30)
        self.left -= 1
        query.id = 0
        reply = self.http.get(f"https://{self.text}{https_clients.get_path(query)}")
        reply.raise_for_status()
        return dns.message.from_wire(reply.content)

    def close(self):
        if self.http:
            self.http.close()
        self.http = None


class QuicClient(Client):
    kind = "quic"

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.quic = None
        self.left = 0

    def exchange(self, query):
        if self.left == 0:
            self.close()
        if not self.quic:
            self.quic = quic_client.QuicClient(self.text, self.authority, timeout=PATIENCE_S)
            self.left = self.rng.randrange(1, 30)
        self.left -= 1
        query.id = 0
        return self.quic.receive(self.quic.send(query))

    def close(self):
        if self.quic:
            with contextlib.suppress(OSError):
                self.quic.close()
        self.quic = None


# --- those that mean harm -------------------------------------------------------------------------

class Noise(threading.Thread):
    """Hostile octets at every port, names at random that nobody has, and clients so slow that they
    never come to the point: some of each in every turn. Nobody looks at answers."""

    SLOW = 12
    EACH_S = 0.05

    def __init__(self, listeners, zone, seed):
        super().__init__(daemon=True)
        self.listeners = listeners  # {"udp": [address], "tcp": [...], "tls", "https", "quic"}
        self.zone = zone
        self.rng = random.Random(seed)
        self.slow = []
        self.turns = 0
        self._stop_it = threading.Event()

    def query(self):
        name = f"{self.rng.getrandbits(48):x}.{self.zone}"
        return dns.message.make_query(name, self.rng.choice(["A", "AAAA", "TXT", "ANY"])).to_wire()

    def nonsense(self):
        wire = bytearray(self.query())
        how = self.rng.randrange(4)
        if how == 0:
            return self.rng.randbytes(self.rng.randrange(0, 1400))
        if how == 1:
            return bytes(wire[:self.rng.randrange(len(wire))])
        for _ in range(self.rng.randrange(1, 6)):
            wire[self.rng.randrange(len(wire))] = self.rng.randrange(256)
        if how == 2:
            wire += self.rng.randbytes(self.rng.randrange(40))
        return bytes(wire)

    def datagrams(self, udp):
        for kind in ("udp", "quic"):
            for address in self.listeners.get(kind, []):
                target = split_address(address)
                for _ in range(5):
                    udp.sendto(self.nonsense(), target)
                if kind == "udp":
                    for _ in range(5):
                        udp.sendto(self.query(), target)
                else:  # as if it were an Initial packet of version 1
                    udp.sendto(b"\xc0\0\0\0\1" + self.rng.randbytes(1195), target)

    def connection(self, kind):
        """A stream with nonsense, ended in one way or another."""
        address = self.rng.choice(self.listeners[kind])
        octets = self.nonsense()
        if kind == "tcp":
            octets = struct.pack("!H", self.rng.choice([len(octets), 65535, 0])) + octets
        elif self.rng.random() < 0.5:
            octets = b"\x16\x03\x01" + struct.pack("!H", len(octets)) + octets
        with socket.create_connection(split_address(address), 1) as client:
            client.settimeout(0.2)
            client.sendall(octets)
            if self.rng.random() < 0.5:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def drip(self):
        """One octet more from each slow client."""
        if len(self.slow) < self.SLOW:
            kind = self.rng.choice([kind for kind in self.listeners if kind not in ("udp", "quic")])
            client = socket.create_connection(
                split_address(self.rng.choice(self.listeners[kind])), 1)
            client.setblocking(False)
            self.slow.append(client)
        for client in list(self.slow):
            try:
                client.send(b"\0")
                client.recv(1)
            except BlockingIOError:
                continue
            except OSError:
                pass
            self.slow.remove(client)
            client.close()

    def run(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.setblocking(False)
            while not self._stop_it.wait(self.EACH_S):
                self.turns += 1
                with contextlib.suppress(OSError):
                    self.datagrams(udp)
                with contextlib.suppress(OSError):
                    self.connection(self.rng.choice(
                        [kind for kind in self.listeners if kind not in ("udp", "quic")]))
                if self.turns % 10 == 0:
                    with contextlib.suppress(OSError):
                        self.drip()
        for client in self.slow:
            client.close()

    def stop(self):
        self._stop_it.set()


# Bursts of queries for names at random, until its standard input ends.
_FLOOD = """
import os, select, socket, sys
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.setblocking(False)
client.connect((sys.argv[1], int(sys.argv[2])))
zone = b"".join(bytes([len(label)]) + label.encode() for label in sys.argv[3].split("."))
while not select.select([0], [], [], 0.02)[0]:
    for _ in range(int(sys.argv[4])):
        name = os.urandom(8).hex().encode()
        try:
            client.send(os.urandom(2) + bytes.fromhex("01000001000000000000") + bytes([len(name)]) +
                        name + zone + bytes.fromhex("0000010001"))
        except OSError:
            pass
"""


@contextlib.contextmanager
def flood(address, zone, burst=200):
    """Ten thousand queries a second that nobody has asked before."""
    host, port = split_address(address)
    process = subprocess.Popen([sys.executable, "-ISc", _FLOOD, host, str(port), zone, str(burst)],
                               stdin=subprocess.PIPE)
    try:
        yield
    finally:
        process.stdin.close()
        process.wait()


def open_files(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def crowd(addresses, count):
    """Up to `count` connections that say nothing, as many as are let in."""
    clients = []
    for number in range(count):
        with contextlib.suppress(OSError):
            clients.append(socket.create_connection(
                split_address(addresses[number % len(addresses)]), 0.5))
    return clients
