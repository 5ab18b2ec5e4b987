"""A backend that speaks godwit.v1.Backend, written with Python's grpcio, and misbehaves on demand.

It runs in the test's own process, so that a test can look at what it was asked and change how it
answers. It answers every A query with 192.0.2.NUMBER. What `exchange` does with a message of
questions is a function of the test's own: exchange(fake, questions) yields messages of answers, or
raises; None serves no Exchange at all. Unary Query calls are always answered, and counted.
"""

import collections
import concurrent.futures
import queue
import threading

import dns.flags
import dns.message
import dns.rrset
import grpc

from godwit import free_address, stubs


def answer_at_once(fake, questions):
    """What a proper backend does."""
    yield fake.answers(questions.question)


class Cut(Exception):
    """Raised by an `exchange` function: ends the stream with an error."""


class FakeBackend:
    def __init__(self, number=1, exchange=answer_at_once, watch=True, address=None):
        self.number = number
        self.exchange = exchange
        self.watch = watch
        self.address = address or free_address()
        self.messages = []  # sizes of the messages of questions
        self.streams = 0    # opened so far
        self.unary = collections.Counter()
        self.facts = []     # that every answer rests on
        self.is_silent = False  # the Watch streams say nothing
        self.standing = None    # what they say of its data, a dict; None: nothing, as old ones did
        self._watchers = []
        self._stopped = threading.Event()
        self.start()

    # --- answering -----------------------------------------------------------------------------

    def reply(self, wire):
        query = dns.message.from_wire(wire)
        reply = dns.message.make_response(query)
        reply.flags |= dns.flags.AA
        reply.answer.append(dns.rrset.from_text(query.question[0].name, 60, "IN", "A",
                                                f"192.0.2.{self.number}"))
        return reply.to_wire()

    def answers(self, questions):
        godwit = stubs("godwit")
        return godwit.Answers(answer=[godwit.Answer(id=question.id, msg=self.reply(question.msg),
                                                    fact=self.facts) for question in questions])

    def _query(self, wire, context):
        name = str(dns.message.from_wire(wire).question[0].name)
        self.unary[name] += 1
        return self.reply(wire)

    def _exchange(self, requests, context):
        self.streams += 1
        context.send_initial_metadata(())
        for questions in requests:
            self.messages.append(len(questions.question))
            try:
                yield from self.exchange(self, questions)
            except Cut:
                context.abort(grpc.StatusCode.INTERNAL, "asked for")

    def _watch(self, request, context):
        told = queue.Queue()
        self._watchers.append(told)
        yield self._changes()
        while context.is_active() and not self._stopped.is_set():
            try:
                yield told.get(timeout=0.2)
            except queue.Empty:
                if not self.is_silent:
                    yield self._changes()

    def _changes(self, **what):
        godwit = stubs("godwit")
        standing = godwit.Standing(**self.standing) if self.standing else None
        return godwit.Changes(standing=standing, **what)

    def tell(self, facts=(), everything=False):
        """Tells changes on every Watch stream."""
        for watcher in self._watchers:
            watcher.put(self._changes(fact=facts, everything=everything))

    # --- running -------------------------------------------------------------------------------

    def start(self):
        godwit, packet = stubs("godwit"), stubs("dns").DnsPacket
        query = grpc.unary_unary_rpc_method_handler(
            lambda request, context: packet(msg=self._query(request.msg, context)),
            packet.FromString, packet.SerializeToString)
        streams = {}
        if self.exchange:
            streams["Exchange"] = grpc.stream_stream_rpc_method_handler(
                self._exchange, godwit.Questions.FromString,
                lambda answers: answers if isinstance(answers, bytes)
                else answers.SerializeToString())
        if self.watch:
            streams["Watch"] = grpc.unary_stream_rpc_method_handler(
                self._watch, godwit.WatchRequest.FromString, godwit.Changes.SerializeToString)
        handlers = [
            grpc.method_handlers_generic_handler("coredns.dns.DnsService", {"Query": query}),
            grpc.method_handlers_generic_handler("godwit.v1.Backend", streams)]
        self._stopped.clear()
        self._server = grpc.server(concurrent.futures.ThreadPoolExecutor(64), handlers=handlers,
                                   options=[("grpc.so_reuseport", 0)])
        assert self._server.add_insecure_port(self.address)
        self._server.start()
        return self

    def stop(self):
        """Cuts every stream and connection."""
        self._stopped.set()
        self._server.stop(None).wait()
