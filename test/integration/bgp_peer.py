"""A BGP neighbour of a few lines: it takes sessions, remembers what it is told, and when.

    BgpPeer(asn=64513, namespace=None, host="127.0.0.1")   listens there, at a free .port
        .routes                  {prefix: Route} announced now
        .events                  [Event] in the order of arrival: "up", "announce", "withdraw",
                                 "notification", "down"
        .wait_route(prefix)      until it is announced; the Route
        .wait_gone(prefix)       until it is not
        .wait_event(kind, ...)   until there is such an event, counted from `after`; the Event
        .mark()                  how many events there are, for `after`; its .time is now
        .send(octets)            says something of the test's own
        .drop()                  closes the session's connection
        .stop()

It speaks RFC 4271 with 4-octet AS numbers and IPv4 and IPv6 unicast, as well as an honest peer needs.
"""

import contextlib
import dataclasses
import ipaddress
import socket
import struct
import threading
import time

import godwit

OPEN, UPDATE, NOTIFICATION, KEEPALIVE = 1, 2, 3, 4
GRACEFUL_SHUTDOWN = "65535:0"


@dataclasses.dataclass
class Route:
    next_hop: str = None
    as_path: list = dataclasses.field(default_factory=list)
    local_pref: int = None
    med: int = None
    communities: list = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Event:
    kind: str
    prefix: str = None
    route: Route = None
    data: bytes = b""
    time: float = dataclasses.field(default_factory=time.monotonic)


class Mark(int):
    """A number of events, and when it was that."""

    time = None


def _message(kind, body=b""):
    return b"\xff" * 16 + struct.pack("!HB", 19 + len(body), kind) + body


def _open(asn, router_id):
    capabilities = (b"\x01\x04\x00\x01\x00\x01" + b"\x01\x04\x00\x02\x00\x01" + b"\x02\x00" +
                    b"\x41\x04" + struct.pack("!I", asn))
    parameter = b"\x02" + bytes([len(capabilities)]) + capabilities
    return _message(OPEN, struct.pack("!BHH", 4, min(asn, 23456), 30) +
                    ipaddress.ip_address(router_id).packed + bytes([len(parameter)]) + parameter)


def _prefixes(data, family):
    size = 4 if family == 1 else 16
    while data:
        length, octets = data[0], (data[0] + 7) // 8
        address = ipaddress.ip_address(data[1:1 + octets].ljust(size, b"\0"))
        yield f"{address}/{length}"
        data = data[1 + octets:]


class BgpPeer:
    def __init__(self, asn=64513, router_id="203.0.113.1", namespace=None, host="127.0.0.1"):
        self.asn = asn
        self.router_id = router_id
        self.routes = {}
        self.events = []
        self._ended = False
        self._connection = None
        self._condition = threading.Condition()
        self._sending = threading.Lock()
        self.host = host
        self.port = godwit.free_port()
        with namespace.entered() if namespace else contextlib.nullcontext():
            self._listener = socket.create_server((host, self.port))
        self._listener.settimeout(0.1)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    # --- what was heard ---------------------------------------------------------------------------

    def wait(self, condition, timeout=10, what=""):
        with self._condition:
            ok = self._condition.wait_for(condition, timeout)
            assert ok, f"{what} not within {timeout} s: {self.routes} {self.events}"

    def wait_route(self, prefix, timeout=10):
        self.wait(lambda: prefix in self.routes, timeout, f"route {prefix}")
        return self.routes[prefix]

    def wait_gone(self, prefix, timeout=10):
        self.wait(lambda: prefix not in self.routes, timeout, f"withdrawal of {prefix}")

    def mark(self):
        mark = Mark(len(self.events))
        mark.time = time.monotonic()
        return mark

    def wait_event(self, kind, prefix=None, after=0, timeout=10):
        def find():
            return next((event for event in self.events[after:]
                         if event.kind == kind and event.prefix == prefix), None)
        self.wait(find, timeout, f"{kind} {prefix}")
        return find()

    def _note(self, event):
        with self._condition:
            if event.kind == "announce":
                self.routes[event.prefix] = event.route
            elif event.kind == "withdraw":
                self.routes.pop(event.prefix, None)
            elif event.kind == "down":
                self.routes.clear()
            self.events.append(event)
            self._condition.notify_all()

    # --- the session ------------------------------------------------------------------------------

    def drop(self):
        connection = self._connection
        if connection:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def begin_stop(self):
        self._ended = True
        self.drop()

    def stop(self):
        self.begin_stop()
        self._thread.join()
        self._listener.close()

    def _run(self):
        while not self._ended:
            with contextlib.suppress(TimeoutError):
                self._connection, _ = self._listener.accept()
                with self._connection, contextlib.suppress(OSError, EOFError):
                    self._serve(self._connection)
                self._connection = None
                self._note(Event("down"))

    def send(self, octets):
        """Whole messages, in the session as it is."""
        self._send(self._connection, octets)

    def _send(self, connection, octets):
        with self._sending:
            connection.sendall(octets)

    def _read(self, connection, size):
        data = b""
        while len(data) < size:
            try:
                piece = connection.recv(size - len(data))
            except TimeoutError:
                self._send(connection, _message(KEEPALIVE))
                continue
            if not piece:
                raise EOFError
            data += piece
        return data

    def _serve(self, connection):
        connection.settimeout(1)
        self._send(connection, _open(self.asn, self.router_id))
        while True:
            head = self._read(connection, 19)
            size, kind = struct.unpack("!HB", head[16:])
            body = self._read(connection, size - 19)
            if kind == OPEN:
                self._send(connection, _message(KEEPALIVE))
                self._note(Event("up", data=body))
            elif kind == UPDATE:
                self._take_update(body)
            elif kind == NOTIFICATION:
                self._note(Event("notification", data=body))

    def _take_update(self, body):
        (size,) = struct.unpack("!H", body[:2])
        withdrawn = list(_prefixes(body[2:2 + size], 1))
        rest = body[2 + size:]
        (size,) = struct.unpack("!H", rest[:2])
        announced = list(_prefixes(rest[2 + size:], 1))
        route, attributes = Route(), rest[2:2 + size]
        while attributes:
            wide = attributes[0] & 0x10
            size = struct.unpack("!H", attributes[2:4])[0] if wide else attributes[2]
            start = 4 if wide else 3
            value = attributes[start:start + size]
            self._take_attribute(attributes[1], value, route, announced, withdrawn)
            attributes = attributes[start + size:]
        for prefix in withdrawn:
            self._note(Event("withdraw", prefix))
        for prefix in announced:
            self._note(Event("announce", prefix, route))

    @staticmethod
    def _take_attribute(kind, value, route, announced, withdrawn):
        if kind == 2:
            while value:
                count = value[1]
                route.as_path += struct.unpack(f"!{count}I", value[2:2 + 4 * count])
                value = value[2 + 4 * count:]
        elif kind == 3:
            route.next_hop = str(ipaddress.ip_address(value))
        elif kind == 4:
            (route.med,) = struct.unpack("!I", value)
        elif kind == 5:
            (route.local_pref,) = struct.unpack("!I", value)
        elif kind == 8:
            numbers = struct.unpack(f"!{len(value) // 2}H", value)
            route.communities = [f"{a}:{b}" for a, b in zip(numbers[::2], numbers[1::2])]
        elif kind == 14:
            family, size = struct.unpack("!H", value[:2])[0], value[3]
            hop = value[4:4 + min(size, 16)]
            route.next_hop = str(ipaddress.ip_address(hop))
            announced += _prefixes(value[5 + size:], family)
        elif kind == 15:
            withdrawn += _prefixes(value[3:], struct.unpack("!H", value[:2])[0])
