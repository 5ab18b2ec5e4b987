"""The Debian package on a machine whose process 1 is systemd: the units start, are fenced in, watched,
reloaded, drained and restarted as they say. scripts/test-services makes the machine and calls this.

The tests share one machine and follow one another as its life does: from the installation to the
removal.
"""

import contextlib
import os
import pathlib
import shutil
import signal
import ssl
import time
import urllib.request

import pytest

import godwit
import machine as machines
import router_lab
from bgp_peer import BgpPeer
from certificates import Authority

ROOT = os.environ.get("GODWIT_SERVICES_ROOT")
PACKAGE = os.environ.get("GODWIT_SERVICES_PACKAGE")
pytestmark = pytest.mark.skipif(
    ROOT is None or PACKAGE is None, reason="no machine here; scripts/test-services makes one")

ADDRESS = "192.0.2.53"
PREFIX = f"{ADDRESS}/32"
PROGRAMS = ["backend", "frontend", "announcer"]
NET_BIND, NET_ADMIN, NET_RAW, SYS_NICE = 1 << 10, 1 << 12, 1 << 13, 1 << 23
# systemd-analyze's exposure level: 0 is best, 10 worst.
EXPOSURE_MAX = 2.0
ANNOUNCER = """
service:
  probe: {{ address: "127.0.0.1:53", name: www.example.com. }}
  watch_socket: /run/godwit/frontend.sock
addresses:
  - {{ prefix: "{prefix}", interface: lo }}
bgp:
  router_id: 192.0.2.1
  as: 64512
  peers:
    - {{ address: "127.0.0.1:{router.port}", as: {router.asn}, next_hop_ipv4: 192.0.2.1 }}
admin: "127.0.0.1:9155"
"""


def unit(name):
    return f"godwit-{name}.service"


class Site:
    """The machine, and a router beside it."""

    def __init__(self, lab):
        self.namespace = lab.namespace("machine")
        self.router = lab.keep(BgpPeer(namespace=self.namespace))
        self.machine = machines.Machine(self.namespace, ROOT)
        self.etc = pathlib.Path(ROOT, "etc", "godwit")
        self.authority = Authority(lab.make_directory("authority"))

    def install(self):
        shutil.copy(PACKAGE, pathlib.Path(ROOT, "root", "godwit.deb"))
        return self.machine.run("dpkg", "-i", "/root/godwit.deb")

    def godwitctl(self, *arguments):
        return self.machine.run("runuser", "-u", "godwit", "--", "godwitctl", "--store",
                                "sqlite:/var/lib/godwit/godwit.db", *arguments)

    def certify(self, name):
        pair = self.authority.issue(name, f"DNS:{name}")
        for source, target in ((pair.certificate, "tls.crt"), (pair.key, "tls.key")):
            shutil.copy(source, self.etc / target)
            self.machine.run("chown", "godwit:godwit", f"/etc/godwit/{target}")

    def configure(self):
        """Addresses for clients, TLS, and an announcer."""
        self.certify("first.example")
        text = (self.etc / "frontend.yaml").read_text().replace(
            '  - { address: "127.0.0.1:53", protocols: [udp, tcp] }\n',
            '  - { address: "0.0.0.0:53", protocols: [udp, tcp] }\n'
            '  - { address: "127.0.0.1:853", protocols: [tls] }\n')
        (self.etc / "frontend.yaml").write_text(
            text + "tls: { certificate: /etc/godwit/tls.crt, key: /etc/godwit/tls.key }\n")
        (self.etc / "announcer.yaml").write_text(ANNOUNCER.format(prefix=PREFIX, router=self.router))
        self.machine.systemctl("restart", *map(unit, PROGRAMS))

    def ask(self, name="www.example.com", server=ADDRESS):
        """The data that dig tells; "" for none."""
        done = self.namespace.run("dig", "+short", "+tries=1", "+time=2", f"@{server}", name,
                                  check=False)
        return done.stdout.strip() if done.returncode == 0 else ""

    def wait_answer(self, data="192.0.2.80", name="www.example.com", server=ADDRESS):
        godwit.wait_until(lambda: self.ask(name, server) == data, 30, 0.1, f"{name} is {data}")

    def wait_service(self):
        """Everything is as it should be: the router's way leads here, and queries are answered."""
        self.router.wait_route(PREFIX, timeout=30)
        self.wait_answer()

    def subject(self):
        """The name on the certificate that port 853 shows."""
        with self.namespace.entered():
            text = ssl.get_server_certificate(("127.0.0.1", 853), timeout=10)
        return godwit.run("openssl", "x509", "-noout", "-subject", input=text).stdout.strip()

    def queries(self):
        """How many the front end has had."""
        with self.namespace.entered():
            with urllib.request.urlopen("http://127.0.0.1:9153/metrics", timeout=5) as reply:
                lines = reply.read().decode().splitlines()
        return sum(float(line.split()[1]) for line in lines
                   if line.startswith("godwit_frontend_queries_total{"))


@pytest.fixture(scope="module")
def site():
    refusal = machines.refusal()
    if refusal:
        pytest.skip(refusal)
    with router_lab.Lab() as lab:
        yield Site(lab)


@pytest.fixture(scope="module")
def installed(site):
    site.install()
    return site


@pytest.fixture(scope="module")
def configured(installed):
    installed.configure()
    return installed


@pytest.fixture
def service(configured):
    configured.wait_service()
    return configured


def test_the_machine_is_without_a_fault(site):
    assert site.machine.systemctl("list-units", "--failed", "--plain", "--no-legend").stdout == ""


def test_what_is_installed_runs_and_answers(installed):
    for name, state in (("backend", "active"), ("frontend", "active"), ("announcer", "inactive")):
        assert installed.machine.show(unit(name), "ActiveState") == state
        assert installed.machine.show(unit(name), "UnitFileState") == "enabled"
    assert installed.machine.show(unit("announcer"), "ConditionResult") == "no"
    installed.godwitctl("zone", "add", "example.com", "--ns", "ns1.example.com.")
    installed.godwitctl("record", "set", "www.example.com", "A", "192.0.2.80")
    installed.wait_answer(server="127.0.0.1")


def test_with_its_configuration_the_announcer_announces(service):
    for name in PROGRAMS:
        assert service.machine.show(unit(name), "ActiveState") == "active"
        assert service.machine.show(unit(name), "Type") == "notify"
        assert service.machine.show(unit(name), "WatchdogUSec") in ("15s", "30s")
    assert "192.0.2.53" in service.machine.run("cat", "/proc/net/fib_trie").stdout


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_running_unit_leaves_little_to_an_intruder(service, name):
    said = service.machine.run("systemd-analyze", "security", "--no-pager", unit(name)).stdout
    level = float(said.strip().splitlines()[-1].split(":")[1].split()[0])
    assert level <= EXPOSURE_MAX, said


@pytest.mark.parametrize("name, capabilities", [
    ("backend", 0), ("frontend", NET_BIND), ("announcer", NET_BIND | NET_ADMIN | NET_RAW | SYS_NICE)])
def test_a_process_is_fenced_in(service, name, capabilities):
    pid = service.machine.pid(unit(name))
    status = dict(line.split(":", 1) for line in
                  pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
    assert "0" not in status["Uid"].split() + status["Gid"].split()
    for kind in ("CapEff", "CapPrm", "CapBnd", "CapAmb"):
        assert int(status[kind], 16) == capabilities, kind
    assert status["NoNewPrivs"].strip() == "1"
    assert status["Seccomp"].strip() == "2", "a system call filter"

    def sees(path, how="e"):
        return godwit.run("nsenter", "-t", pid, "-m", "test", f"-{how}", path, check=False
                          ).returncode == 0

    # PrivateTmp, PrivateDevices, ProtectHome: as it sees files, not as the machine does.
    service.machine.run("touch", "/tmp/of-the-machine")
    assert not sees("/tmp/of-the-machine")
    assert sees("/dev/null", "c") and sees("/dev/urandom", "c")
    devices = godwit.run("nsenter", "-t", pid, "-m", "find", "/dev/", "-maxdepth", "1", "-type", "c",
                         "-printf", "%f\n").stdout.split()
    assert set(devices) <= {"null", "zero", "full", "random", "urandom", "tty", "ptmx"}
    assert godwit.run("nsenter", "-t", pid, "-m", "find", "/dev/", "-type", "b").stdout == ""
    assert not sees("/root/godwit.deb")
    for path, writable in (("/", False), ("/etc/godwit", False), ("/usr/bin", False), ("/tmp", True),
                           ("/run/godwit", True), ("/var/lib/godwit", name == "backend")):
        assert sees(path, "w") == writable, path


def test_ready_means_that_queries_are_answered(service):
    """Type=notify: systemctl returns when there are records, and the port is open."""
    service.machine.systemctl("restart", unit("backend"), unit("frontend"))
    assert service.ask(server="127.0.0.1") == "192.0.2.80"
    godwit.wait_until(lambda: service.machine.show(unit("frontend"), "StatusText"), 20,
                      message="systemctl status tells what /readyz says")


def test_a_mistake_is_named_and_repaired_without_another_word(service):
    file = service.etc / "frontend.yaml"
    good = file.read_text()
    pid = service.machine.pid(unit("frontend"))
    try:
        file.write_text(good + "cach: {}\n")
        # A reload with it changes nothing;
        service.machine.systemctl("reload", unit("frontend"), check=False)
        godwit.wait_until(lambda: "configuration not reloaded" in service.machine.journal(
            unit("frontend")), 10, message="the log tells the mistake")
        assert service.machine.pid(unit("frontend")) == pid
        assert service.ask() == "192.0.2.80"
        # a restart fails, and says where.
        assert service.machine.systemctl("restart", unit("frontend"), check=False).returncode != 0
        line = len(good.splitlines()) + 1
        assert f"frontend.yaml:{line}" in service.machine.journal(unit("frontend"))
    finally:
        file.write_text(good)
    service.wait_service()


def test_a_reload_takes_over_what_has_changed(service):
    pids = {name: service.machine.pid(unit(name)) for name in PROGRAMS}
    assert "first.example" in service.subject()
    service.certify("second.example")
    for name in PROGRAMS:
        service.machine.systemctl("reload", unit(name))
    godwit.wait_until(lambda: "second.example" in service.subject(), 10,
                      message="the new certificate is shown")
    for name in PROGRAMS:
        assert service.machine.show(unit(name), "ActiveState") == "active"
        assert service.machine.pid(unit(name)) == pids[name]


@pytest.fixture
def short_watchdog(service):
    """The units' own take half a minute."""
    folders = [pathlib.Path(ROOT, "etc/systemd/system", f"{unit(name)}.d") for name in PROGRAMS]
    for folder in folders:
        folder.mkdir()
        (folder / "short.conf").write_text("[Service]\nWatchdogSec=2\n")
    service.machine.systemctl("daemon-reload")
    service.machine.systemctl("restart", *map(unit, PROGRAMS))
    service.wait_service()
    yield service
    for folder in folders:
        shutil.rmtree(folder)
    service.machine.systemctl("daemon-reload")
    service.machine.systemctl("restart", *map(unit, PROGRAMS))


def restarts(site, name):
    return int(site.machine.show(unit(name), "NRestarts"))


def test_a_process_that_hangs_is_replaced(short_watchdog):
    site = short_watchdog
    for name in PROGRAMS:
        before, count = site.machine.pid(unit(name)), restarts(site, name)
        heard = len(site.router.events)
        os.kill(before, signal.SIGSTOP)
        godwit.wait_until(lambda: restarts(site, name) > count, 30, 0.1,
                          f"godwit-{name} is started again")
        assert f"{unit(name)}: Watchdog timeout" in site.machine.journal(unit(name))
        assert not os.path.exists(f"/proc/{before}")
        if name == "frontend":
            site.router.wait_event("withdraw", PREFIX, after=heard)
        site.wait_service()


def test_the_watchdog_lets_those_live_that_work(short_watchdog):
    site = short_watchdog
    pids = {name: site.machine.pid(unit(name)) for name in PROGRAMS}
    fed = {name: site.machine.show(unit(name), "WatchdogTimestampMonotonic") for name in PROGRAMS}
    for name in PROGRAMS:
        godwit.wait_until(lambda: int(site.machine.show(unit(name), "WatchdogTimestampMonotonic"))
                          > int(fed[name]) + 3_000_000, 20, 0.2, "the watchdog is fed")
        assert site.machine.pid(unit(name)) == pids[name]


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_process_that_is_killed_comes_back(service, name):
    before, count = service.machine.pid(unit(name)), restarts(service, name)
    os.kill(before, signal.SIGKILL)
    godwit.wait_until(lambda: restarts(service, name) > count, 30, 0.1, "it is started again")
    address = f"192.0.2.{200 + PROGRAMS.index(name)}"
    service.godwitctl("record", "set", f"after-{name}.example.com", "A", address)
    service.wait_answer(address, f"after-{name}.example.com")
    service.wait_service()


@contextlib.contextmanager
def no_query_lost(site):
    """All that is sent until the router has taken the address back is answered."""
    heard, before = len(site.router.events), site.queries()
    client = router_lab.SteadyClient(site.namespace, ADDRESS, interval_ms=5)
    godwit.wait_until(lambda: site.queries() > before + 100, 20, message="the client is asking")
    yield
    withdrawn = site.router.wait_event("withdraw", PREFIX, after=heard)
    # The client keeps wall-clock time.
    outage = client.outage(until=withdrawn.time + time.time() - time.monotonic())
    assert outage.asked > 100
    assert outage.lost == 0


def test_a_stop_drains(service):
    """In the order of the units, and nobody has to be killed."""
    with no_query_lost(service):
        service.machine.systemctl("stop", *map(unit, reversed(PROGRAMS)))
    ended = {}
    for name in PROGRAMS:
        assert service.machine.show(unit(name), "Result") == "success"
        assert service.machine.show(unit(name), "ExecMainStatus") == "0"
        ended[name] = int(service.machine.show(unit(name), "InactiveEnterTimestampMonotonic"))
    assert ended["announcer"] < ended["frontend"] < ended["backend"]
    service.machine.systemctl("start", *map(unit, PROGRAMS))


def test_a_shutdown_drains_and_after_it_all_is_there_again(service):
    with no_query_lost(service):
        service.machine.stop()
    service.machine.boot()
    service.wait_service()
    assert service.machine.systemctl("list-units", "--failed", "--plain", "--no-legend").stdout == ""


def test_an_upgrade_restarts_what_runs(service):
    before = {name: service.machine.pid(unit(name)) for name in PROGRAMS}
    service.install()
    for name in PROGRAMS:
        assert service.machine.show(unit(name), "ActiveState") == "active"
        assert service.machine.pid(unit(name)) != before[name]
    service.wait_service()


def test_a_removal_stops_what_runs_and_a_purge_leaves_nothing(service):
    heard = len(service.router.events)
    service.machine.run("dpkg", "-r", "godwit")
    service.router.wait_event("withdraw", PREFIX, after=heard)
    left = service.machine.run("ps", "-u", "godwit", "-o", "pid,args", "--no-headers", check=False)
    assert left.stdout == ""
    shutil.rmtree(service.etc)  # what the tests have put there
    service.machine.run("dpkg", "-P", "godwit")
    for name in PROGRAMS:
        assert service.machine.show(unit(name), "LoadState") == "not-found"
    for path in ("/var/lib/godwit", "/run/godwit"):
        assert not service.machine.run("test", "-e", path, check=False).returncode == 0, path
