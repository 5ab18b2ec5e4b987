"""A front end knows how old the data of each of its backends is, and whether they reach their stores."""

import pytest

import godwit
from fake_backend import FakeBackend
from godwit import wait_until
from redis_server import start_redis  # noqa: F401 (a fixture)

# What data that follows its store is at most; it is half a second, and how long a look takes.
FRESH_S = 5.0 if godwit.SANITIZED else 2.0


class Data:
    """What a front end says of a backend's data; None: nothing."""

    def __init__(self, frontend, backend):
        self.frontend = frontend
        self.label = f'{{backend="{getattr(backend, "address", backend)}"}}'

    def get(self, what):
        return self.frontend.metrics().get(f"godwit_frontend_backend_{what}" + self.label)

    @property
    def age(self):
        return self.get("data_age_seconds")

    @property
    def store_up(self):
        return self.get("store_up")

    def is_fresh(self):
        return self.store_up == 1 and self.age is not None and self.age < FRESH_S


@pytest.fixture
def fake():
    started = FakeBackend(1)
    yield started
    started.stop()


def test_data_ages_while_the_store_is_away(start_redis, start_backend, start_frontend):  # noqa: F811
    server = start_redis("--appendonly", "yes").put_zone(www="192.0.2.80")
    backend = start_backend(server.url).wait_ready()
    frontend = start_frontend([backend]).wait_ready()
    data = Data(frontend, backend)
    wait_until(data.is_fresh)
    server.kill()
    wait_until(lambda: data.store_up == 0)
    wait_until(lambda: data.age > FRESH_S + 1)
    own = backend.metric("godwit_backend_data_age_seconds")
    wait_until(lambda: data.age >= own)  # what it was told is younger by the way that took
    assert data.age < own + FRESH_S
    server.start()
    wait_until(data.is_fresh, timeout=20)


def test_data_ages_on_when_its_backend_is_gone(backend, frontend):
    """The answers that were kept of it do, too. What its store does then, nobody knows."""
    data = Data(frontend, backend)
    wait_until(data.is_fresh)
    backend.kill()
    wait_until(lambda: data.store_up is None)
    wait_until(lambda: data.age > FRESH_S + 1)
    backend.start()
    wait_until(data.is_fresh, timeout=20)


def test_a_backend_without_data_has_no_age(empty_store, start_backend, start_frontend):
    backend = start_backend(f"{empty_store.url}.missing").wait_alive()
    data = Data(start_frontend([backend]).wait_alive(), backend)
    wait_until(lambda: data.store_up == 0)
    assert data.age is None


def test_each_backend_has_an_age_of_its_own(store, start_backend, start_frontend, fake):
    fake.standing = {"loaded": True, "store_up": False, "age_ms": 3600 * 1000}
    backend = start_backend(store).wait_ready()
    frontend = start_frontend([backend, fake.address]).wait_ready()
    wait_until(Data(frontend, backend).is_fresh)
    wait_until(lambda: Data(frontend, fake).store_up == 0)
    assert 3600 <= Data(frontend, fake).age < 3600 + FRESH_S


def test_backends_that_do_not_say_are_not_known(start_frontend, fake):
    frontend = start_frontend([fake.address]).wait_ready()
    data = Data(frontend, fake)
    wait_until(lambda: frontend.metric("godwit_frontend_watches") == 1)
    assert (data.age, data.store_up) == (None, None)
    # A newer version takes its place, and then the old one again.
    fake.standing = {"loaded": True, "store_up": True, "age_ms": 5}
    wait_until(data.is_fresh)
    fake.standing = None
    wait_until(lambda: (data.age, data.store_up) == (None, None))


def test_without_a_cache_nothing_is_known(backend, start_frontend):
    data = Data(start_frontend([backend], cache={"size_mb": 0}).wait_ready(), backend)
    assert (data.age, data.store_up) == (None, None)


def test_an_age_that_cannot_be_hurts_nobody(start_frontend, fake):
    fake.standing = {"loaded": True, "store_up": True, "age_ms": 2**64 - 1}
    frontend = start_frontend([fake.address]).wait_ready()
    century_s = 100 * 365 * 86400
    wait_until(lambda: Data(frontend, fake).age and Data(frontend, fake).age > 0.9 * century_s)
    assert Data(frontend, fake).age < 1.1 * century_s
