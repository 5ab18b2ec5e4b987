"""A Kubernetes cluster of one node, for test_cluster.py. scripts/test-cluster makes its programs and
calls the tests in namespaces of their own (test/cluster/node), in which this takes the place of the
machine: addresses, directories and cgroups are as on a node that has nothing else to do.

    Cluster()                   a context manager, empty at first
        .start_control_plane()  etcd, kube-apiserver, kube-controller-manager, kube-scheduler
        .start_node()           containerd, kubelet, kube-proxy, CoreDNS; images imported
        .outside                a network namespace beside the node's, where clients and routers are
        .kubectl(...), .helm(...)          as the administrator, or another `user`
        .get(kind, name)        an object, or all of a kind, as from `kubectl get -o json`
        .apply(objects)         creates or changes objects
        .wait_until(condition)  and what is wrong in the cluster when it does not come true

The node is 10.77.0.2 and fd77::2; pods, Services and what a load balancer gives out are addresses that
`outside` routes to it. Pods are plugged in by the CNI's `ptp`: NetworkPolicies are taken by the API, but
nobody enforces them.
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

TOOLS = os.environ.get("GODWIT_CLUSTER")
IMAGE = os.environ.get("GODWIT_IMAGE")

NODE, NODE6 = "10.77.0.2", "fd77::2"
ROUTER, ROUTER6 = "10.77.0.1", "fd77::1"
PODS, PODS6 = "10.244.0.0/24", "fd77:244::/112"
SERVICES, SERVICES6 = "10.96.0.0/16", "fd77:96::/112"
CLUSTER_DNS = "169.254.20.10"
# What a load balancer in front of the cluster, or an anycast router, would have.
PUBLIC, PUBLIC6 = "10.53.0.0/16", "fd77:53::/64"

USERS = {
    # Names by which kube-apiserver's own RBAC rules know them.
    "admin": ("admin", "system:masters"),
    "controller-manager": ("system:kube-controller-manager", ""),
    "scheduler": ("system:kube-scheduler", ""),
    "proxy": ("system:kube-proxy", ""),
    "kubelet": ("system:node:node", "system:nodes"),
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
        godwit.run("ip", "link", "set", "lo", "up")
        godwit.run("ip", "address", "add", f"{CLUSTER_DNS}/32", "dev", "lo")
        godwit.run("ip", "link", "add", "name", "eth0", "type", "veth", "peer", "name", "node",
                   "netns", self.outside.path)
        godwit.run("ip", "link", "set", "eth0", "up")
        self.outside.run("ip", "link", "set", "node", "up")
        godwit.run("ip", "address", "add", f"{NODE}/24", "dev", "eth0")
        godwit.run("ip", "address", "add", f"{NODE6}/64", "dev", "eth0", "nodad")
        self.outside.add_address("node", f"{ROUTER}/24")
        self.outside.add_address("node", f"{ROUTER6}/64")
        godwit.run("ip", "route", "add", "default", "via", ROUTER)
        godwit.run("ip", "route", "add", "default", "via", ROUTER6)
        self.outside.run("ip", "route", "add", PUBLIC, "via", NODE)
        self.outside.run("ip", "route", "add", PUBLIC6, "via", NODE6)
        for name in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
            pathlib.Path("/proc/sys/net", name).write_text("1")

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

    def start(self, *command):
        name = pathlib.Path(command[0]).name
        program = router_lab.Program(name, command, self.logs, self.environment)
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
        self.start("kube-controller-manager", "--kubeconfig", self._kubeconfig("controller-manager"),
                   "--use-service-account-credentials", "--service-account-private-key-file", key,
                   "--leader-elect=false", "--bind-address", "127.0.0.1",
                   "--cert-dir", self.directory / "controller-manager",
                   "--authentication-skip-lookup")
        self.start("kube-scheduler", "--kubeconfig", self._kubeconfig("scheduler"),
                   "--leader-elect=false", "--bind-address", "127.0.0.1",
                   "--cert-dir", self.directory / "scheduler", "--authentication-skip-lookup")
        # What the chart's monitoring speaks of is not Kubernetes' own.
        for file in sorted((self.tools / "crds").glob("*.yaml")):
            self.kubectl("create", "-f", file)
        self.wait_until(lambda: self.get("serviceaccount", "default", namespace="default"),
                        "controllers are at work")

    def _kubeconfig(self, user):
        return self.directory / f"{user}.kubeconfig"

    # --- the node ---------------------------------------------------------------------------------

    def start_node(self):
        self._start_containerd()
        self._start_cluster_dns()
        self.start("kube-proxy", "--config", self.write("proxy.yaml", {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "clientConnection": {"kubeconfig": str(self._kubeconfig("proxy"))},
            "mode": "iptables",
            "clusterCIDR": f"{PODS},{PODS6}",
            "hostnameOverride": "node",
            "bindAddress": NODE,
            # The table of connections is the whole machine's: its size stays.
            "conntrack": {"maxPerCore": 0, "min": 0},
        }))
        self.start("kubelet", "--config", self.write("kubelet.yaml", {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
            "authorization": {"mode": "AlwaysAllow"},
            "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": self.cgroup,
            "failCgroupV1": False,
            "failSwapOn": False,
            "clusterDNS": [CLUSTER_DNS],
            "clusterDomain": "cluster.local",
            "resolvConf": "",
            "syncFrequency": "10s",  # how soon a changed Secret is in a pod
            "volumePluginDir": str(self.directory / "volume-plugins"),
            # Its disk is memory, and as full as the tests make it.
            "localStorageCapacityIsolation": False,
            "imageGCHighThresholdPercent": 100,
            "evictionHard": {"memory.available": "100Mi", "nodefs.available": "0%",
                             "nodefs.inodesFree": "0%", "imagefs.available": "0%"},
        }), "--kubeconfig", self._kubeconfig("kubelet"), "--hostname-override", "node",
            "--node-ip", f"{NODE},{NODE6}", "--cert-dir", self.directory / "kubelet")
        self.wait_until(lambda: self.get("node", "node"), "the node has registered", 60)
        self.kubectl("wait", "--for=condition=Ready", "node/node", "--timeout=60s")

    def _start_containerd(self):
        self.write("cni/10-pods.conflist", {
            "cniVersion": "1.0.0",
            "name": "pods",
            "plugins": [{
                "type": "ptp",
                "ipam": {
                    "type": "host-local",
                    "dataDir": str(self.directory / "addresses"),
                    "ranges": [[{"subnet": PODS}], [{"subnet": PODS6}]],
                    "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
                },
            }],
        })
        config = self.write("containerd.toml", f"""
version = 2
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.internal.v1.opt"]
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  disable_apparmor = true
  restrict_oom_score_adj = true # a virtual machine may lack CAP_SYS_RESOURCE
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{self.directory}/cni"
""")
        self.start("containerd", "--config", config)
        self.wait_until(lambda: self.ctr("version", check=False).returncode == 0, "containerd is up", 20)
        for image in sorted((self.tools / "images").glob("*.tar")):
            self.ctr("images", "import", image)
        repository, tag = IMAGE.rsplit(":", 1)
        self.image = {"repository": repository, "tag": tag, "pullPolicy": "Never"}

    def ctr(self, *arguments, check=True):
        return self._run("ctr", "--namespace", "k8s.io", *arguments, check=check)

    def _start_cluster_dns(self):
        self.start("coredns", "-conf", self.write("Corefile", f"""
cluster.local in-addr.arpa ip6.arpa {{
	bind {CLUSTER_DNS}
	ready 127.0.0.1:8181
	errors
	kubernetes {{
		kubeconfig {self._kubeconfig("admin")}
	}}
}}
"""))

    # --- talking to it ----------------------------------------------------------------------------

    def _run(self, *command, check=True, stdin=None, timeout=180):
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True,
                              input=stdin, timeout=timeout, env=self.environment)
        if check and done.returncode != 0:
            raise AssertionError(f"{command} exits {done.returncode}:\n{done.stdout}{done.stderr}")
        return done

    def kubectl(self, *arguments, user="admin", **options):
        return self._run("kubectl", "--kubeconfig", self._kubeconfig(user), *arguments, **options)

    def helm(self, *arguments, user="admin", **options):
        return self._run(HELM, "--kubeconfig", self._kubeconfig(user), *arguments, **options)

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
