"""godwitctl does the same on every kind of store, and copies between them without loss."""

import itertools
import re

import dns.rdatatype
import pytest

import godwit
from mysql_server import MysqlServer, MysqlStore
from redis_server import RedisServer
from test_godwitctl_files import ALL_TYPES, SOA, stored

KINDS = ("sqlite", "redis", "mysql")
COUNT = 20_000 if godwit.SANITIZED else 100_000

SEVERAL_TTLS = ("$TTL 60\n" + SOA + "a 1 A 192.0.2.1\na 1 A 192.0.2.2\na 2 AAAA 2001:db8::1\n"
                'a 3 TXT "two" "strings; \\" and \\\\ \\000\\255"\n' "*.w 4 CNAME a\n"
                "b 5 TXT " + " ".join('"%s"' % ("y" * 255) for _ in range(20)) + "\n"
                "child NS ns.child\nchild DS 1 8 2 " + "ab" * 32 + "\nns.child A 192.0.2.9\n")


class AnyStore:
    """What the tests need of a store of any kind."""

    def __init__(self, url, directory, password_file=None):
        self.url, self.directory, self.password_file = url, directory, password_file
        self.ctl("init")

    def ctl(self, *words, **kwargs):
        password = ("--password-file", self.password_file) if self.password_file else ()
        return godwit.run(godwit.program("godwitctl"), "--store", self.url, *password, *words,
                          **kwargs)

    def load_zone(self, text, zone, *options):
        self.ctl("zone", "import", "-", "--origin", zone, *options, input=text)
        return self


@pytest.fixture(scope="module")
def mysql_server(tmp_path_factory):
    server = MysqlServer(tmp_path_factory.mktemp("mysql"))
    yield server
    server.destroy()


@pytest.fixture(scope="module")
def redis_urls(tmp_path_factory):
    """The URLs of one server's databases, each to be taken once."""
    server = RedisServer(tmp_path_factory.mktemp("redis"), "--databases", "100", "--requirepass",
                         "se cret", password="se cret")
    yield (f"{server.url}/{number}" for number in range(100))
    server.stop()


@pytest.fixture
def make_store(tmp_path, request):
    """make_store(kind) -> a new store of that kind, on a server that is started when needed."""
    numbers = itertools.count()

    def make(kind):
        directory = tmp_path / f"{kind}-{next(numbers)}"
        directory.mkdir()
        if kind == "sqlite":
            return AnyStore(f"sqlite:{directory}/godwit.db", directory)
        if kind == "mysql":
            store = MysqlStore(request.getfixturevalue("mysql_server"), directory)
            return AnyStore(store.url, directory, store.password_file)
        password_file = directory / "password"
        password_file.write_text("se cret\n")
        return AnyStore(next(request.getfixturevalue("redis_urls")), directory, password_file)
    return make


def copy(source, target, *words, check=True, **kwargs):
    passwords = [word for option, store in (("--from", source), ("--to", target))
                 if store.password_file
                 for word in (option + "-password-file", store.password_file)]
    return godwit.run(godwit.program("godwitctl"), "copy", "--from", source.url, "--to", target.url,
                      *passwords, *words, check=check, **kwargs)


def zones(store):
    return {zone: stored(store, zone) for zone in store.ctl("zone", "list").stdout.split()}


@pytest.mark.parametrize("source_kind, target_kind", itertools.product(KINDS, KINDS))
def test_copies_lose_nothing(make_store, source_kind, target_kind):
    source, target = make_store(source_kind), make_store(target_kind)
    source.load_zone("$TTL 60\n" + SOA + ALL_TYPES.strip("\n") + "\n", "example.com")
    source.load_zone(SEVERAL_TTLS, "example.org")
    want = zones(source)
    assert set(want) == {"example.com", "example.org"} and len(want["example.org"]) == 11
    target.load_zone(SOA + "old 9 A 192.0.2.1\n", "example.org")
    target.load_zone(SOA, "other.example")

    done = copy(source, target, check=False)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "--replace" in done.stderr
    assert set(zones(target)) == {"example.org", "other.example"}

    done = copy(source, target, "--replace")
    assert done.stdout == f"copied {sum(map(len, want.values()))} records in 2 zones\n"
    assert done.stderr == ""
    copied = zones(target)
    assert len(copied.pop("other.example")) == 2
    assert copied == want


@pytest.mark.parametrize("source_kind, target_kind", itertools.product(KINDS, KINDS))
def test_a_child_zone_beside_its_parent_arrives_whole(make_store, source_kind, target_kind):
    """Redis has one set of records for a name: what the child has at its apex wins there."""
    source, target = make_store(source_kind), make_store(target_kind)
    source.load_zone("$TTL 60\n" + SOA + "b.a NS ns.b.a\nb.a DS 1 8 2 " + "ab" * 32 +
                     "\nns.b.a A 192.0.2.1\n", "example.com")
    source.load_zone("$TTL 60\n" + SOA + "@ NS ns2\nns A 192.0.2.1\nns2 A 192.0.2.2\n",
                     "b.a.example.com")
    want = zones(source)
    copy(source, target)
    copied = zones(target)
    assert copied["b.a.example.com"] == want["b.a.example.com"]
    assert {key: ttl for key, ttl in want["example.com"].items()
            if key[1] in (dns.rdatatype.SOA, dns.rdatatype.DS)}.items() <= copied[
                "example.com"].items()


@pytest.mark.parametrize("kind", KINDS)
def test_every_command_works_on_every_kind(make_store, kind):
    store = make_store(kind)
    store.ctl("init")
    store.ctl("zone", "add", "example.com", "--ns", "ns1.example.com", "--ns", "ns2.example.net")
    store.ctl("record", "set", "a.example.com", "A", "192.0.2.1", "192.0.2.2", "--ttl", "60")
    store.ctl("record", "add", "a.example.com", "A", "192.0.2.3")
    store.ctl("record", "set", "a.example.com", "TXT", '"a;b"', "--ttl", "7")
    store.ctl("record", "delete", "a.example.com", "A", "192.0.2.1")
    listed = re.sub(" +", " ", store.ctl("record", "list", "a.example.com").stdout)
    assert listed == ("a.example.com. 60 IN A 192.0.2.2\na.example.com. 60 IN A 192.0.2.3\n"
                      'a.example.com. 7 IN TXT "a;b"\n')
    exported = store.ctl("zone", "export", "example.com").stdout
    store.ctl("zone", "import", "--replace", "-", input=exported)
    assert store.ctl("zone", "export", "example.com").stdout == exported
    for words, hint in ((("record", "set", "a.example.com", "CNAME", "b"), "CNAME beside"),
                        (("zone", "add", "example.com", "--ns", "a"), "already"),
                        (("zone", "delete", "example.net"), "no zone")):
        done = store.ctl(*words, check=False)
        assert done.returncode == 1 and hint in done.stderr and done.stderr.count("\n") == 1
    store.ctl("zone", "delete", "example.com")
    assert store.ctl("zone", "list").stdout == ""


@pytest.mark.parametrize("kind", KINDS)
def test_an_import_that_fails_changes_nothing(make_store, kind, tmp_path):
    store = make_store(kind).load_zone(SOA, "example.com")
    before = zones(store)
    good, bad = tmp_path / "good.example.zone", tmp_path / "bad.example.zone"
    good.write_text(SOA + "$GENERATE 1-1000 h$ 1 A 192.0.2.1\n")
    bad.write_text(SOA + "a A 192.0.2.300\n")
    done = store.ctl("zone", "import", good, bad, check=False)
    assert done.returncode == 1 and done.stderr.startswith(f"{bad}:3: ")
    assert zones(store) == before


@pytest.mark.parametrize("source_kind, target_kind",
                         [("sqlite", "redis"), ("redis", "mysql"), ("mysql", "sqlite")])
def test_large_copies_are_served(make_store, start_backend, source_kind, target_kind):
    source, target = make_store(source_kind), make_store(target_kind)
    source.load_zone(f"$TTL 9\n{SOA}$GENERATE 1-{COUNT} h$ A 192.0.2.1\n", "example.com")
    options = {"password_file": str(target.password_file)} if target.password_file else {}
    backend = start_backend(target.url, **options).wait_ready()
    assert copy(source, target, timeout=300).stdout == f"copied {COUNT + 2} records in 1 zone\n"
    godwit.wait_until(lambda: backend.metric("godwit_backend_records") == COUNT + 2, 60)
    assert backend.metric("godwit_backend_records_rejected_total") == 0
