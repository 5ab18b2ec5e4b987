"""DNS over TLS to clients that cut their octets anywhere: many queries in a record, a query in many
records, records sent in pieces, replies read in drips through a small window. Whatever has arrived
whole is answered while the client says nothing more. (test_connection.c does the same inside one
process, in thousands of random orders.)"""

import contextlib
import random
import select
import socket
import ssl
import struct
import time

import dns.message
import pytest

from godwit import split_address
from secure_frontend import authority, foreign, pair, start_secure  # noqa: F401

QUERIES = 250
PATIENCE_S = 20


class CuttingClient:
    """TLS in memory, so that records and what the socket gets of them can be cut anywhere."""

    def __init__(self, address, authority, window):
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        self.socket.connect(split_address(address))
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = ssl.create_default_context(cafile=str(authority.certificate))
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="dns.example")
        self.plain = b""
        self.ids = []  # of the replies, as they came

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, cut):
        """All that is sealed, in pieces of up to cut() octets."""
        sealed = self.outgoing.read()
        while sealed:
            piece, sealed = sealed[:(size := cut())], sealed[size:]
            self.socket.sendall(piece)

    def receive(self, size, wait_s):
        """Up to `size` octets of TLS, and the replies in them. False: none within the time."""
        if not select.select([self.socket], [], [], wait_s)[0]:
            return False
        data = self.socket.recv(size)
        assert data, "the server has closed the connection"
        self.incoming.write(data)
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.do_handshake()
            while True:
                self.plain += self.tls.read(65536)
        while len(self.plain) >= 2:
            end = 2 + struct.unpack("!H", self.plain[:2])[0]
            if len(self.plain) < end:
                break
            self.ids.append(struct.unpack("!H", self.plain[2:4])[0])
            self.plain = self.plain[end:]
        return True

    def shake_hands(self, cut):
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            with contextlib.suppress(ssl.SSLWantReadError):
                self.tls.do_handshake()
                return
            self.send(cut)
            self.receive(cut(), 1)
        raise AssertionError("no handshake")

    def wait_for(self, count, cut):
        """Reads, and sends nothing, until `count` replies have come."""
        deadline = time.monotonic() + PATIENCE_S
        while len(self.ids) < count:
            left_s = deadline - time.monotonic()
            assert left_s > 0 and self.receive(cut(), left_s), \
                f"{len(self.ids)} of {count} replies while the client was silent"


def make_stream(chance):
    """The queries as they stand in the stream, and where each of them ends."""
    kinds = ["www{}.example."] * 8 + ["delay-0-{}.example.", "big-0-800.n{}.example."]
    stream, ends = b"", []
    for number in range(QUERIES):
        name = chance.choice(kinds).format(chance.randrange(40))
        wire = dns.message.make_query(name, "A", id=number).to_wire()
        stream += struct.pack("!H", len(wire)) + wire
        ends.append(len(stream))
    return stream, ends


@pytest.mark.parametrize("seed", range(6))
def test_what_has_arrived_is_answered_without_another_octet(start_secure, authority, seed):  # noqa: F811
    chance = random.Random(seed)
    stream, ends = make_stream(chance)
    frontend = start_secure("tls")

    def cut():
        return chance.choice((1, 7, 300, 5000, 70000))

    with CuttingClient(frontend.secure, authority, (4096, 1 << 18)[seed % 2]) as client:
        client.shake_hands(cut)
        at = 0
        while at < len(stream):
            piece = stream[at:at + chance.choice((1, 10, 60, 700, 4000))]
            client.tls.write(piece)
            client.send(cut)
            at += len(piece)
            if chance.random() < 0.3:
                client.receive(cut(), 0)
            if chance.random() < 0.1:
                client.wait_for(sum(end <= at for end in ends), cut)
        client.wait_for(QUERIES, lambda: 4096)
        assert sorted(client.ids) == list(range(QUERIES))
