"""A thread that hangs is seen: at /livez, in the log, in the metrics, and by the service manager.

What counts as hanging takes ten seconds, so what can be seen of it is looked at together.
"""

import contextlib
import signal
import time

import pytest

import godwit
import thread_hold
from godwit import ask, rcode, wait_until
from router_lab import Announcer
from test_service_manager import Manager
from thread_hold import ThreadHold

REFUSAL = thread_hold.refusal()
pytestmark = pytest.mark.skipif(bool(REFUSAL), reason=str(REFUSAL))

# The bound, a look more, and time for a machine that is busy.
SEEN_S = 30


def start_announcer(directory):
    return Announcer(directory, {
        "service": {"probe": {"address": f"127.0.0.1:{godwit.free_port()}",
                              "name": "health.example"}},
        "addresses": [{"prefix": "192.0.2.53/32", "assign": "never"}],
        "bgp": {"router_id": "192.0.2.1", "as": 64512, "graceful_shutdown_ms": 0,
                "shutdown_wait_ms": 0},
    })


@pytest.fixture
def manager(tmp_path):
    manager = Manager(tmp_path)
    yield manager
    manager.socket.close()


class Hung:
    """A daemon and the thread of it that is held."""

    def __init__(self, daemon, thread):
        self.daemon, self.thread = daemon, thread
        self.program = daemon.name.replace("-", "_")
        self.hold = ThreadHold(daemon.pid, thread)

    def hangs_total(self):
        return self.daemon.metric(f'{self.program}_thread_hangs_total{{thread="{self.thread}"}}')

    def log_lines(self, event):
        return [line for line in self.daemon.log().splitlines()
                if f'msg="{event}" thread={self.thread} ' in line]

    def check_seen(self):
        wait_until(lambda: self.daemon.get("/livez")[0] == 503, SEEN_S)
        assert f"{self.thread} has not moved for " in self.daemon.get("/livez")[1]
        assert self.daemon.metric(f"{self.program}_threads_hung") == 1
        assert self.hangs_total() == 1
        assert len(self.log_lines("a thread hangs")) == 1

    def check_over(self):
        wait_until(lambda: self.daemon.get("/livez") == (200, "alive\n"), SEEN_S)
        assert self.daemon.metric(f"{self.program}_threads_hung") == 0
        assert self.hangs_total() == 1
        assert len(self.log_lines("a thread hangs")) == 1
        assert len(self.log_lines("a thread that hung moves again")) == 1


def starves(manager):
    """The watchdog's last three messages brought no food."""
    return all("WATCHDOG=1" not in manager.hear() for _ in range(3))


def test_a_thread_that_hangs_fails_livez_until_it_moves(backend, manager, tmp_path, daemons):
    frontend = godwit.Frontend(tmp_path, [backend], env=manager.env, workers=2).wait_ready()
    stopped = godwit.Frontend(tmp_path, [backend]).wait_ready()
    announcer = start_announcer(tmp_path).wait_alive()
    watched = godwit.Frontend(tmp_path, [backend]).wait_ready()
    daemons += [frontend, stopped, announcer, watched]
    all_hung = [Hung(frontend, "worker-1"), Hung(backend, "query-0"), Hung(announcer, "control"),
                Hung(watched, "watcher")]
    for daemon in daemons:
        assert daemon.get("/livez") == (200, "alive\n")

    # Beside them one that is stopped as a whole: nobody in it hangs.
    stopped.process.send_signal(signal.SIGSTOP)
    stopped_at = time.monotonic()
    with contextlib.ExitStack() as holds:
        for hung in all_hung:
            holds.enter_context(hung.hold)
        for hung in all_hung:
            hung.check_seen()
        # A share of the queries is lost: others should get them.
        status, reason = frontend.get("/readyz")
        assert status == 503 and "worker-1 has not moved" in reason
        wait_until(lambda: starves(manager), SEEN_S)
    for hung in all_hung:
        hung.check_over()
    frontend.wait_ready()
    manager.hear_until("WATCHDOG=1")
    assert rcode(ask(frontend, "www.example.com")) == "NOERROR"

    assert time.monotonic() - stopped_at > 10
    stopped.process.send_signal(signal.SIGCONT)
    looks = [stopped.get("/livez") for _ in range(100)]
    assert looks == [(200, "alive\n")] * len(looks)
    assert stopped.metric("godwit_frontend_thread_hangs_total") == 0


def test_every_thread_that_must_move_is_looked_at(backend, tmp_path, start_frontend):
    frontend = start_frontend([backend], workers=3,
                              watch_socket=str(tmp_path / "life.sock")).wait_ready()

    def looked_at(daemon):
        prefix = daemon.name.replace("-", "_") + '_thread_hangs_total{thread="'
        return {key[len(prefix):-2] for key in daemon.metrics() if key.startswith(prefix)}

    assert looked_at(frontend) == {"worker-0", "worker-1", "worker-2", "watcher", "life-line",
                                   "grpc-queue"}
    assert {"control", "follower", "query-0"} <= looked_at(backend)
    # Their names are the kernel's, for top and gdb.
    for daemon in (frontend, backend):
        assert looked_at(daemon) <= set(thread_hold.threads(daemon.pid).values())


def test_a_thread_that_hangs_does_not_keep_a_program_from_ending(backend, start_frontend, tmp_path,
                                                                 daemons):
    frontend = start_frontend([backend]).wait_ready()
    announcer = start_announcer(tmp_path).wait_alive()
    daemons.append(announcer)
    with ThreadHold(frontend.pid, "worker-0"), ThreadHold(backend.pid, "query-0"), \
            ThreadHold(announcer.pid, "control"):
        for daemon in (frontend, backend, announcer):
            daemon.process.send_signal(signal.SIGTERM)
        for daemon in (frontend, announcer):
            wait_until(lambda d=daemon: "ending without waiting for threads" in d.log(), SEEN_S)
        wait_until(lambda: "leaving them" in backend.log(), SEEN_S)
    for daemon in (frontend, backend, announcer):
        assert daemon.wait_end() == 1
