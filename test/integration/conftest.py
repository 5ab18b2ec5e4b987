"""Fixtures of the integration tests; what they are made of is described at the top of godwit.py.

    store               an initialised SQLite store with the zone of godwit.DEMO_ZONE
    empty_store         an initialised SQLite store without zones
    start_backend       start_backend(store, **config) -> Backend, not yet waited for
    start_frontend      start_frontend([backend or "host:port", ...], **config) -> Frontend
    backend             a ready Backend on `store`
    frontend            a ready Frontend in front of `backend`
    cluster             a Kubernetes cluster.Cluster without a node: pods are made, and wait for one
    node                the same with its node
    second_node         a cluster_node.Node beside that; only tests of scripts/test-cluster ask for the three

`config` overrides top-level keys of the daemon's configuration (listen=[...], log={...}). All
daemons started through the fixtures are ended with SIGTERM after the test, which fails when one
does not end in time with status 0, or a sanitizer reports something; a test that ends one itself
has its way. The build tested is $GODWIT_BUILD, or build/ of the repository.
"""

import pytest

import godwit


@pytest.fixture
def empty_store(tmp_path):
    return godwit.Store(tmp_path).init()


@pytest.fixture
def store(empty_store):
    return empty_store.load_zone(godwit.DEMO_ZONE)


@pytest.fixture
def daemons():
    """Daemons to be ended after the test, those that depend on others first: append to it."""
    started = []
    yield started
    failures = []
    for daemon in reversed(started):
        try:
            daemon.stop()
        except AssertionError as failure:
            failures.append(str(failure))
    assert not failures, "\n".join(failures)


@pytest.fixture
def start_backend(tmp_path, daemons):
    def start(storage, **config):
        daemons.append(godwit.Backend(tmp_path, storage, **config))
        return daemons[-1]
    return start


@pytest.fixture
def start_frontend(tmp_path, daemons):
    def start(backends, **config):
        daemons.append(godwit.Frontend(tmp_path, backends, **config))
        return daemons[-1]
    return start


@pytest.fixture
def backend(store, start_backend):
    return start_backend(store).wait_ready()


@pytest.fixture
def frontend(backend, start_frontend):
    return start_frontend([backend]).wait_ready()


@pytest.fixture(scope="session")
def cluster():
    import cluster as kubernetes

    with kubernetes.Cluster() as cluster:
        cluster.start_control_plane()
        yield cluster


@pytest.fixture(scope="session")
def node(cluster):
    cluster.start_node()
    return cluster


@pytest.fixture(scope="session")
def second_node(node):
    return node.start_second_node()


@pytest.hookimpl(tryfirst=True, hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Adds the daemons' own words to the report of a failed test."""
    outcome = yield
    report = outcome.get_result()
    if report.when == "call" and report.failed:
        for daemon in item.funcargs.get("daemons", []):
            report.sections.append((f"log of {daemon.name} {daemon.admin}", daemon.log()[-8000:]))
