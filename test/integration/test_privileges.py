"""A program started by an unprivileged user raises the capabilities that its file carries, as in a
container, and no more than its starter leaves it."""

import os
import shutil
import subprocess
import tempfile
import time

import pytest

import godwit

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give capabilities to a file"),
    pytest.mark.skipif(shutil.which("setcap") is None, reason="no setcap here"),
]
PORT = 53
ADDRESS = "127.0.0.99"


@pytest.fixture
def frontend():
    """(program, its configuration), for user 65532; pytest's own directories are for root alone."""
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        program = shutil.copy(godwit.program("godwit-frontend"), directory)
        config = os.path.join(directory, "frontend.yaml")
        with open(config, "w") as file:
            file.write(f'listen: [{{ address: "{ADDRESS}:{PORT}" }}]\n')
            file.write(f'admin: "127.0.0.1:{godwit.free_port()}"\n')
        done = subprocess.run(["setcap", "cap_net_bind_service=p", program], capture_output=True)
        if done.returncode != 0:
            pytest.skip("files can carry no capabilities here")
        yield program, config


def start(frontend, *options):
    program, config = frontend
    return subprocess.Popen(
        ["setpriv", "--reuid", "65532", "--regid", "65532", "--clear-groups", *options, "--",
         program, "--config", config],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )


def test_a_low_port_by_a_file_capability(frontend):
    if int(open("/proc/sys/net/ipv4/ip_unprivileged_port_start").read()) <= PORT:
        pytest.skip("every port is unprivileged here")
    process = start(frontend)
    try:
        deadline = time.monotonic() + 20
        while "msg=started" not in (line := process.stdout.readline()):
            assert line and time.monotonic() < deadline, "it did not start"
    finally:
        process.terminate()
        process.communicate(timeout=20)
    assert process.returncode == 0


def test_a_capability_that_is_withheld_is_named_and_keeps_nothing_from_starting(frontend):
    if int(open("/proc/sys/net/ipv4/ip_unprivileged_port_start").read()) <= PORT:
        pytest.skip("every port is unprivileged here")
    process = start(frontend, "--bounding-set", "-all")
    text, _ = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "CAP_NET_BIND_SERVICE" in text
