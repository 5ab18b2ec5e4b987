"""From a store to the wire: SQLite, backend, front end and real DNS clients together."""

import os
import random
import re
import shutil
import socket
import threading
import time

import dns.flags
import dns.message
import dns.query
import dns.rcode
import pytest

import godwit
from godwit import answers, ask, rcode, run, split_address, wait_until
from machine_clock import Stopwatch

# What the issue promises for a change in the store; sanitizers get more.
CHANGE_WITHIN = 1.5 if godwit.SANITIZED else 0.3

SHORT = [  # name, type, what `dig +short` shows
    ("www.example.com", "A", ["192.0.2.80"]),
    ("www.example.com", "AAAA", ["2001:db8::80"]),
    ("example.com", "NS", ["ns1.example.com.", "ns2.example.com."]),
    ("example.com", "MX", ["10 mail.example.com."]),
    ("example.com", "TXT", ['"v=spf1 -all"']),
    ("example.com", "SOA", ["ns1.example.com. hostmaster.example.com. 1 10800 3600 604800 300"]),
    ("alias.example.com", "A", ["192.0.2.80", "www.example.com."]),
    ("anything.at.all.wild.example.com", "A", ["192.0.2.99"]),
    ("mail.example.com", "AAAA", []),
    ("nothing.example.com", "A", []),
]


def servers(frontend):
    return frontend.addresses


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
def test_every_kind_of_answer_on_every_listener(frontend, tcp):
    for server in servers(frontend):
        for name, rtype, expected in SHORT:
            reply = ask(server, name, rtype, tcp=tcp)
            assert answers(reply) == expected, (server, name, rtype)
            assert reply.flags & dns.flags.AA
            assert not reply.flags & (dns.flags.TC | dns.flags.RA)


def test_response_codes(frontend):
    assert rcode(ask(frontend, "www.example.com")) == "NOERROR"
    missing = ask(frontend, "nothing.example.com")
    assert rcode(missing) == "NXDOMAIN"
    assert [str(rrset.name) for rrset in missing.authority] == ["example.com."]
    assert missing.authority[0].rdtype == dns.rdatatype.SOA
    assert missing.authority[0].ttl == 300  # RFC 2308 section 3: the least of TTL and MINIMUM
    nodata = ask(frontend, "mail.example.com", "AAAA")
    assert rcode(nodata) == "NOERROR" and nodata.authority[0].rdtype == dns.rdatatype.SOA
    foreign = ask(frontend, "www.example.net")
    assert rcode(foreign) == "REFUSED"
    assert not foreign.flags & dns.flags.AA and not foreign.answer and not foreign.authority


def test_names_come_back_in_the_case_they_were_asked(frontend):
    reply = ask(frontend, "wWw.ExAmPlE.cOm")
    assert str(reply.question[0].name) == "wWw.ExAmPlE.cOm."
    assert str(reply.answer[0].name) == "wWw.ExAmPlE.cOm."
    assert answers(reply) == ["192.0.2.80"]


@pytest.mark.skipif(not godwit.has_program("dig"), reason="needs dig")
def test_dig_is_content(frontend):
    for server in servers(frontend):
        host, port = split_address(server)
        for option in ("+notcp", "+tcp"):
            for name, rtype, expected in SHORT:
                done = run("dig", f"@{host}", "-p", port, "+short", "+tries=1", option, name, rtype)
                assert sorted(done.stdout.splitlines()) == sorted(expected)
    host, port = split_address(frontend.address)
    full = run("dig", f"@{host}", "-p", port, "+tries=1", "www.example.com").stdout
    assert "status: NOERROR" in full and "flags: qr aa rd;" in full
    assert "WARNING: recursion requested but not available" in full
    assert "Warning: Message parser reports malformed" not in full


@pytest.mark.skipif(not godwit.has_program("kdig"), reason="needs kdig")
def test_kdig_is_content(frontend):
    for server in servers(frontend):
        host, port = split_address(server)
        done = run("kdig", f"@{host}", "-p", port, "+retry=0", "+short", "alias.example.com", "A")
        assert sorted(done.stdout.splitlines()) == ["192.0.2.80", "www.example.com."]


def test_long_answers_are_truncated_over_udp_and_whole_over_tcp(store, frontend):
    texts = [f'"{index:03d} {"x" * 90}"' for index in range(60)]
    store.ctl("record", "set", "big.example.com", "TXT", *texts)
    wait_until(lambda: len(answers(ask(frontend, "big.example.com", "TXT", tcp=True))) == 60)
    for payload, limit in ((0, 512), (512, 512), (1232, 1232), (65535, 1232)):
        edns = {"use_edns": 0, "payload": payload} if payload else {"use_edns": -1}
        reply = ask(frontend, "big.example.com", "TXT", **edns)
        assert reply.flags & dns.flags.TC
        assert len(reply.to_wire()) <= limit
        assert (reply.edns == 0) == bool(payload)
    assert answers(ask(frontend, "big.example.com", "TXT", tcp=True)) == texts


# --- changes --------------------------------------------------------------------------------------

def wait_answer(frontend, name, expected, within):
    """Asks until the answer is what is expected; returns the seconds it took."""
    start = time.monotonic()
    wait_until(lambda: answers(ask(frontend, name)) == expected, within, 0.005,
               f"{name} -> {expected}")
    return time.monotonic() - start


def test_rows_changed_by_sqlite3_are_on_the_wire_in_time(store, frontend):
    name = "changing.example.com"
    for turn in range(5):
        store.shell("INSERT INTO records (domain_id, name, type, content, ttl) SELECT id, "
                    f"'{name}', 'A', '198.51.100.{turn}', 60 FROM domains WHERE name = 'example.com'")
        wait_answer(frontend, name, [f"198.51.100.{turn}"], CHANGE_WITHIN)
        store.shell(f"UPDATE records SET content = '203.0.113.{turn}' WHERE name = '{name}'")
        wait_answer(frontend, name, [f"203.0.113.{turn}"], CHANGE_WITHIN)
        store.shell(f"DELETE FROM records WHERE name = '{name}'")
        wait_answer(frontend, name, [], CHANGE_WITHIN)
    assert rcode(ask(frontend, name)) == "NXDOMAIN"


def test_zones_come_and_go(store, frontend):
    assert rcode(ask(frontend, "www.example.org")) == "REFUSED"
    store.load_zone(godwit.DEMO_ZONE.replace("example.com", "example.org"))
    wait_answer(frontend, "www.example.org", ["192.0.2.80"], 5)
    store.ctl("zone", "delete", "example.org")
    wait_until(lambda: rcode(ask(frontend, "www.example.org")) == "REFUSED", 5)
    assert answers(ask(frontend, "www.example.com")) == ["192.0.2.80"]


def test_a_bad_row_is_left_out_and_said(store, backend, frontend):
    store.add_record("example.com", "bad.example.com", "A", "not an address")
    store.add_record("example.com", "bad.example.com", "A", "198.51.100.1")
    wait_answer(frontend, "bad.example.com", ["198.51.100.1"], 5)
    assert backend.metric("godwit_backend_records_rejected_total") >= 1
    row = store.sql("SELECT id FROM records WHERE content = 'not an address'")[0][0]
    assert re.search(rf"records\.id={row}\b", backend.log())


def test_no_reader_sees_half_an_rrset(store, frontend):
    sides = [["198.51.100.1", "198.51.100.2"], ["203.0.113.1", "203.0.113.2"]]
    store.ctl("record", "set", "pair.example.com", "A", *sides[0])
    wait_answer(frontend, "pair.example.com", sides[0], 5)
    seen = []
    stop = threading.Event()

    def watch():
        while not stop.is_set():
            seen.append(answers(ask(frontend, "pair.example.com")))

    watcher = threading.Thread(target=watch)
    watcher.start()
    connection = store.connect()
    for turn in range(1, 31):
        connection.execute("BEGIN IMMEDIATE")
        for old, new in zip(sides[(turn + 1) % 2], sides[turn % 2]):
            connection.execute("UPDATE records SET content = ? WHERE name = 'pair.example.com' "
                               "AND content = ?", (new, old))
        connection.execute("COMMIT")
        wait_answer(frontend, "pair.example.com", sides[turn % 2], 5)
    connection.close()
    stop.set()
    watcher.join()
    assert len(seen) > 30
    assert all(answer in sides for answer in seen)
    assert sides[0] in seen and sides[1] in seen


# --- stores in trouble ----------------------------------------------------------------------------

def test_a_store_may_come_later(tmp_path, start_backend, start_frontend):
    store = godwit.Store(tmp_path)
    backend = start_backend(store).wait_alive()
    frontend = start_frontend([backend]).wait_alive()
    reply = ask(frontend, "www.example.com", use_edns=0)
    assert rcode(reply) == "SERVFAIL"
    assert [option.code for option in reply.options if option.otype == 15], "no extended error"
    assert backend.get("/readyz")[0] == 503
    store.init()
    store.load_zone()
    wait_until(lambda: answers(ask(frontend, "www.example.com")) == ["192.0.2.80"], 15)
    backend.wait_ready()
    frontend.wait_ready()


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_a_locked_store_goes_on_being_served(store, start_backend, start_frontend, journal):
    # With a rollback journal an exclusive lock keeps readers out too; with WAL only writers.
    assert store.sql(f"PRAGMA journal_mode = {journal}") == [(journal,)]
    backend = start_backend(store).wait_ready()
    frontend = start_frontend([backend]).wait_ready()
    connection = store.connect()
    connection.execute("BEGIN EXCLUSIVE")
    connection.execute("UPDATE records SET content = '198.51.100.80' "
                       "WHERE name = 'www.example.com' AND type = 'A'")
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline:
        assert answers(ask(frontend, "www.example.com")) == ["192.0.2.80"]
    connection.execute("COMMIT")
    connection.close()
    wait_answer(frontend, "www.example.com", ["198.51.100.80"], 15)


def remove_store(store):
    for path in store.directory.glob(store.path.name + "*"):
        path.unlink()


def replace_by_garbage(store):
    remove_store(store)
    store.path.write_bytes(random.Random(1).randbytes(100000))


def overwrite_by_garbage(store):
    """In place, as `echo garbage > godwit.db` does it."""
    with open(store.path, "wb") as file:
        file.write(b"garbage\n")


@pytest.mark.parametrize("spoil", [remove_store, replace_by_garbage, overwrite_by_garbage])
def test_a_lost_store_goes_on_being_served_and_is_found_again(store, backend, frontend, spoil):
    copy = godwit.Store(store.directory, "copy.db")
    store.sql("VACUUM INTO ?", (str(copy.path),))
    copy.add_record("example.com", "restored.example.com", "A", "198.51.100.1")

    spoil(store)
    wait_until(lambda: backend.metric("godwit_backend_store_up") == 0, 10)
    assert answers(ask(frontend, "www.example.com")) == ["192.0.2.80"]
    assert backend.metric("godwit_backend_store_outages_total") == 1
    said = wait_until(
        lambda: [line for line in backend.log().splitlines() if str(store.path) in line])
    assert len(said) <= 3, "one clear line an outage, not one a try"

    remove_store(store)
    shutil.move(copy.path, store.path)
    wait_answer(frontend, "restored.example.com", ["198.51.100.1"], 30)
    wait_until(lambda: backend.metric("godwit_backend_store_up") == 1)


# --- daemons in trouble ---------------------------------------------------------------------------

def test_a_killed_backend_comes_back(backend, frontend):
    backend.kill()
    watch = Stopwatch()
    assert rcode(ask(frontend, "www.example.com", timeout=10)) == "SERVFAIL"
    assert watch.seconds < 4
    backend.start()
    wait_until(lambda: answers(ask(frontend, "www.example.com")) == ["192.0.2.80"], 15)


def is_up(frontend, backend):
    """Whether the front end counts the backend as one that can be asked."""
    return frontend.metric(f'godwit_frontend_backend_up{{backend="{backend.address}"}}')


def test_with_two_backends_one_may_die(store, start_backend, start_frontend):
    backends = [start_backend(store).wait_ready() for _ in range(2)]
    frontend = start_frontend(backends).wait_ready()
    for turn in range(200):
        if turn == 50:
            backends[0].kill()
        if turn == 100:
            backends[0].start()
        if turn == 150:
            wait_until(lambda: is_up(frontend, backends[0]), 15)
            backends[1].kill()
        assert answers(ask(frontend, "www.example.com", timeout=5)) == ["192.0.2.80"], turn


def test_both_halves_end_cleanly_under_load(backend, frontend):
    stop = threading.Event()
    good = [0]

    def load():
        while not stop.is_set():
            try:
                good[0] += answers(ask(frontend, "www.example.com", timeout=0.5)) == ["192.0.2.80"]
            except (dns.exception.Timeout, OSError):
                pass  # the front end has gone

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    wait_until(lambda: good[0] > 100, 30)
    frontend.stop()
    backend.stop()
    stop.set()
    for thread in threads:
        thread.join()


def mutate(rng, wire):
    """A packet like `wire`, but wrong somewhere."""
    wire = bytearray(wire)
    for _ in range(rng.randrange(1, 5)):
        kind = rng.randrange(4)
        place = rng.randrange(len(wire)) if wire else 0
        if kind == 0 and wire:
            wire[place] = rng.randrange(256)
        elif kind == 1:
            wire[place:place] = rng.randbytes(rng.randrange(1, 20))
        elif kind == 2:
            del wire[place:place + rng.randrange(1, 10)]
        else:
            wire[place:place] = bytes([0xc0, rng.randrange(256)])
    return bytes(wire)


def test_hostile_packets_are_survived(backend, frontend):
    rng = random.Random(2)
    base = [dns.message.make_query(name, rtype, use_edns=0, want_dnssec=True).to_wire()
            for name, rtype, _ in SHORT]
    host, port = split_address(frontend.address)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect((host, port))
        client.settimeout(0)
        for turn in range(3000):
            client.send(mutate(rng, rng.choice(base)) or b"\0")
            try:
                reply = client.recv(65535)
                assert len(reply) >= 12 and reply[2] & 0x80, "not a reply"
            except BlockingIOError:
                pass
            if turn % 100 == 0:
                assert answers(ask(frontend, "www.example.com")) == ["192.0.2.80"]
    for turn in range(100):
        with socket.create_connection((host, port), timeout=5) as client:
            wire = mutate(rng, rng.choice(base))
            client.sendall(len(wire).to_bytes(2, "big") + wire)
    assert answers(ask(frontend, "www.example.com", tcp=True)) == ["192.0.2.80"]
    assert backend.is_running() and frontend.is_running()
