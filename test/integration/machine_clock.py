"""Time as this machine gives it to its programs, for bounds that are to hold however busy it is.

    watch = Stopwatch()
    watch.seconds                   since then, of the machine's time
    seconds_between(begin, end)     the same between two times of time.time()

A process of its own sleeps for 5 ms again and again, and its awakenings are counted. On a quiet
machine that is the time of any clock. Where others have the CPUs, or the whole machine stands still
for a while, it wakes as late as the programs under test do, so that fewer seconds pass: a bound in
these seconds is about the program and not about what runs beside it. They never are more than real
ones, so a test of something that must *not* come sooner uses a real clock.
"""

import array
import atexit
import bisect
import mmap
import subprocess
import sys
import tempfile
import threading

BEAT_S = 0.005
KEPT = 1 << 16  # beats whose times are known: the last five minutes

# Ends with its standard input, and so with whoever started it. The first value counts the beats; the
# others are when the latest of them were. What a quiet machine takes to wake it is made up for.
_HEART = f"""
import mmap, select, sys, time
times = memoryview(mmap.mmap(int(sys.argv[1]), 0)).cast("d")
count, wait, woken = 0, {BEAT_S}, time.monotonic()
while not select.select([0], [], [], wait)[0]:
    times[1 + count % {KEPT}] = time.time()
    count += 1
    times[0] = count
    slept, woken = time.monotonic() - woken, time.monotonic()
    wait = {BEAT_S} - min(max(slept - wait, 0.0), 0.0004)
"""


class _Heart:
    def __init__(self):
        size = array.array("d").itemsize * (1 + KEPT)
        with tempfile.TemporaryFile() as file:
            file.truncate(size)
            self.times = memoryview(mmap.mmap(file.fileno(), size)).cast("d")
            self.process = subprocess.Popen(
                [sys.executable, "-ISc", _HEART, str(file.fileno())], stdin=subprocess.PIPE,
                pass_fds=[file.fileno()])
        atexit.register(self.stop)
        while self.count == 0:
            pass

    def stop(self):
        self.process.stdin.close()
        self.process.wait()

    @property
    def count(self):
        assert self.process.poll() is None, "the machine's clock has been stopped"
        return int(self.times[0])

    def beats(self):
        """When the beats were that are known, oldest first."""
        count = self.count
        return [self.times[1 + number % KEPT] for number in range(max(0, count - KEPT + 1), count)]


_heart = None
_heart_lock = threading.Lock()


def _beating():
    global _heart
    with _heart_lock:
        if _heart is None or _heart.process.poll() is not None:
            _heart = _Heart()
    return _heart


class Stopwatch:
    def __init__(self):
        self._heart = _beating()
        self._begun = self._heart.count

    @property
    def seconds(self):
        return (self._heart.count - self._begun) * BEAT_S


def seconds_between(begin, end):
    beats = _beating().beats()
    return (bisect.bisect_right(beats, end) - bisect.bisect_right(beats, begin)) * BEAT_S
