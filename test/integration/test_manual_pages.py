"""The manual pages say what the programs can, all of it and nothing else."""

import re
import shutil

import pytest

import godwit

SOURCES = godwit.REPOSITORY / "packaging" / "man"
BUILT = godwit.BUILD / "packaging"
DAEMONS = ["frontend", "backend", "announcer"]
PAGES = ["godwitctl.1", *(f"godwit-{name}.8" for name in DAEMONS),
         *(f"godwit-{name}.yaml.5" for name in DAEMONS)]
SCHEMAS = {"frontend": ["frontend/config_schema.c"], "announcer": ["announcer/config_schema.c"],
           "backend": ["backend/config.c", "common/config.c"]}


def program(page):
    return godwit.program(re.sub(r"\.\d$", "", page))


def help_of(page, *words):
    return godwit.run(program(page), *words, "--help").stdout


def options(text):
    return set(re.findall(r"(?<!\S)\[?--([a-z][a-z-]+)", text))


def page_options(source):
    return set(re.findall(r"\bFl -([a-z][a-z-]+)", source))


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.skipif(not shutil.which("mandoc"), reason="no mandoc here")
def test_a_page_is_without_a_fault(page):
    # Not "style": that wants every line of the configurations within 80 octets.
    done = godwit.run("mandoc", "-T", "lint", "-W", "warning", BUILT / page, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.skipif(not shutil.which("man"), reason="no man here")
def test_a_page_is_shown_without_a_warning(page):
    done = godwit.run("man", "--warnings", "-l", BUILT / page)
    assert done.stderr == "" and "NAME" in done.stdout


@pytest.mark.parametrize("page", [f"godwit-{name}.8" for name in DAEMONS])
def test_a_daemons_page_has_its_options(page):
    assert page_options((SOURCES / page).read_text()) == options(help_of(page))


def page_commands():
    """What stands before godwitctl's commands' descriptions, as words: {"zone list", ...}"""
    source = (SOURCES / "godwitctl.1").read_text()
    items = re.findall(r"^\.It (?:Xo\n(.*?)\n\.Xc|(Ic [^\n]*))$", source, re.M | re.S)
    found = set()
    for item in ("\n".join(pair) for pair in items):
        if "Ic " in item:
            words = [word for word in re.sub(r"(?m)^\.", "", item).replace("Fl -", "--").split()
                     if word not in {"Ic", "Ar", "Op", "Oo", "Oc", "Ns", "..."}]
            found.add(" ".join(words))
    return found


def help_commands():
    lines = re.findall(r"^  godwitctl (?:--store URL )?([a-z].*)$", help_of("godwitctl.1"), re.M)
    return {" ".join(re.sub(r"\.\.\.|[][]", " ", line).split()) for line in lines}


def test_godwitctls_page_has_its_commands_with_their_operands():
    assert len(help_commands()) > 15
    assert page_commands() == help_commands()


def test_godwitctls_page_has_its_options():
    assert page_options((SOURCES / "godwitctl.1").read_text()) == options(help_of("godwitctl.1"))


def schema_keys(name):
    """All keys the program knows, once the preprocessor has written its schema out."""
    text = "".join(godwit.run("cc", "-E", "-P", "-D_GNU_SOURCE", f"-I{godwit.REPOSITORY}",
                              godwit.REPOSITORY / file).stdout for file in SCHEMAS[name])
    return set(re.findall(r'\.key = "(\w+)"', text))


def page_keys(name):
    """All keys in the page, those in comments too: at a line's beginning, and in braces. What is
    indented further in a comment explains values."""
    source = (godwit.REPOSITORY / "docs" / f"{name}.yaml").read_text()
    blocks = " ".join(re.findall(r"\{ .* \}", source))
    return {*re.findall(r"^(?:# {1,8}| *)(?:- )?(?:\{ )?([a-z]\w*):(?:\s|$)", source, re.M),
            *re.findall(r"[{,] ?([a-z]\w*): ", blocks)}


@pytest.mark.parametrize("name", DAEMONS)
def test_a_configurations_page_has_all_keys_and_no_others(name):
    known = schema_keys(name)
    assert len(known) > 10
    source = (godwit.REPOSITORY / "docs" / f"{name}.yaml").read_text()
    assert {key for key in known if not re.search(rf"\b{key}: ?", source)} == set()
    assert page_keys(name) - known == set()


@pytest.mark.parametrize("name", DAEMONS)
@pytest.mark.skipif(not shutil.which("mandoc"), reason="no mandoc here")
def test_a_configurations_page_shows_the_example_as_it_is(name):
    shown = godwit.run("mandoc", "-T", "ascii", "-O", "width=200",
                       BUILT / f"godwit-{name}.yaml.5").stdout
    shown = {line.removeprefix("     ") for line in re.sub(".\b", "", shown).splitlines()}
    example = (godwit.REPOSITORY / "docs" / f"{name}.yaml").read_text().splitlines()
    assert [line for line in example if line not in shown] == []
