"""Holds one thread of a running program where it is, as if it hung, the others going on.

    with ThreadHold(pid, "worker-1"): ...

It is traced (ptrace) and stopped for that long, then let go. Do not wait for its process to end
before that: a traced thread's end is for the tracer to see. refusal() says why that cannot be done
here, or is None.
"""

import ctypes
import os
import pathlib
import signal
import subprocess

PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 17, 0x4206, 0x4207
WAIT_ALL = 0x40000000  # __WALL: threads too

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


def _ptrace(request, tid):
    if _libc.ptrace(request, tid, None, None) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def threads(pid):
    """{thread id: name} of a process."""
    tasks = pathlib.Path(f"/proc/{pid}/task").iterdir()
    return {int(task.name): (task / "comm").read_text().strip() for task in tasks}


class ThreadHold:
    def __init__(self, pid, name=None):
        """None: the main thread."""
        found = [tid for tid, comm in threads(pid).items() if comm == name or tid == pid and not name]
        assert len(found) == 1, f"threads of {pid} are {threads(pid)}"
        self.tid = found[0]

    def __enter__(self):
        _ptrace(PTRACE_SEIZE, self.tid)
        _ptrace(PTRACE_INTERRUPT, self.tid)
        _, status = os.waitpid(self.tid, WAIT_ALL)
        assert os.WIFSTOPPED(status)
        return self

    def __exit__(self, *_):
        try:
            _ptrace(PTRACE_DETACH, self.tid)
        except ProcessLookupError:
            os.waitpid(self.tid, WAIT_ALL)  # its process has ended; nobody else can reap it


def refusal():
    child = subprocess.Popen(["sleep", "60"])
    try:
        with ThreadHold(child.pid):
            return None
    except OSError as error:
        return f"threads cannot be held here: ptrace: {error.strerror}"
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
