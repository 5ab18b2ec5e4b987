"""HTTP/2 as RFC 9113 has it, by h2spec's judgement; scripts/test-h2spec gets h2spec."""

import os
import pathlib
import re
import shutil
import subprocess
import xml.etree.ElementTree

import pytest

from godwit import ask, split_address
from https_clients import NAME, assert_serves, frontend, get_path, query_of, start
from secure_frontend import authority, foreign, pair, start_secure

TOOLS = pathlib.Path(
    os.environ.get("GODWIT_H2SPEC_TOOLS")
    or pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    / "godwit-h2spec-tools")
H2SPEC = shutil.which("h2spec", path=f"{TOOLS}{os.pathsep}{os.environ['PATH']}")

# Cases that may fail, by section and title, with the reason. One that no longer fails is a fault.
ACCEPTED = {}

# What h2spec asks for: a reply from the cache; one longer than its window and a frame; a refusal.
PATHS = {"cached": get_path(query_of()), "long": get_path(query_of("big-0-2000.example.")),
         "refused": "/"}


def run_h2spec(frontend, path, report):
    """All cases, --strict ones too: {(section, title): what was wrong, "" for nothing}."""
    host, port = split_address(frontend.secure)
    done = subprocess.run(
        [H2SPEC, "--strict", "--tls", "--insecure", "--host", host, "--port", str(port),
         "--path", path, "--timeout", "5", "--junit-report", report],
        capture_output=True, text=True, timeout=300)
    cases = {}
    for case in xml.etree.ElementTree.parse(report).iter("testcase"):
        key = case.get("package"), case.get("classname")
        cases[key] = re.sub(r"\s+", " ", " ".join(
            f"{fault.tag} {fault.text}" for fault in case if fault.tag != "system-out"))
    return done, cases


@pytest.mark.skipif(H2SPEC is None, reason="no h2spec here; scripts/test-h2spec makes one")
@pytest.mark.parametrize("what", PATHS)
def test_h2spec(frontend, authority, tmp_path, what):
    ask(frontend, NAME)
    done, cases = run_h2spec(frontend, PATHS[what], tmp_path / "report.xml")
    failed = {key: fault for key, fault in cases.items() if fault}
    assert len(cases) >= 145, done.stdout + done.stderr
    assert failed.keys() == ACCEPTED.keys(), failed
    assert_serves(frontend, authority)
    assert frontend.metric("godwit_frontend_http2_floods_total") == 0
