"""docs/kubernetes.md is what it says: its objects are valid, its routers take their lines, its commands run."""

import os
import re
import shutil
import subprocess
import tempfile
import textwrap

import pytest

import godwit
from chart import FOREIGN, check_schema, containers, needs_schemas, yaml

PAGE = (godwit.REPOSITORY / "docs" / "kubernetes.md").read_text()
BLOCKS = [
    textwrap.dedent(block) for block in re.findall(r"(?:^    .*\n(?:\n(?=    ))?)+", PAGE, re.MULTILINE)
]


def block(beginning):
    [found] = [text for text in BLOCKS if text.startswith(beginning)]
    return found


def objects():
    return [yaml.safe_load(text) for text in BLOCKS if text.startswith("apiVersion:")]


def kind(name):
    [found] = [item for item in objects() if item["kind"] == name]
    return found


def test_every_link_leads_somewhere():
    links = re.findall(r"\]\(([^)#]+)\)", PAGE)
    assert links
    for link in links:
        assert (godwit.REPOSITORY / "docs" / link).exists(), link


@needs_schemas
def test_every_object_is_valid_kubernetes():
    checked = [item["kind"] for item in objects() if item["kind"] not in FOREIGN | {"Certificate"}]
    assert sorted(checked) == ["CronJob", "Deployment"]
    for name in checked:
        assert not check_schema(kind(name)), name


@pytest.mark.parametrize("answer, written", [("192.0.2.9", True), ("<html>", False), ("", False)])
def test_the_cron_job_writes_addresses_and_nothing_else(answer, written, tmp_path):
    pod = kind("CronJob")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    [job] = containers(pod)
    for name, script in (
        ("wget", f"echo '{answer}'"),
        ("redis-cli", f'printf "%s\\n" "$*" >{tmp_path}/written'),
    ):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    done = subprocess.run(
        [*job["command"], *job["args"]], env={"PATH": f"{tmp_path}:{os.environ['PATH']}"}, timeout=20
    )
    assert (done.returncode == 0) == written
    if written:
        said = (tmp_path / "written").read_text().strip()
        assert said == f"-h godwit-redis HSET dns:office.example.com A {answer} ttl 60"
    else:
        assert not (tmp_path / "written").exists()


def test_external_dns_finds_a_provider_that_knows_its_options():
    [godwitctl] = [
        c for c in containers(kind("Deployment")["spec"]["template"]["spec"]) if c["name"] == "godwit"
    ]
    program, command, *options = godwitctl["command"]
    assert program == "godwitctl"
    text = godwit.run(godwit.program(program), command, "--help").stdout
    for option in options:
        if option.startswith("--"):
            assert option in text, option


@pytest.mark.skipif(shutil.which("bird") is None, reason="no bird here")
def test_bird_takes_its_lines(tmp_path):
    file = tmp_path / "bird.conf"
    file.write_text("router id 192.168.1.1;\n" + block("protocol bfd"))
    godwit.run("bird", "-p", "-c", file)
    file.write_text("router id 192.168.1.1;\nprotocol bfd { nonsense; }\n")
    assert godwit.run("bird", "-p", "-c", file, check=False).returncode != 0


@pytest.mark.skipif(not os.path.exists("/usr/lib/frr/bgpd"), reason="no FRR here")
def test_frr_takes_its_lines():
    def faults(text):
        """What bgpd says; its exit status is 0 in any case. It reads as a user of its own."""
        # Not in TMPDIR, which may be for one user alone.
        with tempfile.NamedTemporaryFile("w", suffix=".conf", dir="/tmp") as file:
            file.write(text)
            file.flush()
            os.chmod(file.name, 0o644)
            done = godwit.run("/usr/lib/frr/bgpd", "-C", "-f", file.name)
        assert "can't open" not in done.stderr + done.stdout
        return done.stdout + done.stderr

    assert "config line" not in faults(block("router bgp"))
    assert "config line 2" in faults("router bgp 64513\n nonsense\n")
