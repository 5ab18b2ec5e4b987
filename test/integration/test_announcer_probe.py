"""The announcer's probe beside a real front end and backend: what it notices, how soon, and what
must not worry it. No router is needed: the announcer's own status says what it would announce."""

import contextlib
import datetime
import re
import signal
import socket
import threading
import time
import types

import dns.message
import pytest

import godwit
from certificates import Authority
from godwit import SANITIZED, free_address, free_port, split_address, wait_until
from machine_clock import seconds_between
from router_lab import Announcer

# What sanitizers and the test itself may add to a time of the machine that is measured, in seconds.
SLACK = 1.0 if SANITIZED else 0.4

INTERVAL, TIMEOUT, FALL = 0.2, 0.5, 3


class Watched(Announcer):
    """An announcer with one service, "dns", and no peers."""

    def service(self):
        return self.status()["services"][0]

    def state(self):
        return self.service()["state"]

    def wait_state(self, state, timeout=15):
        wait_until(lambda: self.state() == state, timeout, message=f"{state}: {self.log()}")
        return self

    def times(self, message):
        """When it logged lines with such a message, in seconds since the epoch."""
        found = re.findall(rf'^time=(\S+)Z \S+ msg="{message}"', self.log(), re.M)
        return [datetime.datetime.fromisoformat(text + "+00:00").timestamp() for text in found]

    def downs(self):
        return self.metric("godwit_announcer_service_downs_total")

    @contextlib.contextmanager
    def going_down(self):
        """Around what takes DNS away: afterwards `.seconds` is how long it took to notice, of the
        machine's time, and `.real` by the clock."""
        result = types.SimpleNamespace()
        before = len(self.times("service down"))
        begin = time.time()
        yield result
        end = wait_until(lambda: self.times("service down")[before:])[0]
        result.real, result.seconds = end - begin, seconds_between(begin, end)
        self.wait_state("down")


@pytest.fixture
def start_announcer(tmp_path, daemons):
    def start(server, watch_socket=None, **probe):
        address = server if isinstance(server, str) else server.address
        service = {"probe": {"address": address, "protocols": ["udp", "tcp"],
                             "name": "example.com.", "type": "SOA", **probe}}
        if watch_socket:
            service["watch_socket"] = watch_socket
        daemons.append(Watched(tmp_path, {
            "service": service,
            "addresses": [{"prefix": "192.0.2.53/32", "assign": "never"}],
            "bgp": {"router_id": "192.0.2.1", "as": 64512, "peers": [],
                    "graceful_shutdown_ms": 100, "shutdown_wait_ms": 0}}))
        # Its pages come a moment after the server that has them.
        wait_until(lambda: daemons[-1].get("/status.json")[0] == 200, godwit.READY_TIMEOUT,
                   message=daemons[-1].log())
        return daemons[-1]
    return start


def test_nothing_is_announced_before_front_end_and_backend_answer(store, start_backend,
                                                                  start_frontend, start_announcer):
    backend_address = free_address()
    port = free_port()
    announcer = start_announcer(f"127.0.0.1:{port}")
    wait_until(lambda: "Connection refused" in announcer.service()["cause"])
    frontend = start_frontend([backend_address], listen=[
        {"address": f"127.0.0.1:{port}", "protocols": ["udp", "tcp"]}]).wait_alive()
    wait_until(lambda: "SERVFAIL instead of NOERROR" in announcer.service()["cause"])
    assert announcer.state() == "down" and not announcer.times("DNS answers the probe")
    start_backend(store, listen=[backend_address])
    announcer.wait_state("up")
    assert announcer.service()["cause"] == "probe udp and tcp answer"
    assert frontend.is_running()


def test_a_killed_front_end_is_noticed_at_once(frontend, start_announcer):
    announcer = start_announcer(frontend).wait_state("up")
    with announcer.going_down() as gone:
        frontend.kill()
    # The next question and two fast intervals behind it.
    assert gone.seconds <= INTERVAL + 2 * INTERVAL / 4 + SLACK
    assert "Connection refused" in announcer.service()["cause"]
    frontend.start().wait_ready()
    announcer.wait_state("up")


def test_a_life_line_is_quicker_than_any_probe(tmp_path, backend, start_frontend,
                                               start_announcer):
    path = str(tmp_path / "life.sock")
    frontend = start_frontend([backend], watch_socket=path).wait_ready()
    announcer = start_announcer(frontend, watch_socket=path, interval_ms=1500,
                                fast_interval_ms=100).wait_state("up")
    for _ in range(2):
        with announcer.going_down() as gone:
            frontend.kill()
        assert gone.seconds <= 0.05 + SLACK
        frontend.start().wait_ready()
        announcer.wait_state("up")
    # Not by good answers of the one before: each has been asked for its own.
    assert len(announcer.times("DNS answers the probe")) == 3 * 2, announcer.log()


def test_a_stopped_front_end_is_noticed_within_fall_intervals(frontend, start_announcer):
    announcer = start_announcer(frontend).wait_state("up")
    for _ in range(2):
        # Right after an answer no question is under way that could run out of time sooner.
        answered = announcer.metric("godwit_announcer_probes_total")
        wait_until(lambda: announcer.metric("godwit_announcer_probes_total") >= answered + 2,
                   interval=0.001)
        with announcer.going_down() as gone:
            frontend.process.send_signal(signal.SIGSTOP)
        assert gone.real >= TIMEOUT - 0.01
        assert gone.seconds <= FALL * INTERVAL + 0.1 + SLACK
        assert "no answer within 500 ms" in announcer.service()["cause"]
        frontend.process.send_signal(signal.SIGCONT)
        announcer.wait_state("up")


def test_a_backend_that_is_gone_takes_names_down_that_no_cache_knows(store, start_backend,
                                                                     start_frontend,
                                                                     start_announcer):
    backend = start_backend(store).wait_ready()
    frontend = start_frontend([backend]).wait_ready()
    cached = start_announcer(frontend).wait_state("up")
    asked = start_announcer(frontend, name="*.wild.example.com.", type="A",
                            expect_answer="192.0.2.99").wait_state("up")
    with asked.going_down():
        backend.kill()
    assert re.search("SERVFAIL instead of NOERROR|no answer within", asked.service()["cause"])
    # What the front end has, it goes on giving out.
    assert cached.state() == "up" and cached.downs() == 0
    backend.start()
    asked.wait_state("up")


def test_a_wrong_answer_is_noticed(store, frontend, start_announcer):
    announcer = start_announcer(frontend, name="www.example.com.", type="A",
                                expect_answer="192.0.2.80").wait_state("up")
    store.ctl("record", "set", "www.example.com", "A", "192.0.2.81")
    announcer.wait_state("down")
    assert "the expected record is not in the answer" in announcer.service()["cause"]
    store.ctl("record", "set", "www.example.com", "A", "192.0.2.80")
    announcer.wait_state("up")


def test_tls_is_probed_with_its_certificate(tmp_path, backend, start_frontend, start_announcer):
    authority = Authority(tmp_path)
    pair = authority.issue("dns.example", "DNS:dns.example")
    plain, secure = free_port(), free_port()
    start_frontend([backend], tls={"certificate": str(pair.certificate), "key": str(pair.key)},
                   listen=[{"address": f"127.0.0.1:{plain}", "protocols": ["udp", "tcp"]},
                           {"address": f"127.0.0.1:{secure}", "protocols": ["tls"]}]).wait_ready()
    probe = {"protocols": ["udp", "tls"], "tls_port": secure, "tls_ca": str(authority.certificate)}
    good = start_announcer(f"127.0.0.1:{plain}", tls_server_name="dns.example", **probe)
    other = start_announcer(f"127.0.0.1:{plain}", tls_server_name="other.example", **probe)
    stranger = start_announcer(f"127.0.0.1:{plain}", tls_server_name="dns.example", **{
        **probe, "tls_ca": str(Authority(tmp_path, "stranger").certificate)})
    good.wait_state("up")
    assert good.service()["cause"] == "probe udp and tls answer"
    wait_until(lambda: "hostname mismatch" in other.service()["cause"])
    wait_until(lambda: "certificate" in stranger.service()["cause"])
    assert other.state() == "down" and stranger.state() == "down"


def test_a_stop_of_its_own_does_not_worry_the_announcer(frontend, start_announcer):
    announcer = start_announcer(frontend, timeout_ms=200, fall=1).wait_state("up")
    probes = announcer.metric("godwit_announcer_probes_total")
    for _ in range(3):
        announcer.process.send_signal(signal.SIGSTOP)
        time.sleep(0.7)  # what is tested is the passing of time itself
        announcer.process.send_signal(signal.SIGCONT)
        wait_until(lambda: announcer.metric("godwit_announcer_probes_total") >= probes + 10)
        probes = announcer.metric("godwit_announcer_probes_total")
    assert announcer.state() == "up" and announcer.downs() == 0, announcer.log()


# --- a server that is slow, or loses what it is asked ---------------------------------------------

class SlowServer:
    """Answers NOERROR over UDP, `delay` seconds late; loses the next `lose` queries."""

    def __init__(self):
        self.address = free_address()
        self.delay = 0
        self.lose = 0
        self.lost = threading.Event()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(split_address(self.address))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while True:
            octets, client = self._socket.recvfrom(4096)
            if octets == b"end":
                return
            if self.lose > 0:
                self.lose -= 1
                if self.lose == 0:
                    self.lost.set()
                continue
            reply = dns.message.make_response(dns.message.from_wire(octets))
            threading.Timer(self.delay, self._socket.sendto, (reply.to_wire(), client)).start()

    def close(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"end", split_address(self.address))
        self._thread.join()
        time.sleep(self.delay)  # until the last answer has been sent
        self._socket.close()


@pytest.fixture
def slow_server():
    server = SlowServer()
    yield server
    server.close()


def test_a_loaded_server_is_not_called_dead(slow_server, start_announcer):
    # Later than the next question, and well within the time.
    announcer = start_announcer(slow_server.address, protocols=["udp"],
                                timeout_ms=2000).wait_state("up")
    slow_server.delay = 0.3
    count = announcer.metric("godwit_announcer_probes_total")
    wait_until(lambda: announcer.metric("godwit_announcer_probes_total") >= count + 40, 20)
    assert announcer.state() == "up" and announcer.downs() == 0
    assert announcer.metric(
        'godwit_announcer_probes_total{result="failed",protocol="udp"}') == 0


def test_fewer_than_fall_lost_queries_are_forgiven(slow_server, start_announcer):
    announcer = start_announcer(slow_server.address, protocols=["udp"]).wait_state("up")
    slow_server.lose = FALL - 1
    assert slow_server.lost.wait(5)
    failed = 'godwit_announcer_probes_total{result="failed",protocol="udp"}'
    wait_until(lambda: announcer.metric(failed) == FALL - 1)
    assert announcer.state() == "up" and announcer.downs() == 0


# --- by hand --------------------------------------------------------------------------------------

def test_godwitctl_shows_drains_and_undrains(frontend, start_announcer):
    def ctl(*words):
        return godwit.run(godwit.program("godwitctl"), *words, "--admin", announcer.admin,
                          check=False)
    announcer = start_announcer(frontend).wait_state("up")
    shown = ctl("announcer", "status")
    assert shown.returncode == 0 and "service dns: up" in shown.stdout, shown
    assert '"state":"up"' in ctl("announcer", "status", "--json").stdout
    for words in ((), ("dns",)):
        done = ctl("announcer", "drain", *words)
        assert done.returncode == 0, done
        announcer.wait_state("drained")
        assert "drained" in ctl("status").stdout
        done = ctl("announcer", "undrain", *words)
        assert done.returncode == 0, done
        announcer.wait_state("up")
    refused = ctl("announcer", "drain", "other")
    assert refused.returncode == 1 and "other" in refused.stdout
    figures = ctl("status").stdout
    assert re.search(r"^    probes +1 of 1 up$", figures, re.M), figures
