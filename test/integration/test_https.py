"""DNS over HTTPS (RFC 8484) and in JSON: curl, kdig, dnsperf, httpx and h2load as clients; what
HTTP asks of a server; and clients that ask for much and give little, by hand, on HTTP/1.1 and with
frames of python3-h2 and raw ones on HTTP/2."""

import base64
import json
import os
import re
import socket
import ssl
import struct
import subprocess
import time

import dns.edns
import dns.message
import h2.config
import h2.connection
import h2.events
import h2.settings
import httpx
import pytest

from certificates import Authority
from foreign_backend import ForeignBackend
from godwit import (SANITIZED, Store, answers, ask, free_address, free_port, run, split_address,
                    wait_until)

NAME = "www.example.com."
TYPE = "application/dns-message"


@pytest.fixture
def foreign():
    backend = ForeignBackend(free_address(), 1)
    yield backend
    backend.kill()


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("https"))


@pytest.fixture(scope="module")
def pair(authority):
    return authority.issue("dns.example", "DNS:dns.example,IP:127.0.0.1")


@pytest.fixture
def start(foreign, start_frontend, pair):
    """start(**config) -> a ready front end; .address is for UDP and TCP, .secure for HTTPS."""
    def make(backend=None, **config):
        port, secure = free_port(), free_port()
        config = {"tls": {"certificate": str(pair.certificate), "key": str(pair.key)},
                  "workers": 1, **config}
        frontend = start_frontend([backend or foreign.address], listen=[
            {"address": f"127.0.0.1:{port}", "protocols": ["udp", "tcp"]},
            {"address": f"127.0.0.1:{secure}", "protocols": ["https"]}], **config).wait_ready()
        frontend.secure = frontend.addresses[1]
        return frontend
    return make


@pytest.fixture
def frontend(start):
    return start()


def url(frontend, rest="/dns-query"):
    return f"https://{frontend.secure}{rest}"


def get_path(query):
    wire = query if isinstance(query, bytes) else query.to_wire()
    return "/dns-query?dns=" + base64.urlsafe_b64encode(wire).decode().rstrip("=")


def query_of(name=NAME, rtype="A", **options):
    """With ID 0, as RFC 8484 section 4.1 advises."""
    query = dns.message.make_query(name, rtype, **options)
    query.id = 0
    return query


def event(frontend, what):
    return frontend.metric(f'godwit_frontend_https_connections_total{{event="{what}"}}')


def status_count(frontend, status):
    return frontend.metric(f'godwit_frontend_http_replies_total{{status="{status}"}}')


@pytest.fixture
def client(authority):
    """client(http2=True) -> an httpx.Client that checks certificates."""
    made = []

    def make(http2=True):
        made.append(httpx.Client(http1=not http2, http2=http2, timeout=10,
                                 verify=str(authority.certificate)))
        return made[-1]
    yield make
    for one in made:
        one.close()


both_versions = pytest.mark.parametrize("http2", [True, False], ids=["http2", "http1"])


def curl(frontend, authority, *options, check=True):
    return run("curl", "-sS", "--cacert", authority.certificate, *options, check=check)


# --- clients --------------------------------------------------------------------------------------

@pytest.mark.parametrize("version,expected", [("--http2", "2"), ("--http1.1", "1.1"),
                                              ("--no-alpn", "1.1"), ("-0 --no-alpn", "1.1")])
def test_curl(frontend, authority, tmp_path, version, expected):
    query, out = tmp_path / "query", tmp_path / "out"
    query.write_bytes(query_of().to_wire())
    for options in (["--data-binary", f"@{query}", "-H", f"content-type: {TYPE}",
                     url(frontend)], [url(frontend, get_path(query_of()))]):
        done = curl(frontend, authority, *version.split(), "-o", out, "-w",
                    "%{http_version} %{http_code} %{content_type}", *options)
        assert done.stdout == f"{expected} 200 {TYPE}"
        assert answers(dns.message.from_wire(out.read_bytes())) == ["192.0.2.1"]


@pytest.mark.parametrize("option", ["+https", "+https-get"])
def test_kdig(frontend, authority, option):
    host, port = split_address(frontend.secure)
    done = run("kdig", f"@{host}", "-p", port, option, f"+tls-ca={authority.certificate}",
               "+tls-hostname=dns.example", NAME, "A", check=False)
    assert "status: NOERROR" in done.stdout and "192.0.2.1" in done.stdout, done.stdout


@both_versions
def test_httpx(frontend, client, http2):
    http = client(http2)
    for i in range(20):
        query = query_of(f"n{i}.example.")
        for reply in (http.get(url(frontend, get_path(query))),
                      http.post(url(frontend), content=query.to_wire(),
                                headers={"content-type": TYPE, "accept": TYPE})):
            assert reply.status_code == 200
            assert reply.http_version == ("HTTP/2" if http2 else "HTTP/1.1")
            assert reply.headers["content-type"] == TYPE
            message = dns.message.from_wire(reply.content)
            assert message.id == 0 and answers(message) == ["192.0.2.1"]
    assert event(frontend, "accepted") == 1  # one connection for all
    assert frontend.metric('godwit_frontend_queries_total{protocol="https"}') == 40
    assert status_count(frontend, 200) == 40


def test_dnspython(frontend, authority):
    host, port = split_address(frontend.secure)
    for post in True, False:
        reply = dns.query.https(dns.message.make_query(NAME, "A"), host, port=port, timeout=10,
                                post=post, verify=str(authority.certificate))
        assert answers(reply) == ["192.0.2.1"]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_dnsperf(frontend, method):
    """One query at a time: 2.10 takes two replies in one TLS record for one."""
    host, port = split_address(frontend.secure)
    queries = frontend.directory / "queries"
    queries.write_text("".join(f"n{i}.example. A\n" for i in range(50)))
    done = run("dnsperf", "-m", "doh", "-O", "doh-uri=https://dns.example/dns-query", "-O",
               f"doh-method={method}", "-s", host, "-p", port, "-d", queries, "-l", "1", "-q", "1",
               "-Q", "500")
    lost = re.search(r"Queries lost:\s+(\d+)", done.stdout)
    completed = re.search(r"Queries completed:\s+(\d+)", done.stdout)
    assert lost.group(1) == "0" and int(completed.group(1)) > 5, done.stdout


def test_h2load(frontend):
    """As many streams as they are allowed, from many clients, a cached answer each."""
    count = 500 if SANITIZED else 5000
    ask(frontend, NAME)
    done = run("h2load", "-n", count, "-c", "10", "-m", "64", url(frontend, get_path(query_of())))
    assert f"{count} succeeded, 0 failed, 0 errored" in done.stdout, done.stdout


@both_versions
def test_largest_reply(frontend, client, http2):
    reply = client(http2).get(url(frontend, get_path(query_of("big-0-4000.example."))))
    assert len(answers(dns.message.from_wire(reply.content))) == 4000


def test_replies_come_as_they_are_ready_on_http2(frontend, authority):
    with H2(frontend, authority) as http:
        slow = http.get(get_path(query_of("delay-0-500.example.")))
        fast = [http.get(get_path(query_of(f"n{i}.example."))) for i in range(50)]
        finished = [http.finish_one() for _ in range(51)]
    assert sorted(finished[:-1]) == fast and finished[-1] == slow
    assert all(http.statuses[stream] == "200" for stream in finished)


def test_pipelined_requests_are_replied_to_in_order_on_http1(frontend, authority):
    names = ["delay-0-300.example.", "a.example.", "delay-0-100.example.", "b.example."] * 3
    with Http1(frontend, authority) as http:
        http.send(b"".join(http.get(get_path(query_of(name))) for name in names))
        for name in names:
            status, headers, body = http.receive()
            assert status == 200
            assert str(dns.message.from_wire(body).question[0].name) == name


@both_versions
def test_replies_are_padded_for_who_asks(frontend, client, http2):
    padding = dns.edns.GenericOption(dns.edns.OptionType.PADDING, b"")
    http = client(http2)
    for _ in range(2):  # from the backend, and from the cache
        asking = query_of(use_edns=0, options=[padding])
        assert len(http.get(url(frontend, get_path(asking))).content) % 468 == 0
        plain = http.get(url(frontend, get_path(query_of(use_edns=0)))).content
        assert 12 not in [option.otype for option in dns.message.from_wire(plain).options]


def test_queries_are_logged(start, client):
    frontend = start(log={"queries": "all"})
    client().get(url(frontend, get_path(query_of("logged.example."))))
    wait_until(lambda: "name=logged.example." in frontend.log())
    line = next(line for line in frontend.log().splitlines() if "logged.example." in line)
    assert "protocol=https" in line and "client=127.0.0.1:" in line and "rcode=0" in line


# --- caching --------------------------------------------------------------------------------------

@both_versions
@pytest.mark.parametrize("name,expected", [
    (NAME, "max-age=60"), ("ttl-0-5.example.", "max-age=5"), ("nx-0-5.example.", "max-age=5"),
    ("nx-0-500.example.", "max-age=60"), ("servfail-0-.example.", "no-store"),
    ("error-0-.example.", "no-store")])
def test_caches_are_told_how_long(frontend, client, http2, name, expected):
    reply = client(http2).get(url(frontend, get_path(query_of(name))))
    assert reply.status_code == 200
    assert reply.headers["cache-control"] == expected
    assert reply.headers["date"].endswith("GMT")


# --- what HTTP asks of a server -------------------------------------------------------------------

GOOD = get_path(query_of())
REQUESTS = [
    ("GET", "/dns-query", None, b"", 400),
    ("GET", "/dns-query?", None, b"", 400),
    ("GET", "/dns-query?name=www.example.com", None, b"", 400),
    ("GET", "/dns-query?dns=", None, b"", 400),
    ("GET", "/dns-query?dns=!!!", None, b"", 400),
    ("GET", GOOD + "=", None, b"", 400),          # padded
    ("GET", GOOD.replace("AAAB", "AA+B"), None, b"", 400),
    ("GET", "/dns-query?dns=AAAA", None, b"", 400),
    ("GET", get_path(b"\x00\x00\x80" + b"\x00" * 12), None, b"", 400),  # a response
    ("GET", GOOD + "&other=1", None, b"", 200),
    ("GET", GOOD.replace("?", "?ct&x=y&"), None, b"", 200),
    ("GET", "/", None, b"", 404),
    ("GET", "/dns-query/", None, b"", 404),
    ("GET", "/DNS-query", None, b"", 404),
    ("HEAD", GOOD, None, b"", 200),
    ("HEAD", "/nowhere", None, b"", 404),
    ("HEAD", "/dns-query", None, b"", 400),
    ("PUT", "/dns-query", TYPE, b"x", 405),
    ("DELETE", "/dns-query", None, b"", 405),
    ("OPTIONS", "/dns-query", None, b"", 405),
    ("PATCH", "/dns-query", TYPE, b"x", 405),
    ("POST", "/resolve", TYPE, b"x", 405),
    ("BREW", "/dns-query", None, b"", 501),
    ("POST", "/dns-query", TYPE, query_of().to_wire(), 200),
    ("POST", "/dns-query", "Application/DNS-Message; charset=x", query_of().to_wire(), 200),
    ("POST", "/dns-query", "application/dns-message-not", query_of().to_wire(), 415),
    ("POST", "/dns-query", "application/json", b"{}", 415),
    ("POST", "/dns-query", None, query_of().to_wire(), 415),
    ("POST", "/dns-query", TYPE, b"", 400),
    ("POST", "/dns-query", TYPE, b"short", 400),
    ("POST", "/dns-query", TYPE, query_of().to_wire() + b"rest", 200),  # FORMERR, in DNS
    ("POST", "/dns-query", TYPE, query_of().to_wire() + b"\x00" * (65536 - len(query_of().to_wire())), 413),
    ("GET", "/dns-query?dns=" + "A" * 17000, None, b"", (414, 431)),
]


@both_versions
def test_statuses(frontend, client, http2):
    http = client(http2)
    http.get(url(frontend, GOOD))
    for method, path, content_type, body, expected in REQUESTS:
        headers = {"content-type": content_type} if content_type else {}
        reply = http.request(method, url(frontend, path), content=body, headers=headers)
        what = f"{method} {path[:60]} {content_type}: {reply.status_code}"
        assert reply.status_code in (expected if isinstance(expected, tuple) else (expected,)), what
        assert int(reply.headers["content-length"]) > 0, what
        assert (reply.content == b"") == (method == "HEAD"), what
        if reply.status_code == 405:
            assert reply.headers["allow"] == ("GET, HEAD" if path == "/resolve"
                                              else "GET, HEAD, POST")
        if reply.status_code != 200:
            assert reply.headers["cache-control"] == "no-store"
    for status in 200, 400, 404, 405, 413, 415:
        assert status_count(frontend, status) == sum(request[4] == status for request in REQUESTS) \
            + (status == 200)
    assert answers(ask(frontend, NAME)) == ["192.0.2.1"]


def test_malformed_queries_are_told_so_in_dns(frontend, client):
    reply = client().post(url(frontend), content=query_of().to_wire() + b"rest",
                          headers={"content-type": TYPE})
    assert dns.message.from_wire(reply.content).rcode() == dns.rcode.FORMERR
    notify = query_of()
    notify.set_opcode(dns.opcode.NOTIFY)
    reply = client().get(url(frontend, get_path(notify)))
    assert dns.message.from_wire(reply.content).rcode() == dns.rcode.NOTIMP


def test_paths_are_configured(start, client):
    frontend = start(https={"path": "/a/b", "json_path": "/a/b"})
    http = client()
    assert http.get(url(frontend, GOOD)).status_code == 404
    assert http.get(url(frontend, GOOD.replace("/dns-query", "/a/b"))).status_code == 200
    reply = http.get(url(frontend, "/a/b?name=www.example.com"))
    assert reply.json()["Answer"][0]["data"] == "192.0.2.1"
    assert http.post(url(frontend, "/a/b"), content=query_of().to_wire(),
                     headers={"content-type": TYPE}).status_code == 200


# --- JSON -----------------------------------------------------------------------------------------

JSON_ZONE = r"""
$ORIGIN example.com.
$TTL 300
@       SOA   ns1 hostmaster 1 10800 3600 604800 60
@       NS    ns1
@       MX    10 mail
@       TXT   "v=spf1 -all" "second \"quoted\" \\ part"
@       CAA   0 issue "ca.example"
ns1     A     192.0.2.1
www     60 A     192.0.2.80
www     A     192.0.2.81
www     AAAA  2001:db8::80
alias   CNAME www
_sip._tcp SRV 1 2 5060 www
a\.b\"c\\d A  192.0.2.7
odd     TYPE65280 \# 3 010203
"""


@pytest.fixture
def json_frontend(start, start_backend, tmp_path):
    backend = start_backend(Store(tmp_path).init().load_zone(JSON_ZONE))
    return start(backend.wait_ready().address)


def data_of(rdata):
    """As presentation form has it, spelled alike."""
    return re.sub(r"\s+", " ", rdata.lower())


JSON_QUESTIONS = [
    ("www.example.com", "A"), ("WWW.Example.COM.", "AAAA"), ("alias.example.com", "A"),
    ("example.com", "MX"), ("example.com", "TXT"), ("example.com", "SOA"), ("example.com", "CAA"),
    ("_sip._tcp.example.com", "SRV"), ("nothing.example.com", "A"), ("www.example.com", "TXT"),
    (r"a\.b\"c\\d.example.com", "A"), ("example.com", "ANY"), ("elsewhere.example", "A")]


def test_json_says_what_dns_says(json_frontend, client):
    http = client()
    for name, rtype in JSON_QUESTIONS:
        check_json(json_frontend, http, name, rtype)


def check_json(frontend, http, name, rtype):
    expected = ask(frontend, name, rtype, tcp=True)
    reply = http.get(url(frontend, "/resolve"), params={"name": name, "type": rtype})
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "application/dns-json"
    found = reply.json()
    assert found["Status"] == expected.rcode()
    assert found["Question"] == [{"name": str(expected.question[0].name),
                                  "type": expected.question[0].rdtype}]
    assert (found["TC"], found["RD"], found["RA"], found["AD"], found["CD"]) == \
        (False, True, False, False, False)
    for section, rrsets in ("Answer", expected.answer), ("Authority", expected.authority):
        wanted = sorted((str(rrset.name).lower(), rrset.rdtype, rrset.ttl, data_of(str(rdata)))
                        for rrset in rrsets for rdata in rrset)
        got = sorted((record["name"].lower(), record["type"], record["TTL"],
                      data_of(record["data"])) for record in found.get(section, []))
        assert got == wanted


def test_json_writes_unknown_types_as_rfc_3597(json_frontend, client):
    found = client().get(url(json_frontend, "/resolve?name=odd.example.com&type=65280")).json()
    assert found["Answer"] == [{"name": "odd.example.com.", "type": 65280, "TTL": 300,
                                "data": r"\# 3 010203"}]


PARAMETERS = [
    ("name=www.example.com", 200), ("name=www.example.com&type=1", 200),
    ("name=www.example.com&type=aaaa&do=1&cd=true&ct=x&random_padding=XX", 200),
    ("name=%77ww.example.com&type=", 200), ("name=.&type=NS", 200),
    ("name=www.example.com&edns_client_subnet=192.0.2.7/24", 200),
    ("name=www.example.com&edns_client_subnet=2001:db8::7", 200),
    ("name=www.example.com&edns_client_subnet=0.0.0.0/0", 200),
    ("", 400), ("name=", 400), ("type=A", 400), ("name=a..b", 400), ("name=" + "a" * 64, 400),
    ("name=" + "a." * 200, 400), ("name=x%00y", 400),
    ("name=x&type=NOSUCH", 400), ("name=x&type=65536", 400), ("name=x&type=-1", 400),
    ("name=x&do=maybe", 400), ("name=x&edns_client_subnet=elsewhere", 400),
    ("name=x&edns_client_subnet=192.0.2.0/33", 400), ("name=x&edns_client_subnet=::/129", 400)]


def test_json_parameters(frontend, client):
    http = client()
    for parameters, status in PARAMETERS:
        found = http.get(url(frontend, "/resolve?" + parameters)).status_code
        assert found == status, parameters


def test_json_of_a_long_reply(frontend, client):
    found = client().get(url(frontend, "/resolve?name=big-0-4000.example&cd=1")).json()
    assert len(found["Answer"]) == 4000 and found["TC"] is False


# --- by hand: HTTP/1.1 ----------------------------------------------------------------------------

def connect(frontend, authority, *alpn, timeout=10):
    context = ssl.create_default_context(cafile=str(authority.certificate))
    if alpn:
        context.set_alpn_protocols(alpn)
    plain = socket.create_connection(split_address(frontend.secure), timeout)
    return context.wrap_socket(plain, server_hostname="dns.example")


class Http1:
    def __init__(self, frontend, authority, timeout=10):
        self.socket = connect(frontend, authority, "http/1.1", timeout=timeout)
        self.file = self.socket.makefile("rb")

    @staticmethod
    def get(path=GOOD, *lines):
        return b"".join(line.encode() + b"\r\n" for line in
                        [f"GET {path} HTTP/1.1", "Host: dns.example", *lines, ""])

    @staticmethod
    def post(body, *lines):
        return b"".join(line.encode() + b"\r\n" for line in
                        ["POST /dns-query HTTP/1.1", "Host: dns.example", f"Content-Type: {TYPE}",
                         *lines, ""]) + body

    def send(self, octets):
        self.socket.sendall(octets)

    def receive(self):
        """(status, headers, body) of the next reply; (0, {}, b"") at the end."""
        first = self.file.readline()
        if not first:
            return 0, {}, b""
        version, status, _ = first.decode().split(" ", 2)
        assert version == "HTTP/1.1"
        headers = {}
        while (line := self.file.readline()) != b"\r\n":
            name, value = line.decode().rstrip("\r\n").split(": ", 1)
            headers[name.lower()] = value
        return int(status), headers, self.file.read(int(headers.get("content-length", 0)))

    def ended(self):
        try:
            return self.file.read(1) == b""
        except (ssl.SSLEOFError, ConnectionError):
            return True

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()


WIRE = query_of().to_wire()
SMUGGLED = [
    (Http1.post(WIRE, f"Content-Length: {len(WIRE)}", "Transfer-Encoding: chunked"), 400),
    (Http1.post(WIRE, "Transfer-Encoding: chunked", f"Content-Length: {len(WIRE)}"), 400),
    (Http1.post(WIRE, f"Content-Length: {len(WIRE)}", f"Content-Length: {len(WIRE)}"), 400),
    (Http1.post(WIRE, f"Content-Length: {len(WIRE)}", "Content-Length: 0"), 400),
    (Http1.post(WIRE, f"Content-Length: {len(WIRE)}, {len(WIRE)}"), 400),
    (Http1.post(WIRE, f"Content-Length: +{len(WIRE)}"), 400),
    (Http1.post(WIRE, f"Content-Length: 0x{len(WIRE):x}"), 400),
    (Http1.post(WIRE, "Content-Length: -1"), 400),
    (Http1.post(WIRE, "Content-Length:"), 400),
    (Http1.post(WIRE, "Content-Length: 18446744073709551645"), 413),
    (Http1.post(WIRE, f"Content-Length : {len(WIRE)}"), 400),
    (Http1.post(WIRE, "X: y", f" Content-Length: {len(WIRE)}"), 400),
    (Http1.post(WIRE), 411),
    (Http1.post(b"1d\r\n" + WIRE + b"\r\n0\r\n\r\n", "Transfer-Encoding: chunked"), 411),
    (Http1.post(b"", "Transfer-Encoding: gzip, chunked"), 501),
    (Http1.post(b"", "Transfer-Encoding: \x0bchunked"), 400),
    (Http1.post(WIRE, f"Content-Length: {len(WIRE)}", "Expect: miracles"), 417),
    (Http1.get(GOOD, "Host: other.example"), 400),
    (Http1.get(GOOD, "Bad\x00Name: x"), 400),
    (Http1.get(GOOD, "X: a\x00b"), 400),
    (Http1.get(GOOD, "X: a\rb"), 400),
    (Http1.get(GOOD, "no colon"), 400),
    (Http1.get(GOOD, ": no name"), 400),
    (Http1.get(GOOD + " "), 400),
    (Http1.get("/dns query"), 400),
    (Http1.get("dns-query"), 400),
    (Http1.get("/dns-query#x"), 400),
    (b"GET " + GOOD.encode() + b" HTTP/1.1\r\n\r\n", 400),  # no Host
    (b"GET " + GOOD.encode() + b" HTTP/1.1\nHost: a\n\n\r\n\r\n", 400),
    (b"GET " + GOOD.encode() + b"\r\n\r\n", 400),  # HTTP/0.9
    (b"GET " + GOOD.encode() + b" HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    (b"GET " + GOOD.encode() + b" http/1.1\r\nHost: a\r\n\r\n", 400),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    (b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    (b"G(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"\x16\x03\x01\x02\x00\r\n\r\n", 400),
    (Http1.get(GOOD, "X: " + "y" * 17000), 431),
    (Http1.get(GOOD, *["X: y"] * 101), 431),
    (b"A" * 17000, 414),
]


def test_what_could_be_read_in_two_ways_is_refused(frontend, authority):
    for octets, status in SMUGGLED:
        with Http1(frontend, authority) as http:
            http.send(octets + http.get())  # which must not be taken for another request
            found, headers, _ = http.receive()
            assert found == status, octets[:300]
            assert headers["connection"] == "close"
            may_still_come = status in (411, 413, 414, 417, 431)
            http.socket.settimeout(0.02 if may_still_come else 10)
            try:
                assert http.ended(), octets[:300]
            except socket.timeout:
                assert may_still_come
    assert status_count(frontend, 200) == 0


def test_requests_that_are_taken(frontend, authority):
    half = len(WIRE) // 2
    with Http1(frontend, authority) as http:
        for octets in (
                b"\r\n" + http.get(), http.get("https://other.example" + GOOD),
                http.get(GOOD, "ACCEPT:x", "x-y: \t z \t"), http.get(GOOD, "Connection: a, b"),
                http.post(WIRE, f"content-LENGTH: \t00{len(WIRE)} "),
                http.get(GOOD, "Content-Length: 5") + b"hello"):
            http.send(octets)
            status, headers, body = http.receive()
            assert status == 200 and "connection" not in headers, octets
            assert answers(dns.message.from_wire(body)) == ["192.0.2.1"]
        # In pieces, and with the client waiting to be told to go on.
        octets = http.post(WIRE, f"Content-Length: {len(WIRE)}", "Expect: 100-continue")
        for octet in octets[:-len(WIRE)]:
            http.send(bytes([octet]))
        assert http.receive()[0] == 100
        http.send(WIRE[:half])
        time.sleep(0.05)
        http.send(WIRE[half:])
        assert http.receive()[0] == 200
        http.send(http.get(GOOD, "Connection: x, Close") + http.get())
        status, headers, _ = http.receive()
        assert status == 200 and headers["connection"] == "close"
        assert http.ended()
    with Http1(frontend, authority) as http:  # HTTP/1.0: one request
        http.send(f"GET {GOOD} HTTP/1.0\r\n\r\n".encode())
        assert http.receive()[0] == 200 and http.ended()


def test_a_client_that_has_ended_gets_its_replies_on_http1(frontend, authority):
    """It says that it sends no more (close_notify), and goes on listening."""
    context = ssl.create_default_context(cafile=str(authority.certificate))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    stream = context.wrap_bio(incoming, outgoing, server_hostname="dns.example")
    with socket.create_connection(split_address(frontend.secure), 10) as plain:

        def do(function, *arguments):
            while True:
                try:
                    return function(*arguments)
                except ssl.SSLWantReadError:
                    plain.sendall(outgoing.read())
                    incoming.write(plain.recv(65536))

        do(stream.do_handshake)
        stream.write(b"".join(Http1.get(get_path(query_of(f"delay-0-100.n{i}.example.")))
                              for i in range(3)))
        with pytest.raises(ssl.SSLWantReadError):
            stream.unwrap()
        plain.sendall(outgoing.read())
        received = b""
        while part := plain.recv(65536):
            incoming.write(part)
            try:
                while part := stream.read():
                    received += part
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLZeroReturnError:
                break
        assert received.count(b"HTTP/1.1 200 OK") == 3


@pytest.mark.parametrize("octets", [b"", b"GET /dns", Http1.get()[:-2], Http1.post(
    WIRE[:10], f"Content-Length: {len(WIRE)}")])
def test_slow_requests_are_no_progress(start, authority, octets):
    frontend = start(limits={"tls_idle_s": 1})
    with Http1(frontend, authority) as http:
        http.send(http.get())
        assert http.receive()[0] == 200
        begun = time.monotonic()
        http.socket.settimeout(0.1)
        http.send(octets)
        while time.monotonic() < begun + 8:  # an octet now and then, of a header that never ends
            try:
                if octets:
                    http.send(b"x")
                if http.socket.recv(1) == b"":
                    break
            except socket.timeout:
                continue
            except OSError:
                break
        assert 0.8 < time.monotonic() - begun < 4
    assert event(frontend, "idle") == 1


@both_versions
def test_a_client_that_does_not_read_is_cut_off(start, authority, http2):
    frontend = start(limits={"tls_idle_s": 1})
    path = get_path(query_of("big-0-3000.example."))
    http = (H2 if http2 else Http1)(frontend, authority)
    with http:
        http.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        http.socket.settimeout(0.2)
        sent = 0
        try:
            while sent < 5_000_000:
                octets = http.get(path) if not http2 else b""
                for _ in range(64 if http2 else 0):
                    http.get(path, flush=False)
                octets = octets * 100 if not http2 else http.h2.data_to_send()
                sent += http.socket.send(octets) if octets else 0
                if http2:
                    break
        except (socket.timeout, OSError):
            pass
        wait_until(lambda: event(frontend, "idle") + event(frontend, "error") == 1, 15)
    assert frontend.metric("process_resident_memory_bytes") < (2000 if SANITIZED else 200) * 2**20


# --- by hand: HTTP/2 ------------------------------------------------------------------------------

class H2:
    """An HTTP/2 client that can be told to do anything."""

    def __init__(self, frontend, authority, settings=None, timeout=10):
        self.socket = connect(frontend, authority, "h2", timeout=timeout)
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(
            validate_outbound_headers=False, normalize_outbound_headers=False))
        self.h2.initiate_connection()
        if settings:
            self.h2.update_settings(settings)
        self.flush()
        self.statuses, self.bodies, self.ended, self.goaway = {}, {}, [], None
        self.resets = {}

    def flush(self):
        self.socket.sendall(self.h2.data_to_send())

    def headers(self, path=GOOD, *more, method="GET"):
        return [(":method", method), (":path", path), (":scheme", "https"),
                (":authority", "dns.example"), *more]

    def get(self, path=GOOD, *more, flush=True, method="GET"):
        stream = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream, self.headers(path, *more, method=method), end_stream=True)
        if flush:
            self.flush()
        return stream

    def pump(self):
        """Takes what has come. False at the end."""
        data = self.socket.recv(65536)
        for happened in self.h2.receive_data(data) if data else []:
            if isinstance(happened, h2.events.ResponseReceived):
                self.statuses[happened.stream_id] = dict(happened.headers)[b":status"].decode() \
                    if isinstance(happened.headers[0][0], bytes) \
                    else dict(happened.headers)[":status"]
            elif isinstance(happened, h2.events.DataReceived):
                self.bodies[happened.stream_id] = \
                    self.bodies.get(happened.stream_id, b"") + happened.data
                self.h2.acknowledge_received_data(happened.flow_controlled_length,
                                                  happened.stream_id)
            elif isinstance(happened, h2.events.StreamEnded):
                self.ended.append(happened.stream_id)
            elif isinstance(happened, h2.events.StreamReset):
                self.resets[happened.stream_id] = happened.error_code
            elif isinstance(happened, h2.events.ConnectionTerminated):
                self.goaway = happened.error_code
        if data:
            self.flush()
        return bool(data)

    def finish_one(self):
        """Waits for the next stream to end and returns it."""
        while not self.ended:
            assert self.pump(), "the connection has ended"
        return self.ended.pop(0)

    def wait_goaway(self):
        """Takes what comes until the server ends the connection; its error code."""
        try:
            while self.pump():
                pass
        except (OSError, h2.exceptions.ProtocolError):
            pass
        return self.goaway

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


def frame(kind, flags, stream, payload=b""):
    return struct.pack("!I", len(payload))[1:] + struct.pack("!BBI", kind, flags, stream) + payload


def assert_serves(frontend, authority):
    with H2(frontend, authority) as http:
        http.get()
        assert http.statuses[http.finish_one()] == "200"


CALM = 0xb  # ENHANCE_YOUR_CALM


def flood(frontend, authority, octets, times=5000, **options):
    """Sends `octets` over and over; how the server ends it."""
    with H2(frontend, authority, **options) as http:
        http.get()
        http.finish_one()
        try:
            for _ in range(times // 100):
                http.socket.sendall(octets * 100)
        except OSError:
            pass
        return http.wait_goaway()


@pytest.mark.parametrize("name", ["www.example.com.", "hang-0-.example."])
def test_rapid_reset_is_ended(start, authority, name):
    """CVE-2023-44487: streams opened and cancelled at once."""
    frontend = start(limits={"query_timeout_ms": 100})
    ask(frontend, NAME)
    with H2(frontend, authority) as http:
        try:
            for i in range(5000):
                stream = http.get(get_path(query_of(name)), flush=False)
                http.h2.reset_stream(stream, error_code=8)
                if i % 50 == 49:
                    http.flush()
        except OSError:
            pass
        assert http.wait_goaway() in (CALM, None)
    wait_until(lambda: frontend.metric("godwit_frontend_http2_floods_total") == 1)
    wait_until(lambda: "flood of frames or resets" in frontend.log())
    assert frontend.metric('godwit_frontend_queries_total{protocol="https"}') < 1500
    assert_serves(frontend, authority)


def test_cancelling_now_and_then_is_no_flood(frontend, authority):
    with H2(frontend, authority) as http:
        for i in range(200):
            stream = http.get(get_path(query_of(f"n{i}.example.")))
            if i % 5 == 0:
                http.h2.reset_stream(stream, error_code=8)
            else:
                assert http.statuses[http.finish_one()] == "200"
    assert frontend.metric("godwit_frontend_http2_floods_total") == 0


@pytest.mark.parametrize("octets", [
    frame(4, 0, 0, struct.pack("!HI", 3, 100)), frame(4, 0, 0), frame(6, 0, 0, b"12345678"),
    frame(6, 1, 0, b"12345678"), frame(2, 0, 9, b"\0\0\0\0\7"), frame(8, 0, 0, b"\0\0\0\1")],
    ids=["settings", "empty settings", "ping", "pong", "priority", "window"])
def test_floods_of_frames_are_ended(frontend, authority, octets):
    flood(frontend, authority, octets)
    wait_until(lambda: event(frontend, "error") == 1)
    assert_serves(frontend, authority)


def test_pings_without_reading_do_not_fill_memory(frontend, authority):
    http = H2(frontend, authority)
    before = frontend.metric("process_resident_memory_bytes")
    http.socket.settimeout(1)
    try:
        for _ in range(200):
            http.socket.sendall(frame(6, 0, 0, b"12345678") * 1000)
    except OSError:
        pass
    wait_until(lambda: event(frontend, "error") == 1)
    assert frontend.metric("process_resident_memory_bytes") - before < 30 * 2**20
    http.socket.close()


def test_endless_continuations_are_ended(frontend, authority):
    with H2(frontend, authority) as http:
        block = http.h2.encoder.encode(http.headers())
        octets = frame(1, 1, 1, block)  # no END_HEADERS
        field = b"\x00\x01x\x04" + b"yyyy"
        octets += frame(9, 0, 1, field * 500) * 2000
        try:
            http.socket.sendall(octets)
        except OSError:
            pass
        http.wait_goaway()
    wait_until(lambda: event(frontend, "error") == 1)
    assert_serves(frontend, authority)


def test_long_header_lists_are_refused(frontend, authority):
    with H2(frontend, authority) as http:
        # By reference to one entry of the dynamic table, again and again: small on the wire.
        bomb = [("x-long", "y" * 3000)] * 100
        assert http.get(GOOD, *bomb) == http.finish_one()
        assert http.statuses[1] == "431"
        assert http.get(GOOD, *[(f"x-{i}", "") for i in range(101)]) == http.finish_one()
        assert http.statuses[3] == "431"
        assert http.get() == http.finish_one()
        assert http.statuses[5] == "200"


MALFORMED = [
    [(":method", "GET"), (":path", GOOD)], [(":path", GOOD), (":scheme", "https")],
    [(":method", "GET"), (":scheme", "https"), (":authority", "a"), (":path", "")],
    [(":method", "GET"), (":scheme", "https"), (":authority", "a"), (":path", GOOD),
     (":path", GOOD)],
    [(":method", "GET"), (":scheme", "https"), (":authority", "a"), (":path", GOOD),
     ("connection", "close")],
    [(":method", "GET"), (":scheme", "https"), (":authority", "a"), (":path", GOOD),
     ("transfer-encoding", "chunked")],
    [(":method", "GET"), (":scheme", "https"), (":authority", "a"), (":path", GOOD),
     ("Upper", "case")],
    [(":method", "GET"), (":scheme", "https"), (":authority", "a"), (":path", GOOD),
     ("content-length", "5")],
    [(":method", "GET"), (":scheme", "https"), (":authority", "a"), ("x", "y"), (":path", GOOD)]]


def test_malformed_requests_reset_their_stream(frontend, authority):
    for headers in MALFORMED:
        with H2(frontend, authority) as http:
            http.h2.send_headers(1, headers, end_stream=True)
            http.flush()
            while 1 not in http.resets and 1 not in http.ended:
                assert http.pump()
            assert http.resets.get(1) == 1 or http.statuses[1] == "400", headers
            http.ended.clear()
            stream = http.get()
            assert http.finish_one() == stream and http.statuses[stream] == "200"


def test_more_streams_than_allowed(frontend, authority):
    """The front end says how many it takes; a client that opens more is refused or ended, and no
    more than CONNECTION_QUERIES_MAX of its queries are ever in flight."""
    with H2(frontend, authority) as http:
        while not http.h2.remote_settings.max_concurrent_streams < 1000:
            http.pump()
        assert http.h2.remote_settings.max_concurrent_streams == 64
        http.h2.remote_settings._settings[
            h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS].append(10000)
        http.h2.remote_settings.acknowledge()
        for i in range(200):
            http.get(get_path(query_of(f"hang-0-.n{i}.example.")), flush=False)
        http.flush()
        wait_until(lambda: event(frontend, "error") == 1 or
                   frontend.metric("godwit_frontend_queries_in_flight") == 64)
        assert frontend.metric("godwit_frontend_queries_in_flight") <= 64
    assert_serves(frontend, authority)


def test_bodies(frontend, authority):
    """Slow ones are waited for, long ones refused at once, many unfinished ones bounded."""
    post = [("content-type", TYPE)]
    with H2(frontend, authority) as http:
        for end in range(3):  # octet by octet; in one piece; with an empty last frame
            stream = http.h2.get_next_available_stream_id()
            http.h2.send_headers(stream, http.headers("/dns-query", *post, method="POST"))
            if end == 0:
                for octet in WIRE:
                    http.h2.send_data(stream, bytes([octet]))
            else:
                http.h2.send_data(stream, WIRE, end_stream=end == 1)
            if end != 1:
                http.h2.end_stream(stream)
            http.flush()
            assert http.finish_one() == stream and http.statuses[stream] == "200"
        stream = http.h2.get_next_available_stream_id()
        http.h2.send_headers(stream, http.headers("/dns-query", *post, ("content-length", "70000"),
                                                  method="POST"))
        http.flush()
        assert http.finish_one() == stream and http.statuses[stream] == "413"
        stream = http.h2.get_next_available_stream_id()
        http.h2.send_headers(stream, http.headers("/dns-query", *post, method="POST"))
        sent = 0
        while sent < 65536 + 10:
            size = min(16384, http.h2.local_flow_control_window(stream), 65546 - sent)
            if size == 0:
                break
            http.h2.send_data(stream, b"x" * size)
            http.flush()
            sent += size
        assert http.finish_one() == stream and http.statuses[stream] == "413"


def test_unfinished_bodies_are_bounded_and_no_progress(start, authority):
    frontend = start(limits={"tls_idle_s": 1})
    with H2(frontend, authority) as http:
        before = frontend.metric("process_resident_memory_bytes")
        sent, windows = 0, 0
        while not http.h2.remote_settings.max_concurrent_streams < 1000:
            http.pump()
        for _ in range(60):
            stream = http.h2.get_next_available_stream_id()
            http.h2.send_headers(stream, http.headers("/dns-query", ("content-type", TYPE),
                                                      method="POST"))
            while (size := min(16384, http.h2.local_flow_control_window(stream))) > 0:
                http.h2.send_data(stream, b"x" * size)
                sent += size
            http.flush()
        assert sent <= 256 * 1024
        assert frontend.metric("process_resident_memory_bytes") - before < 20 * 2**20
        assert http.wait_goaway() is None
    assert event(frontend, "idle") == 1


def test_pings_are_no_progress(start, authority):
    frontend = start(limits={"tls_idle_s": 1})
    with H2(frontend, authority) as http:
        begun = time.monotonic()
        http.socket.settimeout(0.2)
        while time.monotonic() < begun + 8:
            try:
                http.h2.ping(b"12345678")
                http.flush()
                if not http.pump():
                    break
            except socket.timeout:
                continue
            except OSError:
                break
            time.sleep(0.05)
        assert 0.8 < time.monotonic() - begun < 4
    assert event(frontend, "idle") == 1


def test_a_window_that_stays_shut_is_bounded(start, authority):
    """Replies wait for the client's window, and the connection is idle as long as it stays shut."""
    frontend = start(limits={"tls_idle_s": 1})
    ask(frontend, NAME)
    with H2(frontend, authority, settings={h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 0}) as http:
        for _ in range(60):
            http.get(flush=False)
        http.flush()
        wait_until(lambda: status_count(frontend, 200) == 60)
        http.wait_goaway()
        assert len(http.statuses) == 60 and not http.bodies
    assert event(frontend, "idle") == 1


def test_windows_are_kept(frontend, authority):
    """A long reply comes as the client makes room."""
    with H2(frontend, authority, settings={h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 1000}) as http:
        stream = http.get(get_path(query_of("big-0-2000.example.")))
        assert http.finish_one() == stream
        assert len(answers(dns.message.from_wire(http.bodies[stream]))) == 2000


@pytest.mark.parametrize("octets", [b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"\x00" * 100,
                                    os.urandom(300)], ids=["http1", "zeros", "random"])
def test_what_is_not_http2_is_ended(frontend, authority, octets):
    with connect(frontend, authority, "h2") as stream:
        stream.sendall(octets)
        try:
            while stream.recv(65536):
                pass
        except OSError:
            pass
    wait_until(lambda: event(frontend, "error") == 1)
    assert_serves(frontend, authority)


def test_plain_http_is_not_spoken(frontend):
    with socket.create_connection(split_address(frontend.secure), 10) as plain:
        plain.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0))
        try:
            assert b"HTTP" not in plain.recv(1000)
        except ConnectionError:
            pass
    wait_until(lambda: event(frontend, "handshake_failed") == 1)


def test_random_octets_after_a_good_beginning(frontend, authority):
    for seed in range(20):
        rest = bytes((seed * 37 + i * i * 11) & 0xff for i in range(400))
        for kind in range(10):
            with H2(frontend, authority) as http:
                try:
                    http.socket.sendall(frame(kind, seed & 0xff, seed % 3, rest[:seed * 5]) + rest)
                except OSError:
                    pass
        for start_of in Http1.get(), Http1.post(WIRE, f"Content-Length: {len(WIRE)}"):
            octets = bytearray(start_of)
            octets[seed * 3 % len(octets)] ^= 1 << seed % 8
            with Http1(frontend, authority) as http:
                http.send(bytes(octets))
    assert_serves(frontend, authority)
    assert frontend.is_running()


# --- the end --------------------------------------------------------------------------------------

@pytest.mark.parametrize("version", ["--http2", "--http1.1"])
def test_a_stop_answers_what_is_in_flight(frontend, authority, tmp_path, version):
    out = tmp_path / "out"
    curl = subprocess.Popen(["curl", "-sS", "--cacert", str(authority.certificate), version, "-o",
                             str(out), url(frontend, get_path(query_of("delay-0-500.example.")))])
    idle = H2(frontend, authority)
    wait_until(lambda: frontend.metric("godwit_frontend_queries_in_flight") == 1)
    frontend.process.terminate()
    assert idle.wait_goaway() == 0
    assert curl.wait(10) == 0
    assert answers(dns.message.from_wire(out.read_bytes())) == ["192.0.2.1"]
    assert frontend.wait_end() == 0


def test_clients_that_go_away_in_the_middle(frontend, authority):
    for _ in range(10):
        with H2(frontend, authority) as http:
            for i in range(10):
                http.get(get_path(query_of(f"delay-0-200.n{i}.example.")))
        with Http1(frontend, authority) as http:
            http.send(http.get(get_path(query_of("delay-0-200.example."))) * 3)
    wait_until(lambda: frontend.metric("godwit_frontend_queries_in_flight") == 0)
    wait_until(lambda: frontend.metric("godwit_frontend_tls_connections") == 0)
    assert frontend.metric('godwit_frontend_drops_total{reason="client_gone"}') > 0
    assert_serves(frontend, authority)
