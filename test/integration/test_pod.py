"""The image of k8s/Dockerfile and the chart's pod, really run: by podman, in a network namespace that
stands for a node, with a Redis and a router in it. scripts/test-image makes the image and calls this.

podman knows neither sidecars proper nor Kubernetes' probes, nor ports where the network is the node's:
the pod is rendered with plain containers, and the tests look at what the probes would.
"""

import json
import os
import time
import urllib.request

import pytest

import godwit
import router_lab
from bgp_peer import BgpPeer
from chart import HELM, containers, of_kind, pods, render, yaml

IMAGE = os.environ.get("GODWIT_IMAGE")
PODMAN = os.environ.get("GODWIT_PODMAN", "podman").split()
ADDRESS = "192.0.2.53"
pytestmark = [
    pytest.mark.skipif(IMAGE is None, reason="no image here; scripts/test-image makes one"),
    pytest.mark.skipif(HELM is None, reason="no helm here; scripts/chart-tools gets it"),
]


class Node:
    """The pod, and what is around it."""

    def __init__(self, lab):
        self.namespace = lab.namespace("node")
        self.router = lab.keep(BgpPeer(namespace=self.namespace))
        self.namespace.start("redis", "redis-server", "--save", "", "--bind", "127.0.0.1")
        godwit.wait_until(lambda: self.redis("PING", check=False) == "PONG", 10, message="Redis is up")
        self.file = lab.make_directory("pod") / "pod.yaml"

    def redis(self, *command, check=True):
        return self.namespace.run("redis-cli", *command, check=check).stdout.strip()

    def podman(self, *arguments, check=True):
        with self.namespace.entered():
            return godwit.run(*PODMAN, *arguments, check=check, timeout=60)

    def render(self):
        repository, tag = IMAGE.rsplit(":", 1)
        objects = render(
            "single-node",
            image={"repository": repository, "tag": tag, "pullPolicy": "Never"},
            nativeSidecars=False,
            hostNetwork=True,
            redis={"enabled": False},
            store={"url": "redis://127.0.0.1:6379/0"},
            frontend={"port": 53},
            announcer={
                "enabled": True,
                "config": {
                    "service": {"probe": {"name": "example.com."}},
                    "addresses": [{"prefix": f"{ADDRESS}/32", "interface": "lo"}],
                    "bgp": {
                        "as": 64512,
                        "router_id": "192.0.2.1",
                        "peers": [
                            {
                                "address": f"127.0.0.1:{self.router.port}",
                                "as": self.router.asn,
                                "next_hop_ipv4": "192.0.2.1",
                            }
                        ],
                    },
                },
            },
        )
        wanted = of_kind(objects, "ConfigMap", "Deployment")
        for _, pod in pods(wanted):
            for container in containers(pod):
                for key in ("startupProbe", "livenessProbe", "readinessProbe", "lifecycle", "ports"):
                    container.pop(key, None)
        self.file.write_text(yaml.safe_dump_all(wanted))

    def play(self):
        self.render()
        self.podman("kube", "play", self.file)
        self.names = json.loads(self.podman("ps", "--format", "json").stdout)
        self.names = {
            name: container["Names"][0]
            for container in self.names
            for name in ("frontend", "backend", "announcer")
            if container["Names"][0].endswith(f"-{name}")
        }
        assert len(self.names) == 3, self.podman("ps", "-a").stdout

    def pid(self, name):
        done = self.podman("inspect", self.names[name], "--format", "{{.State.Pid}}")
        return int(done.stdout)

    def ask(self, name, kind="A"):
        """The data, as dig says it; "" for none."""
        done = self.namespace.run(
            "dig", "+short", "+tries=1", "+time=1", f"@{ADDRESS}", name, kind, check=False
        )
        return done.stdout.strip() if done.returncode == 0 else ""

    def wait_answer(self, name, data, timeout=20):
        try:
            godwit.wait_until(lambda: self.ask(name) == data, timeout, message=f"{name} is {data}")
        except AssertionError as failure:
            raise AssertionError(f"{failure}\n{self.logs()}") from None

    def status(self, port, path):
        with self.namespace.entered():
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as reply:
                return reply.status

    def queries(self):
        """How many the front end has had."""
        with self.namespace.entered():
            with urllib.request.urlopen("http://127.0.0.1:9153/metrics", timeout=5) as reply:
                lines = reply.read().decode().splitlines()
        return sum(
            float(line.split()[1]) for line in lines if line.startswith("godwit_frontend_queries_total{")
        )

    def logs(self):
        return "".join(
            self.podman("logs", name, check=False).stdout[-2000:] for name in self.names.values()
        )


@pytest.fixture(scope="module")
def node():
    refusal = router_lab.refusal()
    if refusal:
        pytest.skip(refusal)
    with router_lab.Lab() as lab:
        node = Node(lab)
        node.redis("HSET", "dns:example.com", "NS", "ns1.example.com.", "SOA",
                   "ns1.example.com. hostmaster.example.com. 1 10800 3600 604800 300")
        node.redis("HSET", "dns:www.example.com", "A", "192.0.2.80", "ttl", "60")
        try:
            node.play()
            yield node
        finally:
            node.podman("kube", "down", node.file, check=False)
            # What a ConfigMap was mounted from stays behind otherwise.
            for name in ("frontend", "backend", "announcer"):
                node.podman("volume", "rm", f"godwit-{name}", check=False)


def test_the_image_is_small_has_no_shell_and_no_root(node):
    image = json.loads(node.podman("image", "inspect", IMAGE).stdout)[0]
    assert image["Size"] < 120e6
    assert image["User"] == "65532:65532"
    done = node.podman("run", "--rm", "--network", "host", IMAGE, "sh", "-c", "true", check=False)
    assert done.returncode == 127
    for program in ("godwit-frontend", "godwit-backend", "godwit-announcer", "godwitctl"):
        done = node.podman("run", "--rm", "--network", "host", "--read-only", IMAGE, program, "--version")
        assert done.stdout.startswith(program)


def test_the_pod_answers_and_announces(node):
    node.wait_answer("www.example.com", "192.0.2.80")
    node.router.wait_route(f"{ADDRESS}/32")
    for port in (9153, 9154, 9155):
        assert node.status(port, "/livez") == node.status(port, "/readyz") == 200


def test_a_record_set_in_redis_appears(node):
    node.redis("HSET", "dns:app1.example.com", "A", "192.0.2.7", "ttl", "60")
    node.wait_answer("app1.example.com", "192.0.2.7", timeout=3)
    node.redis("HSET", "dns:app1.example.com", "A", "192.0.2.8")
    node.wait_answer("app1.example.com", "192.0.2.8", timeout=3)


def test_containers_have_no_privilege_but_what_their_work_needs(node):
    net_bind, net_admin, net_raw = 1 << 10, 1 << 12, 1 << 13
    for name, wanted in (
        ("frontend", net_bind),
        ("backend", 0),
        ("announcer", net_bind | net_admin | net_raw),
    ):
        status = dict(
            line.split(":", 1) for line in open(f"/proc/{node.pid(name)}/status").read().splitlines()
        )
        assert set(status["Uid"].split()) == {"65532"}, name
        assert status["NoNewPrivs"].strip() == "1", name
        assert int(status["CapEff"], 16) == wanted, name
        assert int(status["CapBnd"], 16) == wanted, name
        options = next(
            line.split()[3]
            for line in open(f"/proc/{node.pid(name)}/mounts")
            if line.split()[1] == "/"
        )
        assert "ro" in options.split(","), name


@pytest.mark.parametrize("name", ["backend", "frontend", "announcer"])
def test_a_container_that_is_killed_comes_back(node, name):
    node.wait_answer("www.example.com", "192.0.2.80")
    before = node.pid(name)
    os.kill(before, 9)
    godwit.wait_until(lambda: node.pid(name) not in (0, before), 20, message=f"{name} is there again")
    address = {"backend": "192.0.2.21", "frontend": "192.0.2.22", "announcer": "192.0.2.23"}[name]
    node.redis("HSET", f"dns:after-{name}.example.com", "A", address)
    node.wait_answer(f"after-{name}.example.com", address)
    node.router.wait_route(f"{ADDRESS}/32")


def test_the_pod_ends_without_a_lost_query(node):
    """All that is sent until the router has taken the address back is answered."""
    node.router.wait_route(f"{ADDRESS}/32")
    heard = len(node.router.events)
    before = node.queries()
    client = router_lab.SteadyClient(node.namespace, ADDRESS, interval_ms=5)
    godwit.wait_until(lambda: node.queries() > before + 100, 20, message="the client is asking")
    node.podman("pod", "stop", "--time", "30", "--all")
    withdrawn = node.router.wait_event("withdraw", f"{ADDRESS}/32", after=heard)
    # The client keeps wall-clock time.
    outage = client.outage(until=withdrawn.time + time.time() - time.monotonic())
    assert outage.asked > 100
    assert outage.lost == 0
    states = json.loads(node.podman("ps", "-a", "--format", "json").stdout)
    codes = {c["Names"][0]: c["ExitCode"] for c in states if c["Names"][0] in node.names.values()}
    assert set(codes.values()) == {0}, codes
