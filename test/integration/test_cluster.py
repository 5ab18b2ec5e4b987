"""The chart and the manifests in a real Kubernetes cluster: what its API makes of them, and, on a node
of its own, what a client outside the cluster sees. scripts/test-cluster makes the cluster.
"""

import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import ssl
import time
import urllib.request

import pytest

import cluster as kubernetes
import godwit
from bgp_peer import BgpPeer
from certificates import Authority
from chart import EXAMPLES, HELM, K8S
from cluster import NODE
from cluster_node import PUBLIC, ROUTER
from cluster_release import Namespace, Release

pytestmark = [
    pytest.mark.skipif(
        kubernetes.TOOLS is None, reason="no cluster here; scripts/test-cluster makes one"
    ),
    pytest.mark.skipif(HELM is None, reason="no helm here; scripts/chart-tools gets it"),
]


def security(example):
    """The strictest of Kubernetes' pod security standards that an example keeps."""
    host = "hostNetwork: true" in (K8S / "examples" / f"{example}.yaml").read_text()
    return "privileged" if host else "restricted"


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_installed_changed_and_removed_by_a_namespaces_own_administrator(cluster, example):
    namespace = Namespace(cluster, f"api-{example}", security(example))
    done = namespace.helm("install", example)
    assert "Warning" not in done.stderr, done.stderr
    # Without a node, pods are made and wait. One that the namespace's security refuses is not made.
    cluster.wait_until(
        lambda: [name for name in namespace.all() if name.startswith(("Pod/", "DaemonSet/"))],
        "the pods are let in",
    )
    before = specifications(namespace)
    done = namespace.helm("upgrade", example)
    assert "Warning" not in done.stderr, done.stderr
    assert specifications(namespace) == before, "no value has changed, but something has"
    namespace.uninstall()
    cluster.wait_until(lambda: not namespace.all(), "all objects are gone")
    namespace.remove()


def specifications(namespace):
    """What all objects say, but for how many pods there are: that may be up to an autoscaler."""
    return {
        name: {key: value for key, value in item.get("spec", {}).items() if key != "replicas"}
        for name, item in namespace.all().items()
        if not name.startswith(("Pod/", "EndpointSlice/"))
    }


@pytest.mark.parametrize("example", EXAMPLES)
def test_plain_manifests_are_applied_and_nothing_differs_afterwards(cluster, example):
    folder = K8S / "manifests" / example
    done = cluster.kubectl("apply", "--server-side", "-k", folder)
    assert "Warning" not in done.stderr, done.stderr
    # The API has filled in defaults; what is written there stays as it is written.
    differs = cluster.kubectl("diff", "--server-side", "-k", folder, check=False)
    assert differs.returncode == 0, differs.stdout + differs.stderr
    cluster.kubectl("delete", "-k", folder, "--wait")


# --- one node, one pod, a Redis beside it ---------------------------------------------------------

@pytest.fixture(scope="module")
def single(node):
    release = Release(node, "dns", "restricted", "single-node", f"{NODE}#30053")
    release.install()
    return release


def test_the_single_node_example_answers_at_the_nodes_port(single):
    single.wait_answer("www.example.com", "192.0.2.80")
    assert single.ask("www.example.com", None, "+tcp") == "192.0.2.80"


def test_a_record_set_in_the_bundled_redis_appears(single):
    for address in ("192.0.2.7", "192.0.2.8"):
        single.redis("HSET", "dns:app1.example.com", "A", address, "ttl", "60")
        single.wait_answer("app1.example.com", address, timeout=3)


def test_the_documented_look_inside_works(single):
    done = single.kubectl("exec", "deployment/godwit", "-c", "frontend", "--", "godwitctl", "status")
    assert "every route has a backend" in done.stdout and "1 zone," in done.stdout, done.stdout


def test_a_redis_that_dies_comes_back_with_its_records(single):
    before = single.restarts()
    with single.no_lost_query():
        single.kubectl("exec", "deployment/godwit-redis", "--", "redis-cli", "SHUTDOWN", "NOSAVE",
                       check=False)
        single.cluster.wait_until(
            lambda: sum(single.restarts().values()) > sum(before.values()), "it is started again")
        single.kubectl("wait", "--for=condition=Available", "deployment/godwit-redis", "--timeout=30s")
        assert single.redis("HGET", "dns:www.example.com", "A") == "192.0.2.80"
        single.redis("HSET", "dns:after-redis.example.com", "A", "192.0.2.9")
        single.wait_answer("after-redis.example.com", "192.0.2.9")


def test_a_deleted_pod_comes_back(single):
    [before] = single.pods("frontend")
    single.kubectl("delete", "pod", before, "--wait=false")
    single.cluster.wait_until(lambda: single.pods("frontend") - {before}, "another is made")
    single.kubectl("rollout", "status", "deployment/godwit", "--timeout=60s")
    single.wait_answer("www.example.com", "192.0.2.80")


def test_an_upgrade_with_a_changed_value_loses_no_query(single):
    before = single.pods("frontend")
    with single.no_lost_query():
        single.change(frontend={"config": {"cache": {"size_mb": 32}}})
        single.wait_gone(before)


def test_uninstalling_the_single_node_leaves_nothing(single):
    single.uninstall_all()


def test_plain_manifests_run_as_documented(node):
    """In a kustomization of one's own, which names the image."""
    release = Release(node, "dns", "privileged", None, f"{NODE}#30053")
    base = node.directory / "kustomization"
    node.write("kustomization/kustomization.yaml", {
        "resources": [os.path.relpath(K8S / "manifests/single-node", base.resolve())],
        "images": [{"name": "localhost/godwit", "newTag": node.image["tag"]}],
    })
    node.kubectl("apply", "-k", base)
    release.kubectl("wait", "--for=condition=Available", "deployment", "--all", "--timeout=90s")
    done = release.kubectl(
        "run", "init", "--rm", "-i", "--restart=Never", f"--image={kubernetes.IMAGE}", "--",
        "godwitctl", "--store", "redis://godwit-redis:6379/0",
        "zone", "add", "example.net", "--ns", "ns1.example.net.", "--mbox", "hostmaster.example.net.")
    assert "error" not in done.stderr, done.stderr
    release.redis("HSET", "dns:www.example.net", "A", "192.0.2.81")
    release.wait_answer("www.example.net", "192.0.2.81")
    node.kubectl("delete", "-k", base, "--wait")


# --- tiers apart, mutual TLS between them ---------------------------------------------------------

TIERS, TIERS6 = "10.53.0.10", "fd77:53::10"


class Tiers(Release):
    def renew(self, authority):
        """New certificates for both tiers, as cert-manager would write them; the backends' one."""
        backend = authority.issue("backend", f"DNS:godwit-backend.{self.name}.svc.cluster.local")
        frontend = authority.issue("frontend", "DNS:frontend.example")
        for name, pair in (("godwit-backend-tls", backend), ("godwit-frontend-tls", frontend)):
            self.given = self.given | {f"Secret/{name}"}
            self.cluster.apply({
                "apiVersion": "v1",
                "kind": "Secret",
                "type": "kubernetes.io/tls",
                "metadata": {"name": name},
                "stringData": {
                    "tls.crt": pair.certificate.read_text(),
                    "tls.key": pair.key.read_text(),
                    "ca.crt": authority.certificate.read_text(),
                },
            }, namespace=self.name)
        return backend

    def change(self, **settings):
        self.balance()  # helm 3 waits for it
        super().change(**settings)

    def balance(self):
        """What a load balancer does: it gives addresses, and nodes take what comes for them."""
        status = {"loadBalancer": {"ingress": [{"ip": TIERS}, {"ip": TIERS6}]}}
        self.cluster.kubectl(
            "--namespace", self.name, "patch", "service", "godwit", "--subresource=status",
            "--type=merge", "--patch", json.dumps({"status": status}))

    def connect(self, pod, authority, pair=None):
        """A backend's certificate and the first of what it says, over TLS with or without a
        certificate of one's own."""
        context = ssl.create_default_context(cafile=authority.certificate)
        context.set_alpn_protocols(["h2"])
        if pair:
            context.load_cert_chain(pair.certificate, pair.key)
        address = self.get("pod", pod)["status"]["podIP"]
        name = f"godwit-backend.{self.name}.svc.cluster.local"
        with socket.create_connection((address, 8053), timeout=10) as connection:
            with context.wrap_socket(connection, server_hostname=name) as secure:
                certificate = ssl.DER_cert_to_PEM_cert(secure.getpeercert(binary_form=True))
                try:
                    return certificate, secure.recv(9)
                except (ssl.SSLError, ConnectionError):
                    return certificate, b""

    def backends_up(self):
        """Of each front end, as it says it itself: how many backends answer, by addresses."""
        pattern = re.compile(r"^ *backends +(\d+) of \1 up$", re.MULTILINE)
        states = [
            pattern.search(self.kubectl("exec", pod, "--", "godwitctl", "status", check=False).stdout)
            for pod in self.pods("frontend")
        ]
        return [int(state[1]) if state else None for state in states]


    def scale_backends(self, count):
        """As an autoscaler does it. Waits until so many are ready; names of those that are to go."""
        before = self.pods("backend")
        self.cluster.kubectl(
            "--namespace", self.name, "scale", "deployment/godwit-backend", f"--replicas={count}")
        self.kubectl("rollout", "status", "deployment/godwit-backend", "--timeout=60s")
        self.cluster.wait_until(lambda: len(self.pods("backend")) == count, f"there are {count} backends")
        return before - self.pods("backend")

    def answered(self, pod):
        """How many queries a backend has answered."""
        address = self.get("pod", pod)["status"]["podIP"]
        with contextlib.suppress(OSError):
            page = urllib.request.urlopen(f"http://{address}:9154/metrics", timeout=5).read().decode()
            return sum(map(float, re.findall(r"^godwit_backend_queries_total\S* (\S+)$", page, re.MULTILINE)))
        return 0

    @staticmethod
    def process(name):
        """One of a program's processes; all of them are this release's."""
        for file in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                if file.read_bytes().split(b"\0")[0] == name.encode():
                    return int(file.parent.name)
        raise AssertionError(f"no {name} runs")


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def tiers(node, authority):
    # Without a cache each query is for a backend to answer.
    release = Tiers(node, "tiers", "restricted", "separate-tiers", TIERS, replicas=2,
                    store={"existingSecret": "", "url": ""},
                    frontend={"config": {"cache": {"size_mb": 0}}})
    release.renew(authority)
    release.install()
    return release


def test_separate_tiers_answer_by_both_families(tiers):
    tiers.wait_answer("www.example.com", "192.0.2.80")
    tiers.wait_answer("www.example.com", "192.0.2.80", TIERS6)


def test_a_backend_takes_no_connection_without_a_certificate(tiers, authority, tmp_path):
    pod = min(tiers.pods("backend"))
    assert tiers.connect(pod, authority)[1] == b""
    stranger = Authority(tmp_path, "stranger").issue("client", "DNS:client.example")
    assert tiers.connect(pod, authority, stranger)[1] == b""
    own = authority.issue("client", "DNS:client.example")
    http2_settings = 4
    assert tiers.connect(pod, authority, own)[1][3] == http2_settings


def test_more_backends_are_found_by_front_ends(tiers):
    tiers.cluster.wait_until(
        lambda: tiers.backends_up() == [4, 4],
        "each front end has both backends, by both families", 60)
    tiers.change(backend={"autoscaling": {"minReplicas": 3}})
    tiers.cluster.wait_until(
        lambda: tiers.backends_up() == [6, 6],
        "each front end has all three", 90)


def test_backends_come_go_and_die_without_a_lost_query(tiers):
    with tiers.no_lost_query():
        tiers.scale_backends(5)
        tiers.cluster.wait_until(
            lambda: all(tiers.answered(pod) > 0 for pod in tiers.pods("backend")),
            "all five backends have answered queries", 90)
        before = tiers.restarts()
        os.kill(tiers.process("godwit-backend"), signal.SIGKILL)
        tiers.cluster.wait_until(
            lambda: sum(tiers.restarts().values()) > sum(before.values()), "it is started again")
        gone = tiers.scale_backends(3)
        tiers.wait_gone(gone)
        tiers.cluster.wait_until(
            lambda: tiers.backends_up() == [6, 6], "front ends have forgotten the other two", 90)


def test_renewed_certificates_are_taken_over_without_a_restart(tiers, authority):
    pods, restarts = tiers.pods("backend") | tiers.pods("frontend"), tiers.restarts()
    renewed = tiers.renew(authority)
    with tiers.no_lost_query():
        for pod in tiers.pods("backend"):
            tiers.cluster.wait_until(
                lambda: tiers.connect(pod, authority, renewed)[0] == renewed.certificate.read_text(),
                f"{pod} has the new certificate", 150)
    assert tiers.pods("backend") | tiers.pods("frontend") == pods
    assert tiers.restarts() == restarts


def test_both_tiers_are_rolled_without_a_lost_query(tiers):
    before = tiers.pods("backend") | tiers.pods("frontend")
    with tiers.no_lost_query():
        tiers.change(frontend={"config": {"log": {"level": "debug"}}},
                     backend={"autoscaling": {"minReplicas": 2}, "config": {"log": {"level": "debug"}}})
        tiers.wait_gone(before)
    tiers.redis("HSET", "dns:after-roll.example.com", "A", "192.0.2.10")
    tiers.wait_answer("after-roll.example.com", "192.0.2.10")


def test_a_node_is_drained_of_backends_without_a_lost_query(tiers, second_node):
    tiers.change(backend={"tolerations": [{"key": PUBLIC, "operator": "Exists"}]})
    there = tiers.pods("backend", second_node)
    assert there, "backends are spread over nodes"
    with tiers.no_lost_query():
        tiers.cluster.wait_until(
            lambda: all(tiers.answered(pod) > 0 for pod in there), "front ends ask there, too", 90)
        tiers.cluster.kubectl("drain", second_node.name, "--delete-emptydir-data", "--timeout=120s")
        assert not tiers.pods("backend", second_node)
    tiers.cluster.kubectl("uncordon", second_node.name)


def test_uninstalling_the_tiers_leaves_nothing(tiers):
    tiers.uninstall_all()


# --- in the node's network, announced to a router -------------------------------------------------

ANYCAST = "10.53.53.53"


@pytest.fixture(scope="module")
def router(node):
    return node.lab.keep(BgpPeer(namespace=node.outside, host=ROUTER))


@pytest.fixture(scope="module")
def anycast(node, router):
    release = Release(
        node, "anycast", "privileged", "home-lab-bgp", ANYCAST, store={"url": ""},
        announcer={"config": {
            "service": {"probe": {"name": "example.com."}},
            "bgp": {
                "as": 64512,
                "next_hop_interface": "eth0",
                "peers": [{"address": f"{ROUTER}:{router.port}", "as": router.asn}],
            },
        }})
    release.install()
    return release


def test_the_home_lab_example_is_announced_and_answers(anycast, router):
    anycast.wait_answer("www.example.com", "192.0.2.80")
    assert router.wait_route(f"{ANYCAST}/32").next_hop == NODE


def test_a_node_is_drained_by_hand_as_documented(anycast, router):
    [pod] = anycast.pods("frontend")
    heard = router.mark()
    anycast.kubectl("exec", pod, "-c", "announcer", "--", "godwitctl", "announcer", "drain")
    router.wait_event("withdraw", f"{ANYCAST}/32", after=heard)
    anycast.kubectl("exec", pod, "-c", "announcer", "--", "godwitctl", "announcer", "undrain")
    router.wait_route(f"{ANYCAST}/32")


@pytest.mark.parametrize("how", ["deleted", "upgraded"])
def test_a_pod_is_withdrawn_before_it_ends_and_announced_when_it_is_back(anycast, router, how):
    before = anycast.pods("frontend")
    heard = router.mark()
    with anycast.no_lost_query(lambda: withdrawal(router, heard)):
        if how == "deleted":
            anycast.kubectl("delete", "pod", *before)
        else:
            anycast.change(frontend={"config": {"cache": {"size_mb": 32}}})
        anycast.wait_gone(before)
        router.wait_event("withdraw", f"{ANYCAST}/32", after=heard)
    anycast.kubectl("rollout", "status", "daemonset/godwit", "--timeout=60s")
    router.wait_route(f"{ANYCAST}/32")
    anycast.wait_answer("www.example.com", "192.0.2.80")


def withdrawal(router, heard):
    """When the router was told, in the time of the client, which is the wall clock's."""
    event = router.wait_event("withdraw", f"{ANYCAST}/32", after=heard)
    return event.time + time.time() - time.monotonic()


def test_uninstalling_takes_the_address_off_the_node(anycast, router):
    anycast.uninstall_all()
    router.wait_gone(f"{ANYCAST}/32")
    assert ANYCAST not in godwit.run("ip", "address", "show", "dev", "lo").stdout
