"""What scripts/soak judges by - a judge that accuses nobody would find nothing - and a soak of two
rounds, to see that it runs."""

import random
import sys
import time

import dns.message
import dns.rcode
import dns.rrset
import pytest

from godwit import BUILD, REPOSITORY, environment, run

sys.path.append(str(REPOSITORY / "test" / "soak"))

import faults
import stores
import truth

OLD_S = truth.BOUND_S + 3


def reply_of(state):
    reply = dns.message.make_response(dns.message.make_query("row.soak.test", "A"))
    if isinstance(state, str):
        reply.set_rcode(dns.rcode.from_text(state))
    else:
        reply.answer.append(dns.rrset.from_text("row.soak.test.", 60, "IN", "A", *state))
    return reply


class Memory:
    """A store that takes everything, or nothing."""

    is_away = False

    def put(self, owner, address):
        if self.is_away:
            raise OSError("away")


@pytest.fixture
def row():
    """Changed OLD_S ago and again just now: 10.0.0.1, 10.0.0.2, 10.0.0.3."""
    row = truth.Subject("row.soak.test")
    for _ in range(3):
        row.step(Memory())
    now = time.time()
    for entry, age in zip(row.history, (2 * OLD_S, OLD_S, 0.1)):
        entry[0] = entry[1] = now - age
    return row


@pytest.fixture
def judge(row, monkeypatch):
    # The machine's clock knows of nothing before the test.
    monkeypatch.setattr(truth, "seconds_between", lambda begin, end: end - begin)
    return truth.Judge([row])


def accusations(judge, row, state, asked_ago=0.05):
    judge.answered(0, "udp", row, time.time() - asked_ago, reply_of(state))
    return len(judge.violations)


@pytest.mark.parametrize("state, wrong", [
    ({"10.0.0.3"}, 0), ({"10.0.0.2"}, 0), ({"10.0.0.1"}, 1), ({"10.0.0.4"}, 1),
    ({"10.0.0.2", "10.0.0.3"}, 1), ("NXDOMAIN", 1), ("SERVFAIL", 1)])
def test_an_answer_shows_a_state_of_the_last_moments(judge, row, state, wrong):
    assert accusations(judge, row, state) == wrong


def test_a_fault_excuses_what_it_says_and_as_long_as_it_lasts(judge, row):
    window = judge.open(stale=True)
    window.begin -= OLD_S
    assert accusations(judge, row, {"10.0.0.1"}) == 0
    assert accusations(judge, row, "SERVFAIL") == 1
    window.end = time.time() - 1
    assert accusations(judge, row, {"10.0.0.1"}) == 2


def test_an_answer_older_than_the_fault_is_not_excused(judge, row):
    judge.open(stale=True)
    row.history[1][1] -= 10
    assert accusations(judge, row, {"10.0.0.1"}) == 1


def test_what_is_in_every_cache_does_not_fail_even_without_backends(judge, row):
    judge.open(servfail=True, forgetful=frozenset([1]))
    fixed = truth.Fixed("fixed.soak.test", frozenset(["192.0.2.1"]))
    assert accusations(judge, row, "SERVFAIL") == 0
    assert accusations(judge, fixed, "SERVFAIL") == 1
    judge.answered(1, "udp", fixed, time.time(), reply_of("SERVFAIL"))
    assert len(judge.violations) == 1


def test_no_answer_is_excused_for_the_clients_of_whom_it_is_said(judge):
    judge.open(lost=frozenset([(1, "tls")]))
    judge.lost(1, "tls", time.time(), "refused")
    assert not judge.violations
    judge.lost(1, "udp", time.time(), "timeout")
    judge.lost(0, "tls", time.time(), "refused")
    assert len(judge.violations) == 2


def test_a_write_that_nobody_saw_end_may_be_shown_or_not(judge, row):
    store = Memory()
    store.is_away = True
    with pytest.raises(stores.WRITE_FAILED):
        row.step(store)
    assert accusations(judge, row, {"10.0.0.4"}) == 0
    assert accusations(judge, row, {"10.0.0.3"}) == 0
    assert accusations(judge, row, {"10.0.0.1"}) == 1


@pytest.mark.parametrize("store", stores.STORES.values(), ids=stores.STORES)
def test_a_seed_gives_the_same_faults_again(store):
    def first(seed, count=200):
        plan = faults.Plan(store, random.Random(seed))
        return [(this.words(), this.calm) for this in (plan.next() for _ in range(count))]
    assert first("7") == first("7") != first("8")
    words = " ".join(words for words, _ in first("7"))
    assert all(fault.words in words for fault in faults.all_faults(store))


def test_the_script_tells_what_it_takes():
    told = run(sys.executable, REPOSITORY / "test" / "soak" / "soak.py", "--help").stdout
    assert "--seed" in told and "--minutes" in told


def test_two_rounds_of_a_soak(tmp_path):
    """The store is away and a backend stopped; then a backend is killed and a front end stopped."""
    done = run(REPOSITORY / "scripts" / "soak", "--minutes", "0.2", "--seed", "3146", "--keep",
               tmp_path / "soak", check=False, timeout=300, env=environment(GODWIT_BUILD=BUILD))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "round 1: store renamed and backend 1 stopped" in done.stdout
