"""The Helm chart and what comes of it, for the tests: rendering, reading, checking.

    render(*values, **set)      what helm makes of the chart: a list of objects
    read(text)                  objects of a text of YAML documents
    EXAMPLES, MANIFESTS         names of k8s/examples; the objects of k8s/manifests, by name
    pods(objects)               (owner, pod specification) of each Deployment and DaemonSet
    containers(pod)             all of them, sidecars first
    check_schema(object)        faults by the Kubernetes API's schema
    needs_helm, needs_schemas   marks: skipped where scripts/chart-tools could not get them
"""

import functools
import json
import os
import pathlib
import shutil
import subprocess

import pytest

import godwit

yaml = pytest.importorskip("yaml")

K8S = godwit.REPOSITORY / "k8s"
CHART = K8S / "chart" / "godwit"
EXAMPLES = sorted(file.stem for file in (K8S / "examples").glob("*.yaml"))
TOOLS = pathlib.Path(
    os.environ.get("GODWIT_CHART_TOOLS")
    or pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    / "godwit-chart-tools"
)
PATH = f"{TOOLS}{os.pathsep}{os.environ['PATH']}"
HELM = os.environ.get("GODWIT_HELM") or shutil.which("helm", path=PATH)
KUBECTL = shutil.which("kubectl", path=PATH)
SCHEMAS = TOOLS / "schemas"
# Kinds of the Prometheus operator: no part of the Kubernetes API.
FOREIGN = {"ServiceMonitor", "PrometheusRule"}

needs_helm = pytest.mark.skipif(HELM is None, reason="no helm here; scripts/chart-tools gets it")
needs_schemas = pytest.mark.skipif(
    not SCHEMAS.is_dir(), reason="no Kubernetes schemas here; scripts/chart-tools gets them"
)


def read(text):
    return [document for document in yaml.safe_load_all(text) if document]


def helm(*arguments, check=True):
    done = subprocess.run([HELM, *map(str, arguments)], capture_output=True, text=True, timeout=60)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def template(*values, check=True, **settings):
    """`settings`: values as a nested dict; what stands in `values`, names of examples, is below."""
    arguments = ["template", "godwit", CHART, "--namespace", "dns", "--kube-version", "1.34.0"]
    for name in values:
        arguments += ["--values", K8S / "examples" / f"{name}.yaml"]
    for key, value in settings.items():
        arguments += ["--set-json", f"{key}={json.dumps(value)}"]
    return helm(*arguments, check=check)


def render(*values, **settings):
    return read(template(*values, **settings).stdout)


MANIFESTS = {
    name: read((K8S / "manifests" / name / "godwit.yaml").read_text()) for name in EXAMPLES
}


def of_kind(objects, *kinds):
    return [item for item in objects if item["kind"] in kinds]


def pods(objects):
    for owner in of_kind(objects, "Deployment", "DaemonSet"):
        yield owner, owner["spec"]["template"]["spec"]


def containers(pod):
    return pod.get("initContainers", []) + pod["containers"]


def configuration(objects, program):
    """The text of a program's configuration file."""
    [config] = [
        item["data"][f"{program}.yaml"]
        for item in of_kind(objects, "ConfigMap")
        if f"{program}.yaml" in item["data"]
    ]
    return config


@functools.cache
def schema(name):
    return json.loads((SCHEMAS / name).read_text())


def check_schema(item):
    import jsonschema

    group, _, version = item["apiVersion"].rpartition("/")
    # deployment-apps-v1.json, networkpolicy-networking-v1.json, service-v1.json
    parts = [item["kind"].lower(), *([group.split(".")[0]] if group else []), version]
    name = "-".join(parts) + ".json"
    resolver = jsonschema.RefResolver(
        base_uri=f"schemas:{name}",
        referrer=schema(name),
        # They refer to each other by the addresses they once had; only the last part matters.
        handlers={scheme: lambda uri: schema(uri.rpartition("/")[2]) for scheme in ("https", "")},
    )
    validator = jsonschema.Draft7Validator(schema(name), resolver=resolver)
    return [f"{'/'.join(map(str, e.absolute_path))}: {e.message}" for e in validator.iter_errors(item)]
