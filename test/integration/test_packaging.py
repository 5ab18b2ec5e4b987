"""What the Debian package is made of. That it installs, starts, upgrades and goes is for
scripts/test-packages, in a root of its own."""

import re
import shutil

import pytest

import godwit

PACKAGING = godwit.REPOSITORY / "packaging"
PROGRAMS = ["backend", "frontend", "announcer"]
# systemd-analyze's exposure level, times ten: 0 is best, 100 worst.
EXPOSURE_MAX = 25


def needs(command):
    return pytest.mark.skipif(not shutil.which(command), reason=f"no {command} here")


@needs("systemd-analyze")
def test_the_units_are_sound(tmp_path):
    for name in PROGRAMS:
        text = (godwit.BUILD / "packaging" / f"godwit-{name}.service").read_text()
        assert f"ExecStart=/usr/bin/godwit-{name} --config /etc/godwit/{name}.yaml\n" in text
        (tmp_path / f"godwit-{name}.service").write_text(
            text.replace("/usr/bin/godwit", f"{godwit.BUILD}/bin/godwit"))
    done = godwit.run("systemd-analyze", "verify", "--man=no", *tmp_path.glob("*.service"))
    assert done.stderr == ""


@needs("systemd-analyze")
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_unit_leaves_little_to_an_intruder(name):
    done = godwit.run("systemd-analyze", "security", "--offline=true",
                      f"--threshold={EXPOSURE_MAX}",
                      godwit.BUILD / "packaging" / f"godwit-{name}.service", check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", ["backend", "frontend"])
def test_the_installed_configuration_is_valid(name):
    godwit.run(godwit.program(f"godwit-{name}"), "--check", "--config",
               PACKAGING / "etc" / f"{name}.yaml")


def test_the_installed_configurations_fit_together():
    backend = (PACKAGING / "etc" / "backend.yaml").read_text()
    frontend = (PACKAGING / "etc" / "frontend.yaml").read_text()
    socket = re.search(r'"(unix:/run/godwit/\S+)"', backend).group(1)
    assert f'backends: ["{socket}"]' in frontend
    # The scripts make the store that the configuration names.
    store = re.search(r'^storage: "sqlite:(\S+)"$', backend, re.M).group(1)
    assert f"store={store}\n" in (PACKAGING / "debian" / "postinst").read_text()


def test_the_changelog_has_the_version():
    version = re.search(r"^project\(godwit VERSION (\S+)",
                        (godwit.REPOSITORY / "CMakeLists.txt").read_text(), re.M).group(1)
    assert (PACKAGING / "debian" / "changelog").read_text().startswith(f"godwit ({version}) ")


@pytest.mark.parametrize("script", ["postinst", "prerm", "postrm"])
def test_the_packages_scripts_are_shell(script):
    godwit.run("sh", "-n", PACKAGING / "debian" / script)


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    if godwit.SANITIZED:
        pytest.skip("not of a build with sanitizers")
    if not shutil.which("dpkg-shlibdeps"):
        pytest.skip("no dpkg-shlibdeps here: apt-get install dpkg-dev")
    directory = tmp_path_factory.mktemp("package")
    env = {**godwit.environment(), "GODWIT_BUILD": str(godwit.BUILD)}
    done = godwit.run(godwit.REPOSITORY / "scripts" / "package", directory, env=env)
    files = list(directory.glob("*.deb"))
    assert [str(file) for file in files] == done.stdout.split()
    return files[0]


def test_the_package_has_its_files_with_the_right_owners_and_modes(package):
    listed = godwit.run("dpkg-deb", "-c", package).stdout.splitlines()
    modes = {line.split()[-1][1:]: line.split()[0] for line in listed}
    assert all(line.split()[1] == "root/root" for line in listed)
    for name in ["godwit-backend", "godwit-frontend", "godwit-announcer", "godwitctl"]:
        assert modes[f"/usr/bin/{name}"] == "-rwxr-xr-x"
    for path in [*(f"/lib/systemd/system/godwit-{name}.service" for name in PROGRAMS),
                 "/usr/lib/sysusers.d/godwit.conf", "/usr/lib/tmpfiles.d/godwit.conf",
                 "/etc/godwit/backend.yaml", "/etc/godwit/frontend.yaml",
                 "/usr/share/man/man1/godwitctl.1.gz",
                 *(f"/usr/share/man/man8/godwit-{name}.8.gz" for name in PROGRAMS),
                 *(f"/usr/share/man/man5/godwit-{name}.yaml.5.gz" for name in PROGRAMS),
                 "/usr/share/doc/godwit/copyright"]:
        assert modes[path] == "-rw-r--r--", path
    assert not [path for path in modes if path.startswith(("/home", "/tmp", "/usr/local"))]


def test_every_page_is_in_the_package_and_its_links_hold(package, tmp_path):
    godwit.run("dpkg-deb", "-x", package, tmp_path)
    installed = tmp_path / "usr" / "share" / "doc" / "godwit"
    for folder in ("docs", "k8s"):
        names = {path.relative_to(installed) for path in installed.glob(f"{folder}/**/*")}
        assert names == {path.relative_to(godwit.REPOSITORY)
                         for path in godwit.REPOSITORY.glob(f"{folder}/**/*")}
    pages = list(installed.glob("**/*.md"))
    assert len(pages) > 10
    missing = {(page.name, link) for page in pages
               for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())
               if "://" not in link and not (page.parent / link).exists()}
    # What is of use with the source alone.
    assert {link for _, link in missing} <= {
        "LICENSE", "test/conformance/README.md", "../packaging/systemd"}, missing
    # And what the package's own files send people to.
    for text in [*PACKAGING.glob("etc/*"), *PACKAGING.glob("systemd/*")]:
        for path in re.findall(r"/usr/share/doc/[\w/.-]+\w", text.read_text()):
            assert (tmp_path / path[1:]).exists(), (text, path)


def test_the_package_keeps_configuration_and_names_its_libraries(package, tmp_path):
    godwit.run("dpkg-deb", "-e", package, tmp_path / "control")
    in_etc = [line.split()[-1][1:] for line in godwit.run("dpkg-deb", "-c", package).stdout
              .splitlines() if "./etc/" in line and not line.endswith("/")]
    assert sorted((tmp_path / "control" / "conffiles").read_text().split()) == sorted(in_etc)
    depends = godwit.run("dpkg-deb", "-f", package, "Depends").stdout
    for library in ["libgrpc", "libevent", "libssl", "libmariadb", "libsqlite3", "libc6"]:
        assert library in depends


def test_the_programs_in_the_package_carry_no_build_paths(package, tmp_path):
    godwit.run("dpkg-deb", "-x", package, tmp_path / "root")
    for path in (tmp_path / "root" / "usr" / "bin").iterdir():
        sections = godwit.run("readelf", "-dS", path).stdout
        assert "RUNPATH" not in sections and "RPATH" not in sections
        assert ".debug_info" not in sections and ".symtab" not in sections


@needs("lintian")
def test_lintian_has_nothing_to_say(package):
    """But for what packaging/debian/lintian-overrides says why."""
    done = godwit.run("lintian", "--display-info", "--pedantic", "--allow-root",
                      "--fail-on", "error,warning,info,pedantic", package, check=False, timeout=120)
    assert (done.returncode, done.stdout) == (0, "")
