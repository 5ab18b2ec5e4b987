"""The servers that Godwit is compared with, each started by hand from a configuration of its own,
in the lab's directory and on a free port of 127.0.0.1.

    PowerDns(lab, lines, caches=True)     on a database: `lines` say which (databases.py)
    Knot(lab, zone_file)                  one UDP and one TCP worker
    Nsd(lab, zone_file)                   one server process
    Dnsdist(lab, backend, cache=True)     in front of a Knot, with vectors of 64 messages; with a
                                          `pair` of files (certificate, key), also by TLS and HTTPS
                                          at .tls and .https
        .address  .pids()  .stop()  .wait_answer(name)

What would limit clients (rates, connections) is off; all else is as the servers have it by default.
"""

import dns.exception

from databases import ZONE
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


class Knot(Peer):
    def __init__(self, lab, zone_file, name="knot"):
        super().__init__(lab, name)
        config = self.write(
            "knot.conf", "server:", f"  rundir: {self.directory}",
            f"  listen: 127.0.0.1@{self.port}", "  udp-workers: 1", "  tcp-workers: 1",
            "  background-workers: 1", "  tcp-max-clients: 1000",
            "log:", "  - target: stderr", "    any: warning",
            "database:", f"  storage: {self.directory}",
            "zone:", f"  - domain: {ZONE}", f"    file: {zone_file}", "    zonefile-sync: -1",
            "    journal-content: none")
        self.run(find_program("knotd"), "--config", config)


class Nsd(Peer):
    def __init__(self, lab, zone_file, name="nsd"):
        super().__init__(lab, name)
        files = {"pidfile": "pid", "zonelistfile": "zone.list", "xfrdfile": "xfrd.state",
                 "xfrdir": ".", "zonesdir": "."}
        config = self.write(
            "nsd.conf", "server:", "  server-count: 1", f"  ip-address: 127.0.0.1@{self.port}",
            '  username: ""', '  chroot: ""', '  database: ""', "  rrl-ratelimit: 0",
            "  tcp-count: 1000", "  tcp-query-count: 0",
            *(f'  {key}: "{self.directory / file}"' for key, file in files.items()),
            "remote-control:", "  control-enable: no",
            "zone:", f"  name: {ZONE}", f'  zonefile: "{zone_file}"')
        self.run(find_program("nsd"), "-d", "-c", config)


class Dnsdist(Peer):
    def __init__(self, lab, backend, cache=True, name="dnsdist", pair=None):
        super().__init__(lab, name)
        self.backend = backend
        self.tls = f"127.0.0.1:{godwit.free_port()}"
        self.https = f"127.0.0.1:{godwit.free_port()}"
        config = self.write(
            "dnsdist.conf", f'setLocal("{self.address}")', 'setSecurityPollSuffix("")',
            "setUDPMultipleMessagesVectorSize(64)", "setMaxTCPClientThreads(1)",
            "setMaxUDPOutstanding(65535)",
            f'newServer({{address="{backend.address}", checkName="{ZONE}.", checkInterval=60}})',
            *(['getPool(""):setCache(newPacketCache(200000))'] if cache else []),
            *(self._secure(pair) if pair else []))
        self.run(find_program("dnsdist"), "--supervised", "--disable-syslog", "-C", config)

    def _secure(self, pair):
        certificate, key = pair
        return [
            f'addTLSLocal("{self.tls}", "{certificate}", "{key}",'
            ' {provider="openssl", maxInFlight=1000})',
            f'addDOHLocal("{self.https}", "{certificate}", "{key}", "/dns-query")',
            "setTCPRecvTimeout(600)", "setMaxTCPQueuedConnections(0)"]

    def pids(self):
        return [self.program.pid, *self.backend.pids()]
