"""Private MariaDB servers for the tests, on free ports and in directories of their own.

    MysqlServer(directory, *options)    a mariadbd: .url(), .sql(), .connect(), .stop(), .kill(),
                                        .pause(), .resume(), .start()
    MysqlStore(server, directory)       a database on it, made by PowerDNS's own schema file: .url,
                                        .init(), .ctl(), .load_zone(text), .sql(), .connect()

Accounts of a store: "writer", who may do everything with it, and "reader", who may only SELECT;
their password is PASSWORD, in the file MysqlStore.password_file.
"""

import os
import pathlib
import signal
import shutil
import subprocess
import tempfile

import pymysql

import godwit
from godwit import environment, free_port, run, wait_until

SCHEMA = pathlib.Path("/usr/share/pdns-backend-mysql/schema/schema.mysql.sql")
PASSWORD = "p'ass \\w%rd"

_template = None


def _data_template():
    """A fresh data directory, made once: copying it is quicker than making another."""
    global _template
    if _template is None:
        _template = tempfile.TemporaryDirectory(prefix="godwit-mariadb-")
        run("mariadb-install-db", "--no-defaults", f"--datadir={_template.name}/data",
            "--auth-root-authentication-method=normal", "--skip-test-db",
            "--innodb-log-file-size=8M", *_as_root(), timeout=120,
            env=environment(TMPDIR=_template.name))
    return pathlib.Path(_template.name) / "data"


def _as_root():
    return ["--user=root"] if os.getuid() == 0 else []


class MysqlServer:
    """A mariadbd listening on 127.0.0.1 and a socket. `options` are its own."""

    def __init__(self, directory, *options):
        # A socket's path has to be short.
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="godwit-my-"))
        self.log_path = pathlib.Path(directory) / f"{self.directory.name}.log"
        self.port = free_port()
        self.socket = self.directory / "s"
        self.options = options
        self.process = None
        shutil.copytree(_data_template(), self.directory / "data")
        # Its own: a server that starts removes whatever temporary tables it finds there.
        (self.directory / "tmp").mkdir()
        self.start()

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def start(self, *options):
        assert self.process is None
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                ["mariadbd", "--no-defaults", *_as_root(), f"--datadir={self.directory}/data",
                 f"--tmpdir={self.directory}/tmp", f"--socket={self.socket}",
                 f"--port={self.port}", "--bind-address=127.0.0.1",
                 "--innodb-log-file-size=8M", "--innodb-flush-log-at-trx-commit=2",
                 "--skip-name-resolve", *self.options, *options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until(self._answers, 30, 0.05, f"mariadbd: {self.log_path}")
        return self

    def _answers(self):
        assert self.process.poll() is None, self.log_path.read_text(errors="replace")[-4000:]
        try:
            self.connect().close()
            return True
        except pymysql.MySQLError:
            return False

    def connect(self, user="root", password="", database=None, autocommit=True):
        """A plain connection, as another system would open it."""
        return pymysql.connect(host="127.0.0.1", port=self.port, user=user, password=password,
                               database=database, autocommit=autocommit, charset="utf8mb4")

    def sql(self, *statements, database=None):
        """Runs statements as root and returns the rows of the last one."""
        connection = self.connect(database=database)
        try:
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
                return cursor.fetchall()
        finally:
            connection.close()

    def pause(self):
        """It takes connections and packets, as far as the kernel does, and answers nothing."""
        self.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED)  # until all its threads have stopped

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def stop(self):
        if self.process is None:
            return
        self.process.terminate()
        self.resume()
        self.process.wait(60)
        self.process = None

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process = None

    def destroy(self):
        if self.process is not None:
            self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)


GALERA = pathlib.Path("/usr/lib/galera/libgalera_smm.so")


class GaleraMember(MysqlServer):
    """A member of a Galera cluster: its first one, or one that joins `first`."""

    def __init__(self, directory, first=None):
        self.group_port = free_port()
        joins = f"127.0.0.1:{first.group_port}" if first else ""
        super().__init__(
            directory, "--wsrep-on=ON", f"--wsrep-provider={GALERA}", "--binlog-format=ROW",
            "--innodb-autoinc-lock-mode=2", f"--wsrep-cluster-address=gcomm://{joins}",
            "--wsrep-sst-method=rsync", "--wsrep-node-address=127.0.0.1",
            f"--wsrep-sst-receive-address=127.0.0.1:{free_port()}",
            "--log-bin-trust-function-creators=1",
            f"--wsrep-provider-options=gmcast.listen_addr=tcp://127.0.0.1:{self.group_port};"
            f"ist.recv_addr=127.0.0.1:{free_port()};gcache.size=16M")

    def start(self, *options):
        # rsync gives up root's rights before it reads and writes here.
        run("chmod", "-R", "a+rwX", self.directory)
        super().start(*options)
        wait_until(lambda: self.sql("SHOW STATUS LIKE 'wsrep_local_state_comment'")[0][1] ==
                   "Synced", 60, 0.1, f"a Galera member in sync: {self.log_path}")
        return self


class MysqlStore:
    """A database of PowerDNS's own schema, on `server`; godwit_changes is not there before
    init()."""

    _count = 0

    def __init__(self, server, directory, schema=True):
        MysqlStore._count += 1
        self.server = server
        self.directory = pathlib.Path(directory)
        self.database = f"pdns{MysqlStore._count}"
        self.password_file = self.directory / "password"
        self.password_file.write_text(PASSWORD + "\n")
        server.sql(f"CREATE DATABASE {self.database}")
        for user, privileges in (("writer", "ALL"), ("reader", "SELECT")):
            self.make_user(user, privileges)
        if schema:
            self.shell(SCHEMA.read_text())

    def make_user(self, user, privileges, on="*"):
        quoted = pymysql.converters.escape_string(PASSWORD)
        self.server.sql(f"CREATE USER IF NOT EXISTS {user} IDENTIFIED BY '{quoted}'",
                        f"GRANT {privileges} ON {self.database}.{on} TO {user}")

    def url_of(self, user, parameters="", hosts=None):
        return f"mysql://{user}@{hosts or self.server.address}/{self.database}{parameters}"

    @property
    def url(self):
        return self.url_of("writer")

    @property
    def backend_url(self):
        """What a backend needs is no more than SELECT."""
        return self.url_of("reader")

    def ctl(self, *arguments, url=None, **kwargs):
        return run(godwit.program("godwitctl"), "--store", url or self.url, "--password-file",
                   self.password_file, *arguments, **kwargs)

    def init(self):
        self.ctl("init")
        return self

    def load_zone(self, text=godwit.DEMO_ZONE, *options, timeout=120):
        with tempfile.NamedTemporaryFile("w", suffix=".zone", dir=self.directory) as file:
            file.write(text)
            file.flush()
            return self.ctl("zone", "import", file.name, *options, timeout=timeout)

    def connect(self, autocommit=True):
        return self.server.connect("writer", PASSWORD, self.database, autocommit)

    def sql(self, *statements):
        return self.server.sql(*statements, database=self.database)

    def shell(self, script):
        """Runs SQL by the mariadb program itself and returns its output."""
        return run("mariadb", "--no-defaults", f"--socket={self.server.socket}", "-uroot", "-N",
                   self.database, input=script, timeout=120).stdout

    def dump(self):
        return run("mariadb-dump", "--no-defaults", f"--socket={self.server.socket}", "-uroot",
                   self.database, timeout=120).stdout

    def zone_id(self, zone="example.com"):
        return self.sql(f"SELECT id FROM domains WHERE name = '{zone}'")[0][0]

    def add_record(self, name, rtype, content, ttl=300, zone="example.com"):
        """INSERTs one record as PowerDNS's tables have it, names without trailing dots."""
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute("INSERT INTO records (domain_id, name, type, content, ttl) "
                           "SELECT id, %s, %s, %s, %s FROM domains WHERE name = %s",
                           (name, rtype, content, ttl, zone))
