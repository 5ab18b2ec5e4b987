"""A Debian machine with systemd as its process 1: a root directory booted by systemd-nspawn in a
network namespace of a lab.

    refusal()                     why this machine cannot have one, or None
    machine = Machine(namespace, root)        booted; ends with the lab
        machine.run(*command)     in there, as root
        machine.systemctl(*arguments)
        machine.show(unit, name)  a property of a unit, as text
        machine.pid(unit)         its main process, as this machine numbers it; 0 for none
        machine.journal(unit)     what it and systemd had to say of it
        machine.stop(), .boot()   halted in order, and up again

Where systemd does not run, there is nobody to give nspawn a control group: it gets one of its own in
the unified hierarchy and, where there are both, in systemd's old one.
"""

import contextlib
import ctypes
import os
import pathlib
import shutil
import signal
import subprocess

import godwit
import router_lab

_libc = ctypes.CDLL(None)
BOOT_TIMEOUT = 90
HALT_TIMEOUT = 60
ENVIRONMENT = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "TERM=dumb"]
# Whose process 1 is systemd: it manages control groups.
HOST_HAS_SYSTEMD = os.path.isdir("/run/systemd/system")


def refusal():
    if os.geteuid() != 0:
        return "needs root"
    for command in ("systemd-nspawn", "nsenter"):
        if not shutil.which(command):
            return f"no {command} here"
    return router_lab.refusal()


def remove_group(path):
    """With all below it; returns whether it is gone. It is busy until its last process is reaped."""
    try:
        for folder, _, _ in os.walk(path, topdown=False):
            os.rmdir(folder)
    except OSError:
        return not path.exists()
    return True


class Groups:
    """A control group of our own in each hierarchy that systemd uses."""

    def __init__(self):
        self.paths = []
        if HOST_HAS_SYSTEMD:
            return
        for line in pathlib.Path("/proc/self/mounts").read_text().splitlines():
            _, where, kind, options = line.split()[:4]
            if kind == "cgroup2" or (kind == "cgroup" and "name=systemd" in options.split(",")):
                # What a run that was killed has left; those of one that goes on are busy.
                for left in pathlib.Path(where).glob("godwit-machine-*"):
                    remove_group(left)
                path = pathlib.Path(where) / f"godwit-machine-{os.getpid()}"
                path.mkdir(exist_ok=True)
                self.paths.append(path)

    def join(self):
        """The calling process."""
        for path in self.paths:
            (path / "cgroup.procs").write_text("0")

    def remove(self):
        for path in self.paths:
            godwit.wait_until(lambda: remove_group(path), 10, message=f"{path} is empty")


class Machine:
    def __init__(self, namespace, root):
        self.namespace = namespace
        self.root = pathlib.Path(root)
        self.log_path = namespace.lab.make_directory("machine") / "console.log"
        self.process = None
        namespace.lab.keep(self)
        self.boot()

    def boot(self):
        self.groups = Groups()

        def prepare():
            # By SIGTERM, which halts the machine: killed, nspawn would leave it running.
            _libc.prctl(router_lab.PR_SET_PDEATHSIG, signal.SIGTERM)
            self.groups.join()

        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                ["systemd-nspawn", "--quiet", "--register=no",
                 *([] if HOST_HAS_SYSTEMD else ["--keep-unit"]),
                 f"--network-namespace-path={self.namespace.path}", "--capability=CAP_NET_ADMIN",
                 f"--machine=godwit-{os.getpid()}", f"--directory={self.root}", "--boot",
                 "--console=pipe"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=prepare,
                env={**godwit.environment(), "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"})
        godwit.wait_until(self._is_up, BOOT_TIMEOUT, 0.1, "the machine is up")

    def _leader(self):
        """Its process 1, as this machine numbers it."""
        task = pathlib.Path("/proc", str(self.process.pid), "task", str(self.process.pid), "children")
        with contextlib.suppress(OSError):
            children = task.read_text().split()
            return children[0] if children else None

    def _is_up(self):
        assert self.process.poll() is None, self.log_path.read_text(errors="replace")
        if not self._leader():
            return False
        return self.run("systemctl", "is-system-running", check=False).stdout.strip() in (
            "running", "degraded")

    def run(self, *command, check=True, timeout=120):
        return godwit.run("nsenter", "-t", self._leader(), "-a", *ENVIRONMENT, *command, check=check,
                          timeout=timeout)

    def systemctl(self, *arguments, check=True):
        return self.run("systemctl", *arguments, check=check)

    def show(self, unit, name):
        return self.systemctl("show", "--value", f"--property={name}", unit).stdout.strip()

    def pid(self, unit):
        inside = self.show(unit, "MainPID")
        if inside == "0":
            return 0
        for status in pathlib.Path("/proc").glob("[0-9]*/status"):
            with contextlib.suppress(OSError):
                lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
                ids = lines["NSpid"].split()
                if len(ids) > 1 and ids[-1] == inside and self._is_ours(status.parent):
                    return int(ids[0])
        return 0

    def _is_ours(self, process):
        return os.readlink(process / "ns" / "pid") == os.readlink(
            f"/proc/{self._leader()}/ns/pid")

    def journal(self, unit, since=None):
        options = ["--since", since] if since else []
        return self.run("journalctl", "--no-pager", "-o", "cat", "-u", unit, *options).stdout

    def stop(self):
        """In order, as a machine is halted; by force when that takes too long."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(HALT_TIMEOUT)
            except subprocess.TimeoutExpired:
                os.kill(int(self._leader()), signal.SIGKILL)
                self.process.wait()
                raise AssertionError(f"the machine did not halt in {HALT_TIMEOUT} s") from None
            finally:
                self.groups.remove()
        self.process = None
