"""godwitctl announcer, and godwitctl status of announcers, against a server that answers as told."""

import socket
import threading

import pytest

import godwit
from test_godwitctl import admin_server  # noqa: F401 (a fixture)


def ctl(*words):
    return godwit.run(godwit.program("godwitctl"), *words, check=False)


def admins(*addresses):
    return [word for address in addresses for word in ("--admin", address)]


def test_help_names_all_commands():
    for name in ("announcer status", "announcer drain", "announcer undrain"):
        assert name in ctl("--help").stdout
        done = ctl(*name.split(), "--help")
        assert done.returncode == 0 and "127.0.0.1:9155" in done.stdout


def test_status_prints_the_announcers_text(admin_server):
    text = "service dns: announced\n\n  peer 192.0.2.254 Established\n"
    address = admin_server({"/status": (200, text)})
    done = ctl("announcer", "status", "--admin", address)
    assert (done.returncode, done.stdout, done.stderr) == (0, text, "")


def test_status_of_several_says_whose_it_is(admin_server):
    addresses = [admin_server({"/status": (200, f"state {i}\n")}) for i in range(2)]
    done = ctl("announcer", "status", *admins(*addresses))
    assert done.stdout == f"{addresses[0]}\nstate 0\n{addresses[1]}\nstate 1\n"


def test_status_as_json_is_json_alone(admin_server):
    addresses = [admin_server({"/status.json": (200, '{"peers": [%d]}\n' % i)}) for i in range(2)]
    done = ctl("announcer", "status", "--json", *admins(addresses[0]))
    assert (done.returncode, done.stdout) == (0, '{"peers": [0]}\n')
    done = ctl("announcer", "status", "--json", *admins(*addresses))
    assert done.stdout == '{"peers": [0]}\n{"peers": [1]}\n'


def test_status_does_not_play_with_the_terminal(admin_server):
    address = admin_server({"/status": (200, "peer \x1b[2Jdown\n")})
    assert ctl("announcer", "status", *admins(address)).stdout == "peer ?[2Jdown\n"


@pytest.mark.parametrize("verb", ["drain", "undrain"])
def test_drain_and_undrain_post(verb, admin_server):
    address = admin_server({
        f"POST /{verb}": (200, f"{verb}ed\n"),
        f"POST /{verb}?service=a%20b%26c": (200, ""),
        f"POST /{verb}?service=other": (409, "there is no service \"other\"\n"),
    })
    done = ctl("announcer", verb, *admins(address))
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{address}  {verb}ed\n", "")
    done = ctl("announcer", verb, "a b&c", *admins(address))
    assert (done.returncode, done.stdout) == (0, f"{address}  done\n")
    done = ctl("announcer", verb, "other", *admins(address))
    assert done.returncode == 1
    assert done.stdout == f'{address}  there is no service "other"\n'
    assert done.stderr.count("\n") == 1 and "1 of 1" in done.stderr


def test_failures_are_told_apart_and_others_still_asked(admin_server):
    fine = admin_server({"POST /drain": (200, "drained\n")})
    other = admin_server({})
    broken = admin_server({"POST /drain": (500, "")})
    nobody = godwit.free_address()
    done = ctl("announcer", "drain", *admins(nobody, other, broken, fine))
    assert done.returncode == 1
    assert done.stdout == (f"{nobody}  no answer\n{other}  HTTP status 404: is it an announcer?\n"
                           f"{broken}  HTTP status 500\n{fine}  drained\n")
    assert "3 of 4" in done.stderr


@pytest.mark.parametrize("words, hint", [
    (("announcer",), "announcer"),
    (("announcer", "stop"), "announcer stop"),
    (("announcer", "drain", ""), "no service's name"),
    (("announcer", "drain", "x" * 300), "no service's name"),
    (("announcer", "drain", "a", "b"), "usage: godwitctl announcer drain"),
    (("announcer", "drain", "--json"), "--json is no option"),
    (("announcer", "status", "--admin", "unix:/nowhere"), "HOST:PORT"),
])
def test_wrong_use_is_one_line(words, hint):
    done = ctl(*words)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and hint in done.stderr


def test_status_shows_an_announcers_figures(admin_server):
    metrics = ('godwit_announcer_service_probe_up{service="dns"} 1\n'
               'godwit_announcer_service_announced{service="dns"} 1\n'
               'godwit_announcer_service_drained{service="dns"} 0\n'
               'godwit_announcer_peer_up{peer="192.0.2.1:179"} 1\n'
               'godwit_announcer_peer_up{peer="192.0.2.2:179"} 0\n'
               "godwit_announcer_bgp_lost_total 2\n")
    address = admin_server({"/readyz": (200, "announced\n"), "/metrics": (200, metrics)})
    done = ctl("status", *admins(address))
    assert done.returncode == 0
    assert [" ".join(line.split()) for line in done.stdout.splitlines()] == [
        f"{address} ready: announced", "probes 1 of 1 up", "services 1 of 1 up",
        "routers 1 of 2 up; down: 192.0.2.2:179", "sessions lost 2"]


def test_status_of_this_machine_includes_an_announcer_only_if_there():
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", 9155))
        except OSError:
            pytest.skip("something uses port 9155 on this machine")
        assert "127.0.0.1:9155" not in ctl("status").stdout
        # One that does not answer is there.
        listener.listen()

        def close_all():
            for _ in range(2):
                listener.accept()[0].close()
        thread = threading.Thread(target=close_all, daemon=True)
        thread.start()
        assert "127.0.0.1:9155  no answer\n" in ctl("status").stdout
        thread.join(5)
