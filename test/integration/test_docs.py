"""The examples in docs/ are what they say: complete, valid, and the defaults."""

import json
import re

import pytest

import godwit
from certificates import Authority

DOCS = godwit.REPOSITORY / "docs"


@pytest.mark.parametrize("name", ["frontend", "backend", "announcer"])
def test_the_example_configuration_is_valid(name):
    godwit.run(godwit.program(f"godwit-{name}"), "--check", "--config", DOCS / f"{name}.yaml")


@pytest.mark.parametrize("name", ["frontend", "backend", "announcer"])
def test_a_key_that_does_not_exist_is_named_with_its_line(name, tmp_path):
    text = (DOCS / f"{name}.yaml").read_text()
    file = tmp_path / f"{name}.yaml"
    file.write_text(text + "nonsense: 1\n")
    done = godwit.run(godwit.program(f"godwit-{name}"), "--check", "--config", file, check=False)
    assert done.returncode == 1
    assert f"{file}:{len(text.splitlines()) + 1}: nonsense: " in done.stderr


def test_the_example_of_encryption_is_valid_too(tmp_path):
    """What stands in comments for want of a certificate, with one."""
    pair = Authority(tmp_path).issue("dns.example")
    text = (DOCS / "frontend.yaml").read_text()
    text = re.sub(r'^# (- \{ address: .*, protocols: \[(?:tls|https)\] \})$', r"  \1", text, flags=re.M)
    text = re.sub(r"^# (tls:\n)((?:#   .*\n)+)",
                  lambda found: found[1] + re.sub("^# ", "", found[2], flags=re.M), text, flags=re.M)
    text = re.sub(r"/etc/godwit/\w+\.crt", str(pair.certificate), text)
    text = re.sub(r"/etc/godwit/\w+\.key", str(pair.key), text)
    assert text.count(f"certificate: {pair.certificate}") >= 2 and "\ntls:\n" in text
    assert len(re.findall(r"^  - .*protocols: \[(tls|https)\]", text, flags=re.M)) == 2
    file = tmp_path / "frontend.yaml"
    file.write_text(text)
    godwit.run(godwit.program("godwit-frontend"), "--check", "--config", file)


def test_the_readme_names_only_files_that_exist():
    readme = (godwit.REPOSITORY / "README.md").read_text()
    links = re.findall(r"\]\(([^)#]+)\)", readme)
    assert links
    for link in links:
        assert (godwit.REPOSITORY / link).exists(), link


def test_the_demo_zone_is_imported_and_exported_alike(empty_store, tmp_path):
    empty_store.ctl("zone", "import", DOCS / "demo.zone")
    zone = empty_store.ctl("zone", "list").stdout.split()[0]
    first = empty_store.ctl("record", "list", zone, "--json").stdout
    exported = tmp_path / "exported.zone"
    exported.write_text(empty_store.ctl("zone", "export", zone).stdout)
    empty_store.ctl("zone", "import", exported, "--replace")
    assert json.loads(empty_store.ctl("record", "list", zone, "--json").stdout) == json.loads(first)
