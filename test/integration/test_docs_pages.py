"""What the pages in docs/ tell people to write and to type is right: configurations are valid,
commands exist and do what is said, metrics are those of running programs, links lead somewhere."""

import re
import subprocess
import textwrap

import pytest

import godwit
from certificates import Authority

DOCS = godwit.REPOSITORY / "docs"
PAGES = sorted(DOCS.glob("*.md"))
GUIDES = [DOCS / f"{name}.md" for name in (
    "install", "operate", "monitor", "shape-single-node", "shape-home-lab", "shape-public",
    "shape-tiers")]


def blocks(page):
    """The indented blocks of a page."""
    found = re.findall(r"(?:^|\n\n)((?:    .*\n|\n(?=    ))+)", page.read_text())
    return [textwrap.dedent(block) for block in found]


def configurations():
    for page in GUIDES:
        for number, text in enumerate(blocks(page)):
            parts = re.split(r"(?m)^# (frontend|backend|announcer)\.yaml\n", text)
            for program, configuration in zip(parts[1::2], parts[2::2]):
                yield pytest.param(program, configuration, id=f"{page.stem}-{number}-{program}")


@pytest.fixture(scope="module")
def etc(tmp_path_factory):
    """What the pages have in /etc/godwit."""
    directory = tmp_path_factory.mktemp("etc")
    authority = Authority(directory)
    pair = authority.issue("backend", "DNS:backend.internal.example")
    for name, source in (("ca.crt", authority.certificate), ("tls.crt", pair.certificate),
                         ("tls.key", pair.key)):
        (directory / name).write_bytes(source.read_bytes())
    (directory / "store.password").write_text("secret\n")
    return directory


@pytest.mark.parametrize("program, configuration", configurations())
def test_a_configuration_is_valid(program, configuration, etc, tmp_path):
    file = tmp_path / f"{program}.yaml"
    file.write_text(configuration.replace("/etc/godwit/", f"{etc}/"))
    godwit.run(godwit.program(f"godwit-{program}"), "--check", "--config", file)


def test_every_guide_has_been_looked_at():
    assert len(list(configurations())) >= 9
    assert {page.name for page in GUIDES} <= {page.name for page in PAGES}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        if "://" not in link:
            assert (page.parent / link).exists(), link


@pytest.mark.parametrize("page", GUIDES + [DOCS / "kubernetes.md"], ids=lambda page: page.stem)
def test_commands_of_godwitctl_exist_with_their_options(page):
    text = page.read_text()
    lines = [line for block in blocks(page) for line in block.splitlines()]
    calls = [call for line in lines + re.findall(r"`([^`\n]+)`", text)
             for call in re.findall(r"(?:^|\s|\()godwitctl ([^;)#]*)", line)]
    for call in calls:
        words = re.sub(r"--(store|password-file) \S+", "", call).split()
        if not words or words[0].startswith("-"):
            continue
        done = godwit.run(godwit.program("godwitctl"), *words[:2], "--help", check=False)
        done = done if done.stdout.startswith("godwitctl") and words[0] in done.stdout.splitlines()[
            0] else godwit.run(godwit.program("godwitctl"), words[0], "--help", check=False)
        usage = done.stdout.splitlines()[0]
        assert words[0] in usage, call
        for option in re.findall(r"--[a-z-]+", " ".join(words)):
            assert option in done.stdout, call


@pytest.mark.parametrize("page", GUIDES + [DOCS / "kubernetes.md"], ids=lambda page: page.stem)
def test_metrics_are_there(page, frontend, backend):
    known = frontend.get("/metrics")[1] + backend.get("/metrics")[1]
    sources = "".join(path.read_text() for path in (godwit.REPOSITORY / "announcer").glob("*.c"))
    for name in set(re.findall(r"godwit_(?:frontend|backend)_[a-z_]+[a-z]", page.read_text())):
        if "certificate" not in name:  # only with TLS
            assert name in known, name
    for name in set(re.findall(r"godwit_announcer_([a-z_]+[a-z])", page.read_text())):
        assert f'"{name}"' in sources, name


def shell(script, directory, **variables):
    """Runs a block of a page with the programs of the build first in the path."""
    environment = godwit.environment(**variables)
    environment["PATH"] = f"{godwit.BUILD / 'bin'}:{environment['PATH']}"
    done = subprocess.run(["bash", "-euc", script], cwd=directory, env=environment, text=True,
                          capture_output=True, timeout=120)
    assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
    return done.stdout


def block_with(page, text):
    found = [block for block in blocks(DOCS / page) if text in block]
    assert len(found) == 1, f"{page}: {text} stands in {len(found)} blocks"
    return found[0]


def test_a_back_up_brings_back_every_record(store, tmp_path):
    (tmp_path / "backup").mkdir()
    before = store.ctl("zone", "export", "example.com").stdout
    shell(block_with("operate.md", "zone export $zone").replace(
        "godwitctl zone import", "godwitctl zone delete example.com; godwitctl zone import"),
        tmp_path, GODWIT_STORE=store.url)
    assert store.ctl("zone", "export", "example.com").stdout == before


def test_a_store_is_copied_into_a_file(store, tmp_path):
    script = block_with("operate.md", "--to sqlite:backup.db")
    shell(script.replace("redis://cache.example/0", store.url), tmp_path)
    copy = godwit.run(godwit.program("godwitctl"), "--store", f"sqlite:{tmp_path}/backup.db",
                      "zone", "export", "example.com").stdout
    assert copy == store.ctl("zone", "export", "example.com").stdout


def test_the_public_zone_is_made_as_the_page_says(empty_store, tmp_path):
    shell(block_with("shape-public.md", "zone add example.com"), tmp_path,
          GODWIT_STORE=empty_store.url)
    exported = empty_store.ctl("zone", "export", "example.com").stdout
    for data in ("192.0.2.53", "2001:db8:a::53", "198.51.100.53", "10 mail"):
        assert data in exported


def test_the_tiers_certificates_are_made_as_the_page_says(tmp_path):
    shell(block_with("shape-tiers.md", "openssl req -x509"), tmp_path)
    godwit.run("openssl", "verify", "-CAfile", tmp_path / "ca.crt", tmp_path / "tls.crt")


def test_what_the_night_shift_is_told_to_look_for_is_what_the_programs_say():
    table = (DOCS / "operate.md").read_text().split("## At three in the morning")[1]
    messages = [message for row in re.findall(r"^\| (.*?) \|", table, re.M)
                for message in re.findall(r'"(.+?)"', row)]
    assert len(messages) >= 4
    sources = "".join(file.read_text() for folder in ("frontend", "backend", "announcer", "common")
                      for file in (godwit.REPOSITORY / folder).glob("*.c"))
    for message in messages:
        assert all(part in sources for part in re.split(r" ?\.\.\. ?", message)), message
