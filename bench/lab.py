"""What the benchmarks stand on: a place of their own for servers, and what those cost.

    Lab()                       a context: a temporary directory and the programs started in it, all
                                gone at its end, whatever happens
    lab.start(name, *command)   a Program; on the CPUs of lab.cpus when they are set
    install(packages)           Debian packages that are missing; those that cannot be had come back
    cpu_times(pids)             user + system time that processes have used: see cpu_between
    wait_times(pids)            how long their threads waited for a CPU: see longest_wait
    resident_bytes(pid)         resident set
    print_table(rows, columns)  figures for a person
"""

import contextlib
import ctypes
import math
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "test" / "integration"))

import godwit  # noqa: E402  (the integration tests' helpers)

PR_SET_PDEATHSIG = 1
POLICY = pathlib.Path("/usr/sbin/policy-rc.d")

_libc = ctypes.CDLL(None)


def say(text):
    """Tells how far the benchmark is, beside the results."""
    print(text, file=sys.stderr, flush=True)


def _die_with_parent():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Program:
    """A server that was started by the lab."""

    def __init__(self, name, command, directory, env=None):
        self.name = name
        self.log_path = pathlib.Path(directory) / f"{name}.log"
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [str(part) for part in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd=directory, env=env, preexec_fn=_die_with_parent)

    @property
    def pid(self):
        return self.process.pid

    def log(self):
        return self.log_path.read_text(errors="replace")

    def check_running(self):
        if self.process.poll() is not None:
            raise RuntimeError(
                f"{self.name} ended ({self.process.returncode}):\n{self.log()[-2000:]}")

    def stop(self, timeout=30):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Lab:
    """Where servers run. What is started while `cpus` is set, runs on these alone. A benchmark that
    lasts longer than `limit` seconds ends."""

    def __init__(self, limit=3600):
        self.cpus = None
        self.limit = limit
        self._stack = contextlib.ExitStack()

    def __enter__(self):
        self.directory = pathlib.Path(
            self._stack.enter_context(tempfile.TemporaryDirectory(prefix="godwit-bench-")))
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        signal.signal(signal.SIGALRM, lambda *_: sys.exit(f"not done in {self.limit} s"))
        signal.alarm(self.limit)
        return self

    def __exit__(self, *exception):
        signal.alarm(0)
        return self._stack.__exit__(*exception)

    def make_directory(self, name):
        return pathlib.Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.directory))

    @contextlib.contextmanager
    def pinned(self):
        """What is started inside inherits this process's place on lab.cpus."""
        before = os.sched_getaffinity(0)
        if self.cpus:
            os.sched_setaffinity(0, self.cpus)
        try:
            yield
        finally:
            os.sched_setaffinity(0, before)

    def start(self, name, *command, directory=None, env=None):
        with self.pinned():
            return self.keep(Program(name, command, directory or self.make_directory(name), env))

    def keep_awake(self, cpus):
        """Keeps CPUs from sleeping until the lab's end: on each spins a process that runs only when
        nobody else wants to (SCHED_IDLE). A virtual machine's sleeping CPU is its host's, which
        may take milliseconds to give it back; latencies would tell of that alone."""
        for cpu in cpus:
            self.start(f"awake-{cpu}", sys.executable, "-c",
                       "import os, sys\n"
                       "os.sched_setaffinity(0, {int(sys.argv[1])})\n"
                       "os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))\n"
                       "while True: pass", cpu)

    def backend(self, storage, **config):
        """A godwit-backend, not yet waited for."""
        with self.pinned():
            return self.keep(godwit.Backend(self.directory, storage, **config))

    def frontend(self, backends, **config):
        """A godwit-frontend, not yet waited for."""
        with self.pinned():
            return self.keep(godwit.Frontend(self.directory, backends, **config))

    def keep(self, program):
        self._stack.callback(self._stop_quietly, program)
        return program

    @staticmethod
    def _stop_quietly(program):
        """Figures that were taken are not lost for a program that ends badly, but it is told."""
        try:
            program.stop()
        except AssertionError as failure:
            say(f"{program.name}: {failure}")


# --- Debian packages ------------------------------------------------------------------------------

@contextlib.contextmanager
def _no_services_started():
    """Packages bring services that start at once, on the very ports their user may need; while this
    lasts they do not. A policy that is there already is left as it is."""
    mine = not POLICY.exists() and os.access(POLICY.parent, os.W_OK)
    if mine:
        POLICY.write_text("#!/bin/sh\nexit 101\n")
        POLICY.chmod(0o755)
    try:
        yield
    finally:
        if mine:
            POLICY.unlink()


def missing_packages(packages):
    done = subprocess.run(["dpkg-query", "-W", "-f", "${db:Status-Status} ${Package}\n", *packages],
                          capture_output=True, text=True, check=False)
    there = set(re.findall(r"^installed (\S+)$", done.stdout, re.M))
    return [package for package in packages if package not in there]


def install(packages):
    """Installs what is missing, and returns what cannot be had. Needs root, or everything there."""
    apt = ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=300"]
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    missing = missing_packages(packages)
    if not missing or os.geteuid() != 0:
        return missing
    say(f"installing {' '.join(missing)}")
    with _no_services_started():
        subprocess.run([*apt, "update"], env=env, stdout=subprocess.DEVNULL, check=False)
        for package in missing:
            subprocess.run([*apt, "install", "-y", "--no-install-recommends", package], env=env,
                           stdout=subprocess.DEVNULL, check=False)
    return missing_packages(packages)


def find_program(name):
    """The path of a server's program, also where only root has it in the path; or None."""
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


# --- what processes cost --------------------------------------------------------------------------

def resident_bytes(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1)) * 1024


def _children():
    """{pid: pids of its children}, of all processes."""
    children = {}
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = int(stat.read_text().rsplit(")", 1)[1].split()[1])
            children.setdefault(parent, []).append(int(stat.parent.name))
    return children


def process_tree(pids):
    """`pids` and all that descend from them: a server may fork its workers."""
    children = _children()
    found = list(pids)
    for pid in found:
        found.extend(children.get(pid, []))
    return found


def _schedstat(pids, field):
    times = {}
    for pid in pids:
        for path in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat"):
            with contextlib.suppress(OSError):  # a thread that has just ended
                times[path.parent.name] = int(path.read_text().split()[field]) / 1e9
    return times


def cpu_times(pids):
    """User and system time that processes have used: {thread: seconds}, by the scheduler's own
    account, which counts nanoseconds where /proc/PID/stat counts hundredths of a second."""
    return _schedstat(pids, 0)


def wait_times(pids):
    """How long threads that could run had to wait for a CPU: {thread: seconds}."""
    return _schedstat(pids, 1)


def longest_wait(before, after):
    """Seconds that the thread that waited most did so from one wait_times to another."""
    return max((seconds - before.get(thread, 0.0) for thread, seconds in after.items()), default=0)


def cpu_between(before, after):
    """Seconds that passed from one cpu_times to another; those of threads that ended are lost."""
    return sum(seconds - before.get(thread, 0.0) for thread, seconds in after.items())


# --- figures --------------------------------------------------------------------------------------

def percentile(values, share):
    """The value that `share` (0 to 1) of the values are not above; None of none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


def machine():
    """What the figures were taken on."""
    model = re.search(r"^model name\s*:\s*(.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.M)
    return {"cpus": len(os.sched_getaffinity(0)), "model": model.group(1) if model else "unknown",
            "kernel": os.uname().release, "load_average": os.getloadavg()[0],
            "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}


def _cell(value):
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}" if value < 100 \
            else f"{value:.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def print_table(title, rows, columns):
    """`rows` are dicts; `columns` are (key, heading). Text to the left, figures to the right."""
    cells = [[_cell(row.get(key)) for key, _ in columns] for row in rows]
    widths = [max([len(heading), *(len(line[i]) for line in cells)])
              for i, (_, heading) in enumerate(columns)]
    text = [all(isinstance(row.get(key), (str, type(None))) for row in rows) for key, _ in columns]
    print(f"\n{title}\n")
    for line in [[heading for _, heading in columns], *cells]:
        print("  ".join(cell.ljust(width) if left else cell.rjust(width)
                        for cell, width, left in zip(line, widths, text)).rstrip())
    sys.stdout.flush()
