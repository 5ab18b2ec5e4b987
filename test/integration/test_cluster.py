"""The chart and the manifests in a real Kubernetes cluster: what its API makes of them, and, on a node
of its own, what a client outside the cluster sees. scripts/test-cluster makes the cluster.
"""

import json

import pytest

import cluster as kubernetes
from chart import CHART, EXAMPLES, HELM, K8S

pytestmark = [
    pytest.mark.skipif(
        kubernetes.TOOLS is None, reason="no cluster here; scripts/test-cluster makes one"
    ),
    pytest.mark.skipif(HELM is None, reason="no helm here; scripts/test-chart makes one"),
]
# Kinds of the chart, and of what Kubernetes' controllers make of them.
OURS = (
    "deployments,daemonsets,replicasets,pods,services,endpointslices,configmaps,secrets,"
    "serviceaccounts,networkpolicies,poddisruptionbudgets,horizontalpodautoscalers,"
    "servicemonitors,prometheusrules"
)
INSTANCE = "app.kubernetes.io/instance=godwit"


@pytest.fixture(scope="module")
def cluster():
    """The control plane alone: pods are made, and wait for a node."""
    with kubernetes.Cluster() as cluster:
        cluster.start_control_plane()
        yield cluster


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

    def helm(self, action, *values, **settings):
        arguments = [action, "godwit", CHART, "--namespace", self.name]
        for name in values:
            arguments += ["--values", K8S / "examples" / f"{name}.yaml"]
        for key, value in settings.items():
            arguments += ["--set-json", f"{key}={json.dumps(value)}"]
        return self.cluster.helm(*arguments, user="installer")

    def uninstall(self):
        return self.cluster.helm(
            "uninstall", "godwit", "--namespace", self.name, "--wait", user="installer"
        )

    def get(self, kind, *name, **options):
        return self.cluster.get(kind, *name, namespace=self.name, **options)

    def all(self):
        """Everything of the release, as {kind/name: object}."""
        objects = self.get(OURS, selector=INSTANCE)
        return {f"{item['kind']}/{item['metadata']['name']}": item for item in objects}

    def remove(self):
        self.cluster.kubectl("delete", "namespace", self.name)


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
    before = generations(namespace)
    done = namespace.helm("upgrade", example)
    assert "Warning" not in done.stderr, done.stderr
    assert generations(namespace) == before, "nothing has changed, and something was made anew"
    namespace.uninstall()
    cluster.wait_until(lambda: not namespace.all(), "all objects are gone")
    namespace.remove()


def generations(namespace):
    return {
        name: item["metadata"]["generation"]
        for name, item in namespace.all().items()
        if "generation" in item["metadata"] and not name.startswith(("Pod/", "EndpointSlice/"))
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
