"""A Kubernetes cluster, for test_cluster.py and test_cluster_public.py. scripts/test-cluster makes its
programs and calls the tests in namespaces of their own (test/cluster/node), in which this takes the place
of the machine: addresses, directories and cgroups are as on a node that has nothing else to do.

    Cluster()                   a context manager, empty at first
        .start_control_plane()  etcd, kube-apiserver, kube-controller-manager, kube-scheduler
        .start_node()           where the tests are; .nodes[0], a cluster_node.Node
        .start_second_node()    beside it; .nodes[1]
        .outside                a network namespace beside the nodes', where clients and routers are
        .plug(run, name)        gives a namespace an eth0 beside the nodes'
        .kubectl(...), .helm(...)          as the administrator, or another `user`
        .get(kind, name)        an object, or all of a kind, as from `kubectl get -o json`
        .apply(objects)         creates or changes objects
        .wait_until(condition)  and what is wrong in the cluster when it does not come true

Nodes are 10.77.0.2 and fd77::2, 10.77.0.3 and fd77::3; pods and what a load balancer gives out have
addresses that `outside` routes to them, the latter to the first. NetworkPolicies are taken by the API,
but nobody enforces them.
"""

import contextlib
import json
import os
import pathlib
import secrets
import subprocess

import godwit
import router_lab
from chart import HELM, yaml
from cluster_node import NAMES, ROUTER, ROUTER6, Node

TOOLS = os.environ.get("GODWIT_CLUSTER")
IMAGE = os.environ.get("GODWIT_IMAGE")

NODE, NODE6 = "10.77.0.2", "fd77::2"  # the first, with the control plane
SERVICES, SERVICES6 = "10.96.0.0/16", "fd77:96::/112"
# What a load balancer in front of the cluster, or an anycast router, would have.
PUBLIC, PUBLIC6 = "10.53.0.0/16", "fd77:53::/64"
# Machines outside, by names that the cluster's DNS knows.
DATABASES = {"db1.internal.example": "10.77.0.11", "db2.internal.example": "10.77.0.12"}

USERS = {
    # Names by which kube-apiserver's own RBAC rules know them.
    "admin": ("admin", "system:masters"),
    "controller-manager": ("system:kube-controller-manager", ""),
    "scheduler": ("system:kube-scheduler", ""),
    "proxy": ("system:kube-proxy", ""),
    **{f"kubelet-{name}": (f"system:node:{name}", "system:nodes") for name in NAMES},
    "installer": ("installer", ""),
}


class Cluster:
    def __enter__(self):
        self._stack = contextlib.ExitStack()
        self.lab = self._stack.enter_context(router_lab.Lab())
        self.tools = pathlib.Path(TOOLS)
        self.directory = self.lab.directory
        # The programs' output outlives them: the script keeps this directory.
        self.logs = self.tools / "logs"
        self.cgroup = os.environ["GODWIT_CLUSTER_CGROUP"]
        self.hosts = DATABASES
        repository, tag = IMAGE.rsplit(":", 1)
        self.image = {"repository": repository, "tag": tag, "pullPolicy": "Never"}
        path = [self.tools / "bin", self.tools / "root/usr/bin", os.environ["PATH"]]
        self.environment = {**os.environ, "PATH": os.pathsep.join(map(str, path))}
        self._make_network()
        self._make_users()
        return self

    def __exit__(self, *exception):
        return self._stack.__exit__(*exception)

    # --- the machine ------------------------------------------------------------------------------

    def _make_network(self):
        self.outside = self.lab.namespace("outside")
        self.outside.run("ip", "link", "add", "nodes", "type", "bridge", "mcast_snooping", "0")
        self.outside.run("ip", "link", "set", "nodes", "up")
        self.outside.add_address("nodes", f"{ROUTER}/24")
        self.outside.add_address("nodes", f"{ROUTER6}/64")
        self.outside.forward()
        self.nodes = [Node(self, 0)]
        self.outside.run("ip", "route", "add", PUBLIC, "via", NODE)
        self.outside.run("ip", "route", "add", PUBLIC6, "via", NODE6)

    def plug(self, run, name):
        run("ip", "link", "add", "name", "eth0", "type", "veth", "peer", "name", name,
            "netns", self.outside.path)
        run("ip", "link", "set", "eth0", "up")
        self.outside.run("ip", "link", "set", "dev", name, "master", "nodes", "up")

    def _make_users(self):
        self._tokens = {user: secrets.token_hex(16) for user in USERS}
        (self.directory / "tokens.csv").write_text("".join(
            f'{self._tokens[user]},{name},{user},"{groups}"\n' for user, (name, groups) in USERS.items()))
        for user, token in self._tokens.items():
            self.write(f"{user}.kubeconfig", {
                "apiVersion": "v1",
                "kind": "Config",
                # Its certificate is its own, made at its start, in this network namespace.
                "clusters": [{"name": "test", "cluster": {
                    "server": f"https://{NODE}:6443", "insecure-skip-tls-verify": True}}],
                "users": [{"name": user, "user": {"token": token}}],
                "contexts": [{"name": "test", "context": {"cluster": "test", "user": user}}],
                "current-context": "test",
            })

    def write(self, name, content):
        """A file of the cluster's; JSON is YAML enough."""
        path = self.directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    def start(self, *command, enter=(), suffix=""):
        name = pathlib.Path(command[0]).name + suffix
        program = router_lab.Program(name, [*enter, *command], self.logs, self.environment)
        return self.lab.keep(program)

    # --- the control plane ------------------------------------------------------------------------

    def start_control_plane(self):
        key = self.directory / "service-accounts.key"
        godwit.run("openssl", "genrsa", "-out", key, "2048")
        self.start("etcd", "--data-dir", self.directory / "etcd", "--unsafe-no-fsync",
                   "--listen-client-urls", "http://127.0.0.1:2379",
                   "--advertise-client-urls", "http://127.0.0.1:2379",
                   "--listen-peer-urls", "http://127.0.0.1:2380")
        self.start("kube-apiserver", "--etcd-servers", "http://127.0.0.1:2379",
                   "--bind-address", NODE, "--advertise-address", NODE,
                   "--cert-dir", self.directory / "apiserver",
                   "--service-cluster-ip-range", f"{SERVICES},{SERVICES6}",
                   "--token-auth-file", self.directory / "tokens.csv",
                   "--authorization-mode", "Node,RBAC",
                   "--enable-admission-plugins", "NodeRestriction",
                   "--service-account-issuer", "https://kubernetes.default.svc",
                   "--service-account-key-file", key,
                   "--service-account-signing-key-file", key,
                   "--kubelet-preferred-address-types", "InternalIP")
        godwit.wait_until(
            lambda: self.kubectl("get", "--raw", "/readyz", check=False).stdout == "ok", 120, 0.2,
            f"kube-apiserver is ready, see {self.logs}")
        self.start("kube-controller-manager", "--kubeconfig", self.kubeconfig("controller-manager"),
                   "--use-service-account-credentials", "--service-account-private-key-file", key,
                   "--leader-elect=false", "--bind-address", "127.0.0.1",
                   "--cert-dir", self.directory / "controller-manager",
                   "--authentication-skip-lookup")
        self.start("kube-scheduler", "--kubeconfig", self.kubeconfig("scheduler"),
                   "--leader-elect=false", "--bind-address", "127.0.0.1",
                   "--cert-dir", self.directory / "scheduler", "--authentication-skip-lookup")
        # What the chart's monitoring speaks of is not Kubernetes' own.
        for file in sorted((self.tools / "crds").glob("*.yaml")):
            self.kubectl("create", "-f", file)
        self.wait_until(lambda: self.get("serviceaccount", "default", namespace="default"),
                        "controllers are at work")

    def kubeconfig(self, user):
        return self.directory / f"{user}.kubeconfig"

    # --- nodes ------------------------------------------------------------------------------------

    def start_node(self):
        self.nodes[0].start()

    def start_second_node(self):
        self.nodes.append(Node(self, 1))
        self.nodes[1].start()
        return self.nodes[1]

    # --- talking to it ----------------------------------------------------------------------------

    def _run(self, *command, check=True, stdin=None, timeout=180):
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True,
                              input=stdin, timeout=timeout, env=self.environment)
        if check and done.returncode != 0:
            raise AssertionError(f"{command} exits {done.returncode}:\n{done.stdout}{done.stderr}")
        return done

    def kubectl(self, *arguments, user="admin", **options):
        return self._run("kubectl", "--kubeconfig", self.kubeconfig(user), *arguments, **options)

    def helm(self, *arguments, user="admin", **options):
        return self._run(HELM, "--kubeconfig", self.kubeconfig(user), *arguments, **options)

    def get(self, kind, *name, namespace="dns", selector=None):
        """One object, or None; without a name the list of all."""
        options = ["--selector", selector] if selector else []
        done = self.kubectl("--namespace", namespace, "get", kind, *name, *options, "--output", "json",
                            "--ignore-not-found")
        if name:
            return json.loads(done.stdout) if done.stdout else None
        return json.loads(done.stdout)["items"] if done.stdout else []

    def apply(self, *objects, namespace="dns", **options):
        return self.kubectl("--namespace", namespace, "apply", "--filename", "-",
                            stdin=yaml.safe_dump_all(objects), **options)

    def wait_until(self, condition, message, timeout=30):
        try:
            return godwit.wait_until(condition, timeout, 0.1, message)
        except AssertionError as failure:
            raise AssertionError(f"{failure}\n{self.complaints()}") from None

    def complaints(self):
        """Pods and the last events, for who has to find out."""
        lists = [("pods", "-A", "-o", "wide"), ("events", "-A", "--sort-by=.lastTimestamp")]
        texts = [self.kubectl("get", *what, check=False).stdout for what in lists]
        return texts[0] + "\n".join(texts[1].splitlines()[-30:])
