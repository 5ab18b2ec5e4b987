"""What the daemons tell the service manager that started them, which the test plays."""

import re
import signal
import socket

import pytest

import godwit
from godwit import wait_until
from router_lab import Announcer


class Manager:
    """$NOTIFY_SOCKET's other end: what was said, in order."""

    def __init__(self, directory):
        self.path = str(directory / "notify.sock")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.env = {"NOTIFY_SOCKET": self.path, "WATCHDOG_USEC": "600000"}

    def hear(self, timeout=10):
        self.socket.settimeout(timeout)
        return self.socket.recv(4096).decode()

    def hear_until(self, wanted, timeout=20):
        """Everything up to the message that begins with `wanted`."""
        heard = []
        while not heard or not heard[-1].startswith(wanted):
            heard.append(self.hear(timeout))
        return heard

    def hears_nothing(self):
        """Nothing but the watchdog's food and status has come up to now."""
        self.socket.settimeout(0)
        try:
            while True:
                assert "READY" not in self.socket.recv(4096).decode()
        except BlockingIOError:
            return True


@pytest.fixture
def manager(tmp_path):
    manager = Manager(tmp_path)
    yield manager
    manager.socket.close()


def start_announcer(directory, env):
    return Announcer(directory, {
        "service": {"probe": {"address": f"127.0.0.1:{godwit.free_port()}",
                              "name": "health.example"}},
        "addresses": [{"prefix": "192.0.2.53/32", "assign": "never"}],
        "bgp": {"router_id": "192.0.2.1", "as": 64512, "graceful_shutdown_ms": 0,
                "shutdown_wait_ms": 0},
    }, env=env)


@pytest.fixture(params=["frontend", "backend", "announcer"])
def daemon(request, manager, store, tmp_path, daemons):
    if request.param == "frontend":
        made = godwit.Frontend(tmp_path, [godwit.free_address()], env=manager.env)
    elif request.param == "backend":
        made = godwit.Backend(tmp_path, store, env=manager.env)
    else:
        made = start_announcer(tmp_path, manager.env)
    daemons.append(made)
    return made


def test_the_manager_is_told_of_start_reload_and_end(daemon, manager):
    manager.hear_until("READY=1")
    assert daemon.get("/livez")[0] == 200
    daemon.process.send_signal(signal.SIGHUP)
    heard = manager.hear_until("RELOADING=1")
    assert heard[-1].split("\n")[1].startswith("MONOTONIC_USEC=")
    assert manager.hear_until("READY=1")[-1] == "READY=1"
    daemon.stop()
    manager.hear_until("STOPPING=1")


def test_the_watchdog_is_fed_with_what_readyz_says(daemon, manager):
    manager.hear_until("READY=1")

    def without_numbers(text):
        return re.sub(r"[\d.]+", "#", text)

    wait_until(lambda: without_numbers(manager.hear()) == without_numbers(
        "WATCHDOG=1\nSTATUS=" + daemon.get("/readyz")[1].strip()))


def test_a_stopped_process_does_not_feed_the_watchdog(daemon, manager):
    manager.hear_until("WATCHDOG=1")
    daemon.process.send_signal(signal.SIGSTOP)
    try:
        manager.socket.settimeout(1)
        with pytest.raises(TimeoutError):
            while True:
                manager.socket.recv(4096)
    finally:
        daemon.process.send_signal(signal.SIGCONT)
    manager.hear_until("WATCHDOG=1")


def test_a_backend_is_ready_when_its_records_are_there(manager, empty_store, tmp_path, daemons):
    """Not when it listens: front ends start after it. (After ten seconds it is so in any case.)"""
    path = tmp_path / "missing.db"
    backend = godwit.Backend(tmp_path, f"sqlite:{path}", env=manager.env)
    daemons.append(backend)
    backend.wait_alive()
    manager.hear_until("WATCHDOG=1")
    assert manager.hears_nothing()
    godwit.run(godwit.program("godwitctl"), "--store", f"sqlite:{path}", "init")
    assert manager.hear_until("READY=1")
    backend.wait_ready()


def test_a_port_that_is_taken_is_no_start(manager, frontend, tmp_path):
    second = godwit.Frontend(tmp_path, [godwit.free_address()], env=manager.env,
                             listen=[{"address": frontend.address, "protocols": ["udp", "tcp"]}])
    assert second.wait_end() == 1
    assert manager.hears_nothing()
