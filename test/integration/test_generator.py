"""The generator of load that scripts/bench measures with: all it asks is answered, whatever the
protocol, and what is not is told."""

import json
import os
import re
import signal
import socket
import subprocess
import time

import pytest

import godwit
from secure_frontend import authority, foreign, pair, start_secure

LOAD, HANDSHAKES = godwit.BUILD / "bench/load", godwit.BUILD / "bench/handshakes"
pytestmark = pytest.mark.skipif(not LOAD.exists(), reason="bench/load is not built")


def command(program, server, *options):
    return [str(part) for part in (program, "--server", server, "--pattern", "h###.example.com",
                                   "--names", 100, "--seconds", 0.3, "--warm", 0.1, *options)]


def figures(output):
    lines = output.splitlines()
    assert lines[:2] == ["measuring", "measured"], output
    return json.loads(lines[2])


@pytest.mark.parametrize("protocol", ["udp", "tcp", "tls", "quic"])
def test_all_is_answered(start_secure, protocol):
    frontend = start_secure(protocol) if protocol in ("tls", "quic") else start_secure()
    server = frontend.address if protocol in ("udp", "tcp") else frontend.secure
    option = [] if protocol == "udp" else [f"--{protocol}"]
    found = figures(godwit.run(*command(LOAD, server, *option, "--sockets", 4, "--window", 32,
                                        "--timeout", 5)).stdout)
    assert found["rcodes"].keys() == {"0"}
    assert found["lost"] == found["unexpected"] == found["reconnects"] == found["empty"] == 0
    asked = frontend.metric(f'godwit_frontend_queries_total{{protocol="{protocol}"}}')
    assert asked > found["sent"]  # which leaves out those that it warms up with


@pytest.mark.parametrize("protocol", ["tls", "quic"])
@pytest.mark.parametrize("resume", [False, True], ids=["full", "resumed"])
def test_handshakes(start_secure, protocol, resume):
    frontend = start_secure(protocol, limits={"client_connections": 10000})
    options = (["--quic"] if protocol == "quic" else []) + (["--resume"] if resume else [])
    found = figures(godwit.run(*command(HANDSHAKES, frontend.secure, "--window", 4,
                                        *options)).stdout)
    assert found["failed"] == 0
    assert found["resumed"] == (found["answered"] if resume else 0)
    assert frontend.metric("godwit_frontend_tls_resumed_total") >= found["resumed"]


def test_connections_of_tcp(start_secure):
    frontend = start_secure()
    found = figures(godwit.run(*command(HANDSHAKES, frontend.address, "--tcp", "--window",
                                        4)).stdout)
    assert found["answered"] > 0 and found["failed"] == found["resumed"] == 0


def test_no_quic_handshake_waits_for_a_timer(start_secure):
    """What is paced while no round trip is known comes 40 ms later, however idle the machine is."""
    frontend = start_secure("quic", limits={"client_connections": 10000})
    least = min(figures(godwit.run(*command(HANDSHAKES, frontend.secure, "--quic", "--window",
                                            1)).stdout)["p50_us"] for _ in range(5))
    assert least < 25_000


@pytest.mark.parametrize("protocol", ["tls", "quic"])
def test_a_server_that_goes_is_told(start_secure, protocol):
    frontend = start_secure(protocol)
    load = subprocess.Popen(
        command(LOAD, frontend.secure, f"--{protocol}", "--sockets", 1, "--timeout", 0.3,
                "--seconds", 2), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert load.stdout.readline() == "measuring\n"
    frontend.kill()
    output, errors = load.communicate(timeout=30)
    found = figures("measuring\n" + output)
    # It may have answered all that was asked before it went.
    assert load.returncode == 0 and found["lost"] + found["reconnects"] > 0, errors


def test_a_server_that_sleeps_is_not_taken_for_a_slow_one(start_secure):
    frontend = start_secure("tls")
    load = subprocess.Popen(
        command(LOAD, frontend.secure, "--tls", "--sockets", 1, "--window", 8, "--timeout", 0.3,
                "--seconds", 2), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert load.stdout.readline() == "measuring\n"
    os.kill(frontend.pid, signal.SIGSTOP)
    try:
        told = load.stderr.readline()
    finally:
        os.kill(frontend.pid, signal.SIGCONT)
    # Nothing waits here, so it is not the generator; what the server has not read may be nothing.
    assert re.search(r"lane 0: no reply for \d+\.\d+ s with 8 queries under way; here 0 octets not "
                     r"given to the socket, \d+ not acknowledged, 0 not read; at the server \d+ "
                     r"not acknowledged, \d+ not read", told)
    output, _ = load.communicate(timeout=30)
    found = figures("measuring\n" + output)
    assert found["silence_ms"] >= 300
    assert found["lost"] >= 8


def pause(process, seconds):
    os.kill(process.pid, signal.SIGSTOP)
    time.sleep(seconds)
    os.kill(process.pid, signal.SIGCONT)


def test_a_pause_of_its_own_loses_nothing(start_secure):
    """Replies that came in time but were not looked at are no loss, in the run nor after it."""
    frontend = start_secure("tls")
    load = subprocess.Popen(
        [str(part) for part in (
            LOAD, "--tls", "--server", frontend.secure, "--pattern", "delay-0-50.h#####.example",
            "--sockets", 1, "--window", 8, "--seconds", 2, "--timeout", 0.3)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert load.stdout.readline() == "measuring\n"
    for _ in range(4):
        pause(load, 0.35)
        time.sleep(0.05)
    assert load.stdout.readline() == "measured\n"
    time.sleep(0.05)
    pause(load, 0.35)
    output, errors = load.communicate(timeout=30)
    found = figures("measuring\nmeasured\n" + output)
    assert found["lost"] == found["lost_at_end"] == found["unexpected"] == 0, errors
    assert found["pause_ms"] >= 350
    assert found["answered"] >= 8


def test_a_handshake_does_not_last_for_ever():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        done = godwit.run(*command(LOAD, f"127.0.0.1:{silent.getsockname()[1]}", "--tls",
                                   "--sockets", 1), check=False, timeout=60)
    assert done.returncode == 1 and "cannot connect" in done.stderr
