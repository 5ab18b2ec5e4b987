"""godwitctl zone import and export: master files against dnspython's reading of them, round trips,
and errors that name file and line."""

import json
import os
import pty
import random
import re
import subprocess

import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.zone
import pytest

import godwit

SOA = "@ 300 IN SOA ns hostmaster 1 2 3 4 5\n@ 300 NS ns\n"


@pytest.fixture
def import_text(empty_store, tmp_path):
    """import_text(text, ...) writes a file and imports it; returns the CompletedProcess."""
    def run(text, *options, name="example.com.zone", check=True):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        if isinstance(text, bytes):
            path.write_bytes(text)
        else:
            path.write_text(text)
        return empty_store.ctl("zone", "import", path, *options, check=check)
    return run


def stored(store, zone):
    """What the store has, as dnspython sees it: {(owner, type, data on the wire): TTL}."""
    found = {}
    for record in json.loads(store.ctl("record", "list", zone, "--json").stdout):
        rdtype = dns.rdatatype.from_text(record["type"])
        data = dns.rdata.from_text("IN", rdtype, record["data"])
        name = dns.name.from_text(record["name"])
        found[name, rdtype, data.to_digestable(dns.name.root)] = record["ttl"]
    return found


def expected(text, origin):
    """The same for a master file read by dnspython, which wants the TTL before the class and does
    not know carriage returns."""
    text = re.sub(r"\bIN[ \t]+(60|5m|2H)\b", r"\1 IN", text.replace("\r\n", "\n"))
    zone = dns.zone.from_text(text, origin, relativize=False, check_origin=False,
                              allow_include=False)
    found = {}
    for name, ttl, data in zone.iterate_rdatas():
        found[name, data.rdtype, data.to_digestable(dns.name.root)] = ttl
    return found


# --- what is read ---------------------------------------------------------------------------------

REAL_FILE = """\
; An ordinary zone, the way people write them
$ORIGIN com.
$TTL 3D
example\tIN\tSOA\tns1.example.com. host\\.master.example.com. (
\t\t2024010101\t; serial
\t\t8H\t\t; refresh
\t\t2H ; retry
\t\t4W
\t\t1D )
\t\tNS\tns1.example
\t\tNS\tns2.elsewhere.net.
\t\tMX\t10 mail.example
\t\tTXT\t"v=spf1 mx; -all" "second string"
$ORIGIN example.com.
ns1\t60\tIN\tA\t192.0.2.1
\tIN 2H AAAA\t2001:db8::1
mail\tA\t192.0.2.2 ; comment
www\tCNAME @
*.dyn\t1m30s\tA\t192.0.2.3
_sip._tcp\tSRV 0 5 5060 sip
sip\t\tA\t192.0.2.4
@\tCAA\t0 issue "ca.example.net; account=1"
_443._tcp.www TLSA 3 1 1 ( 0123456789abcdef0123456789abcdef
\t\t0123456789ABCDEF0123456789ABCDEF )
b\\.c\\032d\tTXT\tescaped\\;text
unknown\tTYPE65280\t\\# 4 ( 0102
  0304 )
sub\tNS\tns.sub
ns.sub\tA\t192.0.2.5
sub\tDS\t1 8 2 0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF
"""


def test_a_real_file_reads_as_dnspython_reads_it(empty_store, import_text):
    done = import_text(REAL_FILE)
    want = expected(REAL_FILE, "example.com")
    assert done.stdout == f"imported {len(want)} records in 1 zone\n"
    assert stored(empty_store, "example.com") == want
    import_text(REAL_FILE.replace("\n", "\r\n"), "--replace")
    assert stored(empty_store, "example.com") == want


def random_file(random):
    """A random zone file that exercises the syntax; every record of it is good."""
    lines = [random.choice(["$TTL 1h", "$TTL 300", "$TTL 1w2d3h4m5s"]),
             "@ SOA ns (h\n 1 1h ; comment )\n 2m 3600\n) 60", "@ NS ns"]
    labels = ["a", "B", "www", "x-1", "_tcp", "l\\.dot", "sp\\032ace", "\\000\\255", "semi\\;"]

    def name():
        relative = ".".join(random.sample(labels, random.randint(1, 3)))
        return random.choice([relative, relative, relative + ".example.org."])

    def data():
        return random.choice([
            lambda: f"A 192.0.2.{random.randrange(256)}",
            lambda: f"AAAA 2001:db8::{random.randrange(65536):x}",
            lambda: f"MX {random.randrange(65536)} {name()}",
            lambda: f"SRV 1 ( 2 ; half\n 3 {name()} )",
            lambda: f'TXT "quoted ; ( {random.random()}" bare\\; "" \\"',
            lambda: "TXT " + " ".join('"%s"' % ("y" * 255) for _ in range(random.randint(1, 40))),
            lambda: f"PTR {name()}",
            lambda: f"CAA 0 issue \"ca{random.randrange(9)}.example; x=y\"",
            lambda: f"TYPE{random.randrange(65281, 65535)} \\# 2 ( 0 1\n 0 2 )".replace(
                "0 1\n 0 2", "01\n02"),
            lambda: "SSHFP 4 2 " + "%064x" % random.getrandbits(256),
            lambda: "SVCB 1 . alpn=\"h2,h3\" port=8443 ipv4hint=192.0.2.1",
            lambda: 'NAPTR 1 2 "s" "SIP+D2U" "" ' + name(),
        ])()

    count = 0
    for _ in range(120):
        ttl = random.choice(["", "", "60", "5m"])
        head = random.choice([f"{ttl} IN", f"IN {ttl}", ttl])
        owner = random.choice([name(), name(), "", "\t"])
        lines.append(random.choice(["", "; comment", "\t", f"$ORIGIN o{count}.example.org."] +
                                   [f"{owner} {head} {data()} ; end"] * 8))
        count += 1
    return random.choice(["\n", "\r\n"]).join("\n".join(lines).split("\n")) + "\n"


@pytest.mark.parametrize("seed", range(20))
def test_random_files_read_as_dnspython_reads_them(empty_store, import_text, seed):
    text = random_file(random.Random(seed))
    import_text(text, "--origin", "example.org")
    got, want = stored(empty_store, "example.org"), expected(text, "example.org")
    assert set(got) == set(want)
    assert got == want


GENERATED_FILE = """\
$TTL 300
@ SOA ns h 1 2 3 4 5
@ NS ns
$GENERATE 1-254 $ PTR host-$.example.net.
$GENERATE 1-254/3 a${-1,3} A 192.0.2.$
$GENERATE 0-31/2 o${0,4,o} 60 IN AAAA 2001:db8::${4096,0,x}
$GENERATE 0-300/7 up${10,3,X} 1h TXT v${100,8,X}
$GENERATE 0-255 ${0,3,n}.rev CNAME ${256,5,N}.up
$GENERATE 0-15 $.0-15 NS ns${0,2}
$ORIGIN sub.example.com.
$GENERATE 5-6 $ CNAME $.2.0.192.in-addr.arpa.
"""


def test_generate_reads_as_dnspython_reads_it(empty_store, import_text):
    done = import_text(GENERATED_FILE)
    want = expected(GENERATED_FILE, "example.com")
    assert len(want) == 674 and done.stdout == "imported 674 records in 1 zone\n"
    assert stored(empty_store, "example.com") == want


@pytest.mark.parametrize("seed", range(10))
def test_random_generates_read_as_dnspython_reads_them(empty_store, import_text, seed):
    """Within what both take: dnspython knows one spelling of "$" a side, and cuts nibbles off."""
    rand = random.Random(seed)

    def number(stop):
        offset = rand.randrange(100)
        base = rand.choice("doxXnN")
        width = 2 * rand.randrange(4, 8) - 1 if base in "nN" else rand.randrange(7)
        return rand.choice(["$", "${%d}" % offset, "${%d,%d}" % (offset, width),
                            "${%d,%d,%s}" % (offset, width, base)])

    text = "$TTL 60\n" + SOA
    for i in range(20):
        start, stop = sorted(rand.sample(range(1000), 2))
        step = rand.choice(["", "/%d" % rand.randrange(1, 50)])
        data = rand.choice(["A 192.0.2.1", "CNAME x-%s.y", "PTR %s", "TXT a%s"])
        text += "$GENERATE %d-%d%s %s.g%d %s %s %s\n" % (
            start, stop, step, number(stop), i, rand.choice(["", "9", "2h"]),
            rand.choice(["", "IN"]), data.replace("%s", number(stop)))
    import_text(text)
    assert stored(empty_store, "example.com") == expected(text, "example.com")


def test_standard_input_is_a_file_too(empty_store, tmp_path):
    (tmp_path / "hosts").write_text("a 9 A 192.0.2.1\n")
    other = tmp_path / "other.example.zone"
    other.write_text(SOA)
    done = empty_store.ctl("zone", "import", "-", other, "--origin", "example.com", cwd=tmp_path,
                           input="$ORIGIN example.com.\n" + SOA + "$INCLUDE hosts\n", check=False)
    assert done.returncode == 1 and "was read from <stdin> already" in done.stderr
    done = empty_store.ctl("zone", "import", "-", other, cwd=tmp_path,
                           input="$ORIGIN example.com.\n" + SOA + "$INCLUDE hosts\n")
    assert done.stdout == "imported 5 records in 2 zones\n" and done.stderr == ""
    exported = empty_store.ctl("zone", "export", "example.com").stdout
    assert empty_store.ctl("zone", "import", "--replace", "-", input=exported).stdout == (
        "imported 3 records in 1 zone\n")


@pytest.mark.parametrize("text, error", [
    (SOA, "<stdin>:1: a relative name"),
    ("$ORIGIN x.\n" + SOA + "a A 192.0.2.256\n", "<stdin>:4: A data"),
    ("", "<stdin>: no SOA"),
])
def test_errors_of_standard_input_have_its_name(empty_store, text, error):
    done = empty_store.ctl("zone", "import", "-", input=text, check=False)
    assert done.returncode == 1 and done.stderr.startswith(error) and done.stdout == ""


def test_standard_input_is_read_once(empty_store):
    done = empty_store.ctl("zone", "import", "-", "-", input=SOA, check=False)
    assert done.returncode == 1 and "only once" in done.stderr


# One line for each type that both libldns and Debian know, and some odd ones.
ALL_TYPES = r"""
a A 192.0.2.1
aaaa AAAA 2001:db8::ffff:1
afsdb AFSDB 1 afs.example.org.
apl APL 1:192.0.2.0/24 !2:2001:db8::/32
caa CAA 128 issuewild "ca.example; policy=\"x\""
cdnskey CDNSKEY 257 3 13 mdsswUyr3DPW132mOi8V9xESWE8jTo0dxCjjnopKl+GqJxpVXckHAeF+KkxLbxILfDLUT0rAK9iUzy1L53eKGQ==
cds CDS 60485 5 1 2BB183AF5F22588179A53B0A98631FAD1A292118
cert CERT PGP 0 0 aGVsbG8gd29ybGQ=
csync CSYNC 66 3 A NS AAAA
dhcid DHCID AAIBY2/AuCccgoJbsaxcQc9TUapptP69lOjxfNuVAA2kjEA=
dnskey DNSKEY 256 3 13 mdsswUyr3DPW132mOi8V9xESWE8jTo0dxCjjnopKl+GqJxpVXckHAeF+KkxLbxILfDLUT0rAK9iUzy1L53eKGQ==
ds DS 60485 8 2 0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF
eui48 EUI48 00-00-5e-00-53-2a
eui64 EUI64 00-00-5e-ef-10-00-00-2a
hinfo HINFO "PC Intel" "Un\"ix"
https HTTPS 1 . alpn=h2,h3 ipv4hint=192.0.2.1,192.0.2.2 ipv6hint=2001:db8::1 port=8443
alias HTTPS 0 svc.example.net.
isdn ISDN "150862028003217" "004"
kx KX 10 kx.example.org.
loc LOC 52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000.00m 10.00m
mx MX 10 mail
naptr NAPTR 100 50 "s" "z3950+I2L+I2C" "" _z3950._tcp.gatech.edu.
naptr2 NAPTR 100 10 "u" "E2U+sip" "!^.*$!sip:info@example.com!" .
ns NS ns.sub
nsec NSEC host.example.com. A MX RRSIG NSEC TYPE1234
nsec3 NSEC3 1 1 12 AABBCCDD 2T7B4G4VSA5SMI47K61MV5BV1A22BOJR MX DNSKEY NS SOA NSEC3PARAM RRSIG
nsec3param NSEC3PARAM 1 0 12 AABBCCDD
nsec3param2 NSEC3PARAM 1 0 0 -
openpgpkey OPENPGPKEY aGVsbG8gd29ybGQ=
ptr PTR host
px PX 10 map822.example. mapx400.example.
rp RP mbox.example. txt.example.
rrsig RRSIG A 5 3 86400 20300322173103 20300220173103 2642 example.com. oJB1W6WNGv+ldvQ3WDG0MQkg5IEhjRip8WTrPYGv07h108dUKGMeDPKijVCHX3DDKdfb+v6oB9wfuh3DTJXUAfI=
rt RT 10 relay.example.
smimea SMIMEA 3 1 1 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
spf SPF "v=spf1 -all"
srv SRV 0 5 5060 sip
sshfp SSHFP 4 2 123456789abcdef67890123456789abcdef67890123456789abcdef123456789
svcb SVCB 16 foo.example.org. alpn="h2,h3-19" mandatory=ipv4hint,alpn ipv4hint=192.0.2.1
tlsa TLSA 3 1 1 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
txt TXT "a" "" "b;c" "\000\255\"\\"
type1 TYPE1 \# 4 c0000201
type65534 TYPE65534 \# 0
uri URI 10 1 "ftp://ftp1.example.com/public;x"
x25 X25 "311061700956"
zonemd ZONEMD 2018031900 1 1 c68090d90a7aed716bc459f9340e3d7c1370d4d24b7e2fc3a1ddc0b9a87153b9a9713b3c9ae5cc27777f98b8e730044c
dname DNAME target.example.
*.wild CNAME @
\@ A 192.0.2.2
\$ORIGIN A 192.0.2.3
\;\(\)\"\\\.\000\032 A 192.0.2.4
-- A 192.0.2.5
0 A 192.0.2.6
in A 192.0.2.7
"""


def test_every_type_and_odd_name_round_trips(empty_store, import_text):
    text = "$TTL 60\n" + SOA + ALL_TYPES.strip("\n") + "\n"
    import_text(text, "--origin", "example.com")
    first = stored(empty_store, "example.com")
    known = expected(text, "example.com")
    assert first == known

    exported = empty_store.ctl("zone", "export", "example.com").stdout
    lines = exported.splitlines()
    assert lines[:2] == ["$ORIGIN example.com.", "$TTL 300"]
    assert re.match(r"@ +IN SOA ", lines[2])
    assert expected(exported, "example.com") == known
    import_text(exported, "--replace", name="other")
    assert stored(empty_store, "example.com") == first
    assert empty_store.ctl("zone", "export", "example.com").stdout == exported


def test_what_is_imported_is_served(empty_store, import_text, start_backend):
    import_text("$TTL 60\n" + SOA + ALL_TYPES.strip("\n") + "\n")
    count = len(stored(empty_store, "example.com"))
    backend = start_backend(empty_store).wait_ready()
    assert backend.metric("godwit_backend_records_rejected_total") == 0
    assert backend.metric("godwit_backend_records") == count


def test_the_root_zone_round_trips(empty_store, import_text):
    text = ". 9 SOA a.root. h.root. 1 2 3 4 5\n. 9 NS a.root.\ncom. 9 NS a.gtld.\na.gtld. 9 A 192.0.2.1\n"
    import_text(text)
    exported = empty_store.ctl("zone", "export", ".").stdout
    assert expected(exported, ".") == expected(text, ".") == stored(empty_store, ".")


def test_include_is_relative_to_the_including_file(empty_store, import_text, tmp_path):
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "hosts").write_text("a 9 A 192.0.2.1\n$INCLUDE more inner\nc 9 A 192.0.2.3\n")
    (tmp_path / "parts" / "more").write_text("b 9 A 192.0.2.2\n")
    import_text(SOA + "$INCLUDE parts/hosts\n")
    names = {str(name) for name, rdtype, _ in stored(empty_store, "example.com") if rdtype == 1}
    assert names == {"a.example.com.", "b.inner.example.com.", "c.example.com."}


def test_duplicates_go_and_the_lowest_ttl_holds(empty_store, import_text):
    done = import_text(SOA + "a 9 A 192.0.2.1\nA 7 A 192.0.2.1\na 8 A 192.0.2.2\nb 5 TXT x\nb 6 TXT y\n")
    assert "imported 5 records" not in done.stdout and "imported 6 records" in done.stdout
    ttls = {(str(name), rdtype): ttl for (name, rdtype, _), ttl in
            stored(empty_store, "example.com").items()}
    assert ttls["a.example.com.", 1] == 7 and ttls["b.example.com.", 16] == 5
    assert done.stderr.count("\n") == 1 and "different TTLs" in done.stderr


def test_a_zone_without_ns_is_imported_with_a_warning(import_text):
    done = import_text("@ 1 SOA ns h 1 2 3 4 5\n")
    assert re.search(r"example\.com\.zone:1: warning: example\.com\. has no NS", done.stderr)
    assert done.stdout == "imported 1 record in 1 zone\n"


def test_what_an_axfr_prints_can_be_imported(import_text):
    soa = "example.com. 300 IN SOA ns.example.com. h.example.com. 1 2 3 4 5\n"
    done = import_text(soa + "example.com. 300 IN NS ns.example.com.\n" + soa, name="dump")
    assert done.stdout == "imported 2 records in 1 zone\n"


# --- many files, all or nothing -------------------------------------------------------------------

def test_thousands_of_files_are_one_call(empty_store, tmp_path):
    paths = []
    for i in range(3000):
        paths.append(tmp_path / f"z{i}.example.zone")
        paths[-1].write_text(SOA + f"a 9 A 192.0.2.{i % 256}\n")
    done = empty_store.ctl("zone", "import", *paths)
    assert done.stdout == "imported 9000 records in 3000 zones\n" and done.stderr == ""
    assert len(empty_store.ctl("zone", "list").stdout.split()) == 3000


def test_one_bad_file_and_none_is_imported(empty_store, tmp_path):
    good, bad = tmp_path / "good.example.zone", tmp_path / "bad.example.zone"
    good.write_text(SOA)
    bad.write_text(SOA + "a A 192.0.2.300\n")
    done = empty_store.ctl("zone", "import", good, bad, check=False)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith(f"{bad}:3: ") and done.stderr.count("\n") == 1
    assert empty_store.ctl("zone", "list").stdout == ""


def test_replace_replaces_all_of_it(empty_store, import_text):
    import_text(SOA + "old 9 A 192.0.2.1\n")
    done = import_text("\n" + SOA, check=False)
    assert done.returncode == 1 and ":2: the zone example.com is in the store" in done.stderr
    assert "--replace" in done.stderr
    import_text(SOA + "new 9 A 192.0.2.1\n", "--replace")
    names = {str(name) for name, _, _ in stored(empty_store, "example.com")}
    assert names == {"example.com.", "new.example.com."}


def test_one_zone_in_two_files_is_an_error(empty_store, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("$ORIGIN example.com.\n" + SOA)
    two.write_text("$ORIGIN EXAMPLE.com.\n" + SOA)
    for options in ((), ("--replace",)):
        done = empty_store.ctl("zone", "import", one, two, *options, check=False)
        assert done.returncode == 1 and f"{two}:2: " in done.stderr and str(one) in done.stderr


# --- errors ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("text, line, hint", [
    (SOA + "a A 192.0.2.1\nb A 192.0.2.x\n", 4, "192.0.2.x"),
    (SOA + "a A (\n192.0.2.1\n", 3, "never closed"),
    (SOA + "a TXT \"open\n", 3, "not closed"),
    (SOA + "a A 192.0.2.1 )\n", 3, "\")\""),
    (SOA + "a NONSENSE 1\n", 3, "NONSENSE"),
    (SOA + "a CH TXT x\n", 3, "only IN"),
    (SOA + "$NONSENSE 1\n", 3, "$NONSENSE"),
    (SOA + "$GENERATE 1-9 a$ A\n", 3, "$GENERATE takes"),
    (SOA + "\n$GENERATE 9-1 a$ A 192.0.2.$\n", 4, "9-1 is not a range"),
    (SOA + "$GENERATE 250-256 a$ A 192.0.2.$\n", 3, "192.0.2.256"),
    (SOA + "$GENERATE 1-9 a${0,x} A 192.0.2.$\n", 3, "${OFFSET"),
    (SOA + "a A 192.0.2.9\n$GENERATE 1-9 ${0,1,n} CNAME a\n$GENERATE 9-9 $ A 192.0.2.1\n", 5,
     "CNAME beside other"),
    (SOA + "$INCLUDE nowhere\n", 3, "nowhere"),
    (SOA + "a A 192.0.2.1\na CNAME b\n", 4, "CNAME beside other"),
    (SOA + "a CNAME b\n\na TXT x\n", 5, "CNAME beside other"),
    (SOA + "a CNAME b\na CNAME c\n", 4, "two different CNAME"),
    (SOA + "a DNAME b\na DNAME c\n", 4, "two different DNAME"),
    (SOA + "@ SOA ns h 2 2 3 4 5\n", 3, "two different SOA"),
    (SOA + "a SOA ns h 1 2 3 4 5\n", 3, "one zone"),
    (SOA + "www.example.net. A 192.0.2.1\n", 3, "not within"),
    (SOA + "a MX mail\n", 3, "MX"),
    (SOA + "x" * 64 + " A 192.0.2.1\n", 3, "63"),
    (SOA + "a TYPE1 \\# 3 010203\n", 3, "TYPE1"),
    (SOA + "a DNSKEY 257 3 13\n", 3, "DNSKEY"),
    (SOA + "a RRSIG A 5\n", 3, "RRSIG"),
    (SOA + "a CERT PGP 0 0\n", 3, "CERT"),
    (SOA + "a NSEC3PARAM 1 0 12\n", 3, "NSEC3PARAM"),
    (SOA + "a CAA 0 issue\n", 3, "CAA"),
    (SOA + "a TXT \"" + "x" * 256 + "\"\n", 3, "TXT"),
    ("@ NS ns\n" + SOA, 1, "$TTL"),
    (b"@ 1 SOA ns h 1 2 3 4 5\na 1 TXT \0\n", 2, "NUL"),
])
def test_errors_name_file_and_line(empty_store, import_text, tmp_path, text, line, hint):
    done = import_text(text, check=False)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith(f"{tmp_path}/example.com.zone:{line}: "), done.stderr
    assert hint in done.stderr and done.stderr.count("\n") == 1
    assert empty_store.ctl("zone", "list").stdout == ""


def test_files_that_hold_no_zone(import_text):
    assert "no SOA" in import_text("", check=False).stderr
    assert "no SOA" in import_text("a 1 A 192.0.2.1\n", check=False).stderr
    error = import_text(SOA, name="zonefile", check=False).stderr
    assert "zonefile:1: " in error and "--origin" in error


def test_errors_do_not_play_with_the_terminal(import_text):
    error = import_text(SOA + "a \x1b[31mred 1\n", check=False).stderr
    assert "\x1b" not in error and "red" in error


# --- the terminal ---------------------------------------------------------------------------------

def test_a_progress_bar_only_at_a_terminal(empty_store, tmp_path):
    path = tmp_path / "example.com.zone"
    path.write_text(SOA + "".join(f"h{i} 9 A 192.0.2.1\n" for i in range(20000)))
    assert empty_store.ctl("zone", "import", path).stderr == ""

    master, terminal = pty.openpty()
    with subprocess.Popen([godwit.program("godwitctl"), "--store", empty_store.url, "zone", "import",
                           "--replace", path], stdout=subprocess.PIPE, stderr=terminal,
                          env=godwit.environment()) as process:
        os.close(terminal)
        shown = b""
        while True:
            try:
                octets = os.read(master, 65536)
            except OSError:  # the terminal's other end is gone
                break
            if not octets:
                break
            shown += octets
        assert process.stdout.read() == b"imported 20002 records in 1 zone\n"
    os.close(master)
    assert process.returncode == 0
    assert b"records/s" in shown and b" %" in shown
    assert shown.endswith(b"\r\x1b[K")  # and takes it away again
