"""A backend that is not Godwit's: any program that serves coredns.dns.DnsService will do, and this
one is written with Python's grpcio from the bytes up. It runs as a process of its own, so that it
can be stopped, killed and started again like a real one.

    foreign_backend.py ADDRESS NUMBER

It answers A queries for any name with 192.0.2.NUMBER, so that an answer says who gave it. The first
label of a name can ask for more: MODE-NUMBER-ARGUMENT, obeyed by the backend of that number, or by
all if it is 0:

    delay-0-300     answers after 300 ms                hang-1-         never answers
    error-1-        ends the call with an error         garbage-1-      answers with no DNS message
    wrongid-1-      answers with another ID             wrongname-1-    answers another question
    empty-1-        answers with no octets at all       big-0-100       answers with 100 A records
    huge-1-         answers with 1 MB                   servfail-0-     answers SERVFAIL
    ttl-0-5         answers with a TTL of 5 s; the data counts how often the name was asked for:
                    198.51.100.1, 198.51.100.2 ...
    nx-0-5          answers NXDOMAIN with a SOA record of TTL 60 and MINIMUM 5
"""

import collections
import concurrent.futures
import os
import re
import signal
import subprocess
import sys
import time

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import grpc

METHOD = "Query"
SERVICE = "coredns.dns.DnsService"
MODE = re.compile(r"^([a-z]+)-(\d+)-(\d*)$")


def encode(message):
    """DnsPacket { bytes msg = 1; }"""
    size, prefix = len(message), b"\x0a"
    while size >= 128:
        prefix += bytes([size & 127 | 128])
        size >>= 7
    return prefix + bytes([size]) + message


def decode(packet):
    assert packet[0] == 0x0a
    size = shift = 0
    for at, octet in enumerate(packet[1:], 1):
        size |= (octet & 127) << shift
        shift += 7
        if octet < 128:
            assert len(packet) == at + 1 + size
            return packet[at + 1:]
    raise AssertionError("no length")


class Service:
    def __init__(self, number):
        self.number = number
        self.kept = {}
        self.asked = collections.Counter()

    def mode_of(self, query):
        found = MODE.match(query.question[0].name.labels[0].decode().lower())
        if not found or int(found[2]) not in (0, self.number):
            return "plain", 0
        return found[1], int(found[3] or 0)

    def counted(self, query, ttl):
        """A reply whose data says how many there were of it."""
        name = query.question[0].name
        self.asked[name] += 1
        reply = dns.message.make_response(query)
        reply.flags |= dns.flags.AA
        reply.answer.append(
            dns.rrset.from_text(name, ttl, "IN", "A", f"198.51.100.{self.asked[name]}"))
        return reply.to_wire()

    def failure(self, query, code, minimum=None):
        reply = dns.message.make_response(query)
        reply.set_rcode(code)
        if minimum is not None:
            reply.authority.append(dns.rrset.from_text(
                "example.", 60, "IN", "SOA", f"ns. mail. 1 2 3 4 {minimum}"))
        return reply.to_wire()

    def answer(self, query, count=1):
        """A reply with `count` A records. Long ones are slow to make, and so are kept."""
        key = query.question[0].to_text(), query.edns, count
        if key not in self.kept:
            reply = dns.message.make_response(query)
            reply.flags |= dns.flags.AA
            data = [f"192.0.2.{self.number}"]
            data += [f"198.51.{i // 256}.{i % 256}" for i in range(1, count)]
            reply.answer.append(
                dns.rrset.from_text(query.question[0].name, 60, "IN", "A", *data))
            wire = reply.to_wire(max_size=65535)
            if count == 1:
                return wire
            self.kept[key] = wire
        return query.id.to_bytes(2, "big") + self.kept[key][2:]

    def __call__(self, octets, context):
        query = dns.message.from_wire(octets)
        mode, argument = self.mode_of(query)
        if mode == "hang":
            while context.is_active():
                time.sleep(0.01)
        if mode == "error":
            context.abort(grpc.StatusCode.INTERNAL, "asked for")
        if mode == "garbage":
            return b"\xff" * 40
        if mode == "huge":
            return b"\x00" * (1 << 20)
        if mode == "empty":
            return b""
        if mode == "delay":
            time.sleep(argument / 1000)
        if mode == "ttl":
            return self.counted(query, argument)
        if mode == "servfail":
            return self.failure(query, dns.rcode.SERVFAIL)
        if mode == "nx":
            return self.failure(query, dns.rcode.NXDOMAIN, argument)
        reply = self.answer(query, argument if mode == "big" else 1)
        if mode == "wrongid":
            reply = bytes([reply[0] ^ 0xff]) + reply[1:]
        if mode == "wrongname":
            reply = reply[:13] + b"z" + reply[14:]
        return reply


def main(address, number):
    handler = grpc.method_handlers_generic_handler(SERVICE, {
        METHOD: grpc.unary_unary_rpc_method_handler(Service(number), decode, encode)})
    # Room for more calls than any test lets hang: a full pool would be another failure.
    pool = concurrent.futures.ThreadPoolExecutor(300)
    server = grpc.server(pool, handlers=[handler], options=[("grpc.so_reuseport", 0)])
    assert server.add_insecure_port(address)
    server.start()
    print("ready", flush=True)
    server.wait_for_termination()


class ForeignBackend:
    """Runs this file as a process."""

    def __init__(self, address, number=1):
        self.address = address
        self.number = number
        self.process = None
        self.start()

    def start(self):
        self.process = subprocess.Popen([sys.executable, __file__, self.address, str(self.number)],
                                        stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n"
        return self

    def freeze(self):
        """It hangs: the kernel goes on accepting, nobody answers."""
        self.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED)  # until all its threads have stopped

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
