"""godwitctl external-dns: the requests that ExternalDNS makes of a webhook provider, and their
answers, on every kind of store; and what anybody else might send."""

import http.client
import json
import signal
import socket
import subprocess

import pytest

import godwit
from godwit import GrpcClient, answers, free_address, split_address, wait_until
from redis_server import RedisServer
from test_godwitctl_stores import KINDS, make_store, mysql_server, redis_urls

MEDIA = "application/external.dns.webhook+json;version=1"
MARK = '"heritage=external-dns,external-dns/owner=default,external-dns/resource=service/web/www"'
ZONE = """\
$TTL 300
@       SOA   ns1 hostmaster 1 10800 3600 604800 300
@       NS    ns1
@       TXT   "v=spf1 -all"
ns1     A     192.0.2.1
www     A     192.0.2.80
_s._tcp SRV   1 2 443 www
key     CAA   0 issue "ca.example.net"
"""


class Provider:
    """A running godwitctl external-dns."""

    def __init__(self, url, directory, *options, password_file=None):
        self.address = free_address()
        self.admin = free_address()
        self.log_path = directory / "external-dns.log"
        password = ["--password-file", str(password_file)] if password_file else []
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [godwit.program("godwitctl"), "--store", url, *password, "external-dns",
                 "--listen", self.address, "--admin", self.admin, *options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=godwit.environment())
        wait_until(self._answers, godwit.READY_TIMEOUT, message=self.log)

    def _answers(self):
        assert self.process.poll() is None, self.log()
        try:
            return self.request("GET", "/healthz")[0] == 200
        except OSError:
            return False

    def log(self):
        return self.log_path.read_text()

    def request(self, method, path, body=None, address=None, **headers):
        """(status, media type, body); a body that is no text is sent as JSON."""
        connection = http.client.HTTPConnection(*split_address(address or self.address), timeout=60)
        try:
            if body is not None and not isinstance(body, (str, bytes)):
                body = json.dumps(body)
            connection.request(method, path, body, headers={
                "Accept": MEDIA, "Content-Type": MEDIA,
                **{name.replace("_", "-"): value for name, value in headers.items()}})
            reply = connection.getresponse()
            return reply.status, reply.headers["Content-Type"], reply.read().decode()
        finally:
            connection.close()

    def records(self):
        """{(name, type): endpoint}"""
        status, media, body = self.request("GET", "/records")
        assert (status, media) == (200, MEDIA), body
        return {(e["dnsName"], e["recordType"]): e for e in json.loads(body)}

    def targets(self, name, rtype="A"):
        return self.records().get((name, rtype), {}).get("targets")

    def apply(self, **changes):
        status, _, body = self.request("POST", "/records", changes)
        assert (status, body) == (204, "")

    def metric(self, key):
        text = self.request("GET", "/metrics", address=self.admin)[2]
        return next(float(line.rsplit(" ", 1)[1]) for line in text.splitlines()
                    if line.startswith(key + " "))

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(godwit.STOP_TIMEOUT)
        godwit.assert_no_sanitizer_report(self.log())
        assert status == 0, self.log()


@pytest.fixture
def start_provider(tmp_path):
    started = []

    def start(url, *options, **kwargs):
        started.append(Provider(url, tmp_path, *options, **kwargs))
        return started[-1]
    yield start
    for provider in started:
        provider.stop()


@pytest.fixture
def zone_store(empty_store):
    empty_store.ctl("zone", "import", "-", "--origin", "example.com", input=ZONE)
    return empty_store


def serial(store):
    text = store.ctl("record", "list", "example.com", "--json").stdout
    return next(int(r["data"].split()[2]) for r in json.loads(text) if r["type"] == "SOA")


def endpoint(name, rtype, *targets, **others):
    return {"dnsName": name, "recordType": rtype, "targets": list(targets), **others}


# --- what ExternalDNS does ------------------------------------------------------------------------

def test_negotiation_tells_the_domain_filter(zone_store, start_provider):
    provider = start_provider(zone_store.url)
    assert provider.request("GET", "/") == (200, MEDIA, "{}")
    provider = start_provider(zone_store.url, "--domain-filter", "Example.com.",
                              "--domain-filter", ".example.org")
    status, media, body = provider.request("GET", "/")
    assert (status, media) == (200, MEDIA)
    assert json.loads(body) == {"include": ["example.com", "example.org"]}


def test_records_are_told_as_endpoints(zone_store, start_provider):
    records = start_provider(zone_store.url).records()
    assert records == {(e["dnsName"], e["recordType"]): {**e, "recordTTL": 300} for e in [
        endpoint("example.com", "NS", "ns1.example.com"),
        endpoint("example.com", "TXT", '"v=spf1 -all"'),
        endpoint("ns1.example.com", "A", "192.0.2.1"),
        endpoint("www.example.com", "A", "192.0.2.80"),
        endpoint("_s._tcp.example.com", "SRV", "1 2 443 www.example.com.")]}


@pytest.mark.parametrize("kind", KINDS)
def test_a_service_comes_changes_and_goes(kind, make_store, start_provider, start_backend):
    store = make_store(kind).load_zone(ZONE, "example.com")
    secret = {"password_file": str(store.password_file)} if store.password_file else {}
    backend = start_backend(store.url, **secret).wait_ready()
    provider = start_provider(store.url, password_file=store.password_file)
    before = provider.records()
    first = serial(store)

    app = endpoint("app.example.com", "A", "192.0.2.7", "192.0.2.8", recordTTL=60)
    mark = endpoint("a-app.example.com", "TXT", MARK)
    provider.apply(create=[app, mark], updateOld=None, updateNew=None, delete=None)
    records = provider.records()
    assert records["app.example.com", "A"] == app
    assert records["a-app.example.com", "TXT"] == {**mark, "recordTTL": 300}
    assert serial(store) == first + 1, "one serial for all of a request"

    # In the spelling of ExternalDNS before 0.15.
    changed = endpoint("app.example.com", "A", "192.0.2.8", "192.0.2.9", recordTTL=30)
    provider.apply(Create=[], UpdateOld=[app], UpdateNew=[changed], Delete=[])
    assert provider.records()["app.example.com", "A"] == changed
    with GrpcClient(backend.address) as client:
        wait_until(lambda: answers(client.query("app.example.com")) == ["192.0.2.8", "192.0.2.9"])

        # Another type of record in one request, as a Service that gets a host name.
        alias = endpoint("app.example.com", "CNAME", "lb.example.net")
        provider.apply(create=[alias], delete=[changed])
        wait_until(lambda: answers(client.query("app.example.com", "CNAME")) == ["lb.example.net."])

    last = serial(store)
    provider.apply(delete=[alias, mark])
    assert provider.records() == before
    assert serial(store) == last + 1
    provider.apply(delete=[alias, mark])
    assert serial(store) == last + 1, "nothing to do is nothing done"
    assert provider.metric('godwit_external_dns_requests_total{request="changes"}') == 5


def test_a_mark_shares_its_name_with_text_of_others_and_comes_first(zone_store, start_provider):
    provider = start_provider(zone_store.url)
    provider.apply(create=[endpoint("example.com", "TXT", MARK)])
    assert provider.targets("example.com", "TXT") == [MARK, '"v=spf1 -all"']
    provider.apply(delete=[endpoint("example.com", "TXT", MARK)])
    assert provider.targets("example.com", "TXT") == ['"v=spf1 -all"']


def test_a_long_mark_comes_back_in_one_string(zone_store, start_provider):
    provider = start_provider(zone_store.url)
    long = MARK[:-1] + "x" * 600 + '"'
    provider.apply(create=[endpoint("m.example.com", "TXT", long)])
    assert provider.targets("m.example.com", "TXT") == [long]
    provider.apply(delete=[endpoint("m.example.com", "TXT", long)])
    assert provider.targets("m.example.com", "TXT") is None


def test_adjusted_endpoints_look_like_those_that_are_read(zone_store, start_provider):
    provider = start_provider(zone_store.url)
    wanted = [
        endpoint("c.example.com", "CNAME", "LB.example.net.", labels={"owner": "x"},
                 providerSpecific=[{"name": "aws/weight", "value": "1"}]),
        endpoint("m.example.com", "MX", "10  mail.example.com."),
        endpoint("t.example.com", "TXT", "two words; (really)"),
        endpoint("v6.example.com", "AAAA", "2001:DB8:0:0::1"),
        endpoint("s.example.com", "SRV", "1 2 3 www.example.com"),
        endpoint("x.example.com", "A", "no address"),
        {"dnsName": "n.example.com", "recordType": "A", "targets": None}]
    status, media, body = provider.request("POST", "/adjustendpoints", wanted)
    assert (status, media) == (200, MEDIA)
    adjusted = json.loads(body)
    assert adjusted[0] == endpoint("c.example.com", "CNAME", "LB.example.net",
                                   labels={"owner": "x"})
    assert [e["targets"] for e in adjusted[1:]] == [
        ["10 mail.example.com"], ['"two words; (really)"'], ["2001:db8::1"],
        ["1 2 3 www.example.com."], ["no address"], None]
    provider.apply(create=adjusted)
    records = provider.records()
    for e in adjusted[1:5]:
        assert records[e["dnsName"], e["recordType"]]["targets"] == e["targets"]


def test_nothing_at_all_is_null(zone_store, start_provider):
    """As Go writes a list or an object that nobody has made."""
    provider = start_provider(zone_store.url)
    before = provider.records()
    assert provider.request("POST", "/adjustendpoints", "null") == (200, MEDIA, "null")
    assert provider.request("POST", "/records", "null")[0] == 204
    provider.apply(create=None, updateOld=None, updateNew=None, delete=None)
    assert provider.records() == before


def test_records_keep_their_ttl_until_another_is_given(zone_store, start_provider):
    provider = start_provider(zone_store.url, "--ttl", "1m")
    new = endpoint("new.example.com", "A", "192.0.2.7")
    provider.apply(create=[new])
    assert provider.records()["new.example.com", "A"]["recordTTL"] == 60
    provider.apply(updateOld=[new], updateNew=[{**new, "recordTTL": 5}])
    assert provider.records()["new.example.com", "A"]["recordTTL"] == 5
    provider.apply(updateOld=[new], updateNew=[endpoint("new.example.com", "A", "192.0.2.9")])
    assert provider.records()["new.example.com", "A"]["recordTTL"] == 5


def test_the_domain_filter_holds_for_reading_and_writing(zone_store, start_provider):
    zone_store.load_zone(ZONE, "--origin", "example.org")
    provider = start_provider(zone_store.url, "--domain-filter", "example.org")
    assert {name for name, _ in provider.records()} == {
        "example.org", "ns1.example.org", "www.example.org", "_s._tcp.example.org"}
    provider.apply(create=[endpoint("new.example.com", "A", "192.0.2.7"),
                           endpoint("new.example.org", "A", "192.0.2.7")])
    assert provider.targets("new.example.org") == ["192.0.2.7"]
    assert "new.example.com" not in zone_store.ctl("record", "list", "example.com").stdout
    assert "outside of --domain-filter" in provider.log()


# --- what cannot be -------------------------------------------------------------------------------

@pytest.mark.parametrize("bad", [
    endpoint("www.example.com", "CNAME", "other.example.com"),
    endpoint("a.example.net", "A", "192.0.2.7"),
    endpoint("a.example.com", "A", "300.0.2.7"),
    endpoint("a.example.com", "A", "192.0.2.7 ; comment"),
    endpoint("a.example.com", "A", 7),
    endpoint("a..example.com", "A", "192.0.2.7"),
    endpoint("ä.example.com", "A", "192.0.2.7"),
    endpoint("a.example.com", "SOA", "a. b. 1 2 3 4 5"),
    endpoint("a.example.com", "A", "192.0.2.7", setIdentifier="blue"),
    endpoint("a.example.com", "A", "192.0.2.7", recordTTL=-1),
    endpoint("a.example.com", "TXT", "x" * 70000),
    endpoint("a.example.com", "A", *[f"10.0.{i // 256}.{i % 256}" for i in range(5000)]),
])
def test_what_cannot_be_served_is_left_out_and_the_rest_written(bad, zone_store, start_provider):
    provider = start_provider(zone_store.url)
    before = provider.records()
    good = endpoint("good.example.com", "A", "192.0.2.9")
    provider.apply(create=[bad, good])
    assert provider.records() == {**before, ("good.example.com", "A"): {**good, "recordTTL": 300}}
    assert "record of ExternalDNS left out" in provider.log()
    assert provider.metric("godwit_external_dns_records_left_out_total") == 1


def test_the_last_name_server_of_a_zone_stays(zone_store, start_provider):
    provider = start_provider(zone_store.url)
    provider.apply(delete=[endpoint("example.com", "NS", "ns1.example.com")])
    assert provider.targets("example.com", "NS") == ["ns1.example.com"]


@pytest.mark.parametrize("path, body", [
    ("/records", ""), ("/records", "{"), ("/records", "[]"), ("/records", "7"),
    ("/records", '{"create": {}}'), ("/records", '{"create": [7]}'),
    ("/records", '{"create": [{"dnsName": 7, "recordType": "A"}]}'),
    ("/records", '{"create": [{"dnsName": "a.example.com", "recordType": "A", "targets": "x"}]}'),
    ("/records", '{"create": [], "create": []}'),
    ("/records", b'{"create": [{"dnsName": "\xff"}]}'),
    ("/records", '{"create": [{"dnsName": "a\\u0000b", "recordType": "A"}]}'),
    ("/records", "[" * 100000), ("/adjustendpoints", "{}"), ("/adjustendpoints", "[7]"),
    ("/adjustendpoints", '[{"recordType": "A", "targets": {}}]'),
])
def test_bodies_of_another_shape_are_refused(path, body, zone_store, start_provider):
    provider = start_provider(zone_store.url)
    before = provider.records()
    status, _, text = provider.request("POST", path, body)
    assert status == 400 and text.strip()
    assert provider.records() == before
    assert provider.metric("godwit_external_dns_requests_refused_total") == 1


def test_requests_that_are_not_of_the_protocol_are_refused(zone_store, start_provider):
    provider = start_provider(zone_store.url)
    new = {"create": [endpoint("evil.example.com", "A", "192.0.2.66")]}
    for kind in ("text/plain", "application/json", MEDIA[:-1] + "2", MEDIA + "0"):
        assert provider.request("POST", "/records", new, Content_Type=kind)[0] == 415
        assert provider.request("POST", "/adjustendpoints", [], Content_Type=kind)[0] == 415
    assert provider.request("GET", "/", Accept="text/html")[0] == 406
    assert provider.request("GET", "/records", Accept=MEDIA[:-1] + "2")[0] == 406
    assert provider.request("GET", "/records", Accept="*/*")[0] == 200
    assert provider.request("POST", "/")[0] == 405
    assert provider.request("GET", "/adjustendpoints")[0] == 405
    assert provider.request("GET", "/nowhere")[0] == 404
    assert provider.targets("evil.example.com") is None


def test_a_body_too_large_is_not_read(zone_store, start_provider):
    provider = start_provider(zone_store.url)
    with socket.create_connection(split_address(provider.address), timeout=30) as client:
        client.sendall(f"POST /records HTTP/1.1\r\nHost: x\r\nContent-Type: {MEDIA}\r\n"
                       f"Content-Length: {1 << 40}\r\n\r\n".encode())
        reply = client.recv(4096)
    assert reply == b"" or reply.startswith((b"HTTP/1.1 413", b"HTTP/1.1 400"))
    assert ("www.example.com", "A") in provider.records()


def test_it_listens_on_this_machine_only(zone_store):
    for address in ("0.0.0.0:8888", "192.0.2.1:8888", "example.com:8888", "nonsense"):
        done = zone_store.ctl("external-dns", "--listen", address, check=False)
        assert done.returncode == 1 and "--listen" in done.stderr


# --- a store that is away -------------------------------------------------------------------------

def test_a_store_that_is_away_is_told_and_taken_up_again(tmp_path, start_provider):
    server = RedisServer(tmp_path)
    try:
        zone = tmp_path / "zone"
        zone.write_text("$ORIGIN example.com.\n" + ZONE)
        godwit.run(godwit.program("godwitctl"), "--store", server.url, "zone", "import", zone)
        provider = start_provider(server.url)
        before = provider.records()
        server.stop()
        new = {"create": [endpoint("new.example.com", "A", "192.0.2.7")]}
        status, _, text = provider.request("GET", "/records")
        assert status == 500 and server.address in text
        assert provider.request("POST", "/records", new)[0] == 500
        assert provider.request("GET", "/healthz")[0] == 200
        assert provider.request("GET", "/healthz", address=provider.admin)[0] == 200
        assert provider.request("GET", "/readyz", address=provider.admin)[0] == 503
        assert provider.metric("godwit_external_dns_store_up") == 0
        assert provider.metric("godwit_external_dns_requests_failed_total") == 2

        server.start()
        godwit.run(godwit.program("godwitctl"), "--store", server.url, "zone", "import", zone)
        assert provider.records() == before
        assert provider.request("GET", "/readyz", address=provider.admin)[0] == 200
        # A connection that died in the meantime costs nobody a request.
        server.client.client_kill_filter(_type="normal", skipme=True)
        assert provider.request("POST", "/records", new)[0] == 204
        assert provider.targets("new.example.com") == ["192.0.2.7"]
    finally:
        server.stop()


def test_it_starts_while_the_store_is_away(tmp_path, start_provider):
    store = godwit.Store(tmp_path)
    provider = start_provider(store.url)
    assert provider.request("GET", "/records")[0] == 500
    assert provider.request("GET", "/readyz", address=provider.admin)[0] == 503
    store.init().load_zone()
    assert provider.targets("www.example.com") == ["192.0.2.80"]
    assert provider.request("GET", "/readyz", address=provider.admin)[0] == 200
