"""DNS in JSON over HTTPS, compared with what DNS says."""

import re

import pytest

from godwit import Store, ask
from https_clients import client, frontend, start, url
from secure_frontend import authority, foreign, pair, start_secure

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
    return start(backend=backend.wait_ready())


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
