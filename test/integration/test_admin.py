"""The admin pages of both daemons, and what every daemon does at its start and end."""

import re
import signal
import socket

import pytest

import godwit
from godwit import ask, free_address, program, rcode, run, split_address, wait_until

DAEMONS = ["godwit-backend", "godwit-frontend"]

SAMPLE = re.compile(
    r'^([a-zA-Z_:][a-zA-Z0-9_:]*)'                               # name
    r'(\{[a-zA-Z_]\w*="(?:[^"\\\n]|\\["\\n])*"(?:,[a-zA-Z_]\w*="(?:[^"\\\n]|\\["\\n])*")*\})?'
    r' (-?\d+(?:\.\d+)?(?:e[+-]?\d+)?|NaN|[+-]Inf)$')             # value


def parse_exposition(text):
    """Prometheus' text format, strictly: {family: (type, {sample: value})}."""
    families = {}
    family = None
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# HELP "):
            family = line.split(" ", 3)[2]
            assert family not in families, f"{family} has two HELP lines"
            families[family] = [None, {}]
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name == family and families[name][0] is None
            assert kind in ("counter", "gauge", "histogram")
            families[name][0] = kind
        else:
            found = SAMPLE.match(line)
            assert found, f"not a sample: {line!r}"
            name, labels, value = found.groups()
            if families[family][0] == "histogram":
                assert name in (family + "_bucket", family + "_sum", family + "_count")
            else:
                assert name == family, f"{name} stands under {family}"
            key = name + (labels or "")
            assert key not in families[family][1], f"{key} is there twice"
            families[family][1][key] = float(value)
    return families


@pytest.fixture
def both(backend, frontend):
    return [backend, frontend]


def test_metrics_are_valid_prometheus_text(both):
    for daemon in both:
        status, text = daemon.get("/metrics")
        assert status == 200
        families = parse_exposition(text)
        own = daemon.name.replace("-", "_") + "_"
        for name, (kind, _) in families.items():
            assert name.startswith((own, "process_")) or name == "godwit_build_info", name
            if kind == "counter":
                assert name.endswith("_total"), name
            if kind == "histogram":
                assert name.endswith("_seconds"), name
        assert len([name for name in families if name.startswith(own)]) > 3
        assert families["process_resident_memory_bytes"][1]["process_resident_memory_bytes"] > 1e6
        assert families["process_open_fds"][1]["process_open_fds"] >= 5


def test_histograms_add_up(both):
    for _ in range(20):
        ask(both[1], "www.example.com")
    for daemon in both:
        families = parse_exposition(daemon.get("/metrics")[1])
        histograms = {name: samples for name, (kind, samples) in families.items()
                      if kind == "histogram"}
        assert histograms
        for name, samples in histograms.items():
            buckets = [v for key, v in samples.items() if key.startswith(name + "_bucket")]
            if len([key for key in samples if key.startswith(name + "_count")]) == 1:
                assert buckets == sorted(buckets)
                count = [v for key, v in samples.items() if key.startswith(name + "_count")][0]
                assert buckets[-1] == count


def test_build_info_is_the_version(both):
    for daemon in both:
        version = run(program(daemon.name), "--version").stdout.split()
        assert version[0] == daemon.name
        assert daemon.metric(f'godwit_build_info{{version="{version[1]}"}}') == 1


def test_live_and_ready_say_what_is(both):
    for daemon in both:
        assert daemon.get("/livez")[0] == 200
        status, reason = daemon.get("/readyz")
        assert status == 200
        assert reason.strip() and reason.count("\n") == 1
        assert daemon.get("/nothing")[0] == 404


def test_ready_names_what_is_missing(tmp_path, start_backend, start_frontend):
    backend = start_backend(godwit.Store(tmp_path, "missing.db")).wait_alive()
    status, reason = backend.get("/readyz")
    assert status == 503
    assert reason.strip()
    nobody = free_address()
    frontend = start_frontend([nobody]).wait_alive()
    wait_until(lambda: "route ." in frontend.get("/readyz")[1])
    assert frontend.get("/readyz")[0] == 503
    wait_until(lambda: nobody in frontend.log())


def test_slow_clients_do_not_hold_up_others(both):
    for daemon in both:
        host, port = split_address(daemon.admin)
        idle = [socket.create_connection((host, port)) for _ in range(20)]
        idle[0].sendall(b"GET /met")
        assert daemon.get("/livez", timeout=2)[0] == 200
        for connection in idle:
            connection.close()


def test_hostile_requests_do_not_hurt(both):
    for daemon in both:
        host, port = split_address(daemon.admin)
        for request in (b"\0" * 1000, b"GET " + b"/" * 100000 + b" HTTP/1.1\r\n\r\n",
                        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 50000 + b"\r\n",
                        b"GET /metrics HTTP/1.1\r\nContent-Length: 99999999999999\r\n\r\n",
                        b"POST /metrics HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello"):
            with socket.create_connection((host, port), timeout=5) as connection:
                try:
                    connection.sendall(request)
                    connection.shutdown(socket.SHUT_WR)
                    reply = connection.recv(100)
                except OSError:
                    continue  # cut off: fine
                assert not reply.startswith(b"HTTP/1.1 200") or b"Length: 9999" in request
        assert daemon.get("/livez")[0] == 200


@pytest.mark.parametrize("name", DAEMONS)
def test_help_and_version(name):
    for option, words in (("--help", ["--config", "--check", "--version"]),
                          ("--version", [name])):
        done = run(program(name), option)
        assert done.stderr == ""
        for word in words:
            assert word in done.stdout


@pytest.mark.parametrize("name", DAEMONS)
def test_wrong_options_end_with_one_line(name):
    done = run(program(name), "--bogus", check=False)
    assert done.returncode == 2
    assert done.stderr == f"{name}: unknown option --bogus; see {name} --help\n"


@pytest.mark.parametrize("name", DAEMONS)
@pytest.mark.parametrize("text, problem", [
    ("bogus: 1\n", "c.yaml:1: bogus: unknown key"),
    ("\nadmin: [x]\n", "c.yaml:2: admin: not a string"),
    ("log:\n  level: loud\n",
     'c.yaml:2: log.level: "loud" is not one of error, warning, info, debug'),
    ("admin: localhost\n", "c.yaml:1: admin: "),
    ("admin: x\n bad\n: - [\n", "c.yaml:"),
])
def test_configuration_errors_name_file_line_and_key(name, text, problem, tmp_path):
    (tmp_path / "c.yaml").write_text(text)
    for options in (["--check"], []):
        done = run(program(name), "--config", "c.yaml", *options, check=False, cwd=tmp_path)
        assert done.returncode == 1
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert problem in done.stderr


@pytest.mark.parametrize("name", DAEMONS)
def test_a_missing_configuration_is_named(name, tmp_path):
    done = run(program(name), "--config", "none.yaml", check=False, cwd=tmp_path)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "none.yaml: cannot be read: No such file or directory" in done.stderr


def test_check_accepts_what_runs_and_opens_nothing(both, tmp_path):
    # The daemons run on these very files: --check must not try to take their ports.
    for daemon in both:
        done = run(program(daemon.name), "--config", daemon.config_path, "--check")
        assert done.returncode == 0


@pytest.mark.parametrize("path", sorted((godwit.REPOSITORY / "docs").glob("*.yaml")),
                         ids=lambda path: path.name)
def test_examples_in_docs_are_accepted(path):
    done = run(program(f"godwit-{path.stem}"), "--config", path, "--check", cwd=path.parent)
    assert done.stderr == ""


def test_a_taken_admin_port_is_named(both):
    for daemon in both:
        done = run(program(daemon.name), "--config", daemon.config_path, check=False)
        assert done.returncode == 1
        assert daemon.admin in done.stderr or daemon.address in done.stderr
        assert "Address already in use" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_daemons_cleanly(both, number):
    for daemon in reversed(both):
        daemon.process.send_signal(number)
        assert daemon.wait_end() == 0
        godwit.assert_no_sanitizer_report(daemon.log())


def test_daemons_end_while_starting(tmp_path, store, start_backend, start_frontend):
    # SIGTERM right away, ready or not: signals are blocked from the first line of main on, so the
    # only other outcome is dying of the signal before main.
    for daemon in (start_backend(store), start_frontend([free_address()])):
        daemon.process.send_signal(signal.SIGTERM)
        assert daemon.wait_end() in (0, -signal.SIGTERM)


def test_log_lines_are_json_when_asked(store, start_backend, start_frontend):
    import json
    log = {"level": "debug", "format": "json"}
    backend = start_backend(store, log=log).wait_ready()
    frontend = start_frontend([backend], log=log).wait_ready()
    assert rcode(ask(frontend, "www.example.com")) == "NOERROR"
    for daemon in (frontend, backend):
        daemon.stop()
        lines = [json.loads(line) for line in daemon.log().splitlines()]
        assert len(lines) > 1
        for line in lines:
            assert {"time", "level", "msg"} <= set(line)
            assert line["level"] in ("error", "warning", "info", "debug")
