"""TLS and mutual TLS between front end and backend, with Python's grpcio as a stranger on either
side; certificates that change while queries go on; plaintext that is not let out by mistake."""

import json
import os
import signal
import stat
import threading
import time

import grpc
import pytest

from certificates import Authority, Mount
from godwit import answers, ask, free_address, program, rcode, run, stubs, wait_until

NAME = "www.example.com."
EXPIRY = 'godwit_frontend_backend_certificate_expiry_seconds{certificate="%s"}'


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("grpc-tls"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("grpc-stranger"), "stranger")


@pytest.fixture(scope="module")
def server_pair(authority):
    return authority.issue("backend.example", "DNS:backend.example,IP:127.0.0.1")


@pytest.fixture(scope="module")
def client_pair(authority):
    return authority.issue("frontend", "DNS:frontend.example")


def tls_of(pair, ca=None, ca_key="client_ca", **more):
    config = {"certificate": str(pair.certificate), "key": str(pair.key), **more}
    if ca:
        config[ca_key] = str(ca.certificate)
    return config


def route(backends, **tls):
    return [{"zone": ".", "backends": backends, "tls": tls}]


def health(address, authority=None, pair=None, name="backend.example", timeout=3):
    """What grpc.health.v1 says to a client of grpcio, by TLS unless `authority` is None."""
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]
    if authority is None:
        channel = grpc.insecure_channel(address, options)
    else:
        credentials = grpc.ssl_channel_credentials(
            authority.certificate.read_bytes(), pair and pair.key.read_bytes(),
            pair and pair.certificate.read_bytes())
        channel = grpc.secure_channel(address, credentials,
                                      options + [("grpc.ssl_target_name_override", name)])
    messages = stubs("health")
    with channel:
        call = channel.unary_unary("/grpc.health.v1.Health/Check",
                                   messages.HealthCheckRequest.SerializeToString,
                                   messages.HealthCheckResponse.FromString)
        return call(messages.HealthCheckRequest(), timeout=timeout).status


def refused(*arguments, **options):
    with pytest.raises(grpc.RpcError) as failure:
        health(*arguments, timeout=1, **options)
    return failure.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


def stays_unready(frontend, seconds=1.5):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if frontend.get("/readyz")[0] == 200:
            return False
        time.sleep(0.05)
    return True


# --- who may talk to whom -------------------------------------------------------------------------

def test_tls(store, start_backend, start_frontend, authority, server_pair):
    backend = start_backend(store, tls=tls_of(server_pair)).wait_ready()
    assert health(backend.address, authority) == 1
    assert refused(backend.address, None), "plaintext was accepted"
    frontend = start_frontend([], workers=1, routes=route(
        [backend.address], ca=str(authority.certificate))).wait_ready()
    # By calls until the stream for batches is open, too.
    wait_until(lambda: frontend.metric("godwit_frontend_backend_streams") > 0)
    assert answers(ask(frontend, NAME)) == ["192.0.2.80"]
    assert frontend.metric("godwit_frontend_stream_questions_total") >= 1
    expiry = backend.metric("godwit_backend_certificate_expiry_seconds")
    assert expiry == pytest.approx(time.time() + 2 * 86400, abs=600)


def test_the_server_must_have_the_name(store, start_backend, start_frontend, authority,
                                       server_pair, stranger):
    backend = start_backend(store, tls=tls_of(server_pair)).wait_ready()
    ca = str(authority.certificate)
    named = start_frontend([], routes=route([backend.address], ca=ca,
                                            server_name="backend.example")).wait_ready()
    assert answers(ask(named, NAME)) == ["192.0.2.80"]
    wrong = start_frontend([], routes=route([backend.address], ca=ca, server_name="other.example"))
    assert stays_unready(wrong.wait_alive())
    assert rcode(ask(wrong, NAME)) == "SERVFAIL"
    untrusted = start_frontend([], routes=route([backend.address], ca=str(stranger.certificate)))
    assert stays_unready(untrusted.wait_alive())


def test_mutual_tls(store, start_backend, start_frontend, authority, server_pair, client_pair,
                    stranger):
    backend = start_backend(store, tls=tls_of(server_pair, authority)).wait_ready()
    assert health(backend.address, authority, client_pair) == 1
    assert refused(backend.address, authority), "no certificate was asked of a client"
    assert refused(backend.address, authority, stranger.issue("frontend"))
    ca = str(authority.certificate)
    frontend = start_frontend([], routes=route(
        [backend.address], **tls_of(client_pair, authority, "ca"))).wait_ready()
    assert answers(ask(frontend, NAME)) == ["192.0.2.80"]
    without = start_frontend([], routes=route([backend.address], ca=ca))
    assert stays_unready(without.wait_alive())


def test_changes_are_told_by_tls_too(store, start_backend, start_frontend, authority, server_pair,
                                     client_pair):
    backend = start_backend(store, tls=tls_of(server_pair, authority)).wait_ready()
    frontend = start_frontend([], routes=route(
        [backend.address], **tls_of(client_pair, authority, "ca"))).wait_ready()
    assert answers(ask(frontend, NAME)) == ["192.0.2.80"]
    store.ctl("record", "set", NAME, "A", "192.0.2.222")
    wait_until(lambda: answers(ask(frontend, NAME)) == ["192.0.2.222"], 5)


def test_unix_sockets_stay_plaintext_and_closed_to_others(store, start_backend, start_frontend,
                                                          server_pair, authority, tmp_path):
    path = tmp_path / "b.sock"
    port = free_address()
    start_backend(store, listen=[f"unix:{path}", port],
                  tls=tls_of(server_pair, authority)).wait_ready()
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o660
    frontend = start_frontend(
        [], routes=route([f"unix:{path}"], ca=str(authority.certificate))).wait_ready()
    assert answers(ask(frontend, NAME)) == ["192.0.2.80"]


# --- plaintext ------------------------------------------------------------------------------------

def check(name, tmp_path, text):
    path = tmp_path / "check.yaml"
    path.write_text(text)
    return run(program(name), "--check", "--config", path, check=False)


def test_plaintext_beyond_this_machine_must_be_asked_for(tmp_path, store, start_backend):
    refused_backend = check("godwit-backend", tmp_path,
                            f'listen: ["0.0.0.0:8053"]\nstorage: "{store.url}"\n')
    assert refused_backend.returncode == 1 and "insecure" in refused_backend.stderr
    refused_frontend = check("godwit-frontend", tmp_path,
                             'routes:\n  - { zone: ".", backends: ["192.0.2.1:8053"] }\n')
    assert refused_frontend.returncode == 1 and "insecure" in refused_frontend.stderr
    port = free_address("0.0.0.0")
    backend = start_backend(store, listen=[port], insecure=True).wait_ready()
    assert "listening without TLS beyond this machine" in backend.log()


# --- certificates that change ---------------------------------------------------------------------

def test_certificates_of_both_sides_change_under_load(store, start_backend, start_frontend,
                                                      authority, server_pair, client_pair,
                                                      tmp_path):
    (tmp_path / "server").mkdir()
    (tmp_path / "client").mkdir()
    server = Mount(tmp_path / "server", server_pair)
    client = Mount(tmp_path / "client", authority.issue("frontend", "DNS:frontend.example", days=9))
    backend = start_backend(store, tls=tls_of(server, authority)).wait_ready()
    frontend = start_frontend([], workers=1, cache={"size_mb": 0}, routes=route(
        [backend.address], **tls_of(client, authority, "ca"))).wait_ready()
    failures, asked, done = [], [0], threading.Event()
    expiry = EXPIRY % client.certificate
    assert frontend.metric(expiry) == pytest.approx(time.time() + 9 * 86400, abs=600)

    def load():
        while not done.is_set():
            reply = ask(frontend, NAME)
            asked[0] += 1
            if answers(reply) != ["192.0.2.80"]:
                failures.append(str(reply))

    thread = threading.Thread(target=load)
    thread.start()
    try:
        server.swap(authority.issue("backend.example", "DNS:backend.example,IP:127.0.0.1"))
        client.swap(authority.issue("frontend", "DNS:frontend.example"))
        wait_until(lambda: "certificates for backends have changed" in frontend.log())
        wait_until(lambda: frontend.metric(expiry) == pytest.approx(time.time() + 2 * 86400, abs=600))
        # The front end's new connection makes the backend look at its own files.
        wait_until(lambda: backend.metric("godwit_backend_certificate_reloads_total") == 1)
        before = asked[0]
        wait_until(lambda: asked[0] > before + 100)
    finally:
        done.set()
        thread.join()
    assert not failures
    assert frontend.get("/readyz")[0] == 200
    assert frontend.metric("godwit_frontend_backend_certificate_reloads_total") == 1
    assert frontend.metric("godwit_frontend_backend_certificate_failures_total") == 0


def test_bad_certificates_leave_those_in_use(store, start_backend, start_frontend, authority,
                                             server_pair, client_pair, tmp_path):
    (tmp_path / "server").mkdir()
    (tmp_path / "client").mkdir()
    server = Mount(tmp_path / "server", server_pair)
    client = Mount(tmp_path / "client", client_pair)
    backend = start_backend(store, tls=tls_of(server, authority)).wait_ready()
    frontend = start_frontend([], routes=route(
        [backend.address], **tls_of(client, authority, "ca"))).wait_ready()
    mismatched = type(server_pair)(certificate=server_pair.certificate, key=client_pair.key)
    server.swap(mismatched)
    client.swap(mismatched)
    wait_until(lambda: "certificates for backends not reloaded" in frontend.log())
    assert frontend.metric("godwit_frontend_backend_certificate_failures_total") >= 2

    def backend_complains():
        assert health(backend.address, authority, client_pair) == 1  # a new connection each time
        return "certificates not reloaded" in backend.log()
    wait_until(backend_complains, interval=0.2)
    assert backend.metric("godwit_backend_certificate_failures_total") >= 2
    assert answers(ask(frontend, NAME)) == ["192.0.2.80"]
    backend.stop()
    backend.start()  # with these files it does not
    assert backend.wait_end() == 1 and "not the key of" in backend.log()
    server.swap(server_pair)
    backend.start().wait_ready()
    frontend.wait_ready()
    assert answers(ask(frontend, NAME)) == ["192.0.2.80"]


def test_each_certificate_for_backends_is_told_once(start_frontend, authority, client_pair):
    """Also at a reload, when another plan takes the place of the first."""
    other = authority.issue("other", "DNS:other.example", days=4)
    backends = [free_address()]
    routes = [{"zone": zone, "backends": backends, "tls": tls_of(pair, authority, "ca")}
              for zone, pair in [("a", client_pair), ("b", client_pair), ("c", other)]]
    plain = {"zone": ".", "backends": backends}
    frontend = start_frontend([], routes=[*routes, plain]).wait_alive()

    def told():
        return sorted(line.rsplit(" ", 1)[0] for line in frontend.get("/metrics")[1].splitlines()
                      if line.startswith(EXPIRY.split("{")[0]))
    wait_until(lambda: told() == sorted(EXPIRY % pair.certificate for pair in (client_pair, other)))
    frontend.config["routes"] = [plain, routes[2]]
    frontend.config_path.write_text(json.dumps(frontend.config))
    frontend.process.send_signal(signal.SIGHUP)
    wait_until(lambda: told() == [EXPIRY % other.certificate])
