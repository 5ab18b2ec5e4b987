"""A DNS over QUIC client on aioquic, an implementation independent of the server's. It has no loop
and no threads: every step is the test's own, so that packets can be held back, forged and sent from
elsewhere.

aioquic is no Debian 12 package. It comes from PyPI into a virtual environment of the build
directory, made once; where that cannot be had, tests that need it are skipped with the reason.
"""

import fcntl
import functools
import socket
import struct
import subprocess
import sys
import time

import dns.message
import pytest

from godwit import BUILD, split_address

INSTALL_TIMEOUT = 240
RENEWED = ("cryptography", "OpenSSL", "cffi", "_cffi_backend", "attr", "attrs", "service_identity")


def _install():
    """The directory with aioquic's packages, and why there is none. One at a time does it."""
    with open(BUILD / "test-quic-client.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _install_alone()


def _install_alone():
    environment = BUILD / "test-quic-client"
    packages = (environment / "lib" / f"python3.{sys.version_info.minor}" / "site-packages")
    if (environment / "complete").exists():
        return packages, None
    commands = ([sys.executable, "-m", "venv", "--clear", str(environment)],
                [str(environment / "bin" / "pip"), "install", "--quiet",
                 "--disable-pip-version-check", "aioquic"])
    for command in commands:
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_TIMEOUT)
        except (OSError, subprocess.TimeoutExpired) as failure:
            return None, str(failure)
        if done.returncode != 0:
            return None, (done.stderr or done.stdout).strip()[-300:]
    (environment / "complete").touch()
    return packages, None


@functools.cache
def aioquic():
    """aioquic's modules, as (connection, configuration, events); skips the test without them."""
    packages, reason = _install()
    if not packages:
        pytest.skip(f"no aioquic, DNS over QUIC is not tried with it: {reason}")
    # In front, for the system's cryptography is older; behind again for everybody else. Who has
    # taken the older one already keeps it, but aioquic must not get parts of it.
    sys.path.insert(0, str(packages))
    for module in [name for name in sys.modules if name.split(".")[0] in RENEWED]:
        del sys.modules[module]
    try:
        from aioquic.quic import configuration, connection, events
    except ImportError as failure:
        pytest.skip(f"aioquic does not work here, DNS over QUIC is not tried with it: {failure}")
    finally:
        sys.path.remove(str(packages))
        sys.path.append(str(packages))
    return connection, configuration, events


class Ended(Exception):
    """The server has ended the connection; .code is its error code."""

    def __init__(self, event):
        super().__init__(f"code {event.error_code:#x}: {event.reason_phrase}")
        self.code = event.error_code


class QuicClient:
    """A connection to a DoQ server. Options are those of aioquic's QuicConfiguration."""

    def __init__(self, address, authority, name="dns.example", alpn=("doq",), connect=True,
                 timeout=10, **options):
        connection, configuration, self.events = aioquic()
        self.server = split_address(address)
        self.timeout = timeout
        self.resumed = False
        self.ready = False
        self.ended = None
        self.tickets, self.tokens = [], []
        self.data, self.resets = {}, {}
        self.whole = {}  # streams that have ended, in that order
        self.pings = set()  # that were acknowledged
        config = configuration.QuicConfiguration(
            alpn_protocols=list(alpn), server_name=name, cafile=str(authority.certificate),
            **{"supported_versions": [1], **options})
        self.quic = connection.QuicConnection(
            configuration=config, session_ticket_handler=self.tickets.append,
            token_handler=self.tokens.append)
        self.socket = self._new_socket()
        self.quic.connect(self.server, time.monotonic())
        if connect:
            self.wait(lambda: self.ready)

    def _new_socket(self):
        family = socket.AF_INET6 if ":" in self.server[0] else socket.AF_INET
        return socket.socket(family, socket.SOCK_DGRAM)

    # --- steps ----------------------------------------------------------------------------------

    def packets(self):
        """What aioquic wants to send now."""
        return [data for data, _ in self.quic.datagrams_to_send(time.monotonic())]

    def send_packet(self, packet):
        self.socket.sendto(packet, self.server)

    def flush(self):
        for packet in self.packets():
            self.send_packet(packet)

    def take_events(self):
        while (event := self.quic.next_event()) is not None:
            if isinstance(event, self.events.HandshakeCompleted):
                self.ready, self.resumed = True, event.session_resumed
            elif isinstance(event, self.events.StreamDataReceived):
                self.data[event.stream_id] = self.data.get(event.stream_id, b"") + event.data
                if event.end_stream:
                    self.whole[event.stream_id] = True
            elif isinstance(event, self.events.StreamReset):
                self.resets[event.stream_id] = event.error_code
            elif isinstance(event, self.events.PingAcknowledged):
                self.pings.add(event.uid)
            elif isinstance(event, self.events.ConnectionTerminated):
                self.ended = Ended(event)

    def step(self, longest=0.05):
        """Sends what there is, and waits for one datagram or aioquic's timer."""
        self.flush()
        timer = self.quic.get_timer()
        wait = longest if timer is None else min(longest, max(timer - time.monotonic(), 0.0001))
        self.socket.settimeout(wait)
        try:
            self.quic.receive_datagram(self.socket.recv(65535), self.server, time.monotonic())
        except TimeoutError:
            if timer is not None and time.monotonic() >= timer:
                self.quic.handle_timer(time.monotonic())
        except ConnectionRefusedError:
            pass  # ICMP: nobody listens there
        self.take_events()

    def wait(self, condition, timeout=None):
        """Steps until `condition` holds. Raises Ended when the connection ends before."""
        deadline = time.monotonic() + (timeout or self.timeout)
        while not condition():
            if self.ended:
                raise self.ended
            if time.monotonic() > deadline:
                raise TimeoutError("nothing more has come")
            self.step()
        self.flush()

    def wait_end(self, timeout=None):
        """Waits until the server has ended the connection, and returns its error code."""
        try:
            self.wait(lambda: False, timeout)
        except Ended as ended:
            return ended.code

    def seal(self, payload):
        """A packet with these octets in it that the server can open."""
        crypto = next(crypto for epoch, crypto in self.quic._cryptos.items()
                      if epoch.name == "ONE_RTT")
        sequence = self.quic._packet_number
        self.quic._packet_number += 1
        header = bytes([0x41 | crypto.key_phase << 2]) + self.quic._peer_cid.cid + \
            struct.pack("!H", sequence & 0xffff)
        return crypto.encrypt_packet(header, payload, sequence)

    def ping(self):
        """Waits until the server has read all that was sent before, acknowledgements included, which
        aioquic puts off for a moment."""
        [space] = [space for epoch, space in self.quic._spaces.items() if epoch.name == "ONE_RTT"]
        self.wait(lambda: space.ack_at is None)
        uid = len(self.pings) + 1
        self.quic.send_ping(uid)
        self.wait(lambda: uid in self.pings)

    # --- DNS ------------------------------------------------------------------------------------

    def send_octets(self, octets, end=True):
        """A new stream with these octets; its number."""
        stream = self.quic.get_next_available_stream_id()
        self.quic.send_stream_data(stream, octets, end)
        return stream

    def send(self, query):
        wire = query.to_wire()
        return self.send_octets(struct.pack("!H", len(wire)) + wire)

    def receive(self, stream, timeout=None):
        """The reply on a stream, whose end is told as well."""
        self.wait(lambda: stream in self.whole or stream in self.resets, timeout)
        assert stream not in self.resets, f"reset: {self.resets[stream]}"
        data = self.data.pop(stream)
        assert struct.unpack("!H", data[:2])[0] == len(data) - 2
        return dns.message.from_wire(data[2:])

    def ask(self, name, rtype="A", **options):
        return self.receive(self.send(dns.message.make_query(name, rtype, id=0, **options)))

    def rebind(self):
        """Goes on from another port, as behind a NAT that has forgotten."""
        self.socket.close()
        self.socket = self._new_socket()

    def peer_certificate(self):
        return self.quic.tls._peer_certificate

    def close(self):
        if self.socket.fileno() < 0:
            return
        self.quic.close()
        self.flush()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
