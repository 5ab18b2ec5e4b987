"""What a backend does when its store comes back with less than it had, and when it starts without
one. Outages themselves are in test_follow.py; each kind of store has its own tests."""

import errno
import os
import pathlib
import sqlite3
import subprocess
import urllib.error
import urllib.request

import pytest

import godwit

NAMES = 20


def fill(store):
    store.load_zone()
    for i in range(NAMES):
        store.add_record("example.com", f"n{i}.example.com", "A", f"192.0.2.{i}")


def reload(backend, query=""):
    """POSTs /reload: (status, body)."""
    request = urllib.request.Request(f"http://{backend.admin}/reload{query}", method="POST")
    try:
        with urllib.request.urlopen(request, timeout=5) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def ask(backend, name, rtype="A"):
    with godwit.GrpcClient(backend.address) as client:
        return godwit.answers(client.query(name, rtype))


def replace_by_empty(store, directory):
    """Another store, initialised and empty, in the place of `store`."""
    empty = godwit.Store(directory, "empty.db").init()
    os.replace(empty.path, store.path)


def wait_guarded(backend):
    """Until it has met such a store, and told so."""
    godwit.wait_until(lambda: backend.metric("godwit_backend_store_guarded_total") >= 1)
    godwit.wait_until(lambda: backend.metric("godwit_backend_store_up") == 0)


def test_a_store_replaced_by_an_empty_one_is_not_believed(empty_store, start_backend, tmp_path):
    fill(empty_store)
    backend = start_backend(empty_store).wait_ready()
    assert ask(backend, "n7.example.com") == ["192.0.2.7"]
    replace_by_empty(empty_store, tmp_path)
    wait_guarded(backend)
    assert ask(backend, "n7.example.com") == ["192.0.2.7"]
    status, line = backend.get("/readyz")
    assert status == 200 and "the store is back without 32 of 32 records" in line, line

    status, line = reload(backend)
    assert status == 409 and "godwitctl reload --force" in line
    assert ask(backend, "n7.example.com") == ["192.0.2.7"]
    status, line = reload(backend, "?force=1")
    assert status == 200
    godwit.wait_until(lambda: backend.metric("godwit_backend_names") == 0)
    godwit.wait_until(lambda: backend.metric("godwit_backend_store_up") == 1)


def test_a_store_that_has_its_records_again_is_followed_again(empty_store, start_backend, tmp_path):
    fill(empty_store)
    kept = tmp_path / "kept.db"
    empty_store.sql("PRAGMA wal_checkpoint(TRUNCATE)")
    backend = start_backend(empty_store).wait_ready()
    os.link(empty_store.path, kept)
    replace_by_empty(empty_store, tmp_path)
    wait_guarded(backend)
    os.replace(kept, empty_store.path)
    godwit.wait_until(lambda: backend.metric("godwit_backend_store_up") == 1, timeout=15)
    empty_store.add_record("example.com", "new.example.com", "A", "192.0.2.200")
    godwit.wait_until(lambda: ask(backend, "new.example.com") == ["192.0.2.200"])


def test_the_guard_can_be_turned_off(empty_store, start_backend, tmp_path):
    fill(empty_store)
    backend = start_backend(empty_store, max_loss_percent=100).wait_ready()
    replace_by_empty(empty_store, tmp_path)
    godwit.wait_until(lambda: backend.metric("godwit_backend_names") == 0)


def test_what_is_deleted_while_we_look_is_deleted(empty_store, start_backend):
    fill(empty_store)
    backend = start_backend(empty_store).wait_ready()
    empty_store.sql("DELETE FROM records WHERE name LIKE 'n%'")
    godwit.wait_until(lambda: not ask(backend, "n7.example.com"))
    assert backend.metric("godwit_backend_store_guarded_total") == 0


def test_a_killed_backend_starts_from_its_snapshot(empty_store, start_backend, tmp_path):
    fill(empty_store)
    snapshot = tmp_path / "backend.snapshot"
    backend = start_backend(empty_store, snapshot=str(snapshot)).wait_ready()
    saved = lambda: backend.metric("godwit_backend_snapshots_saved_total")
    godwit.wait_until(lambda: saved() >= 1)
    empty_store.add_record("example.com", "late.example.com", "A", "192.0.2.222")
    godwit.wait_until(lambda: saved() >= 2)
    backend.kill()
    away = tmp_path / "away.db"
    os.rename(empty_store.path, away)
    backend.start()
    backend.wait_ready()
    assert ask(backend, "late.example.com") == ["192.0.2.222"]
    assert "from memory" in backend.get("/readyz")[1]
    assert backend.metric("godwit_backend_data_age_seconds") >= 0
    assert "answering from the snapshot" in backend.log()

    os.rename(away, empty_store.path)
    godwit.wait_until(lambda: backend.metric("godwit_backend_store_up") == 1)
    empty_store.add_record("example.com", "back.example.com", "A", "192.0.2.223")
    godwit.wait_until(lambda: ask(backend, "back.example.com") == ["192.0.2.223"])


def test_a_damaged_snapshot_is_refused_and_left_alone(empty_store, start_backend, tmp_path):
    fill(empty_store)
    snapshot = tmp_path / "backend.snapshot"
    backend = start_backend(empty_store, snapshot=str(snapshot)).wait_ready()
    godwit.wait_until(lambda: backend.metric("godwit_backend_snapshots_saved_total") >= 1)
    backend.stop()
    damaged = bytearray(snapshot.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    snapshot.write_bytes(damaged)
    away = tmp_path / "away.db"
    os.rename(empty_store.path, away)
    backend.start()
    backend.wait_alive()
    godwit.wait_until(lambda: f"snapshot {snapshot} is damaged" in backend.log())
    assert backend.get("/readyz")[0] == 503
    assert snapshot.read_bytes() == bytes(damaged)
    os.rename(away, empty_store.path)
    backend.wait_ready()


def test_a_snapshot_that_cannot_be_saved_costs_nothing_but_a_line(empty_store, start_backend,
                                                                  tmp_path):
    fill(empty_store)
    backend = start_backend(empty_store, snapshot=str(tmp_path / "missing" / "snapshot"))
    backend.wait_ready()
    godwit.wait_until(lambda: backend.metric("godwit_backend_snapshots_failed_total") >= 1)
    godwit.wait_until(lambda: backend.log().count("snapshot not saved") == 1)
    assert ask(backend, "n1.example.com") == ["192.0.2.1"]


# --- full disks -----------------------------------------------------------------------------------

class SmallDisk:
    """A file system of its own, of 1 MB."""

    def __init__(self, path):
        self.path = path
        self.filler = path / "filler"

    def fill(self):
        """To the last octet."""
        with open(self.filler, "wb", buffering=0) as file:
            for size in (65536, 4096, 1):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError as error:
                    assert error.errno == errno.ENOSPC

    def make_room(self):
        self.filler.unlink()


@pytest.fixture
def disk(tmp_path):
    path = tmp_path / "disk"
    path.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "godwit-test", path],
                          capture_output=True, text=True)
    if made.returncode != 0:
        pytest.skip(f"a small file system cannot be mounted: {made.stderr.strip()}")
    yield SmallDisk(path)
    # Daemons that end after this fixture may still have files open there.
    subprocess.run(["umount", "-l", path], check=True)


def test_a_snapshot_that_does_not_fit_leaves_the_old_one(empty_store, disk, start_backend):
    fill(empty_store)
    snapshot = disk.path / "snapshot"
    backend = start_backend(empty_store, snapshot=str(snapshot)).wait_ready()
    saved = lambda: backend.metric("godwit_backend_snapshots_saved_total")
    failed = lambda: backend.metric("godwit_backend_snapshots_failed_total")
    godwit.wait_until(lambda: saved() >= 1)
    kept = snapshot.read_bytes()
    disk.fill()
    empty_store.add_record("example.com", "late.example.com", "A", "192.0.2.222")
    godwit.wait_until(lambda: failed() >= 1)
    assert ask(backend, "late.example.com") == ["192.0.2.222"]
    assert snapshot.read_bytes() == kept
    assert sorted(path.name for path in disk.path.iterdir()) == ["filler", "snapshot"]
    godwit.wait_until(lambda: "No space left on device" in backend.log())
    before = saved()
    disk.make_room()
    godwit.wait_until(lambda: saved() > before, 15)  # by itself: nothing changed since
    assert snapshot.read_bytes() != kept
    assert backend.log().count("snapshot not saved") == 1
    godwit.wait_until(lambda: backend.log().count("snapshot saved again") == 1)


def on(disk):
    """A store on that disk, as full as it gets without its writers' help."""
    store = godwit.Store(disk.path).init()
    fill(store)
    return store


def test_a_store_on_a_full_disk_is_served_and_followed_when_there_is_room(disk, start_backend):
    store = on(disk)
    backend = start_backend(store).wait_ready()
    disk.fill()
    with pytest.raises(sqlite3.OperationalError, match="full"):
        for i in range(1000):
            store.add_record("example.com", f"x{i}.example.com", "TXT", '"' + "x" * 200 + '"')
    godwit.wait_until(lambda: ask(backend, "n7.example.com") == ["192.0.2.7"])
    assert backend.metric("godwit_backend_store_up") == 1
    refused = store.ctl("zone", "add", "new.example", "--ns", "ns1.new.example.", check=False)
    assert refused.returncode == 1 and "full" in refused.stderr
    disk.make_room()
    store.add_record("example.com", "new.example.com", "A", "192.0.2.200")
    godwit.wait_until(lambda: ask(backend, "new.example.com") == ["192.0.2.200"], 2)
    assert backend.metric("godwit_backend_store_loads_total") == 1


def test_a_backend_starts_on_a_full_disk(disk, start_backend):
    """SQLite cannot make the files it keeps beside the database then."""
    store = on(disk)
    store.sql("PRAGMA wal_checkpoint(TRUNCATE)")
    for beside in ("-wal", "-shm"):
        pathlib.Path(f"{store.path}{beside}").unlink(missing_ok=True)
    disk.fill()
    backend = start_backend(store).wait_ready()
    assert ask(backend, "n7.example.com") == ["192.0.2.7"]
    disk.make_room()
    store.add_record("example.com", "new.example.com", "A", "192.0.2.200")
    godwit.wait_until(lambda: ask(backend, "new.example.com") == ["192.0.2.200"])
