"""Every conformance case, asked over UDP of a store that holds all their zones.

What is compared is said in test/conformance/README.md: response code, AA, and the records of answer
and authority as sets, names in any case, TTLs exact; a positive answer may leave out the zone's own
NS set; additional records are those that some group of servers gives with that answer.
"""

import json
import os
import pathlib

import dns.flags
import dns.rcode
import dns.rdatatype
import pytest

import godwit

CASES = pathlib.Path(os.environ.get(
    "GODWIT_CASES", godwit.REPOSITORY / "test" / "conformance" / "cases.jsonl"))

# How many leading fields of a type's data are names.
NAMES_IN_DATA = {"NS": 1, "CNAME": 1, "DNAME": 1, "SOA": 2}


def load_cases():
    with open(CASES, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def suffix(case):
    return f"t{case['id']}.ferret."


def move(name, case):
    """An absolute name under the case's own suffix."""
    return (name if name != "." else "") + suffix(case)


def zone_text(case):
    """The case's zone file under its suffix, and its apex."""
    lines, apex = [], None
    for line in case["zone"].splitlines():
        owner, ttl, rclass, rtype, data = line.split(None, 4)
        fields = data.split()
        for i in range(NAMES_IN_DATA.get(rtype, 0)):
            fields[i] = move(fields[i], case)
        if rtype == "SOA":
            apex = owner.lower()
        lines.append(" ".join([move(owner, case), ttl, rclass, rtype, *fields]))
    return "\n".join(lines) + "\n", apex


def record(text):
    """(owner, type, TTL, data), comparable."""
    owner, ttl, _, rtype, data = text.split(None, 4)
    return owner.lower(), rtype, int(ttl), data.lower()


def expected(response):
    """A group's response: code, AA and the three sections as sets."""
    sections, current = {";QUESTION": None}, None
    for line in response:
        if line.startswith(";"):
            current = sections.setdefault(line, set())
        elif current is not None:
            current.add(record(line))
    return (response[1].split()[1], "AA" in response[2].split(),
            sections[";ANSWER"], sections[";AUTHORITY"], sections[";ADDITIONAL"])


def received(reply, case):
    def section(rrsets):
        return {record(f"{rrset.name} {rrset.ttl} IN {dns.rdatatype.to_text(rrset.rdtype)} {rdata}"
                       .replace(suffix(case), "").replace(suffix(case).upper(), ""))
                for rrset in rrsets for rdata in rrset}
    return (dns.rcode.to_text(reply.rcode()), bool(reply.flags & dns.flags.AA),
            section(reply.answer), section(reply.authority), section(reply.additional))


def equal(got, want, apex):
    if got[:3] != want[:3]:
        return False
    own_ns = {r for r in want[3] if r[0] == apex and r[1] == "NS"} if want[2] else set()
    if got[3] == want[3]:
        return got[4] == want[4]
    # Without the zone's own NS set, their addresses may be missing too.
    return got[3] == want[3] - own_ns and got[4] <= want[4]


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
def test_every_case_is_answered_as_a_known_server_does(tcp, empty_store, start_backend,
                                                       start_frontend, tmp_path):
    cases = load_cases()
    assert len(cases) >= 1000 or "GODWIT_CASES" in os.environ
    apexes, files = {}, []
    for case in cases:
        text, apexes[case["id"]] = zone_text(case)
        file = tmp_path / f"{case['id']}.zone"
        file.write_text(text)
        files.append(file)
    empty_store.ctl("zone", "import", *files, timeout=300)
    backend = start_backend(empty_store).wait_ready(120)
    assert backend.metric("godwit_backend_zones") == len(cases)
    frontend = start_frontend([backend]).wait_ready()

    wrong = []
    for case in cases:
        reply = godwit.ask(frontend, move(case["query"]["Name"], case), case["query"]["Type"], tcp)
        got = received(reply, case)
        wanted = [expected(group["response"]) for group in case["answers"]]
        if not any(equal(got, want, apexes[case["id"]]) for want in wanted):
            wrong.append(f"case {case['id']}: {case['query']}\n got {got}\nwant {wanted}")
    assert not wrong, f"{len(wrong)} of {len(cases)} wrong:\n" + "\n".join(wrong[:5])
