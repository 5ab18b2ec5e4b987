"""A client that asks one question again and again, at a steady rate and from many ports, until its
standard input ends; see SteadyClient in router_lab.py.

    steady_client.py ADDRESS[#PORT] NAME INTERVAL_MS FILE

FILE appears with the first good answer and at the end holds JSON: for each query the time it was
sent, the time its answer came, or null, and the port it came from. Answers other than NOERROR with data do not count, nor do
those that come after PATIENCE.
"""

import json
import os
import select
import socket
import struct
import sys
import time

PORTS = 128
PATIENCE = 1.0  # seconds


def question(name):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return labels + b"\0\0\1\0\1"


def is_good(reply):
    """NOERROR with at least one answer record."""
    return len(reply) > 12 and reply[2] & 0x80 and reply[3] & 15 == 0 and reply[6:8] != b"\0\0"


class Client:
    def __init__(self, server, name, path):
        address, _, port = server.partition("#")
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.question = question(name)
        self.path = path
        self.queries = []  # [sent, answered, port]
        self.open = {}     # (socket's number, id): index into queries
        self.sockets = []
        self.poll = select.poll()
        for _ in range(PORTS):
            sock = socket.socket(family, socket.SOCK_DGRAM)
            sock.setblocking(False)
            sock.connect((address, int(port or 53)))
            self.sockets.append(sock)
            self.poll.register(sock, select.POLLIN)
        self.by_fd = {sock.fileno(): sock for sock in self.sockets}
        self.poll.register(sys.stdin, select.POLLIN)

    def ask(self):
        number = len(self.queries)
        sock = self.sockets[number % PORTS]
        ident = (number * 40503) & 0xffff
        header = struct.pack(">HHHHHH", ident, 0, 1, 0, 0, 0)
        self.queries.append([time.time(), None, sock.getsockname()[1]])
        self.open[(sock.fileno(), ident)] = number
        try:
            sock.send(header + self.question)
        except OSError:
            pass  # no route at the moment, or an ICMP error of an earlier query: lost

    def receive(self, sock):
        while True:
            try:
                reply = sock.recv(4096)
            except BlockingIOError:
                return
            except OSError:
                continue  # ICMP says it was not delivered
            now = time.time()
            if len(reply) < 12:
                continue
            number = self.open.pop((sock.fileno(), reply[0] << 8 | reply[1]), None)
            if number is None or now - self.queries[number][0] > PATIENCE:
                continue
            if is_good(reply):
                self.queries[number][1] = now
                if self.path:
                    open(self.path, "w", encoding="ascii").close()
                    self.path = None

    def wait(self, until):
        """Takes answers until the time given; False when standard input has ended."""
        while True:
            left = until - time.monotonic()
            for fd, _ in self.poll.poll(max(0.0, left * 1000)):
                if fd == sys.stdin.fileno():
                    return False
                self.receive(self.by_fd[fd])
            if left <= 0:
                return True


def main():
    server, name, interval_ms, path = sys.argv[1:]
    client = Client(server, name, path)
    due = time.monotonic()
    while client.wait(due):
        client.ask()
        due += float(interval_ms) / 1000
    client.poll.unregister(sys.stdin)
    client.wait(time.monotonic() + PATIENCE)
    with open(path + ".new", "w", encoding="ascii") as out:
        json.dump(client.queries, out)
    os.rename(path + ".new", path)


main()
