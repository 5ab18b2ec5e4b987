"""The stores that a soak can have, by one face: what writers do to them, and what fate does.

    put(owner, address)  remove(owner)  add_zone(apex, owner, address)  drop_zone(apex, owner)
    OUTAGES     names of context managers of the store: inside it is away

A write raises WRITE_FAILED when nobody knows whether it has happened. One thread writes.
"""

import contextlib
import os
import sqlite3
import threading
import time

import pymysql
import redis

import godwit
import mysql_server
import redis_server

ZONE = "soak.test"
SOA = "ns1.soak.test. hostmaster.soak.test. 1 10800 3600 604800 300"
TTL = 300

WRITE_FAILED = (sqlite3.Error, pymysql.MySQLError, redis.exceptions.RedisError, OSError)


class SqlWriter:
    """Writes by SQL statements, with PowerDNS's tables."""

    def run(self, *statements):
        """In one transaction: (statement, parameters)."""
        raise NotImplementedError

    def _insert(self, apex, owner, rtype, content):
        return ("INSERT INTO records (domain_id, name, type, content, ttl) "
                "SELECT id, ?, ?, ?, ? FROM domains WHERE name = ?",
                (owner, rtype, content, TTL, apex))

    def put(self, owner, address):
        self.run(("DELETE FROM records WHERE name = ? AND type = 'A'", (owner,)),
                 self._insert(ZONE, owner, "A", address))

    def alias(self, owner, target):
        self.run(self._insert(ZONE, owner, "CNAME", target))

    def remove(self, owner):
        self.run(("DELETE FROM records WHERE name = ?", (owner,)))

    def add_zone(self, apex, owner=None, address=None):
        statements = [("DELETE FROM records WHERE name IN (?, ?)", (apex, owner)),
                      ("DELETE FROM domains WHERE name = ?", (apex,)),
                      ("INSERT INTO domains (name, type) VALUES (?, 'NATIVE')", (apex,)),
                      self._insert(apex, apex, "SOA", SOA),
                      self._insert(apex, apex, "NS", f"ns1.{ZONE}")]
        if owner:
            statements.append(self._insert(apex, owner, "A", address))
        self.run(*statements)

    def drop_zone(self, apex, owner):
        self.run(("DELETE FROM records WHERE name IN (?, ?)", (apex, owner)),
                 ("DELETE FROM domains WHERE name = ?", (apex,)))


class Sqlite(SqlWriter):
    OUTAGES = ("renamed", "locked")
    options = {}

    def __init__(self, directory):
        self.store = godwit.Store(directory).init()
        self.url = self.store.url
        self._lock = threading.Lock()

    def run(self, *statements):
        with self._lock, contextlib.closing(self.store.connect()) as connection:
            connection.execute("BEGIN IMMEDIATE")
            for statement, parameters in statements:
                connection.execute(statement, parameters)
            connection.execute("COMMIT")

    @contextlib.contextmanager
    def renamed(self):
        """The file is gone for a while; who writes has to wait."""
        with self._lock:
            kept = self.store.path.with_suffix(".kept")
            os.rename(self.store.path, kept)
            try:
                yield
            finally:
                os.rename(kept, self.store.path)

    @contextlib.contextmanager
    def locked(self):
        """Another program holds the file for itself alone."""
        with self._lock, contextlib.closing(self.store.connect()) as connection:
            connection.execute("BEGIN EXCLUSIVE")
            yield
            connection.execute("ROLLBACK")

    def destroy(self):
        pass


class Server:
    """What Redis and MariaDB have in common: a process that is killed or stopped."""

    OUTAGES = ("killed", "stopped")

    @contextlib.contextmanager
    def killed(self):
        self.server.kill()
        try:
            yield
        finally:
            self.server.start()

    @contextlib.contextmanager
    def stopped(self):
        self.server.pause()
        try:
            yield
        finally:
            self.server.resume()


class Mariadb(Server, SqlWriter):
    def __init__(self, directory):
        self.server = mysql_server.MysqlServer(directory)
        store = mysql_server.MysqlStore(self.server, directory).init()
        self.database = store.database
        self.url = store.backend_url
        self.options = {"password_file": str(store.password_file)}
        self._connection = None

    def run(self, *statements):
        try:
            if self._connection is None:
                self._connection = self.server.connect(database=self.database, autocommit=False)
            with self._connection.cursor() as cursor:
                for statement, parameters in statements:
                    cursor.execute(statement.replace("?", "%s"), parameters)
            self._connection.commit()
        except WRITE_FAILED:
            self._connection = None
            raise

    def destroy(self):
        self.server.destroy()


class Redis(Server):
    def __init__(self, directory):
        # What it has confirmed is on the disk: it comes back as it went.
        self.server = redis_server.RedisServer(directory, "--appendonly", "yes", "--appendfsync",
                                               "always")
        self.url = self.server.url
        self.options = {}

    def put(self, owner, address):
        self.server.client.hset(f"dns:{owner}", mapping={"A": address, "ttl": str(TTL)})

    def alias(self, owner, target):
        self.server.client.hset(f"dns:{owner}", mapping={"CNAME": target + ".", "ttl": str(TTL)})

    def remove(self, owner):
        self.server.client.delete(f"dns:{owner}")

    def add_zone(self, apex, owner=None, address=None):
        transaction = self.server.client.pipeline(transaction=True)
        transaction.hset(f"dns:{apex}", mapping={"SOA": SOA, "NS": f"ns1.{ZONE}."})
        if owner:
            transaction.hset(f"dns:{owner}", mapping={"A": address, "ttl": str(TTL)})
        transaction.execute()

    def drop_zone(self, apex, owner):
        self.server.client.delete(f"dns:{apex}", f"dns:{owner}")

    def destroy(self):
        self.server.stop()


STORES = {"sqlite": Sqlite, "redis": Redis, "mariadb": Mariadb}


class Writer(threading.Thread):
    """Changes one subject after another until it is told to stop."""

    def __init__(self, store, subjects, rng, pause_s):
        super().__init__(daemon=True)
        self.store, self.subjects, self.rng, self.pause_s = store, subjects, rng, pause_s
        self.writes = self.failures = 0
        self._stop_it = threading.Event()
        self._lock = threading.Lock()

    def step(self, subject):
        with self._lock:
            subject.step(self.store)
            self.writes += 1

    def run(self):
        while not self._stop_it.wait(self.pause_s):
            try:
                self.step(self.rng.choice(self.subjects))
            except WRITE_FAILED:
                self.failures += 1
                time.sleep(0.1)

    def stop(self):
        self._stop_it.set()
        self.join(60)
