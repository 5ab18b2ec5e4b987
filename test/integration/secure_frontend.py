"""A front end with encrypted listeners, for the tests of each of their protocols.

Fixtures, to be imported by name:

    foreign         a ForeignBackend
    authority       a certificate authority of the module's own
    pair            a certificate of it, for dns.example and 127.0.0.1
    start_secure    start_secure(*listeners, certificate=pair, backend=foreign, **config) -> a ready
                    front end. A listener is a protocol, on 127.0.0.1 and a free port, or
                    (address, protocols). `.address` is for UDP and TCP, `.secure` the first
                    listener's, `.addresses` all of them.
"""

import pytest

from certificates import Authority
from foreign_backend import ForeignBackend
from godwit import free_address


@pytest.fixture
def foreign():
    backend = ForeignBackend(free_address(), 1)
    yield backend
    backend.kill()


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def pair(authority):
    return authority.issue("dns.example", "DNS:dns.example,IP:127.0.0.1")


@pytest.fixture
def start_secure(foreign, start_frontend, pair):
    def start(*listeners, certificate=pair, backend=foreign, **config):
        secure = [listener if isinstance(listener, tuple) else (free_address(), [listener])
                  for listener in listeners]
        listen = [{"address": address, "protocols": protocols}
                  for address, protocols in [(free_address(), ["udp", "tcp"]), *secure]]
        tls = {"certificate": str(certificate.certificate), "key": str(certificate.key)}
        frontend = start_frontend([getattr(backend, "address", backend)],
                                  **{"listen": listen, "tls": tls, "workers": 1, **config})
        frontend.wait_ready().secure = frontend.addresses[1] if secure else None
        return frontend
    return start
