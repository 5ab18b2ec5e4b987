"""The chart's public-authoritative example in a real Kubernetes cluster, twice: ns1 and ns2, which two
sites would have, each on a node of its own, with two databases and two upstream routers outside.
scripts/test-cluster makes the cluster.

What differs from the example is what each site's administrator would write there: addresses, the name of
a Secret, the node.
"""

import contextlib
import re
import socket
import ssl

import pytest

import cluster as kubernetes
import godwit
from certificates import Authority
from chart import HELM, K8S, yaml
from cluster_node import PUBLIC, ROUTER
from cluster_database import Databases
from cluster_release import Release, merged
from router_lab import Bird, Peer

pytestmark = [
    pytest.mark.skipif(
        kubernetes.TOOLS is None, reason="no cluster here; scripts/test-cluster makes one"
    ),
    pytest.mark.skipif(HELM is None, reason="no helm here; scripts/chart-tools gets it"),
]

EXAMPLE = yaml.safe_load((K8S / "examples" / "public-authoritative.yaml").read_text())
OUR_AS, THEIR_AS = 64512, 64496
OTHER_ROUTER, OTHER_ROUTER6 = "10.77.0.9", "fd77::9"
PASSWORDS = {"upstream-a": "one", "upstream-b": "another"}  # of BGP, by the example's descriptions


class NameServer(Release):
    """One of the two, on a `node` of its own."""

    def __init__(self, cluster, name, node, authority, databases, **settings):
        self.node = node
        self.authority = authority
        self.tls = f"{name}-tls"
        peers = [
            {**peer, "address": address}
            for peer, address in zip(
                EXAMPLE["announcer"]["config"]["bgp"]["peers"], (ROUTER, OTHER_ROUTER))
        ]
        small = {"requests": {"cpu": "50m", "memory": "64Mi"}}  # the node has not much
        for key, value in (
            ("nodeSelector", {"kubernetes.io/hostname": node.name}),
            ("redis", {"enabled": False}),
            ("frontend", {"resources": small}),
            ("backend", {"resources": small}),
            ("announcer", {"config": {"bgp": {"peers": peers}}}),
        ):
            settings[key] = merged(settings.get(key, {}), value)
        chart = merged(EXAMPLE, settings)
        self.address, self.address6 = chart["frontend"]["listenAddresses"]
        self.prefixes = [item["prefix"] for item in chart["announcer"]["config"]["addresses"]]
        self.state = chart["backend"]["stateVolume"]["hostPath"]["path"]
        super().__init__(cluster, name, "privileged", "public-authoritative", self.address, **settings)
        self.secret("godwit-store", {"password": databases.password})
        self.secret("godwit-store-ca", {"ca.crt": authority.certificate.read_text()})
        self.secret("godwit-peers", PASSWORDS)
        self.renew()

    def secret(self, name, data, kind="Opaque"):
        self.given = self.given | {f"Secret/{name}"}
        self.cluster.apply(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "type": kind,
                "metadata": {"name": name},
                "stringData": data,
            }, namespace=self.name)

    def renew(self):
        """A new certificate for its clients."""
        pair = self.authority.issue(self.name, f"DNS:{self.name}.example.com")
        self.secret(self.tls, {"tls.crt": pair.certificate.read_text(), "tls.key": pair.key.read_text()},
                    "kubernetes.io/tls")
        return pair.certificate.read_text()

    def install(self):
        # As docs/kubernetes.md says.
        self.node.run("install", "-d", "-o", "65532", "-g", "65532", self.state)
        self.helm("install", self.example, **self.settings)
        self.change()

    def certificate(self):
        """What its clients see, and have checked."""
        context = ssl.create_default_context(cafile=self.authority.certificate)
        with self.cluster.outside.entered():
            connection = socket.create_connection((self.address, 853), timeout=10)
        name = f"{self.name}.example.com"
        with connection, context.wrap_socket(connection, server_hostname=name) as secure:
            return ssl.DER_cert_to_PEM_cert(secure.getpeercert(binary_form=True))

    def follows(self):
        """Whether its backend has its database."""
        [pod] = self.pods("frontend")
        said = self.kubectl("exec", pod, "-c", "backend", "--", "godwitctl", "status", check=False).stdout
        return bool(re.search(r"^ *store +up$", said, re.MULTILINE))

    def restart(self):
        before = self.pods("frontend")
        self.kubectl("delete", "pod", *before)
        self.kubectl("rollout", "status", "daemonset/godwit", "--timeout=60s")
        assert not before & self.pods("frontend")


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def databases(node, authority):
    return Databases(node, authority)


@pytest.fixture(scope="module")
def upstreams(nodes):
    """Two BIRDs: the first is the way from `outside` to the nodes, the other looks on."""
    cluster = nodes[0].cluster
    other = cluster.lab.namespace("upstream-b")
    cluster.plug(other.run, "upstream-b")
    other.add_address("eth0", f"{OTHER_ROUTER}/24")
    other.add_address("eth0", f"{OTHER_ROUTER6}/64")
    return [
        Bird(namespace, THEIR_AS, address, [
            Peer(node.address, OUR_AS, password=password, ttl_security=True, passive=True, source=address)
            for node in nodes
        ])
        for namespace, address, password in zip(
            (cluster.outside, other), (ROUTER, OTHER_ROUTER), PASSWORDS.values())
    ]


@pytest.fixture(scope="module")
def nodes(node, second_node):
    """Both for name servers only; the second is so from its beginning."""
    for each in node.nodes:
        node.kubectl("label", "node", each.name, f"{PUBLIC}=true")
    node.kubectl("taint", "node", node.nodes[0].name, f"{PUBLIC}=true:NoSchedule")
    yield node.nodes
    node.kubectl("taint", "node", node.nodes[0].name, f"{PUBLIC}-")


@pytest.fixture(scope="module")
def pair(node, nodes, authority, databases, upstreams):
    ns1 = NameServer(node, "ns1", nodes[0], authority, databases)
    ns2 = NameServer(
        node, "ns2", nodes[1], authority, databases,
        frontend={
            "listenAddresses": ["198.51.100.53", "2001:db8:b::53"],
            "tls": {"existingSecret": "ns2-tls"},
        },
        announcer={"config": {"addresses": [
            {"prefix": "198.51.100.0/24", "allow_wider": True},
            {"prefix": "198.51.100.53/32", "interface": "lo"},
            {"prefix": "2001:db8:b::/48", "allow_wider": True},
            {"prefix": "2001:db8:b::53/128", "interface": "lo"},
        ]}})
    databases.prepare(ns1)
    databases.make_zone("example.com", {
        "example.com SOA": "ns1.example.com hostmaster.example.com 1 10800 3600 604800 300",
        "example.com NS": ["ns1.example.com", "ns2.example.com"],
        "ns1.example.com A": ns1.address,
        "ns1.example.com AAAA": ns1.address6,
        "ns2.example.com A": ns2.address,
        "ns2.example.com AAAA": ns2.address6,
        "www.example.com A": "192.0.2.80",
    })
    ns1.install()
    ns2.install()
    for upstream in upstreams:
        for each in nodes:
            try:
                upstream.wait_session(each.address, timeout=30)
            except AssertionError as failure:
                said = upstream.birdc("show", "protocols", "all", check=False)
                raise AssertionError(f"{failure}\n{said}\n{upstream.log()}\n{ns1.logs()}") from None
    return ns1, ns2


@contextlib.contextmanager
def no_lost_query(pair):
    with pair[0].no_lost_query(), pair[1].no_lost_query():
        yield


def test_both_name_servers_of_the_public_example_answer_in_all_ways(pair, authority):
    tls = ("+tls", "-p", "853", f"+tls-ca={authority.certificate}")
    for server in pair:
        server.wait_answer("www.example.com", "192.0.2.80")
        server.wait_answer("www.example.com", "192.0.2.80", server.address6)
        assert server.ask("www.example.com", None, "+tcp") == "192.0.2.80"
        name = f"+tls-hostname={server.name}.example.com"
        assert server.ask("www.example.com", None, *tls, name) == "192.0.2.80"
        assert server.ask("example.com", None, "NS").split() == ["ns1.example.com.", "ns2.example.com."]


def test_both_are_announced_to_both_upstreams_as_the_example_says(pair, upstreams):
    first, second = upstreams
    for server in pair:
        for prefix in server.prefixes:
            assert first.wait_route(prefix).communities == ["64496:53"]
            assert second.wait_route(prefix).as_path == [OUR_AS, OUR_AS]


def test_what_changes_in_sql_is_seen_at_both_name_servers(pair, databases):
    for statement, name, data in (
        ("INSERT INTO records (domain_id, name, type, content, ttl) "
         "SELECT id, 'shop.example.com', 'A', '192.0.2.81', 60 FROM domains",
         "shop.example.com", "192.0.2.81"),
        ("UPDATE records SET content = '192.0.2.82' WHERE name = 'shop.example.com'",
         "shop.example.com", "192.0.2.82"),
        ("UPDATE records SET name = 'store.example.com' WHERE name = 'shop.example.com'",
         "store.example.com", "192.0.2.82"),
        ("DELETE FROM records WHERE name = 'store.example.com'", "store.example.com", ""),
    ):
        databases.sql(statement)
        for server in pair:
            server.wait_answer(name, data, timeout=3)
            server.wait_answer(name, data, server.address6, timeout=3)


def test_a_renewed_certificate_is_what_clients_see_without_a_restart(pair):
    pods, restarts = [server.pods("frontend") for server in pair], [server.restarts() for server in pair]
    renewed = [server.renew() for server in pair]
    with no_lost_query(pair):
        for server, certificate in zip(pair, renewed):
            server.cluster.wait_until(
                lambda: server.certificate() == certificate, f"{server.name} shows the new one", 150)
    assert [server.pods("frontend") for server in pair] == pods
    assert [server.restarts() for server in pair] == restarts


def test_a_changed_password_of_the_database_is_taken_over_without_a_restart(pair, databases):
    restarts = [server.restarts() for server in pair]
    with no_lost_query(pair):
        databases.change_password("battery staple")
        for server in pair:
            server.cluster.wait_until(
                lambda: not server.follows(), "the old one is refused")
            server.secret("godwit-store", {"password": databases.password})
        for server in pair:
            server.cluster.wait_until(
                lambda: server.follows(), "the new one is taken", 150)
        databases.sql("UPDATE records SET content = '192.0.2.83' WHERE name = 'www.example.com'")
        for server in pair:
            server.wait_answer("www.example.com", "192.0.2.83", timeout=3)
    assert [server.restarts() for server in pair] == restarts


def test_a_database_that_dies_is_replaced_by_the_second(pair, databases):
    with no_lost_query(pair):
        databases.first.kill()
        databases.promote()
        databases.second.sql(
            "UPDATE pdns.records SET content = '192.0.2.84' WHERE name = 'www.example.com'")
        for server in pair:
            server.wait_answer("www.example.com", "192.0.2.84")


def test_name_servers_start_while_all_databases_are_away(pair, databases, upstreams):
    ns1, ns2 = pair
    with ns2.no_lost_query():
        databases.second.kill()
        ns1.restart()
        ns1.wait_answer("www.example.com", "192.0.2.84")
        assert not ns1.follows()
        for prefix in ns1.prefixes:
            upstreams[0].wait_route(prefix)
    with no_lost_query(pair):
        databases.second.start()
        databases.second.sql(
            "UPDATE pdns.records SET content = '192.0.2.85' WHERE name = 'www.example.com'")
        for server in pair:
            server.wait_answer("www.example.com", "192.0.2.85")


def test_uninstalling_one_of_the_pair_leaves_the_other(pair, upstreams):
    ns1, ns2 = pair
    with ns2.no_lost_query():
        ns1.uninstall_all()
    for upstream in upstreams:
        for prefix in ns1.prefixes:
            upstream.wait_no_route(prefix)
    ns2.uninstall_all()
    for server in pair:
        assert f"{server.address}/" not in server.node.run("ip", "address", "show", "dev", "lo").stdout
