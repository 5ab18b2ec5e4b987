"""Discovery of designated resolvers (RFC 9462): what _dns.resolver.arpa says, and that it is so."""

import dns.flags
import dns.message
import dns.query
import dns.rdatatype
import dns.rdtypes.svcbbase as svcb
import pytest

from certificates import Mount
from godwit import (answers, ask, free_address, free_port, has_ipv6, rcode, run, split_address,
                    wait_until)
from secure_frontend import authority, foreign, pair, start_secure

NAME = "_dns.resolver.arpa."


@pytest.fixture(scope="module")
def pair(authority):
    """As it should be: with a name, and the addresses clients begin with."""
    return authority.issue("dns.example", "IP:127.0.0.1,DNS:*.wild.example,DNS:dns.example")


@pytest.fixture
def start(start_secure):
    """start(listen, **config): `listen` is of encrypted listeners, {address: protocols}."""
    def make(listen, **config):
        return start_secure(*listen.items(), **config)
    return make


def records(frontend):
    """{(alpn, port): (target, ipv4hint, ipv6hint, dohpath)} in order of priority."""
    reply = ask(frontend, NAME, "SVCB", use_edns=0)
    found = {}
    for rdata in sorted((rdata for rrset in reply.answer for rdata in rrset),
                        key=lambda rdata: rdata.priority):
        params = rdata.params
        assert svcb.ParamKey.ALPN in params and svcb.ParamKey.PORT in params

        def hint(key):
            return list(params[key].addresses) if key in params else []
        path = params.get(7)
        found[params[svcb.ParamKey.ALPN].ids, params[svcb.ParamKey.PORT].port] = (
            str(rdata.target), hint(svcb.ParamKey.IPV4HINT), hint(svcb.ParamKey.IPV6HINT),
            path.value.decode() if path else None)
    return found


def test_every_encrypted_listener_is_told(start):
    tls, https = free_port(), free_port()
    listen = {f"127.0.0.1:{tls}": ["tls", "quic"], f"127.0.0.1:{https}": ["https"]}
    hints6 = []
    if has_ipv6():
        listen[f"[::1]:{tls}"] = ["tls"]
        hints6 = ["::1"]
    frontend = start(listen)
    assert records(frontend) == {
        ((b"dot",), tls): ("dns.example.", ["127.0.0.1"], hints6, None),
        ((b"h2",), https): ("dns.example.", ["127.0.0.1"], [], "/dns-query{?dns}"),
        ((b"doq",), tls): ("dns.example.", ["127.0.0.1"], [], None)}
    reply = ask(frontend, NAME, "SVCB")
    assert rcode(reply) == "NOERROR" and reply.flags & dns.flags.AA
    assert [rrset.ttl for rrset in reply.answer] == [300]


def test_a_client_that_follows_it_arrives(start, authority):
    """From an address alone to a checked, encrypted connection, as RFC 9462 section 4.2 has it."""
    frontend = start({free_address(): ["tls"], free_address(): ["https"]})
    for (alpn, port), (target, v4, _, path) in records(frontend).items():
        if alpn == (b"dot",):
            done = run("kdig", f"@{v4[0]}", "-p", port, f"+tls-ca={authority.certificate}",
                       f"+tls-hostname={target.rstrip('.')}", "www.example.com", check=False)
            assert "192.0.2.1" in done.stdout, done.stdout
        else:
            # The check is of the address in the URL, which the certificate has to carry.
            query = dns.message.make_query("www.example.com", "A")
            reply = dns.query.https(query, f"https://{v4[0]}:{port}{path.split('{')[0]}",
                                    verify=str(authority.certificate))
            assert answers(reply) == ["192.0.2.1"]


def test_kdig_and_dig_read_it(start):
    frontend = start({free_address(): ["tls"], free_address(): ["https"]})
    host, port = split_address(frontend.address)
    for program in "dig", "kdig":
        done = run(program, f"@{host}", "-p", port, NAME, "SVCB")
        assert "dns.example." in done.stdout and "NOERROR" in done.stdout, done.stdout
        assert "Malformed" not in done.stdout and "malformed" not in done.stdout


def test_listeners_on_all_addresses_give_no_hints(start):
    port = free_port()
    frontend = start({f"0.0.0.0:{port}": ["tls"], free_address(): ["tls"]})
    assert records(frontend)[(b"dot",), port] == ("dns.example.", [], [], None)


def test_path_is_as_configured(start):
    frontend = start({free_address(): ["https"]}, https={"path": "/other/path"})
    (_, _, _, path), = records(frontend).values()
    assert path == "/other/path{?dns}"


@pytest.mark.parametrize("name,rtype,expected", [
    (NAME, "A", "NOERROR"), (NAME, "HTTPS", "NOERROR"), ("_DNS.Resolver.ARPA.", "AAAA", "NOERROR"),
    ("resolver.arpa.", "A", "NOERROR"), ("resolver.arpa.", "NS", "NOERROR"),
    ("x.resolver.arpa.", "SVCB", "NXDOMAIN"), ("a._dns.resolver.arpa.", "SVCB", "NXDOMAIN")])
def test_the_rest_of_the_zone_is_empty_and_never_forwarded(start, name, rtype, expected):
    frontend = start({free_address(): ["tls"]})
    for tcp in False, True:
        reply = ask(frontend, name, rtype, tcp=tcp)
        assert rcode(reply) == expected and not reply.answer
        soa, = reply.authority
        assert str(soa.name).lower() == "resolver.arpa." and soa.rdtype == dns.rdatatype.SOA
        assert soa[0].minimum == 300
    assert frontend.metric("godwit_frontend_cache_misses_total") == 0
    soa = ask(frontend, "resolver.arpa.", "SOA")
    assert len(soa.answer) == 1 and soa.answer[0][0].serial == 1


@pytest.mark.parametrize("name", ["arpa.", "xresolver.arpa.", "resolver.arpa.example.", "aaaa.",
                                  "1.0.0.127.in-addr.arpa.", "\\010resolver.arpa."])
def test_other_names_are_asked_of_backends(start, name):
    assert answers(ask(start({free_address(): ["tls"]}), name)) == ["192.0.2.1"]


def test_queries_that_are_logged_get_the_same(start):
    frontend = start({free_address(): ["tls"]}, log={"queries": "all"})
    assert len(records(frontend)) == 1
    assert rcode(ask(frontend, "x.resolver.arpa.", "A")) == "NXDOMAIN"


def test_it_can_be_switched_off(start):
    frontend = start({free_address(): ["tls"]}, discovery=False)
    assert answers(ask(frontend, NAME)) == ["192.0.2.1"]  # a name like any other


def test_without_encryption_there_is_nothing_to_tell(foreign, start_frontend):
    frontend = start_frontend([foreign.address]).wait_ready()
    assert answers(ask(frontend, NAME)) == ["192.0.2.1"]


def test_a_certificate_without_a_name_cannot_be_told_of(start, authority):
    certificate = authority.issue("x", "IP:127.0.0.1,DNS:*.example")
    frontend = start({free_address(): ["tls"]}, certificate=certificate)
    reply = ask(frontend, NAME, "SVCB")
    assert rcode(reply) == "NOERROR" and not reply.answer and reply.authority
    assert "clients cannot discover encryption here" in frontend.log()


def test_a_new_certificate_brings_its_name(start, authority, pair, tmp_path):
    mount = Mount(tmp_path, pair)
    frontend = start({free_address(): ["tls"]}, certificate=mount)
    assert [target for target, *_ in records(frontend).values()] == ["dns.example."]
    mount.swap(authority.issue("new", "DNS:new.example"))
    wait_until(lambda: [target for target, *_ in records(frontend).values()] == ["new.example."])
