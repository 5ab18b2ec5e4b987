"""A node of cluster.Cluster: containerd, kubelet, kube-proxy, and the cluster's DNS.

    Node(cluster, number)       0 is the machine that the tests themselves are on, which runs the control
                                plane, too; 1 is another, in namespaces of its own, which takes only pods
                                that tolerate what it is tainted with (PUBLIC)
        .start()
        .name, .address, .address6
        .run(*command)          a program there, to its end

Pods are plugged in by the CNI's `ptp`, and reached by routes.
"""

import pathlib

import godwit

CLUSTER_DNS = "169.254.20.10"
ROUTER, ROUTER6 = "10.77.0.1", "fd77::1"
NAMES = ("node", "node2")
# The taint and the label of nodes for name servers, as in k8s/examples/public-authoritative.yaml.
PUBLIC = "godwit.example/public"
SCRIPT = godwit.REPOSITORY / "test" / "cluster" / "node"
CGROUPS = pathlib.Path("/sys/fs/cgroup")


class Node:
    def __init__(self, cluster, number):
        self.cluster = cluster
        self.number = number
        self.name = NAMES[number]
        self.address, self.address6 = f"10.77.0.{number + 2}", f"fd77::{number + 2}"
        self.pods, self.pods6 = f"10.244.{number}.0/24", f"fd77:244::{number}:0/112"
        self.directory = cluster.directory / self.name
        self.cgroup = cluster.cgroup
        self.enter = []
        if number:
            self._make_machine()
        self._make_network()

    def run(self, *command, **options):
        return godwit.run(*self.enter, *command, env=self.cluster.environment, **options)

    def _start(self, *command):
        return self.cluster.start(*command, enter=self.enter, suffix=f"-{self.name}" if self.number else "")

    def _write(self, name, content):
        return self.cluster.write(f"{self.name}/{name}", content)

    # --- the machine ------------------------------------------------------------------------------

    def _make_machine(self):
        holder = self._start("unshare", "--mount", "--net", "--uts", "--ipc", SCRIPT, "--second", self.name,
                             "sleep", "infinity")
        self.enter = ["nsenter", "--target", holder.pid, "--mount", "--net", "--uts", "--ipc", "--"]
        godwit.wait_until(lambda: self.run("hostname").stdout.strip() == self.name, 10, 0.05,
                          f"{self.name} is there, see {holder.log_path}")
        self.cgroup = f"{self.cluster.cgroup}/{self.name}"
        trees = [CGROUPS] if (CGROUPS / "cgroup.controllers").exists() else CGROUPS.glob("*/")
        for tree in trees:
            parent = tree / self.cluster.cgroup.strip("/")
            if not parent.is_dir():
                continue
            (parent / self.name).mkdir()
            for file in ("cpuset.mems", "cpuset.cpus"):  # empty in a new one of version 1
                if (parent / file).exists() and tree != CGROUPS:
                    (parent / self.name / file).write_text((parent / file).read_text())

    def _make_network(self):
        self.run("ip", "link", "set", "lo", "up")
        self.run("ip", "address", "add", f"{CLUSTER_DNS}/32", "dev", "lo")
        self.cluster.plug(self.run, self.name)
        self.run("ip", "address", "add", f"{self.address}/24", "dev", "eth0")
        self.run("ip", "address", "add", f"{self.address6}/64", "dev", "eth0", "nodad")
        self.run("ip", "route", "add", "default", "via", ROUTER)
        self.run("ip", "route", "add", "default", "via", ROUTER6)
        for name in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
            self.run("sh", "-c", f"echo 1 >/proc/sys/net/{name}")
        # All others send what is for its pods to it: clients outside, and other nodes by way of them.
        self.cluster.outside.run("ip", "route", "add", self.pods, "via", self.address)
        self.cluster.outside.run("ip", "route", "add", self.pods6, "via", self.address6)

    # --- its programs -----------------------------------------------------------------------------

    def start(self):
        self._start_containerd()
        self._start_cluster_dns()
        self._start("kube-proxy", "--config", self._write("proxy.yaml", {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "clientConnection": {"kubeconfig": str(self.cluster.kubeconfig("proxy"))},
            "mode": "iptables",
            "clusterCIDR": f"{self.pods},{self.pods6}",
            "hostnameOverride": self.name,
            "bindAddress": self.address,
            # The table of connections is the whole machine's: its size stays.
            "conntrack": {"maxPerCore": 0, "min": 0},
        }))
        self._start("kubelet", "--config", self._write("kubelet.yaml", {
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
            "registerWithTaints":
                [{"key": PUBLIC, "value": "true", "effect": "NoSchedule"}] if self.number else [],
            # Its disk is memory, and as full as the tests make it.
            "localStorageCapacityIsolation": False,
            "imageGCHighThresholdPercent": 100,
            "evictionHard": {"memory.available": "100Mi", "nodefs.available": "0%",
                             "nodefs.inodesFree": "0%", "imagefs.available": "0%"},
        }), "--kubeconfig", self.cluster.kubeconfig(f"kubelet-{self.name}"),
            "--hostname-override", self.name, "--node-ip", f"{self.address},{self.address6}",
            "--cert-dir", self.directory / "kubelet")
        self.cluster.wait_until(
            lambda: self.cluster.get("node", self.name), f"{self.name} has registered", 60)
        self.cluster.kubectl("wait", "--for=condition=Ready", f"node/{self.name}", "--timeout=60s")

    def _start_containerd(self):
        self._write("10-pods.conflist", {
            "cniVersion": "1.0.0",
            "name": "pods",
            "plugins": [{
                "type": "ptp",
                "ipam": {
                    "type": "host-local",
                    "dataDir": str(self.directory / "addresses"),
                    "ranges": [[{"subnet": self.pods}], [{"subnet": self.pods6}]],
                    "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
                },
            }],
        })
        config = self._write("containerd.toml", f"""
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
    conf_dir = "{self.directory}"
""")
        self._start("containerd", "--config", config)
        godwit.wait_until(
            lambda: self._ctr("version", check=False).returncode == 0, 20, 0.1, "containerd is up")
        for image in sorted((self.cluster.tools / "images").glob("*.tar")):
            self._ctr("images", "import", image)

    def _ctr(self, *arguments, **options):
        return self.run("ctr", "--namespace", "k8s.io", *arguments, **options)

    def _start_cluster_dns(self):
        hosts = "\n\t\t".join(f"{address} {name}" for name, address in self.cluster.hosts.items())
        self._start("coredns", "-conf", self._write("Corefile", f"""
cluster.local in-addr.arpa ip6.arpa {{
	bind {CLUSTER_DNS}
	ready 127.0.0.1:8181
	errors
	kubernetes {{
		kubeconfig {self.cluster.kubeconfig("admin")}
	}}
}}
internal.example {{
	bind {CLUSTER_DNS}
	hosts {{
		{hosts}
	}}
}}
"""))
