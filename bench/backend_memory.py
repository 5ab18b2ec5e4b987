"""Memory and start time of a godwit-backend on a SQLite store of NAMES names, an A record each.

    backend_memory.py [NAMES]      (default 1000000)

The store is written by plain SQL. Memory is the growth of the resident set over that of a backend
on a store without names.
"""

import os
import pathlib
import re
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "test" / "integration"))

import godwit  # noqa: E402  (the integration tests' helpers)


def fill(store, names):
    connection = store.connect()
    connection.execute("BEGIN")
    connection.execute("INSERT INTO domains (name, type) VALUES ('example.com', 'NATIVE')")
    (zone,) = connection.execute("SELECT id FROM domains").fetchone()
    insert = "INSERT INTO records (domain_id, name, type, content, ttl) VALUES (?, ?, ?, ?, 300)"
    connection.execute(insert, (zone, "example.com", "SOA",
                                "ns1.example.com hostmaster.example.com 1 10800 3600 604800 300"))
    connection.executemany(insert, ((zone, f"host{i}.example.com", "A", "192.0.2.1")
                                    for i in range(names)))
    connection.execute("COMMIT")
    connection.close()


def resident_bytes(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1)) * 1024


def start(directory, store):
    """A backend once it is ready: its resident octets and the seconds that took."""
    started = time.monotonic()
    backend = godwit.Backend(directory, store).wait_ready(600)
    seconds = time.monotonic() - started
    resident = resident_bytes(backend.pid)
    backend.stop()
    return resident, seconds


def main():
    names = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory(prefix="godwit-bench-") as directory:
        store = godwit.Store(directory).init()
        empty, _ = start(directory, store)
        fill(store, names)
        full, seconds = start(directory, store)
    print(f"backend on SQLite, from start to ready {seconds:11.2f} s")
    print(f"backend on SQLite, resident            {(full - empty) / names:11.1f} bytes a name")


if __name__ == "__main__":
    os.environ.setdefault("GODWIT_BUILD", str(godwit.REPOSITORY / "build"))
    main()
