"""The scripts a newcomer meets first."""

import os
import re
import signal
import subprocess

import pytest

import godwit
from godwit import REPOSITORY, answers, ask, free_port, run, wait_until


class ScriptRun:
    """scripts/run on ports of its own, on the build under test."""

    def __init__(self, directory):
        self.directory = directory
        self.ports = [free_port() for _ in range(4)]
        self.log_path = directory.parent / "script.log"
        self.process = None

    def start(self, through=()):
        """Starts the script, by way of the command `through` if there is one."""
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [*through, REPOSITORY / "scripts/run"], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd="/", start_new_session=True,
                env=godwit.environment(GODWIT_BUILD=godwit.BUILD, GODWIT_RUN_DIR=self.directory,
                                       GODWIT_RUN_PORTS=" ".join(map(str, self.ports))))
        return self

    @property
    def server(self):
        return f"127.0.0.1:{self.ports[0]}"

    def log(self):
        return self.log_path.read_text(errors="replace")

    def wait_ready(self):
        def said():
            assert self.process.poll() is None, self.log()
            return "Ctrl-C ends everything" in self.log()
        wait_until(said, 60, 0.05, "scripts/run says it is ready")
        return self

    def pids(self):
        """The daemons: whoever runs with a configuration from our directory."""
        found = {}
        for entry in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{entry}/cmdline", "rb") as file:
                    words = file.read().split(b"\0")
            except OSError:
                continue
            for name in ("backend", "frontend"):
                if str(self.directory / f"{name}.yaml").encode() in words:
                    found[name] = int(entry)
        return found

    def ports_are_free(self):
        used = set()
        for table in ("tcp", "tcp6", "udp", "udp6"):
            with open(f"/proc/net/{table}") as file:
                for line in file.readlines()[1:]:
                    fields = line.split()
                    if fields[3] in ("0A", "07"):
                        used.add(int(fields[1].rsplit(":", 1)[1], 16))
        return not used & set(self.ports)

    def wait_end(self):
        """Its exit status, after making sure that nothing is left."""
        status = self.process.wait(30)
        assert self.pids() == {}, self.log()
        assert self.ports_are_free()
        wait_until(self._has_no_group, message="followers of the logs would be in its group")
        godwit.assert_no_sanitizer_report(self.log())
        return status

    def _has_no_group(self):
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return True
        return False

    def end(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)


@pytest.fixture
def script_run(tmp_path):
    script = ScriptRun(tmp_path / "run")
    yield script
    script.end()


def test_run_shows_a_query_that_works(script_run):
    script_run.start().wait_ready()
    assert answers(ask(script_run.server, "www.example.com")) == ["192.0.2.80", "192.0.2.81"]
    assert answers(ask(script_run.server, "example.com", "MX", tcp=True))
    assert answers(ask(script_run.server, "shop.apps.example.com")) == ["192.0.2.90"]
    assert f"dig @127.0.0.1 -p {script_run.ports[0]} www.example.com A" in script_run.log()
    if godwit.has_program("dig"):
        assert "192.0.2.81" in script_run.log(), "the answer is shown too"
    if godwit.has_ipv6():
        assert answers(ask(f"[::1]:{script_run.ports[0]}", "ns1.example.com")) == ["192.0.2.1"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_run_leaves_nothing_behind(script_run, number):
    script_run.start().wait_ready()
    assert set(script_run.pids()) == {"backend", "frontend"}
    if number == signal.SIGINT:
        os.killpg(script_run.process.pid, number)  # Ctrl-C reaches the whole group
    else:
        script_run.process.send_signal(number)
    assert script_run.wait_end() == 0, script_run.log()


def test_run_ends_by_ctrl_c_where_it_was_ignored(script_run):
    """A script that starts another with "&" has it ignore SIGINT."""
    script_run.start(through=["env", "--ignore-signal=INT"]).wait_ready()
    script_run.process.send_signal(signal.SIGINT)
    assert script_run.wait_end() == 0, script_run.log()


def test_run_shows_a_change_that_works(script_run):
    script_run.start().wait_ready()
    line = [line for line in script_run.log().splitlines() if "record set" in line][0]
    run(*line.split(), cwd=REPOSITORY)
    wait_until(lambda: answers(ask(script_run.server, "hello.example.com")) == ["192.0.2.7"])


def test_run_keeps_the_store(script_run):
    script_run.start().wait_ready()
    store = godwit.Store(script_run.directory)
    store.ctl("record", "set", "mine.example.com", "A", "198.51.100.7")
    script_run.process.send_signal(signal.SIGINT)
    assert script_run.wait_end() == 0
    script_run.start().wait_ready()
    assert answers(ask(script_run.server, "mine.example.com")) == ["198.51.100.7"]
    script_run.process.send_signal(signal.SIGINT)
    assert script_run.wait_end() == 0


@pytest.mark.parametrize("name", ["backend", "frontend"])
def test_run_says_who_died_and_ends_the_other(script_run, name):
    script_run.start().wait_ready()
    os.kill(script_run.pids()[name], signal.SIGKILL)
    assert script_run.wait_end() == 1
    assert f"godwit-{name} ended by itself" in script_run.log()


def test_run_says_which_port_is_taken(script_run):
    script_run.start().wait_ready()
    second = run(REPOSITORY / "scripts/run", check=False, env=godwit.environment(
        GODWIT_BUILD=godwit.BUILD, GODWIT_RUN_DIR=script_run.directory,
        GODWIT_RUN_PORTS=" ".join(map(str, script_run.ports))))
    assert second.returncode == 1
    assert f"port {script_run.ports[0]} is taken" in second.stderr
    assert answers(ask(script_run.server, "ns1.example.com")) == ["192.0.2.1"]


def test_bootstrap_has_nothing_to_do_here():
    # These very tests need every package: a second call is quick, silent and needs no network.
    done = run(REPOSITORY / "scripts/bootstrap", "--test", timeout=10)
    assert (done.stdout, done.stderr) == ("", "")


def test_bootstrap_refuses_other_options():
    done = run(REPOSITORY / "scripts/bootstrap", "--bogus", check=False)
    assert done.returncode == 1
    assert "unknown option --bogus" in done.stderr


def test_bootstrap_knows_every_library_the_build_asks_for():
    packages = (REPOSITORY / "scripts/bootstrap").read_text().split()
    modules = set()
    for path in [REPOSITORY / "CMakeLists.txt", *REPOSITORY.glob("*/CMakeLists.txt")]:
        for line in re.findall(r"pkg_check_modules\(\w+ (.*)\)", path.read_text()):
            modules |= set(line.split()) - {"REQUIRED", "IMPORTED_TARGET"}
    assert "libevent" in modules
    for module in modules:
        folder = run("pkg-config", "--variable=pcfiledir", module).stdout.strip()
        owner = run("dpkg-query", "-S", f"{folder}/{module}.pc").stdout.split(":")[0]
        assert owner in packages, f"{module} is in {owner}"


def test_bootstrap_without_privileges_says_what_to_install(tmp_path):
    # A machine without packages, root and sudo: programs of those names that say so.
    for name, script in (("dpkg-query", "exit 1"), ("id", "echo 1000")):
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
    for tool in ("bash", "grep", "dirname"):
        (tmp_path / tool).symlink_to(run("which", tool).stdout.strip())
    done = run("/bin/bash", REPOSITORY / "scripts/bootstrap", check=False, env={"PATH": str(tmp_path)})
    assert done.returncode == 1
    assert "not root and no sudo; have root run: apt-get install gcc" in done.stderr


def test_bootstrap_installs_only_what_is_missing(tmp_path):
    log = tmp_path / "apt.log"
    for name, script in (("id", "echo 0"), ("apt-get", f'echo "$@" >>{log}'),
                         ("dpkg-query", "shift 2; for p; do [ $p = libevent-dev ] || "
                                        'echo "installed $p"; done')):
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n[ $1 != -W ] || shift\n{script}\n" if name == "dpkg-query"
                        else f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
    run(REPOSITORY / "scripts/bootstrap",
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"})
    lines = log.read_text().splitlines()
    assert lines[0].endswith(" update")
    assert lines[1].endswith(" install -y --no-install-recommends libevent-dev")


# --- layers ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("path, include, allowed", [
    ("dns/x.c", "dns/name.h", True),
    ("dns/x.c", "common/log.h", False),
    ("common/x.h", "dns/name.h", False),
    ("common/x.c", "backend/mirror.h", False),
    ("storage/x.c", "common/log.h", True),
    ("storage/deep/x.h", "backend/mirror.h", False),
    ("backend/x.c", "storage/storage.h", True),
    ("backend/x.c", "frontend/cache.h", False),
    ("frontend/x.c", "backend/answer.h", False),
    ("frontend/x.c", "storage/storage.h", False),
    ("ctl/x.c", "storage/storage.h", True),
    ("ctl/x.c", "../backend/mirror.h", False),
    ("announcer/x.c", "frontend/tcp.h", False),
])
def test_layers_are_checked(tmp_path, path, include, allowed):
    file = tmp_path / path
    file.parent.mkdir(parents=True)
    file.write_text(f'/* A file. */\n#include <stdio.h>\n#  include "{include}"\n')
    done = run(REPOSITORY / "scripts/check-layers", tmp_path, check=False)
    assert done.returncode == (0 if allowed else 1)
    assert (done.stdout == "") == allowed
    if not allowed:
        assert done.stdout.startswith(f"{path}:3: ") and include in done.stdout


def test_layers_of_this_tree_hold():
    done = run(REPOSITORY / "scripts/check-layers")
    assert done.stdout == ""


def test_layers_of_an_empty_tree_are_no_success(tmp_path):
    assert run(REPOSITORY / "scripts/check-layers", tmp_path, check=False).returncode == 1
