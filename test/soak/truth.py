"""What is right to answer: every state that the store was put into, when, and what excuses an answer
that is wrong, old, or none.

A Subject is something in the store that has one state after another. A writer takes it from one to
the next and notes when; a client's answer is right when it shows a state that was the newest at some
time from BOUND_S before it asked until it had the answer. A write whose end nobody has seen (the
store was killed beneath it) may or may not have happened: it replaces nothing, and may be shown.

A Window is a time of trouble, from the beginning of a fault until all has recovered. Only within
one may an answer be as old as the trouble, fail, or not come, and only as far as the fault excuses it.
"""

import collections
import dataclasses
import threading
import time

import dns.rcode
import dns.rdatatype

from godwit import SANITIZED
from machine_clock import seconds_between

# How much older than the store an answer may be while nothing is wrong. In truth it is milliseconds.
BOUND_S = 4.0 if SANITIZED else 1.5
# A backend that starts without its store answers from a snapshot, written about a second after a
# change.
SNAPSHOT_S = 2.5
VIOLATIONS_MAX = 20


def address_of(version):
    return f"10.{version >> 16 & 255}.{version >> 8 & 255}.{version & 255}"


class Subject:
    """`owner` is a name in the store; `question` makes the name to ask for."""

    stays = False  # its answer is one and the same always, and so in every cache

    def __init__(self, owner, question=None):
        self.owner = owner
        self.question = question or (lambda rng: owner)
        self.version = 0
        self.history = []  # [before, after, state]; after is None for what nobody has seen end

    def begin(self, store):
        """Puts the first state into the store."""
        self.step(store)

    def step(self, store):
        """Goes over to the next state, or raises what the store raises."""
        self.version += 1
        entry = [time.time(), None, self.next_state()]
        self.history.append(entry)
        self.write(store)
        entry[1] = time.time()

    def next_state(self):
        return frozenset([address_of(self.version)])

    def write(self, store):
        store.put(self.owner, address_of(self.version))

    def states_since(self, since):
        """Newest first, those that may have been true at some time since then."""
        for before, after, state in reversed(self.history):
            yield before, after, state
            if after is not None and after < since:
                return


class Flip(Subject):
    """A name that comes and goes."""

    def next_state(self):
        return super().next_state() if self.version % 2 else "NXDOMAIN"

    def write(self, store):
        if self.version % 2:
            super().write(store)
        else:
            store.remove(self.owner)


class ZoneFlip(Flip):
    """A zone that comes and goes, with one name in it."""

    def next_state(self):
        return super().next_state() if self.version % 2 else "REFUSED"

    def write(self, store):
        if self.version % 2:
            store.add_zone(self.owner, "www." + self.owner, address_of(self.version))
        else:
            store.drop_zone(self.owner, "www." + self.owner)


class Fixed(Subject):
    """Something that never changes."""

    def __init__(self, owner, state, question=None):
        super().__init__(owner, question)
        self.history = [[0.0, 0.0, state]]

    @property
    def stays(self):
        return bool(self.owner)

    def begin(self, store):
        if self.owner:
            store.put(self.owner, *self.history[0][2])


def show(reply):
    """The state that a reply shows."""
    if reply.rcode():
        return dns.rcode.to_text(reply.rcode())
    return frozenset(str(rdata) for rrset in reply.answer for rdata in rrset
                     if rrset.rdtype == dns.rdatatype.A)


@dataclasses.dataclass
class Window:
    begin: float
    stale: bool = False
    servfail: bool = False
    forgetful: frozenset = frozenset()  # front ends that may have nothing in their caches
    lost: frozenset = frozenset()       # (front end's number, kind of client)
    end: float = float("inf")

    def covers(self, asked, answered):
        return self.begin <= answered and asked <= self.end


class Judge:
    """Holds every answer against the truth. Any thread."""

    def __init__(self, subjects):
        self.subjects = subjects
        self.windows = []
        self.violations = []
        self.worst_age = 0.0  # outside windows, seconds
        self.counts = collections.Counter()
        self._lock = threading.Lock()

    def open(self, **excuses):
        self.windows.append(Window(time.time(), **excuses))
        return self.windows[-1]

    def _excused(self, asked, answered, what):
        return [window for window in self.windows[-4:]
                if window.covers(asked, answered) and what(window)]

    def _accuse(self, words):
        with self._lock:
            self.counts["violations"] += 1
            if len(self.violations) < VIOLATIONS_MAX:
                self.violations.append(f"{time.strftime('%H:%M:%S')} {words}")

    def lost(self, frontend, kind, asked, reason):
        """A client got no answer."""
        now = time.time()
        if self._excused(asked, now, lambda window: (frontend, kind) in window.lost):
            self.counts["lost, excused"] += 1
        else:
            self._accuse(f"front end {frontend} by {kind}: no answer within {now - asked:.1f} s: "
                         f"{reason}")

    def answered(self, frontend, kind, subject, asked, reply):
        now = time.time()
        self.counts[kind] += 1
        state = show(reply)
        if state == "SERVFAIL":
            # What is in the cache is served when no backend is left.
            if self._excused(asked, now, lambda window: window.servfail and (
                    not subject.stays or frontend in window.forgetful)):
                self.counts["SERVFAIL, excused"] += 1
            else:
                self._accuse(f"front end {frontend} by {kind}: SERVFAIL for "
                             f"{subject.owner or 'a random name'} after {now - asked:.2f} s: {reply}")
            return
        windows = self._excused(asked, now, lambda window: window.stale)
        since = min([asked] + [window.begin - SNAPSHOT_S for window in windows]) - BOUND_S
        self._check_age(frontend, kind, subject, (since, asked, now), state, bool(windows))

    def _check_age(self, frontend, kind, subject, times, state, excused):
        since, asked, now = times
        replaced = None
        for before, after, shown in subject.states_since(0.0):
            if shown == state and before <= now:
                age = seconds_between(replaced, asked) if replaced and replaced < since else 0.0
                if age <= BOUND_S or replaced >= since:
                    if not excused and replaced:
                        self.worst_age = max(self.worst_age, asked - replaced)
                    elif replaced and replaced < asked - BOUND_S:
                        self.counts["old, excused"] += 1
                    return
                break
            if after is not None:
                replaced = after
        old = f", replaced {asked - replaced:.3f} s before" if replaced else ""
        self._accuse(f"front end {frontend} by {kind}: {subject.owner or 'a random name'} is {state}"
                     f"{old}; asked {now - asked:.3f} s ago; the last are "
                     f"{[(f'{now - b:.3f} s ago', s) for b, _, s in subject.history[-4:]]}")
