"""godwitctl copy: what arrives, what is left out, what ends it."""

import os
import pty
import subprocess

import pytest

import godwit
from test_godwitctl_files import ALL_TYPES, SOA, stored


@pytest.fixture
def source(tmp_path):
    """A store with two zones, a parent and its child."""
    store = godwit.Store(tmp_path, "source.db").init()
    store.load_zone("$TTL 60\n" + SOA + ALL_TYPES.strip("\n") + "\n", "--origin", "example.com")
    store.load_zone("$TTL 60\n" + SOA + "a A 192.0.2.1\n", "--origin", "sub.example.com")
    return store


@pytest.fixture
def target(tmp_path):
    return godwit.Store(tmp_path, "target.db").init()


def copy(source, target, *words, check=True, **kwargs):
    return godwit.run(godwit.program("godwitctl"), "copy", "--from", source.url, "--to", target.url,
                      *words, check=check, **kwargs)


def fails(source, target, *words):
    """Runs a copy that must fail with one line, which is returned, and change nothing."""
    before = target.ctl("zone", "list").stdout
    done = copy(source, target, *words, check=False)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    assert target.ctl("zone", "list").stdout == before
    return done.stderr.rstrip("\n")


def zones(store):
    return {zone: stored(store, zone) for zone in store.ctl("zone", "list").stdout.split()}


def test_all_zones_arrive_as_they_were(source, target):
    want = zones(source)
    assert set(want) == {"example.com", "sub.example.com"}
    done = copy(source, target)
    count = sum(len(zone) for zone in want.values())
    assert done.stdout == f"copied {count} records in 2 zones\n" and done.stderr == ""
    assert zones(target) == want == zones(source)


def test_only_the_named_zones_are_copied(source, target):
    done = copy(source, target, "SUB.example.com.", "sub.example.com")
    assert done.stdout == "copied 3 records in 1 zone\n"
    assert list(zones(target)) == ["sub.example.com"]
    assert "no zone nowhere.example" in fails(source, target, "nowhere.example")
    assert "domain name" in fails(source, target, "a..b")


def test_an_empty_store_is_copied_too(target, tmp_path):
    empty = godwit.Store(tmp_path, "empty.db").init()
    assert copy(empty, target).stdout == "copied 0 records in 0 zones\n"


def test_zones_that_are_there_are_replaced_only_when_asked(source, target):
    target.load_zone(SOA + "old 9 A 192.0.2.1\n", "--origin", "sub.example.com")
    target.load_zone(SOA, "--origin", "other.example")
    line = fails(source, target)
    assert "sub.example.com is in the store already" in line and "--replace" in line
    before = stored(target, "other.example")
    copy(source, target, "--replace")
    copied = zones(target)
    assert copied.pop("other.example") == before
    assert copied == zones(source)


def test_records_nobody_serves_are_left_out_with_a_warning(source, target):
    want = zones(source)
    source.add_record("sub.example.com", "a.sub.example.com", "A", "nonsense")
    source.add_record("sub.example.com", "a.example.net", "A", "192.0.2.1")
    done = copy(source, target)
    assert done.stdout == f"copied {sum(map(len, want.values()))} records in 2 zones\n"
    skipped, outside = sorted(done.stderr.splitlines(), key=lambda line: "nonsense" not in line)
    assert "left out records.id=" in skipped and "a.sub.example.com A: 'nonsense'" in skipped
    assert "left out" in outside and "a.example.net" in outside
    assert zones(target) == want


def test_many_warnings_are_counted(source, target):
    for i in range(30):
        source.add_record("sub.example.com", f"a{i}.sub.example.com", "A", "nonsense")
    lines = copy(source, target).stderr.splitlines()
    assert len(lines) == 21 and "10 more warnings" in lines[-1]


@pytest.mark.parametrize("statement, hint", [
    ("DELETE FROM records WHERE name = 'sub.example.com' AND type = 'SOA'",
     "zone sub.example.com has no SOA"),
    ("UPDATE records SET name = 'a.sub.example.com' WHERE name = 'sub.example.com' "
     "AND type = 'SOA'", "zone sub.example.com has no SOA"),
    ("INSERT INTO records (domain_id, name, type, content, ttl) SELECT domain_id, name, 'CNAME', "
     "'b', 60 FROM records WHERE name = 'a.sub.example.com'",
     "zone sub.example.com: a.sub.example.com. has a CNAME beside other"),
])
def test_what_breaks_dns_ends_the_copy(source, target, statement, hint):
    source.sql(statement)
    assert hint in fails(source, target)
    copy(source, target, "example.com")


@pytest.mark.parametrize("words, hint", [
    ((), "--from URL --to URL"),
    (("--from", "sqlite:a.db"), "--from URL --to URL"),
    (("--from", "sqlite:a.db", "--to", "sqlite:a.db"), "the same"),
    (("--from", "sqlite:a.db", "--to", "sqlite:b.db", "--store", "sqlite:c.db"), "instead of"),
    (("--from", "sqlite:missing.db", "--to", "sqlite:b.db"), "missing.db"),
    (("--from", "nonsense:a", "--to", "sqlite:b.db"), "sqlite:"),
    (("--from", "sqlite:a.db", "--to", "sqlite:b.db", "--json"), "--json is no option"),
])
def test_usage_errors_are_one_line(tmp_path, words, hint):
    done = godwit.run(godwit.program("godwitctl"), "copy", *words, check=False, cwd=tmp_path)
    assert done.returncode == 1 and done.stdout == "" and done.stderr.count("\n") == 1
    assert hint in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_source_may_be_read_only_and_the_target_not(source, target):
    source.sql("PRAGMA journal_mode = DELETE")
    os.chmod(source.path, 0o444)
    copy(source, target)
    assert zones(target) == zones(source)
    if os.geteuid() != 0:  # whom no permission stops
        os.chmod(target.path, 0o444)
        assert str(target.path) in fails(source, target, "--replace")


def test_a_backend_serves_the_copy_at_once(source, target, start_backend):
    backend = start_backend(target).wait_ready()
    copy(source, target)
    count = sum(map(len, zones(source).values()))
    godwit.wait_until(lambda: backend.metric("godwit_backend_records") == count)
    assert backend.metric("godwit_backend_records_rejected_total") == 0


def test_a_progress_bar_only_at_a_terminal(target, tmp_path):
    store = godwit.Store(tmp_path, "many.db").init()
    for i in range(2):
        store.load_zone("$TTL 9\n" + SOA + "$GENERATE 1-100001 h$ A 192.0.2.1\n", "--origin",
                        f"z{i}.example")
    master, terminal = pty.openpty()
    with subprocess.Popen([godwit.program("godwitctl"), "copy", "--from", store.url, "--to",
                           target.url], stdout=subprocess.PIPE, stderr=terminal,
                          env=godwit.environment()) as process:
        os.close(terminal)
        shown = b""
        try:
            while octets := os.read(master, 65536):
                shown += octets
        except OSError:  # the terminal's other end is gone
            pass
        assert process.stdout.read() == b"copied 200006 records in 2 zones\n"
    os.close(master)
    assert process.returncode == 0
    assert b"reading [" in shown and b"writing [" in shown and b"committing" in shown
    assert shown.endswith(b"\r\x1b[K")
