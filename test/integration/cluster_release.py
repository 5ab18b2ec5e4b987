"""The chart in a cluster.Cluster, for test_cluster.py.

    Namespace(cluster, name, security)    with somebody who is administrator of it and of nothing else:
                                .helm(action, *examples, **values), .kubectl(...), .get(...), .all()
    Release(cluster, name, security, example, server, **values)   one with the chart in it, a Redis of the
                                chart's own and a zone: .install(), .change(**values), .uninstall_all(),
                                .redis(...), .ask(name), .no_lost_query(), .pods(component)

`security` is the pod security standard that Kubernetes enforces there. `server`, as in ADDRESS#PORT, is
what clients outside of the cluster ask.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import re
import time

import godwit
import router_lab
from chart import CHART, K8S
from router_lab import SteadyClient

# Kinds of the chart, and of what Kubernetes' controllers make of them.
OURS = (
    "deployments,daemonsets,replicasets,pods,services,endpointslices,configmaps,secrets,"
    "serviceaccounts,networkpolicies,poddisruptionbudgets,horizontalpodautoscalers,"
    "servicemonitors,prometheusrules"
)
# For so long a client waits for its answer, in seconds (steady_client.py).
PATIENCE = 1.0
INSTANCE = "app.kubernetes.io/instance=godwit"


class Namespace:
    """A namespace, and somebody who is the administrator of that and of nothing else."""

    def __init__(self, cluster, name, security):
        self.cluster = cluster
        self.name = name
        labels = {f"pod-security.kubernetes.io/{mode}": security for mode in ("enforce", "warn")}
        cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
        monitoring = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": {"name": "monitoring"},
            "rules": [{"apiGroups": ["monitoring.coreos.com"], "resources": ["*"], "verbs": ["*"]}],
        }
        bindings = [
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "RoleBinding",
                "metadata": {"name": role["name"]},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", **role},
                "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "installer"}],
            }
            for role in ({"kind": "ClusterRole", "name": "admin"}, {"kind": "Role", "name": "monitoring"})
        ]
        cluster.apply(monitoring, *bindings, namespace=name)
        # A pod of a service account that is not there yet is refused.
        cluster.wait_until(
            lambda: cluster.get("serviceaccount", "default", namespace=name), "a service account"
        )

    def helm(self, action, *values, wait=False, **settings):
        arguments = [action, "godwit", CHART, "--namespace", self.name]
        if wait:
            arguments += ["--wait", "--timeout", "90s"]
        for name in values:
            arguments += ["--values", K8S / "examples" / f"{name}.yaml"]
        # As a file: what --set says replaces whole blocks.
        arguments += ["--values", "-"]
        return self.cluster.helm(*arguments, user="installer", stdin=json.dumps(settings))

    def uninstall(self):
        return self.cluster.helm(
            "uninstall", "godwit", "--namespace", self.name, "--wait", user="installer"
        )

    def kubectl(self, *arguments, **options):
        return self.cluster.kubectl("--namespace", self.name, *arguments, user="installer", **options)

    def get(self, kind, *name, **options):
        return self.cluster.get(kind, *name, namespace=self.name, **options)

    def all(self):
        """Everything of the release, as {kind/name: object}."""
        objects = self.get(OURS, selector=INSTANCE)
        return {f"{item['kind']}/{item['metadata']['name']}": item for item in objects}

    def remove(self):
        self.cluster.kubectl("delete", "namespace", self.name)


class Release(Namespace):
    """The chart, installed and running, with its own Redis and one zone in it."""

    def __init__(self, cluster, name, security, example, server, **settings):
        super().__init__(cluster, name, security)
        self.server = server
        self.example = example
        self.settings = {"image": cluster.image, "redis": {"enabled": True}, **settings}

    def install(self):
        """The records are written as soon as Redis is there: an announcer waits for its zone."""
        self.helm("install", self.example, **self.settings)
        self.kubectl("wait", "--for=condition=Available", "deployment/godwit-redis", "--timeout=60s")
        self.redis("HSET", "dns:example.com", "NS", "ns1.example.com.", "SOA",
                   "ns1.example.com. hostmaster.example.com. 1 10800 3600 604800 300")
        self.redis("HSET", "dns:www.example.com", "A", "192.0.2.80", "ttl", "60")
        self.change()

    def change(self, **settings):
        """Upgrades, with settings that stay, and waits until all pods are ready."""
        for key, value in settings.items():
            self.settings[key] = merged(self.settings.get(key, {}), value)
        try:
            self.helm("upgrade", self.example, wait=True, **self.settings)
        except AssertionError as failure:
            raise AssertionError(f"{failure}\n{self.cluster.complaints()}\n{self.logs()}") from None

    def redis(self, *command):
        done = self.kubectl("exec", "deployment/godwit-redis", "--", "redis-cli", *command)
        return done.stdout.strip()

    def ask(self, name, server=None, *options):
        """The data, as dig says it outside of the cluster; "" for none."""
        address, _, port = (server or self.server).partition("#")
        done = self.cluster.outside.run(
            "dig", "+short", "+tries=1", "+time=1", f"@{address}", "-p", port or "53", name, *options,
            check=False)
        return done.stdout.strip() if done.returncode == 0 else ""

    def wait_answer(self, name, data, server=None, timeout=10):
        try:
            self.cluster.wait_until(
                lambda: self.ask(name, server) == data, f"{name} is {data}", timeout)
        except AssertionError as failure:
            raise AssertionError(f"{failure}\n{self.logs()}") from None

    def pods(self, component, node=None):
        """Names of pods that run, on a node or on any, and are not about to end."""
        pods = self.get("pods", selector=f"{INSTANCE},app.kubernetes.io/component={component}")
        return {
            pod["metadata"]["name"]
            for pod in pods
            if "deletionTimestamp" not in pod["metadata"]
            and (node is None or pod["spec"].get("nodeName") == node.name)
        }

    def wait_gone(self, pods):
        self.cluster.wait_until(
            lambda: not pods & {pod["metadata"]["name"] for pod in self.get("pods")},
            f"{pods} are gone", 60)

    def restarts(self):
        pods = self.get("pods", selector=INSTANCE)
        return {
            f"{pod['metadata']['name']}/{status['name']}": status["restartCount"]
            for pod in pods
            for kind in ("initContainerStatuses", "containerStatuses")
            for status in pod["status"].get(kind, [])
        }

    def logs(self):
        return self.kubectl("logs", "--selector", INSTANCE, "--all-containers", "--prefix",
                            "--tail=15", check=False).stdout

    @contextlib.contextmanager
    def no_lost_query(self, until=None):
        """All that is asked meanwhile, one question each 5 ms, is answered. `until` gives the time
        after which that is no longer so.

        When a pod behind a Service ends, kube-proxy forgets its clients' connections; an answer that is
        on its way just then leaves with the pod's own address, whatever the pod does. Those may be
        missing: of queries whose connection was seen to be deleted before they were given up.
        """
        connections = Connections(self.cluster)
        client = SteadyClient(self.cluster.outside, self.server)
        began = time.monotonic()
        yield
        # What was quick is asked about for a second, too.
        godwit.wait_until(lambda: time.monotonic() - began >= 1, 10)
        end = until() if until else float("inf")
        client.stop()
        seen = connections.stop()
        queries = [query for query in client.queries() if query[0] <= end]
        assert len(queries) > 50
        lost = [
            (sent, seen.get(port, []))
            for sent, answered, port in queries
            if answered is None and not any(
                event.forgotten and sent <= event.time <= sent + PATIENCE for event in seen.get(port, []))
        ]
        said = "\n".join(f"{sent:.3f}: {' '.join(map(str, events))}" for sent, events in lost[:50])
        assert not lost, f"lost {len(lost)} of {len(queries)}\n{said}\n{self.cluster.complaints()}"

    def uninstall_all(self):
        """Nothing is left but what every namespace has."""
        self.uninstall()
        self.cluster.wait_until(lambda: not self.all(), "all objects are gone", 60)
        kinds = self.cluster.kubectl(
            "api-resources", "--namespaced", "--verbs=list", "--output=name").stdout.split()
        own = ("Event", "Role", "RoleBinding")
        left = {
            f"{item['kind']}/{item['metadata']['name']}"
            for item in self.get(",".join(kinds))
            if item["kind"] not in own
        }
        assert left - self.given == {"ServiceAccount/default", "ConfigMap/kube-root-ca.crt"}
        self.remove()

    given = set()


@dataclasses.dataclass
class Event:
    """Of a connection over UDP: it is new, and leads to a pod; or it is deleted - forgotten, when a
    program and not its age is why."""

    time: float
    kind: str
    pod: str
    forgotten: bool

    def __str__(self):
        return f"{self.time:.3f} {'FORGOTTEN' if self.forgotten else self.kind} {self.pod}"


class Connections:
    """Listens from now on to what the kernel says about connections of the first node."""

    _count = 0

    def __init__(self, cluster):
        Connections._count += 1
        directory = cluster.directory / f"conntrack-{Connections._count}"
        directory.mkdir()
        command = ["conntrack", "-E", "-e", "NEW,DESTROY", "-p", "udp", "-o", "timestamp", "-b", "4194304"]
        self.program = router_lab.Program("conntrack", command, directory)
        cluster.lab.keep(self.program)
        godwit.wait_until(self._listens, 10, 0.01, "conntrack listens")

    def _listens(self):
        """Whether one of its sockets is a member of a multicast group of NETLINK_NETFILTER."""
        assert self.program.is_running(), self.program.log()
        own = set()
        for file in pathlib.Path(f"/proc/{self.program.pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                own.add(os.readlink(file))
        lines = [line.split() for line in pathlib.Path("/proc/net/netlink").read_text().splitlines()[1:]]
        return any(
            line[1] == "12" and int(line[3], 16) and f"socket:[{line[9]}]" in own for line in lines)

    def stop(self):
        """{client's port: its Events}"""
        assert self.program.is_running(), self.program.log()
        self.program.stop()
        seen = {}
        for when, kind, port, pod, rest in re.findall(
                r"^\[([\d.]+)\]\s+\[(NEW|DESTROY)\].*? sport=(\d+) .*? src=(\S+) (.*)",
                self.program.log(), re.MULTILINE):
            event = Event(float(when), kind, pod, "[USERSPACE]" in rest)
            seen.setdefault(int(port), []).append(event)
        return seen


def merged(one, other):
    """Two trees of values as helm puts them together."""
    if not isinstance(one, dict) or not isinstance(other, dict):
        return other
    return {**one, **{key: merged(one.get(key), value) for key, value in other.items()}}
