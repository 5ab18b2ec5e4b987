"""DNS over HTTPS (RFC 8484): curl, kdig, dnsperf, httpx, dnspython and h2load as clients; what HTTP
asks of a server; and its end."""

import re
import subprocess

import dns.edns
import dns.message
import dns.query
import dns.rcode
import dns.opcode
import pytest

from godwit import SANITIZED, answers, ask, run, split_address, wait_until
from https_clients import (
    GOOD, H2, Http1, NAME, TYPE, assert_serves, both_versions, client, curl, event, frontend,
    get_path, query_of, start, status_count, url)
from secure_frontend import authority, foreign, pair, start_secure

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


def test_replies_come_as_they_are_ready_on_http2(start, authority):
    frontend = start(limits={"query_timeout_ms": 30000})
    with H2(frontend, authority) as http:
        slow = http.get(get_path(query_of("delay-0-2000.example.")))
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


# --- the end --------------------------------------------------------------------------------------

@pytest.mark.parametrize("version", ["--http2", "--http1.1"])
def test_a_stop_answers_what_is_in_flight(start, authority, tmp_path, version):
    frontend = start(limits={"query_timeout_ms": 10000})
    out = tmp_path / "out"
    curl = subprocess.Popen(["curl", "-sS", "--cacert", str(authority.certificate), version, "-o",
                             str(out), url(frontend, get_path(query_of("delay-0-2000.example.")))])
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
