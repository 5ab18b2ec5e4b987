"""What the tests of DNS over HTTPS share: a front end that serves it, and clients that can be told
to do anything, octet by octet on HTTP/1.1 and frame by frame on HTTP/2.

Fixtures, to be imported by name beside those of secure_frontend.py: start, frontend, client.
"""

import base64
import functools
import socket
import ssl
import struct

import dns.message
import h2.config
import h2.connection
import h2.events
import h2.exceptions
import httpx
import pytest

from godwit import run, split_address

NAME = "www.example.com."
TYPE = "application/dns-message"


@pytest.fixture
def start(start_secure):
    """start(**config) -> a ready front end; .address is for UDP and TCP, .secure for HTTPS."""
    return functools.partial(start_secure, "https")


@pytest.fixture
def frontend(start):
    return start()


def url(frontend, rest="/dns-query"):
    return f"https://{frontend.secure}{rest}"


def get_path(query):
    wire = query if isinstance(query, bytes) else query.to_wire()
    return "/dns-query?dns=" + base64.urlsafe_b64encode(wire).decode().rstrip("=")


def query_of(name=NAME, rtype="A", **options):
    """With ID 0, as RFC 8484 section 4.1 advises."""
    query = dns.message.make_query(name, rtype, **options)
    query.id = 0
    return query


def event(frontend, what):
    return frontend.metric(f'godwit_frontend_https_connections_total{{event="{what}"}}')


def status_count(frontend, status):
    return frontend.metric(f'godwit_frontend_http_replies_total{{status="{status}"}}')


@pytest.fixture
def client(authority):
    """client(http2=True) -> an httpx.Client that checks certificates."""
    made = []

    def make(http2=True):
        made.append(httpx.Client(http1=not http2, http2=http2, timeout=10,
                                 verify=str(authority.certificate)))
        return made[-1]
    yield make
    for one in made:
        one.close()


both_versions = pytest.mark.parametrize("http2", [True, False], ids=["http2", "http1"])


def curl(frontend, authority, *options, check=True):
    return run("curl", "-sS", "--cacert", authority.certificate, *options, check=check)


GOOD = get_path(query_of())
WIRE = query_of().to_wire()


def connect(frontend, authority, *alpn, timeout=10):
    context = ssl.create_default_context(cafile=str(authority.certificate))
    if alpn:
        context.set_alpn_protocols(alpn)
    plain = socket.create_connection(split_address(frontend.secure), timeout)
    return context.wrap_socket(plain, server_hostname="dns.example")


class Http1:
    def __init__(self, frontend, authority, timeout=10):
        self.socket = connect(frontend, authority, "http/1.1", timeout=timeout)
        self.file = self.socket.makefile("rb")

    @staticmethod
    def get(path=GOOD, *lines):
        return b"".join(line.encode() + b"\r\n" for line in
                        [f"GET {path} HTTP/1.1", "Host: dns.example", *lines, ""])

    @staticmethod
    def post(body, *lines):
        return b"".join(line.encode() + b"\r\n" for line in
                        ["POST /dns-query HTTP/1.1", "Host: dns.example", f"Content-Type: {TYPE}",
                         *lines, ""]) + body

    def send(self, octets):
        self.socket.sendall(octets)

    def receive(self):
        """(status, headers, body) of the next reply; (0, {}, b"") at the end."""
        first = self.file.readline()
        if not first:
            return 0, {}, b""
        version, status, _ = first.decode().split(" ", 2)
        assert version == "HTTP/1.1"
        headers = {}
        while (line := self.file.readline()) != b"\r\n":
            name, value = line.decode().rstrip("\r\n").split(": ", 1)
            headers[name.lower()] = value
        return int(status), headers, self.file.read(int(headers.get("content-length", 0)))

    def ended(self):
        try:
            return self.file.read(1) == b""
        except (ssl.SSLEOFError, ConnectionError):
            return True

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()


class H2:
    """An HTTP/2 client that can be told to do anything."""

    def __init__(self, frontend, authority, settings=None, timeout=10):
        self.socket = connect(frontend, authority, "h2", timeout=timeout)
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(
            validate_outbound_headers=False, normalize_outbound_headers=False))
        self.h2.initiate_connection()
        if settings:
            self.h2.update_settings(settings)
        self.flush()
        self.statuses, self.bodies, self.ended, self.goaway = {}, {}, [], None
        self.resets = {}

    def flush(self):
        self.socket.sendall(self.h2.data_to_send())

    def headers(self, path=GOOD, *more, method="GET"):
        return [(":method", method), (":path", path), (":scheme", "https"),
                (":authority", "dns.example"), *more]

    def get(self, path=GOOD, *more, flush=True, method="GET"):
        stream = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream, self.headers(path, *more, method=method), end_stream=True)
        if flush:
            self.flush()
        return stream

    def pump(self):
        """Takes what has come. False at the end."""
        data = self.socket.recv(65536)
        for happened in self.h2.receive_data(data) if data else []:
            if isinstance(happened, h2.events.ResponseReceived):
                self.statuses[happened.stream_id] = dict(happened.headers)[b":status"].decode() \
                    if isinstance(happened.headers[0][0], bytes) \
                    else dict(happened.headers)[":status"]
            elif isinstance(happened, h2.events.DataReceived):
                self.bodies[happened.stream_id] = \
                    self.bodies.get(happened.stream_id, b"") + happened.data
                self.h2.acknowledge_received_data(happened.flow_controlled_length,
                                                  happened.stream_id)
            elif isinstance(happened, h2.events.StreamEnded):
                self.ended.append(happened.stream_id)
            elif isinstance(happened, h2.events.StreamReset):
                self.resets[happened.stream_id] = happened.error_code
            elif isinstance(happened, h2.events.ConnectionTerminated):
                self.goaway = happened.error_code
        if data:
            self.flush()
        return bool(data)

    def finish_one(self):
        """Waits for the next stream to end and returns it."""
        while not self.ended:
            assert self.pump(), "the connection has ended"
        return self.ended.pop(0)

    def wait_goaway(self):
        """Takes what comes until the server ends the connection; its error code."""
        try:
            while self.pump():
                pass
        except (OSError, h2.exceptions.ProtocolError):
            pass
        return self.goaway

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


def frame(kind, flags, stream, payload=b""):
    return struct.pack("!I", len(payload))[1:] + struct.pack("!BBI", kind, flags, stream) + payload


def assert_serves(frontend, authority):
    with H2(frontend, authority) as http:
        http.get()
        assert http.statuses[http.finish_one()] == "200"
