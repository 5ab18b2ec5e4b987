"""The examples in docs/ are what they say: complete, valid, and the defaults."""

import json
import re

import pytest

import godwit

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
