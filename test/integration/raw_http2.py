"""An HTTP/2 client that minds no manners (RFC 9113), for what a gRPC library would not let us do:
not taking replies, vanishing in the middle of a call, requests that end early."""

import socket
import struct

import godwit

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS = 0, 1, 3, 4
END_STREAM, END_HEADERS = 1, 4
INITIAL_WINDOW_SIZE = 4


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(
        ">I", stream) + payload


def _literal(name, value):
    """A header field that touches no table (RFC 7541 section 6.2.2), without Huffman coding."""
    return (b"\x00" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode())


def headers(path):
    return b"".join(_literal(*field) for field in [
        (":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "backend"),
        ("content-type", "application/grpc"), ("te", "trailers")])


def message(payload):
    """gRPC's framing: no compression, size, octets."""
    return b"\x00" + struct.pack(">I", len(payload)) + payload


class Connection:
    """One connection; nothing is read from it unless asked. `window` is how many octets of each
    reply the server may send."""

    def __init__(self, address, window=65535):
        self.socket = socket.create_connection(godwit.split_address(address), timeout=10)
        settings = struct.pack(">HI", INITIAL_WINDOW_SIZE, window)
        self.socket.sendall(PREFACE + frame(SETTINGS, 0, 0, settings))
        self.next_stream = 1

    def call(self, path, payload, end=True):
        """Starts a call; with end=False the request never ends."""
        stream = self.next_stream
        self.next_stream += 2
        self.socket.sendall(
            frame(HEADERS, END_HEADERS, stream, headers(path))
            + frame(DATA, END_STREAM if end else 0, stream, message(payload)))
        return stream

    def close(self):
        self.socket.close()

    def reset(self):
        """Closes with a TCP reset, as a host that crashed and came back would."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
