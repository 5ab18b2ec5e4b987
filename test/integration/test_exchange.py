"""The streams between the two halves: godwit.v1.Backend/Exchange and /Watch, the backend's side seen
by an independent client, the front end's side by a backend that misbehaves, and both together while
backends die and hang."""

import queue
import signal
import socket
import time

import dns.message
import grpc
import pytest

from fake_backend import Cut, FakeBackend
from godwit import (SANITIZED, Store, answers, ask, rcode, split_address, stubs, wait_until)
from machine_clock import Stopwatch
from test_frontend_backends import Load, is_up

NAME = "www.example.com."


# --- the backend, seen by a client of its own -----------------------------------------------------

class Client:
    """A client of godwit.v1.Backend."""

    def __init__(self, address):
        godwit = stubs("godwit")
        self.channel = grpc.insecure_channel(address, options=[
            ("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)])
        self.exchange_call = self.channel.stream_stream(
            "/godwit.v1.Backend/Exchange",
            lambda message: message if isinstance(message, bytes) else message.SerializeToString(),
            godwit.Answers.FromString)
        self.watch_call = self.channel.unary_stream(
            "/godwit.v1.Backend/Watch", godwit.WatchRequest.SerializeToString,
            godwit.Changes.FromString)

    def watch(self):
        return self.watch_call(stubs("godwit").WatchRequest(), timeout=60)

    def exchange(self):
        return Exchange(self.exchange_call)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.channel.close()


class Exchange:
    """One stream: send() messages, iterate for messages of answers."""

    def __init__(self, call):
        self.requests = queue.Queue()
        self.call = call(iter(self.requests.get, None), timeout=60)

    def send(self, *wires, first_id=1):
        questions = [stubs("godwit").Question(id=first_id + i, msg=wire)
                     for i, wire in enumerate(wires)]
        self.requests.put(stubs("godwit").Questions(question=questions))

    def read(self, count):
        """The next `count` answers, {id: Answer}."""
        found = {}
        while len(found) < count:
            found.update((answer.id, answer) for answer in next(self.call).answer)
        return found

    def ask(self, *names, rtype="A"):
        """Asks for names in one message; their Answers in order."""
        self.send(*[dns.message.make_query(name, rtype).to_wire() for name in names])
        found = self.read(len(names))
        return [found[i + 1] for i in range(len(names))]

    def end(self):
        self.requests.put(None)
        return list(self.call)


@pytest.fixture
def client(backend):
    with Client(backend.address) as client:
        yield client


def data(answer):
    return answers(dns.message.from_wire(answer.msg))


def test_a_batch_is_answered(client, backend):
    exchange = client.exchange()
    found = exchange.ask(NAME, "nope.example.com.", "x.wild.example.com.", "mail.example.com.")
    assert [data(answer) for answer in found] == [["192.0.2.80"], [], ["192.0.2.99"],
                                                  ["192.0.2.3"]]
    assert dns.message.from_wire(found[1].msg).rcode() == dns.rcode.NXDOMAIN
    assert all(answer.fact and not answer.volatile for answer in found)
    assert exchange.end() == []
    assert exchange.call.code() == grpc.StatusCode.OK
    assert backend.metric("godwit_backend_exchange_messages_total") == 1
    assert backend.metric("godwit_backend_exchange_questions_total") == 4
    wait_until(lambda: backend.metric("godwit_backend_exchange_streams") == 0)


def test_streams_beside_each_other(backend, store, start_backend):
    several = start_backend(store, threads=3).wait_ready()
    with Client(several.address) as one, Client(several.address) as other:
        exchanges = [client.exchange() for client in (one, one, other, other)]
        for i in range(50):
            for exchange in exchanges:
                exchange.send(dns.message.make_query(NAME, "A").to_wire(), first_id=i)
        for exchange in exchanges:
            assert sorted(exchange.read(50)) == list(range(50))
            exchange.end()


def test_answers_larger_than_a_message(empty_store, start_backend):
    texts = "\n".join(f'big TXT "{i:03} {"x" * 200}"' for i in range(200))
    empty_store.load_zone("$ORIGIN example.com.\n@ 60 SOA ns1 h 1 1 1 1 1\n@ NS ns1\n" + texts)
    backend = start_backend(empty_store).wait_ready()
    with Client(backend.address) as client:
        found = client.exchange().ask(*["big.example.com."] * 100, rtype="TXT")
        assert all(len(answer.msg) > 40000 for answer in found)


def test_what_is_no_query_gets_an_empty_answer(client):
    exchange = client.exchange()
    exchange.send(b"short", b"", dns.message.make_query(NAME, "A").to_wire())
    found = exchange.read(3)
    assert [len(found[i].msg) > 0 for i in (1, 2, 3)] == [False, False, True]
    exchange.end()


@pytest.mark.parametrize("message", [b"\xff" * 20, b"\x0a\x05\x08", b"\x0a\x02\x08\x01" * 1025,
                                     b"\x0b\x0c"])
def test_malformed_message_ends_its_stream_only(client, message):
    good, bad = client.exchange(), client.exchange()
    good.ask(NAME)
    bad.requests.put(message)
    with pytest.raises(grpc.RpcError) as error:
        list(bad.call)
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert data(good.ask(NAME)[0]) == ["192.0.2.80"]
    good.end()


def test_message_too_long_is_refused(client):
    exchange = client.exchange()
    exchange.requests.put(b"\x4a\xff\xff\x3f" + bytes(1 << 20))
    with pytest.raises(grpc.RpcError) as error:
        list(exchange.call)
    assert error.value.code() in (grpc.StatusCode.RESOURCE_EXHAUSTED,
                                  grpc.StatusCode.INVALID_ARGUMENT)


def test_empty_answers_until_the_records_are_loaded(tmp_path, start_backend):
    backend = start_backend(Store(tmp_path, "not-there.db")).wait_alive()
    with Client(backend.address) as client:
        exchange = client.exchange()
        assert [answer.msg for answer in exchange.ask(NAME, NAME)] == [b"", b""]
        exchange.end()


def test_client_that_takes_no_answers_is_cut_off(empty_store, start_backend):
    texts = "\n".join(f'big TXT "{i:03} {"x" * 200}"' for i in range(200))
    empty_store.load_zone("$ORIGIN example.com.\n@ 60 SOA ns1 h 1 1 1 1 1\n@ NS ns1\n" + texts)
    backend = start_backend(empty_store).wait_ready()
    with Client(backend.address) as client:
        exchange = client.exchange()
        wire = dns.message.make_query("big.example.com.", "TXT").to_wire()
        for _ in range(5):
            exchange.send(*[wire] * 1000)
        wait_until(lambda: backend.metric("godwit_backend_calls_stalled_total") == 1, 20)
        wait_until(lambda: backend.metric("godwit_backend_exchange_streams") == 0)
        assert data(client.exchange().ask("big.example.com.", rtype="TXT")[0])
        assert SANITIZED or backend.metric("process_resident_memory_bytes") < 200e6
        exchange.call.cancel()


def test_stopping_ends_streams_in_time(client, backend):
    exchange, watch = client.exchange(), client.watch()
    exchange.ask(NAME)
    next(watch)
    watch_stop = Stopwatch()
    backend.stop()
    assert SANITIZED or watch_stop.seconds < 2
    for call in (exchange.call, watch):
        with pytest.raises(grpc.RpcError) as error:
            list(call)
        assert error.value.code() == grpc.StatusCode.UNAVAILABLE
    exchange.requests.put(None)


# --- Watch ----------------------------------------------------------------------------------------

def next_change(watch):
    """The next message that is no heartbeat."""
    return next(change for change in watch if change.fact or change.everything)


def test_watch_begins_at_once_and_beats(client):
    begun = Stopwatch()
    watch = client.watch()
    assert not next(watch).fact
    assert SANITIZED or begun.seconds < 0.2
    next(watch)
    for _ in range(3):
        since_beat = Stopwatch()
        next(watch)
        assert SANITIZED or since_beat.seconds < 0.6
    watch.cancel()


def test_a_change_is_told_to_every_watcher(client, store):
    watches = [client.watch() for _ in range(3)]
    for watch in watches:
        next(watch)
    [before] = client.exchange().ask("later.example.com.")
    store.add_record("example.com", "later.example.com", "A", "192.0.2.7")
    for watch in watches:
        assert set(next_change(watch).fact) & set(before.fact)
    [after] = client.exchange().ask("later.example.com.")
    assert data(after) == ["192.0.2.7"]


def test_a_zone_that_comes_is_everything(client, store):
    watch = client.watch()
    next(watch)
    store.load_zone("$ORIGIN example.net.\n@ 60 SOA ns1 h 1 1 1 1 1\n@ NS ns1\n")
    assert next_change(watch).everything


def test_what_is_told_can_be_asked(client, store):
    """An answer asked for after a change was told has it, every time."""
    watch, exchange = client.watch(), client.exchange()
    next(watch)
    for i in range(1, 100):
        store.sql("UPDATE records SET content = ? WHERE name = 'mail.example.com'",
                  (f"192.0.2.{i}",))
        next_change(watch)
        assert data(exchange.ask("mail.example.com.")[0]) == [f"192.0.2.{i}"]
    exchange.end()


# --- the front end before a backend that misbehaves -----------------------------------------------

@pytest.fixture
def start_fake():
    started = []

    def start(*arguments, **options):
        started.append(FakeBackend(*arguments, **options))
        return started[-1]
    yield start
    for fake in started:
        fake.stop()


@pytest.fixture
def before(start_frontend):
    """before(fakes) -> a Frontend without a cache, one worker, whose streams are open."""
    def start(*fakes, **config):
        options = {"workers": 1, "cache": {"size_mb": 0}, **config}
        frontend = start_frontend([fake.address for fake in fakes], **options).wait_ready()
        wait_until(lambda: all(fake.streams or not fake.exchange for fake in fakes))

        def streamed():
            ask(frontend, NAME)
            return not any(fake.exchange for fake in fakes) or \
                frontend.metric("godwit_frontend_stream_questions_total") > 0
        wait_until(streamed)
        return frontend
    return start


def burst(frontend, count, prefix="b", timeout=10):
    """Sends `count` queries at once; the response codes that come back, by query."""
    found = {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_000_000)
        client.connect(split_address(frontend.address))
        client.settimeout(timeout)
        for i in range(count):
            client.send(dns.message.make_query(f"{prefix}{i}.example.", "A", id=i).to_wire())
        while len(found) < count:
            reply = dns.message.from_wire(client.recv(65535))
            assert str(reply.question[0].name) == f"{prefix}{reply.id}.example."
            found[reply.id] = rcode(reply)
    return found


def test_questions_go_out_in_batches(start_fake, before):
    def slowly(fake, questions):
        time.sleep(0.02)
        yield fake.answers(questions.question)
    fake = start_fake(exchange=slowly)
    frontend = before(fake)
    fake.messages.clear()
    assert set(burst(frontend, 400).values()) == {"NOERROR"}
    assert sum(fake.messages) == 400 and len(fake.messages) < 100
    assert sum(name.startswith("b") for name in fake.unary) == 0


def test_answers_in_any_order(start_fake, before):
    kept = []

    def out_of_order(fake, questions):
        """The first half of each message is answered after the second half of the next."""
        half = len(questions.question) // 2
        for question in reversed(questions.question[half:]):
            yield fake.answers([question])
        if half == 0:
            return  # so may the front end's own probe be, once it has waited for what is kept
        if kept:
            yield fake.answers(kept.pop())
        kept.append(questions.question[:half])

    fake = start_fake()
    frontend = before(fake)
    fake.exchange = out_of_order
    found = burst(frontend, 200, timeout=20)
    # Only the last half of all has nobody to come after it. When the stream is given up for its
    # silence, those of them that have time left are asked for once more, by a call each.
    silent = {str(dns.message.from_wire(question.msg).question[0].name) for question in kept[0]}
    failed = {f"b{i}.example." for i, code in found.items() if code != "NOERROR"}
    assert failed and failed <= silent


def test_strange_ids_are_ignored_and_counted(start_fake, before):
    def strange(fake, questions):
        proper = fake.answers(questions.question)
        godwit = stubs("godwit")
        never = [godwit.Answer(id=i, msg=b"x" * 40) for i in (0, 1, 1023, 2**31, 2**32 - 1)]
        yield godwit.Answers(answer=never)
        yield proper
        yield proper
    fake = start_fake()
    frontend = before(fake)
    fake.exchange = strange
    assert set(burst(frontend, 50).values()) == {"NOERROR"}
    wait_until(lambda: frontend.metric("godwit_frontend_stream_strays_total") >= 50)
    assert fake.streams == 1


def test_answer_that_comes_late_harms_nobody(start_fake, before):
    late = []

    def never_then_late(fake, questions):
        late.extend(q for q in questions.question if b"late" in q.msg)
        yield fake.answers([q for q in questions.question if b"late" not in q.msg])
        if late and not any(b"late" in q.msg for q in questions.question):
            yield fake.answers(late)
    fake = start_fake(exchange=never_then_late)
    frontend = before(fake, limits={"query_timeout_ms": 400})
    assert rcode(ask(frontend, "late.example.")) == "SERVFAIL"
    assert rcode(ask(frontend, NAME)) == "NOERROR"
    wait_until(lambda: frontend.metric("godwit_frontend_stream_strays_total") >= 1)
    assert set(burst(frontend, 100).values()) == {"NOERROR"}


def test_missing_answer_is_asked_for_elsewhere(start_fake, before):
    def skip_some(fake, questions):
        yield fake.answers([q for q in questions.question if b"\x04miss" not in q.msg])
    one, two = start_fake(1, skip_some), start_fake(2)
    frontend = before(one, two)
    for _ in range(6):
        assert answers(ask(frontend, "miss.example.")) == ["192.0.2.2"]


@pytest.mark.parametrize("wrong", ["empty", "another name", "nonsense"])
def test_wrong_answer_is_asked_for_elsewhere(start_fake, before, wrong):
    def wrongly(fake, questions):
        found = fake.answers(questions.question)
        for answer in found.answer:
            if wrong == "empty":
                answer.msg = b""
            elif wrong == "another name":
                answer.msg = answer.msg[:13] + b"z" + answer.msg[14:]
            else:
                answer.msg = b"\xff" * 30
        yield found
    one, two = start_fake(1), start_fake(2)
    frontend = before(one, two)
    one.exchange = wrongly
    for i in range(20):
        assert answers(ask(frontend, f"n{i}.example.")) == ["192.0.2.2"]
    assert one.streams == 1


def garbage(fake, questions):
    yield b"\x0a\xff\xff\xff\xff\xff"


def too_much(fake, questions):
    yield b"\x4a\x80\x80\x40" + bytes(1 << 20)


def cut(fake, questions):
    raise Cut
    yield


@pytest.mark.parametrize("broken", [garbage, too_much, cut])
def test_broken_stream_loses_no_query_and_comes_back(start_fake, before, broken):
    one, two = start_fake(1), start_fake(2)
    frontend = before(one, two)
    one.exchange = broken
    for i in range(3):
        assert set(burst(frontend, 50, f"r{i}n").values()) == {"NOERROR"}
    wait_until(lambda: frontend.metric("godwit_frontend_streams_broken_total") > 0)
    one.exchange = two.exchange
    opened = one.streams
    wait_until(lambda: one.streams > opened or ask(frontend, NAME) and one.messages[-1:] == [1], 20)

    def both():
        ask(frontend, NAME)
        return is_up(frontend, one) and is_up(frontend, two)
    wait_until(both, 20)


def test_backend_without_streams_is_asked_call_by_call(start_fake, before):
    fake = start_fake(exchange=None, watch=False)
    frontend = before(fake)
    assert set(burst(frontend, 100).values()) == {"NOERROR"}
    assert frontend.metric("godwit_frontend_stream_questions_total") == 0
    # Until it connects anew, and has them.
    fake.stop()
    fake.exchange = FakeBackend.__init__.__defaults__[1]
    fake.start()

    def streamed():
        ask(frontend, NAME)
        return frontend.metric("godwit_frontend_stream_questions_total") > 0
    wait_until(streamed, 20)


def test_stream_that_says_nothing_is_given_up(start_fake, before):
    def never(fake, questions):
        return
        yield
    one, two = start_fake(1), start_fake(2)
    frontend = before(one, two)
    one.exchange = never
    assert set(burst(frontend, 200, timeout=20).values()) == {"NOERROR"}
    assert frontend.metric("godwit_frontend_streams_broken_total") >= 1
    # Its unary calls work, so it is of use again.
    wait_until(lambda: is_up(frontend, one))


def test_deadline_is_kept_on_a_stream(start_fake, before):
    def never(fake, questions):
        return
        yield
    fake = start_fake()
    frontend = before(fake, limits={"query_timeout_ms": 500})
    fake.exchange = never
    watch, begun = Stopwatch(), time.monotonic()
    assert rcode(ask(frontend, NAME)) == "SERVFAIL"
    assert time.monotonic() - begun > 0.4 and watch.seconds < (3 if SANITIZED else 1)


def test_more_than_a_stream_takes_is_bounded(start_fake, before):
    def never(fake, questions):
        return
        yield
    fake = start_fake()
    frontend = before(fake, limits={"query_timeout_ms": 3000})
    fake.exchange = never
    found = list(burst(frontend, 4000).values())
    # At the deadline the stream is given up; who has time left then is asked for call by call.
    assert found.count("SERVFAIL") >= 4000 - 2048 and found.count("SERVFAIL") > 3000
    assert frontend.metric('godwit_frontend_unanswered_total{cause="overload"}') >= 4000 - 2048


# --- what the watcher does ------------------------------------------------------------------------

def test_change_makes_an_answer_stale_and_no_other(start_fake, start_frontend):
    fake = start_fake()
    fake.facts = [0x1234567890abcdef]
    frontend = start_frontend([fake.address], workers=1).wait_ready()
    wait_until(lambda: frontend.metric("godwit_frontend_watches") == 1)
    wait_until(lambda: ask(frontend, "warm.example.") and sum(fake.messages) > 0)

    def is_kept(name):
        asked = sum(fake.messages)
        ask(frontend, name)
        return sum(fake.messages) == asked
    wait_until(lambda: is_kept(NAME))
    fake.tell([0xfedcba0987654321])
    wait_until(lambda: frontend.metric("godwit_frontend_watch_facts_total") == 1)
    assert is_kept(NAME)
    fake.tell([0x1234567890abcdef])
    wait_until(lambda: frontend.metric("godwit_frontend_watch_facts_total") == 2)
    assert not is_kept(NAME)
    assert is_kept(NAME)
    fake.tell(everything=True)  # among heartbeats, which tell nothing
    wait_until(lambda: not is_kept(NAME))


def test_silence_ends_a_watch_and_it_comes_back(start_fake, start_frontend):
    fake = start_fake()
    frontend = start_frontend([fake.address], workers=1).wait_ready()
    wait_until(lambda: frontend.metric("godwit_frontend_watches") == 1)
    fake.is_silent = True
    watch = Stopwatch()
    wait_until(lambda: frontend.metric("godwit_frontend_watches_broken_total") >= 1)
    assert SANITIZED or watch.seconds < 1.6
    wait_until(lambda: "reason=silence" in frontend.log())
    fake.is_silent = False
    wait_until(lambda: frontend.metric("godwit_frontend_watches") == 1)
    fake.stop()
    wait_until(lambda: frontend.metric("godwit_frontend_watches") == 0)
    fake.start()
    wait_until(lambda: frontend.metric("godwit_frontend_watches") == 1, 15)


# --- both halves ----------------------------------------------------------------------------------

@pytest.fixture
def real_pair(store, start_backend):
    store.load_zone("$ORIGIN example.\n$TTL 60\n@ SOA ns1 h 1 1 1 1 1\n@ NS ns1\n* A 192.0.2.1\n")
    return start_backend(store).wait_ready(), start_backend(store).wait_ready()


def has_streams(backend):
    """Each of the front end's two workers asks it."""
    return backend.get("/metrics")[0] and backend.metric("godwit_backend_exchange_streams", 0) == 2


@pytest.fixture
def loaded(real_pair, start_frontend):
    frontend = start_frontend(real_pair, workers=2, cache={"size_mb": 0}).wait_ready()
    wait_until(lambda: all(has_streams(backend) for backend in real_pair))
    load = Load(frontend)
    load.grow(200)
    yield frontend, load
    load.stop()


def test_backend_killed_under_load_loses_no_query(real_pair, loaded):
    frontend, load = loaded
    for _ in range(3):
        real_pair[0].kill()
        load.grow(300)
        wait_until(lambda: not is_up(frontend, real_pair[0]))
        real_pair[0].start()
        wait_until(lambda: is_up(frontend, real_pair[0]))
        load.grow(300)
    asked = real_pair[0].metric("godwit_backend_exchange_questions_total", 0)
    load.grow(300)
    wait_until(lambda: real_pair[0].metric("godwit_backend_exchange_questions_total") > asked)
    assert set(load.stop()) == {"NOERROR"}


def test_backend_that_hangs_under_load_loses_no_query(real_pair, loaded):
    frontend, load = loaded
    real_pair[0].process.send_signal(signal.SIGSTOP)
    try:
        wait_until(lambda: not is_up(frontend, real_pair[0]), 20)
        load.grow(300)
    finally:
        real_pair[0].process.send_signal(signal.SIGCONT)
    wait_until(lambda: is_up(frontend, real_pair[0]), 20)
    load.grow(100)
    assert set(load.stop()) == {"NOERROR"}


def test_backend_that_stops_properly_costs_nothing(real_pair, loaded):
    frontend, load = loaded
    for backend in real_pair * 2:
        backend.stop()
        load.grow(100)
        backend.start()
        wait_until(lambda: has_streams(backend))
        load.grow(100)
    outcomes = load.stop()
    causes = {name: count for name, count in frontend.metrics().items() if "unanswered" in name}
    assert set(outcomes) == {"NOERROR"}, causes
    assert set(causes.values()) == {0}
