"""The Helm chart k8s/chart/godwit, its examples, and the plain manifests rendered from them."""

import json
import re
import shutil
import subprocess

import pytest

import godwit
from certificates import Authority
from chart import (
    CHART,
    EXAMPLES,
    FOREIGN,
    K8S,
    KUBECTL,
    MANIFESTS,
    SCHEMAS,
    check_schema,
    configuration,
    containers,
    helm,
    needs_helm,
    needs_schemas,
    of_kind,
    pods,
    read,
    render,
    template,
    yaml,
)

ANNOUNCER = {
    "enabled": True,
    "config": {
        "service": {"probe": {"name": "example.com."}},
        "addresses": [{"prefix": "192.0.2.53/32", "interface": "lo"}],
        "bgp": {
            "as": 64512,
            "next_hop_interface": "eth0",
            "peers": [{"address": "192.0.2.254", "as": 64513}],
        },
    },
}

# Ways to use the chart beyond the examples.
VARIANTS = {
    "a try-out": {"redis": {"enabled": True}},
    "plain containers": {"redis": {"enabled": True}, "nativeSidecars": False, "announcer": ANNOUNCER},
    "dual stack with encrypted DNS and a balancer": {
        "store": {"url": "rediss://cache.example/0?ca=/etc/godwit/store/ca.crt", "tlsSecret": "ca"},
        "ipFamilies": ["IPv6", "IPv4"],
        "frontend": {"tls": {"existingSecret": "dns-tls", "doqPort": 8530}},
        "service": {"nodePorts": {"dns": 30053, "dot": 30853}, "loadBalancerClass": "example/l"},
        "serviceMonitor": {"enabled": True},
    },
    "a password in the values": {"store": {"url": "redis://c/0", "password": "x: 'y' \"z\""}},
    "the pod's gRPC probed": {"store": {"url": "redis://c/0"}, "backend": {"probe": "grpc"}},
    "plaintext tiers": {
        "topology": "tiers",
        "kind": "DaemonSet",
        "store": {"url": "mysql://u@h/d"},
        "backend": {"insecure": True},
        "announcer": ANNOUNCER,
        "hostNetwork": True,
        "prometheusRule": {"enabled": True},
        "serviceMonitor": {"enabled": True},
    },
}


def check_programs(objects, tmp_path):
    """Every configuration file is one that its program takes, with files where Secrets put them."""
    authority = Authority(tmp_path)
    pair = authority.issue("ns1.example.com", "DNS:ns1.example.com")
    for program in ("frontend", "backend", "announcer"):
        if not any(f"{program}.yaml" in item.get("data", {}) for item in objects):
            continue
        text = configuration(objects, program)
        for path in set(re.findall(r"/etc/godwit/[^\s&,]+", text)):
            local = tmp_path / path.replace("/", "_")
            if path.endswith("tls.crt"):
                shutil.copy(pair.certificate, local)
            elif path.endswith("tls.key"):
                shutil.copy(pair.key, local)
            elif path.endswith("ca.crt"):
                shutil.copy(authority.certificate, local)
            else:
                local.write_text("secret\n")
            text = text.replace(path, str(local))
        file = tmp_path / f"{program}.yaml"
        file.write_text(text)
        godwit.run(godwit.program(f"godwit-{program}"), "--check", "--config", file)


def check_references(objects):
    """What names another object, volume or port names one that is there."""
    maps = {item["metadata"]["name"] for item in of_kind(objects, "ConfigMap")}
    labels, ports = [], {}
    for owner, pod in pods(objects):
        name = owner["metadata"]["name"]
        own = owner["spec"]["template"]["metadata"]["labels"]
        assert owner["spec"]["selector"]["matchLabels"].items() <= own.items(), name
        labels.append(own)
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        mounted = set()
        named = set()
        for container in containers(pod):
            here = {port["name"] for port in container.get("ports", [])}
            assert not here & named, "a port name stands twice in the pod"
            named |= here
            for mount in container["volumeMounts"]:
                assert mount["name"] in volumes, (name, container["name"])
                mounted.add(mount["name"])
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                if "httpGet" in container.get(probe, {}):
                    assert container[probe]["httpGet"]["port"] in here, (name, probe)
        assert mounted == set(volumes), "a volume is mounted by nobody"
        for volume in volumes.values():
            assert len(volume) == 2, f"of one kind, and not of several: {volume}"
            if "configMap" in volume:
                assert volume["configMap"]["name"] in maps
        ports[json.dumps(own, sort_keys=True)] = named

    def selected(selector):
        found = [own for own in labels if selector.items() <= own.items()]
        assert len(found) == 1, f"{selector} selects {len(found)} kinds of pods"
        return ports[json.dumps(found[0], sort_keys=True)]

    for item in of_kind(objects, "Service"):
        there = selected(item["spec"]["selector"])
        assert {port["targetPort"] for port in item["spec"]["ports"]} <= there
    for item in of_kind(objects, "PodDisruptionBudget"):
        of = item["spec"]["selector"]["matchLabels"]
        selected(of)
        # Kubernetes does not know how many a DaemonSet should have, and logs that it does not.
        [owner] = [owner for owner, _ in pods(objects)
                   if of.items() <= owner["spec"]["template"]["metadata"]["labels"].items()]
        assert owner["kind"] == "Deployment", owner["kind"]
    for item in of_kind(objects, "NetworkPolicy"):
        there = selected(item["spec"]["podSelector"]["matchLabels"])
        for rule in item["spec"]["ingress"]:
            named = {port["port"] for port in rule["ports"] if isinstance(port["port"], str)}
            assert named <= there
    for item in of_kind(objects, "ServiceMonitor"):
        services = [
            service
            for service in of_kind(objects, "Service")
            if item["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
        ]
        assert len(services) == 1
        offered = {port["name"] for port in services[0]["spec"]["ports"]}
        assert {endpoint["port"] for endpoint in item["spec"]["endpoints"]} <= offered


def check_hardening(objects):
    for owner, pod in pods(objects):
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in containers(pod):
            context = container["securityContext"]
            assert context["runAsNonRoot"] and context["readOnlyRootFilesystem"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"]["drop"] == ["ALL"]
            allowed = {
                "frontend": {"NET_BIND_SERVICE"},
                "announcer": {"NET_ADMIN", "NET_BIND_SERVICE", "NET_RAW"},
            }.get(container["name"], set())
            assert set(context["capabilities"].get("add", [])) <= allowed
            assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_manifest_configures_programs_that_take_it(name, tmp_path):
    check_programs(MANIFESTS[name], tmp_path)


@pytest.mark.parametrize("name", EXAMPLES)
def test_manifests_hold_together_and_keep_no_privilege(name):
    check_references(MANIFESTS[name])
    check_hardening(MANIFESTS[name])


@needs_schemas
@pytest.mark.parametrize("name", EXAMPLES)
def test_manifests_are_valid_kubernetes(name):
    faults = {
        f"{item['kind']}/{item['metadata']['name']}": check_schema(item)
        for item in MANIFESTS[name]
        if item["kind"] not in FOREIGN
    }
    assert not any(faults.values()), faults


@needs_schemas
def test_the_validation_can_fail():
    [item] = of_kind(MANIFESTS["single-node"], "Deployment")[:1]
    broken = json.loads(json.dumps(item))
    broken["spec"]["template"]["spec"]["containers"][0]["livenessprobe"] = {}
    broken["spec"]["replicas"] = "one"
    assert len(check_schema(broken)) == 2
    assert SCHEMAS.is_dir()


@pytest.mark.skipif(KUBECTL is None, reason="no kubectl here; scripts/chart-tools gets it")
@pytest.mark.parametrize("name", EXAMPLES)
def test_kustomize_takes_the_manifests(name):
    folder = K8S / "manifests" / name
    done = subprocess.run(
        [KUBECTL, "kustomize", folder], capture_output=True, text=True, timeout=60, check=True
    )
    built = read(done.stdout)
    assert len(built) == len(MANIFESTS[name]) + 1  # and the namespace
    assert all(item["metadata"].get("namespace", "dns") == "dns" for item in built)


def test_alerts_watch_metrics_that_exist():
    rules = [
        rule
        for name in EXAMPLES
        for item in of_kind(MANIFESTS[name], "PrometheusRule")
        for group in item["spec"]["groups"]
        for rule in group["rules"]
    ]
    names = {metric for rule in rules for metric in re.findall(r"godwit_\w+", rule["expr"])}
    assert len(names) >= 9
    for metric in names:
        _, program, rest = metric.split("_", 2)
        # What all programs have is made in common/, with the program's name filled in.
        sources = [f for folder in (program, "common")
                   for f in (godwit.REPOSITORY / folder).glob("*.c")]
        assert any(
            f'"{metric}' in text or f'"{rest}"' in text or f'"godwit_%s_{rest}"' in text
            for text in (f.read_text() for f in sources)
        ), metric


@pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool here")
def test_prometheus_takes_the_alerts(tmp_path):
    rules = [item for name in EXAMPLES for item in of_kind(MANIFESTS[name], "PrometheusRule")]
    assert len(rules) >= 2
    file = tmp_path / "rules.json"
    for item in rules:
        file.write_text(json.dumps({"groups": item["spec"]["groups"]}))
        assert "SUCCESS" in godwit.run("promtool", "check", "rules", file).stdout
    file.write_text(file.read_text().replace("godwit_", "godwit_)"))
    assert godwit.run("promtool", "check", "rules", file, check=False).returncode != 0


def test_the_readme_has_every_value():
    readme = (CHART / "README.md").read_text()
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    for key, value in values.items():
        assert f"`{key}" in readme, key
        if isinstance(value, dict) and key not in ("securityContext", "podSecurityContext"):
            for inner in value:
                assert re.search(rf"`{key}\.(\S*\|)?{inner}\b|`{key}`.*\b{inner}\b", readme), (
                    f"{key}.{inner}"
                )


@needs_helm
@pytest.mark.parametrize("name", EXAMPLES)
def test_helm_lints_every_example(name):
    helm("lint", "--strict", "--kube-version", "1.34.0", CHART, "-f", K8S / "examples" / f"{name}.yaml")


@needs_helm
def test_the_manifests_are_what_the_chart_renders(tmp_path, monkeypatch):
    from chart import HELM

    monkeypatch.setenv("HELM", HELM)
    godwit.run(godwit.REPOSITORY / "scripts" / "render-manifests", tmp_path)
    for name in EXAMPLES:
        there = (K8S / "manifests" / name / "godwit.yaml").read_text()
        now = (tmp_path / name / "godwit.yaml").read_text()
        assert there == now, f"k8s/manifests/{name} is not current: run scripts/render-manifests"


@needs_helm
@needs_schemas
@pytest.mark.parametrize("variant", VARIANTS)
def test_other_ways_to_use_the_chart_are_valid_too(variant, tmp_path):
    objects = render(**VARIANTS[variant])
    faults = [check_schema(item) for item in objects if item["kind"] not in FOREIGN]
    assert not any(faults), faults
    check_references(objects)
    check_hardening(objects)
    check_programs(objects, tmp_path)


@needs_helm
def test_a_configuration_key_stays_as_it_is_given():
    objects = render(
        store={"url": "redis://c/0"},
        frontend={
            "config": {
                "cache": {"size_mb": 0, "serve_stale_s": 0},
                "limits": {"udp_payload": 512, "linger_ms": 0},
                "admin": "127.0.0.1:1",
            }
        },
        backend={"config": {"max_loss_percent": 0, "snapshot": None, "log": {"level": "debug"}}},
    )
    frontend = yaml.safe_load(configuration(objects, "frontend"))
    assert frontend["cache"] == {"size_mb": 0, "serve_stale_s": 0}
    assert frontend["limits"] == {"udp_payload": 512, "linger_ms": 0}
    assert frontend["admin"] == "127.0.0.1:1"
    backend = yaml.safe_load(configuration(objects, "backend"))
    assert backend["max_loss_percent"] == 0
    assert backend["log"] == {"level": "debug"}


@needs_helm
@pytest.mark.parametrize("service", [True, False])
def test_a_front_end_behind_a_service_answers_on_at_its_end(service):
    objects = render(redis={"enabled": True}, service={"enabled": service})
    limits = yaml.safe_load(configuration(objects, "frontend")).get("limits", {})
    assert limits == ({"linger_ms": 10000} if service else {})


@needs_helm
def test_a_changed_configuration_makes_new_pods():
    def annotations(level):
        objects = render(redis={"enabled": True}, backend={"config": {"log": {"level": level}}})
        return next(pods(objects))[0]["spec"]["template"]["metadata"]["annotations"]

    info, debug = annotations("info"), annotations("debug")
    assert info["checksum/frontend"] == debug["checksum/frontend"]
    assert info["checksum/backend"] != debug["checksum/backend"]


@needs_helm
def test_sidecars_start_before_the_front_end_and_end_after_it():
    [(_, pod)] = [
        (owner, pod)
        for owner, pod in pods(render(store={"url": "redis://c/0"}, announcer=ANNOUNCER))
    ]
    assert [c["name"] for c in pod["initContainers"]] == ["backend", "announcer"]
    assert all(c["restartPolicy"] == "Always" for c in pod["initContainers"])
    assert [c["name"] for c in pod["containers"]] == ["frontend"]


@needs_helm
@pytest.mark.parametrize(
    "settings, words",
    [
        ({}, r"store\.url is required"),
        ({"store": {"url": "http://x"}}, r"store[./]url'?: .*[Dd]oes not match pattern"),
        ({"redis": {"enabled": True}, "replica": 2}, r"replica'? (is )?not allowed"),
        ({"redis": {"enabled": True}, "kind": "StatefulSet"}, r"kind(': value)? must be one of"),
        ({"redis": {"enabled": True}, "topology": "tiers"}, r"backend\.insecure=true"),
        ({"redis": {"enabled": True}, "announcer": {"enabled": True}}, r"announcer\.config\.bgp"),
    ],
)
def test_values_that_cannot_be_are_refused_with_words(settings, words):
    """Which helm 3 and 4 put somewhat differently."""
    done = template(check=False, **settings)
    assert done.returncode != 0
    assert re.search(words, done.stderr), done.stderr
