"""The stores that the benchmarks fill and change, each a private server of its own.

    Sqlite(lab), MariaDB(lab), Redis(lab)
        .url                    as Godwit's configuration has it
        .fill(names)            writes the zone of zone_text(names) by godwitctl; returns seconds
        .writer()               a Writer: another system's connection, set_address(owner, address)
                                returns after the commit
        .powerdns()             lines of PowerDNS's configuration for this store, or None
        .pids()                 the server's processes

The servers run with their defaults: a commit is on the disk when it returns.
"""

import getpass
import sqlite3
import time

from lab import find_program, godwit

ZONE = "example.com"
SOA = f"ns1.{ZONE} hostmaster.{ZONE} 1 10800 3600 604800 300"
WAIT_SECONDS = 60


def owner(number):
    """The names that zones are filled with; all of one length."""
    return f"h{number:07d}.{ZONE}"


def zone_text(names, types=("A",)):
    """A zone of `names` names, as lines of a master file."""
    yield f"$ORIGIN {ZONE}.\n$TTL 300\n"
    yield "@ SOA ns1 hostmaster 1 10800 3600 604800 300\n@ NS ns1\nns1 A 192.0.2.1\n"
    for i in range(names):
        if "A" in types:
            yield f"h{i:07d} A 192.0.2.{i % 200 + 1}\n"
        if "AAAA" in types:
            yield f"h{i:07d} AAAA 2001:db8::{i % 65536:x}\n"


def write_zone(path, names, types=("A",)):
    with open(path, "w", encoding="ascii") as file:
        file.writelines(zone_text(names, types))
    return path


class Database:
    """What the stores have in common."""

    name = None

    def __init__(self, lab):
        self.lab = lab
        self.directory = lab.make_directory(self.name)

    def ctl(self, *arguments):
        return godwit.run(godwit.program("godwitctl"), "--store", self.url, *arguments, timeout=600)

    def fill(self, names, types=("A",)):
        self.ctl("init")
        path = write_zone(self.directory / "fill.zone", names, types)
        started = time.monotonic()
        self.ctl("zone", "import", path)
        seconds = time.monotonic() - started
        path.unlink()
        return seconds

    def powerdns(self):
        return None

    def pids(self):
        return []

    def stop(self):
        """Nothing runs."""


class SqlWriter:
    """Changes rows as any program would, one transaction each."""

    def __init__(self, connection, mark):
        self.connection = connection
        self.statement = f"UPDATE records SET content = {mark} WHERE name = {mark} AND type = 'A'"

    def set_address(self, name, address):
        cursor = self.connection.cursor()
        cursor.execute(self.statement, (address, name))
        cursor.close()

    def close(self):
        self.connection.close()


class Sqlite(Database):
    name = "sqlite"

    def __init__(self, lab):
        super().__init__(lab)
        self.path = self.directory / "godwit.db"
        self.url = f"sqlite:{self.path}"

    def writer(self):
        return SqlWriter(sqlite3.connect(self.path, timeout=30, isolation_level=None,
                                         check_same_thread=False), "?")

    def powerdns(self):
        return ["launch=gsqlite3", f"gsqlite3-database={self.path}"]


class MariaDB(Database):
    name = "mariadb"

    def __init__(self, lab):
        super().__init__(lab)
        user = getpass.getuser()
        data = self.directory / "data"
        self.socket = self.directory / "mariadb.sock"
        self.port = godwit.free_port()
        godwit.run(find_program("mariadb-install-db"), "--no-defaults", f"--user={user}",
                   f"--datadir={data}", "--auth-root-authentication-method=normal",
                   "--skip-test-db", timeout=120)
        self.server = lab.start(
            "mariadbd", find_program("mariadbd"), "--no-defaults", f"--user={user}",
            f"--datadir={data}", f"--socket={self.socket}", f"--port={self.port}",
            "--bind-address=127.0.0.1", directory=self.directory)
        godwit.wait_until(self._answers, WAIT_SECONDS, 0.1)
        self.url = f"mysql://root@127.0.0.1:{self.port}/godwit"
        self._connect(None).cursor().execute("CREATE DATABASE godwit CHARACTER SET latin1")

    def _connect(self, database="godwit"):
        import pymysql
        return pymysql.connect(unix_socket=str(self.socket), user="root", database=database,
                               autocommit=True, connect_timeout=WAIT_SECONDS,
                               read_timeout=WAIT_SECONDS, write_timeout=WAIT_SECONDS)

    def _answers(self):
        self.server.check_running()
        try:
            self._connect(None).close()
            return True
        except Exception:  # pymysql has many ways to say "not yet"
            return False

    def writer(self):
        return SqlWriter(self._connect(), "%s")

    def powerdns(self):
        return ["launch=gmysql", f"gmysql-socket={self.socket}", "gmysql-user=root",
                "gmysql-dbname=godwit"]

    def pids(self):
        return [self.server.pid]

    def stop(self):
        self.server.stop()


class RedisWriter:
    def __init__(self, connection):
        self.connection = connection

    def set_address(self, name, address):
        self.connection.hset(f"dns:{name}", "A", address)

    def close(self):
        self.connection.close()


class Redis(Database):
    name = "redis"

    def __init__(self, lab):
        super().__init__(lab)
        self.port = godwit.free_port()
        self.server = lab.start(
            "redis-server", find_program("redis-server"), "--bind", "127.0.0.1", "--port",
            self.port, "--save", "", "--appendonly", "yes", directory=self.directory)
        godwit.wait_until(self._answers, WAIT_SECONDS, 0.05)
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def _connect(self):
        import redis
        return redis.Redis(port=self.port, socket_timeout=WAIT_SECONDS)

    def _answers(self):
        self.server.check_running()
        try:
            return self._connect().ping()
        except Exception:  # not yet
            return False

    def writer(self):
        return RedisWriter(self._connect())

    def pids(self):
        return [self.server.pid]

    def stop(self):
        self.server.stop()


STORES = {"sqlite": Sqlite, "redis": Redis, "mariadb": MariaDB}
PACKAGES = {"sqlite": [], "redis": ["redis-server", "python3-redis"],
            "mariadb": ["mariadb-server", "python3-pymysql"]}


def is_supported(name, lab):
    """Whether this build of Godwit has a driver for the store: a URL of an unknown kind is refused
    before anything is connected to."""
    url = {"sqlite": f"sqlite:{lab.directory}/none.db", "redis": "redis://127.0.0.1:1/0",
           "mariadb": "mysql://root@127.0.0.1:1/none"}[name]
    done = godwit.run(godwit.program("godwitctl"), "--store", url, "zone", "list", check=False)
    return not any(words in done.stderr for words in ("not in this version", "known scheme"))
