"""The life line: what the front end says over its watch_socket, when it ends and how, as an
announcer sees it. The client here is a plain socket."""

import os
import pathlib
import signal
import socket
import stat
import tempfile
import threading
import time

import pytest

import godwit
from machine_clock import Stopwatch


@pytest.fixture
def path():
    """Where the socket is to be: a short path, for those of sockets may not be long."""
    with tempfile.TemporaryDirectory(prefix="godwit-", dir="/tmp") as directory:
        yield pathlib.Path(directory) / "life"


@pytest.fixture
def start(start_frontend, backend, path):
    def start(limits=None, backends=None, **config):
        return start_frontend([backend] if backends is None else backends,
                              limits=limits or {}, **{"watch_socket": str(path), **config})
    return start


class Announcer:
    """A client of the life line."""

    def __init__(self, path):
        def connect():
            self.socket = socket.socket(socket.AF_UNIX)
            try:
                self.socket.connect(str(path))
                return True
            except (FileNotFoundError, ConnectionRefusedError):
                self.socket.close()
                return False
        godwit.wait_until(connect)
        self.socket.settimeout(10)
        self.buffer = b""

    def hear(self):
        """The next line; None at the end."""
        while b"\n" not in self.buffer:
            octets = self.socket.recv(100)
            if not octets:
                return None
            self.buffer += octets
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.decode()

    def hear_until(self, line):
        """Hears everything up to `line`."""
        heard = []
        while line not in heard:
            heard.append(self.hear())
            assert heard[-1] is not None or line is None, heard
        return heard

    def say(self, text):
        self.socket.sendall(text.encode() + b"\n")

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *ignored):
        self.close()


class Asker:
    """Asks queries one after another in a thread of its own, and counts those not answered."""

    def __init__(self, server):
        self.server = server
        self.asked = self.lost = 0
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.stopped.is_set():
            self.asked += 1
            try:
                reply = godwit.ask(self.server, "www.example.com")
                self.lost += godwit.answers(reply) != ["192.0.2.80"]
            except Exception:
                self.lost += 1

    def __enter__(self):
        self.thread.start()
        return self

    def stop(self):
        self.stopped.set()
        self.thread.join()

    def __exit__(self, *ignored):
        self.stop()


def terminate(frontend):
    frontend.process.send_signal(signal.SIGTERM)


def test_serving_is_said_when_every_route_has_a_backend(start, store, start_backend, path):
    address = godwit.free_address()
    start(backends=[address]).wait_alive()
    with Announcer(path) as announcer:
        assert announcer.hear() == "not serving"
        backend = start_backend(store, listen=[address])
        assert announcer.hear() == "serving"
        backend.kill()
        assert announcer.hear() == "not serving"


def test_the_file_is_not_open_to_all(start, path):
    start().wait_ready()
    Announcer(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o660


def test_a_killed_front_end_is_seen_at_once(start, path):
    took = []
    for _ in range(5):
        frontend = start().wait_ready()
        with Announcer(path) as announcer:
            announcer.hear_until("serving")
            watch = Stopwatch()
            os.kill(frontend.pid, signal.SIGKILL)
            assert announcer.hear() is None
            took.append(watch.seconds * 1000)
        frontend.process.wait()
    print(f"end of file after {sorted(took)} ms")
    assert sorted(took)[2] < (1000 if godwit.SANITIZED else 50)


def test_draining_holds_until_all_have_withdrawn(start, path):
    frontend = start().wait_ready()
    with Announcer(path) as one, Announcer(path) as two, Asker(frontend) as asker:
        one.hear_until("serving")
        two.hear_until("serving")
        terminate(frontend)
        assert one.hear() == "draining"
        assert two.hear() == "draining"
        assert frontend.get("/readyz") == (503, "draining\n")
        one.say("withdrawn")
        asked = asker.asked
        godwit.wait_until(lambda: asker.asked > asked + 200)
        assert frontend.is_running()
        asker.stop()
        assert asker.lost == 0
        two.say("withdrawn")
        assert one.hear() is None
        assert two.hear() is None
        assert frontend.wait_end() == 0
    assert "msg=drained" in frontend.log()
    assert not path.exists()


def test_who_has_gone_is_not_waited_for(start, path):
    frontend = start(limits={"drain_ms": 600000}).wait_ready()
    with Announcer(path) as announcer:
        announcer.hear_until("serving")
        terminate(frontend)
        assert announcer.hear() == "draining"
    assert frontend.wait_end() == 0


def test_who_comes_late_is_told_and_waited_for(start, path):
    frontend = start(limits={"drain_ms": 600000}).wait_ready()
    with Announcer(path) as early:
        early.hear_until("serving")
        terminate(frontend)
        assert early.hear() == "draining"
        with Announcer(path) as late:
            assert late.hear() == "draining"
            early.say("withdrawn")
            godwit.wait_until(lambda: "an announcer has withdrawn" in frontend.log())
            assert frontend.is_running()
            late.say("withdrawn")
            assert frontend.wait_end() == 0


def test_draining_ends_by_itself(start, path):
    frontend = start(limits={"drain_ms": 700}).wait_ready()
    with Announcer(path) as announcer:
        announcer.hear_until("serving")
        before = time.monotonic()
        terminate(frontend)
        assert announcer.hear() == "draining"
        assert announcer.hear() is None
        assert time.monotonic() - before >= 0.7
        assert frontend.wait_end() == 0
    assert "announcers have not withdrawn in time" in frontend.log()


def test_no_drain_time_is_no_wait(start, path):
    frontend = start(limits={"drain_ms": 0}).wait_ready()
    with Announcer(path) as announcer:
        announcer.hear_until("serving")
        terminate(frontend)
        assert announcer.hear() in ("draining", None)
        assert frontend.wait_end() == 0


def test_nobody_connected_is_no_wait(start, path):
    frontend = start(limits={"drain_ms": 600000}).wait_ready()
    terminate(frontend)
    assert frontend.wait_end() == 0


def test_lingering_answers_for_its_time_and_says_no_to_readyz(start, path):
    """With no announcer to wait for, too: kube-proxy keeps a client's port at the pod that ends until
    /readyz fails."""
    frontend = start(limits={"linger_ms": 3000}).wait_ready()
    with Asker(frontend) as asker:
        before = time.monotonic()
        terminate(frontend)
        godwit.wait_until(lambda: "msg=lingering" in frontend.log())
        assert frontend.get("/readyz") == (503, "draining\n")
        asked = asker.asked
        godwit.wait_until(lambda: asker.asked > asked + 100)
        assert frontend.is_running()
        asker.stop()
        assert asker.lost == 0
    assert frontend.wait_end() == 0
    assert time.monotonic() - before >= 3


def test_a_second_sigterm_ends_at_once(start, path):
    frontend = start(limits={"drain_ms": 600000}).wait_ready()
    with Announcer(path) as announcer:
        announcer.hear_until("serving")
        terminate(frontend)
        assert announcer.hear() == "draining"
        terminate(frontend)
        assert announcer.hear() is None
        assert frontend.wait_end() == -signal.SIGTERM
    frontend.process = None


def test_a_stale_socket_is_replaced(start, path):
    first = start().wait_ready()
    first.kill()
    assert path.is_socket()
    start().wait_ready()
    with Announcer(path) as announcer:
        announcer.hear_until("serving")


def test_a_socket_in_use_is_left_alone(start, path):
    start().wait_ready()
    second = start()
    assert second.wait_end() == 1
    assert f"watch_socket: {path}: another process answers there" in second.log()
    with Announcer(path) as announcer:
        announcer.hear_until("serving")


def test_another_file_is_left_alone(start, path):
    path.write_text("precious")
    frontend = start()
    assert frontend.wait_end() == 1
    assert f"watch_socket: {path} is there and no socket" in frontend.log()
    assert path.read_text() == "precious"


def test_a_path_that_cannot_be_is_named(start, path):
    frontend = start(watch_socket=str(path / "none" / "life"))
    assert frontend.wait_end() == 1
    assert "watch_socket" in frontend.log() and "No such file or directory" in frontend.log()


def test_a_removed_socket_is_made_again(start, path):
    start().wait_ready()
    with Announcer(path) as old:
        old.hear_until("serving")
        path.unlink()
        with Announcer(path) as new:
            new.hear_until("serving")
        old.socket.settimeout(0.01)
        with pytest.raises(TimeoutError):
            old.hear()  # still connected, and with nothing new to hear


def test_hostile_clients_are_bounded(start, path):
    frontend = start().wait_ready()
    many = [Announcer(path) for _ in range(16)]
    for announcer in many:
        announcer.hear_until("serving")
    with Announcer(path) as one_too_many:
        assert one_too_many.hear() is None
    assert frontend.metric("godwit_frontend_life_lines") == 16
    assert frontend.metric("godwit_frontend_life_lines_refused_total") == 1
    # Junk is ignored, much of it is not.
    many[0].say("\x00hello withdrawn")
    many[0].say("x" * 1000)
    many[1].socket.sendall(b"y" * 3000)
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        while True:
            many[1].socket.sendall(b"y" * 3000)
    godwit.wait_until(lambda: frontend.metric("godwit_frontend_life_lines") == 15)
    for announcer in many[1:]:
        announcer.close()
    godwit.wait_until(lambda: frontend.metric("godwit_frontend_life_lines") == 1)
    terminate(frontend)
    assert many[0].hear() == "draining"
    many[0].say("withdrawn")
    assert frontend.wait_end() == 0
    many[0].close()


def test_the_life_line_does_not_wait_for_queries(start, store, start_backend, path):
    """A front end whose workers have all they can do says what there is to say."""
    frontend = start(workers=1).wait_ready()
    stop = threading.Event()

    def flood():
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        host, port = godwit.split_address(frontend.address)
        query = (b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
                 b"\x03www\x07example\x03com\x00\x00\x01\x00\x01")
        while not stop.is_set():
            sender.sendto(query, (host, port))
        sender.close()
    threads = [threading.Thread(target=flood) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        with Announcer(path) as announcer:
            announcer.hear_until("serving")
            watch = Stopwatch()
            terminate(frontend)
            assert announcer.hear() == "draining"
            took = watch.seconds
            announcer.say("withdrawn")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert took < 2
    assert frontend.wait_end() == 0
