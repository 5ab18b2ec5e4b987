"""The servers that Godwit is compared with, each started by hand from a configuration of its own, in
the lab's directory and on a free port of 127.0.0.1.

    PowerDns(lab, lines, caches=True)     on a database: `lines` say which (databases.py)
        .address  .pid  .stop()  .wait_answer(name)
"""

import dns.exception

from lab import find_program, godwit

POWERDNS_PACKAGES = {"sqlite": ["pdns-server", "pdns-backend-sqlite3"],
                     "mariadb": ["pdns-server", "pdns-backend-mysql"]}

# What PowerDNS keeps: whole replies, records, the lack of records, and the list of zones.
_POWERDNS_WITHOUT_CACHES = ["cache-ttl=0", "query-cache-ttl=0", "negquery-cache-ttl=0",
                            "zone-cache-refresh-interval=0"]


class Peer:
    """A running server that answers on `port` of 127.0.0.1 by UDP and TCP."""

    def __init__(self, lab, name):
        self.lab = lab
        self.name = name
        self.directory = lab.make_directory(name)
        self.port = godwit.free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.program = None

    def write(self, file, *lines):
        path = self.directory / file
        path.write_text("\n".join(lines) + "\n")
        return path

    def run(self, *command):
        self.program = self.lab.start(self.name, *command, directory=self.directory)
        return self

    def pids(self):
        return [self.program.pid]

    def stop(self):
        self.program.stop()

    def wait_answer(self, name, timeout=60):
        """Until the server answers a query for `name` with an address."""
        def answered():
            self.program.check_running()
            try:
                return godwit.answers(godwit.ask(self.address, name, timeout=0.2))
            except (dns.exception.DNSException, OSError):
                return None
        godwit.wait_until(answered, timeout, 0.01, f"{self.name}:\n{self.program.log()[-2000:]}")
        return self


class PowerDns(Peer):
    def __init__(self, lab, lines, caches=True, name="powerdns"):
        super().__init__(lab, name)
        self.write("pdns.conf", *lines, "daemon=no", "guardian=no", "local-address=127.0.0.1",
                   f"local-port={self.port}", f"socket-dir={self.directory}", "version-string=none",
                   "security-poll-suffix=", "loglevel=3", "max-tcp-connections=1000",
                   *([] if caches else _POWERDNS_WITHOUT_CACHES))
        self.run(find_program("pdns_server"), f"--config-dir={self.directory}")
