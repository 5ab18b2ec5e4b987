"""The databases of the public name servers in test_cluster_public.py: two MariaDB servers outside of the
cluster, on machines of their own as it seems from there, with certificates for their names.

    Databases(cluster, authority)
        .first, .second         MysqlServers: what is written at the first is at the second, too
        .password               the backends' own, with which they may do what docs/stores.md says
        .prepare(namespace)     godwitctl's `init`, from a pod of the image
        .sql(*statements)       at the first

The cluster's DNS knows them as db1.internal.example and db2.internal.example (cluster.py).
"""

import pymysql

import cluster as kubernetes
from mysql_server import MysqlServer

PORT = 3306


class Machine(MysqlServer):
    """A server with an address in the network outside. Tests talk to it by its socket."""

    def __init__(self, cluster, number, authority):
        self.namespace = cluster.outside
        name, self.host = list(kubernetes.DATABASES.items())[number]
        self.namespace.add_address("nodes", f"{self.host}/24")
        pair = authority.issue(name, f"DNS:{name}")
        super().__init__(
            cluster.directory, "--bind-address=" + self.host, f"--ssl-ca={authority.certificate}",
            f"--ssl-cert={pair.certificate}", f"--ssl-key={pair.key}",
            "--require-secure-transport=ON", "--log-bin=binlog", "--binlog-format=ROW",
            "--log-bin-trust-function-creators=1", f"--server-id={number + 1}")
        cluster.lab.keep(self)

    def start(self, *options):
        self.port = PORT
        with self.namespace.entered():
            return super().start(*options)

    def connect(self, user="root", password="", database=None, autocommit=True):
        return pymysql.connect(unix_socket=str(self.socket), user=user, password=password,
                               database=database, autocommit=autocommit, charset="utf8mb4")

    def disconnect(self, user):
        for (number,) in self.sql(
                f"SELECT id FROM information_schema.processlist WHERE user = '{user}'"):
            self.sql(f"KILL {number}")


class Databases:
    password = "correct horse"

    def __init__(self, cluster, authority):
        self.cluster = cluster
        self.first, self.second = (Machine(cluster, number, authority) for number in range(2))
        self.first.sql("CREATE USER replica IDENTIFIED BY 'replica' REQUIRE SSL",
                       "GRANT REPLICATION SLAVE ON *.* TO replica")
        self.second.sql(
            f"CHANGE MASTER TO MASTER_HOST = '{self.first.host}', MASTER_PORT = {PORT}, "
            "MASTER_USER = 'replica', MASTER_PASSWORD = 'replica', MASTER_SSL = 1, "
            "MASTER_USE_GTID = slave_pos", "START SLAVE")
        self.first.sql("CREATE DATABASE pdns",
                       "CREATE USER admin IDENTIFIED BY 'admin' REQUIRE SSL",
                       "GRANT ALL ON pdns.* TO admin")

    def sql(self, *statements):
        return self.first.sql(*statements, database="pdns")

    def prepare(self, namespace):
        """Tables and triggers by `godwitctl init`, then an account that may read them. The namespace has
        a Secret godwit-store-ca."""
        namespace.secret("godwit-admin", {"password": "admin"})
        namespace.cluster.apply({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "init"},
            "spec": {
                "restartPolicy": "Never",
                "tolerations": [{"operator": "Exists"}],  # the node is one for name servers only
                "containers": [{
                    "name": "init",
                    "image": kubernetes.IMAGE,
                    "command": [
                        "godwitctl", "--store",
                        "mysql://admin@db1.internal.example/pdns?ca=/etc/godwit/store/ca.crt",
                        "--password-file", "/etc/godwit/admin/password", "init",
                    ],
                    "volumeMounts": [{"name": name, "mountPath": f"/etc/godwit/{name}"}
                                     for name in ("store", "admin")],
                }],
                "volumes": [{"name": "store", "secret": {"secretName": "godwit-store-ca"}},
                            {"name": "admin", "secret": {"secretName": "godwit-admin"}}],
            },
        }, namespace=namespace.name)
        namespace.cluster.wait_until(
            lambda: namespace.get("pod", "init")["status"]["phase"] in ("Succeeded", "Failed"),
            "godwitctl init has ended", 60)
        said = namespace.kubectl("logs", "init").stdout
        assert namespace.get("pod", "init")["status"]["phase"] == "Succeeded", said
        namespace.kubectl("delete", "pod", "init")
        self.first.sql(f"CREATE USER godwit IDENTIFIED BY '{self.password}' REQUIRE SSL")
        for table in ("domains", "records", "godwit_changes"):
            self.first.sql(f"GRANT SELECT ON pdns.{table} TO godwit")
        self.first.sql("GRANT DELETE ON pdns.godwit_changes TO godwit")

    def make_zone(self, zone, records):
        """`records`: {"name type": data, or a list of them}."""
        self.sql(f"INSERT INTO domains (name, type) VALUES ('{zone}', 'NATIVE')")
        for key, data in records.items():
            name, rtype = key.split()
            for content in data if isinstance(data, list) else [data]:
                self.sql("INSERT INTO records (domain_id, name, type, content, ttl) SELECT id, "
                         f"'{name}', '{rtype}', '{content}', 60 FROM domains WHERE name = '{zone}'")

    def promote(self):
        """The second is the one to be written at, from now on."""
        self.second.sql("STOP SLAVE", "RESET SLAVE ALL")

    def change_password(self, password):
        """As an administrator does who wants to see it work: nobody stays connected by the old one."""
        self.password = password
        self.first.sql(f"ALTER USER godwit IDENTIFIED BY '{password}'")
        for server in (self.first, self.second):
            server.disconnect("godwit")
