"""Dashboards and alerts name metrics that the programs really have."""

import json
import re
import shutil

import pytest

import godwit
from certificates import Authority
from router_lab import Announcer

K8S = godwit.REPOSITORY / "k8s"
DASHBOARD = K8S / "grafana" / "godwit.json"
METRIC = re.compile(r"\b(?:godwit|process)_[a-z0-9_]+")


@pytest.fixture
def families(store, tmp_path, daemons):
    """Names of all samples that the three programs may have, with everything switched on."""
    issued = Authority(tmp_path).issue("dns.example")
    pair = {"certificate": str(issued.certificate), "key": str(issued.key)}
    daemons.append(godwit.Backend(tmp_path, store, tls=pair))
    daemons.append(godwit.Frontend(
        tmp_path, [godwit.free_address()], tls=pair, watch_socket=str(tmp_path / "life.sock"),
        listen=[{"address": godwit.free_address(), "protocols": ["tls"]}]))
    daemons.append(Announcer(tmp_path, {
        "service": {"probe": {"address": godwit.free_address(), "name": "health.example"}},
        "addresses": [{"prefix": "192.0.2.53/32", "assign": "never"}],
        "bgp": {"router_id": "192.0.2.1", "as": 64512, "graceful_shutdown_ms": 0,
                "shutdown_wait_ms": 0,
                "peers": [{"address": "127.0.0.1:1", "as": 64513, "bfd": {}}]}}))
    names = set()
    daemons[0].wait_ready()  # some are there only then
    for daemon in daemons:
        godwit.wait_until(lambda: "msg=started" in daemon.log(), godwit.READY_TIMEOUT)
        text = daemon.wait_alive().get("/metrics")[1]
        for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M):
            names |= {f"{name}_{part}" for part in ("bucket", "sum", "count")} \
                if kind == "histogram" else {name}
    return names


def expressions(node):
    """All PromQL of a dashboard."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("expr", "definition") and isinstance(value, str):
                yield value
            else:
                yield from expressions(value)
    elif isinstance(node, list):
        for value in node:
            yield from expressions(value)


def names_in(text):
    return set(METRIC.findall(text))


def test_the_dashboard_names_only_metrics_there_are(families):
    found = [name for text in expressions(json.loads(DASHBOARD.read_text()))
             for name in names_in(text)]
    assert len(set(found)) > 40
    assert sorted(set(found) - families) == []


def test_alerts_name_only_metrics_there_are(families):
    files = [path for folder in ("chart", "manifests") for path in (K8S / folder).rglob("*.yaml")]
    found = {name for path in files for line in path.read_text().splitlines()
             if re.match(r"\s*(expr:|.*\b(rate|sum|max|min)\b.*\()", line)
             for name in names_in(line)}
    if not found:
        pytest.skip("no alerts in k8s/ yet")
    assert sorted(found - families) == []


def test_the_status_page_names_only_metrics_there_are(families):
    page = (godwit.REPOSITORY / "common" / "status.html").read_text()
    prefixes = {"f": "godwit_frontend_", "b": "godwit_backend_", "a": "godwit_announcer_"}
    named = {prefixes[letter] + name for letter, name in
             re.findall(r'\b([fba]) \+ "([a-z_]+)"', page)}
    assert len(named) > 25
    assert sorted(name for name in named
                  if name not in families and name + "_count" not in families) == []


def test_the_dashboard_can_be_imported():
    dashboard = json.loads(DASHBOARD.read_text())
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    assert set(re.findall(r"\$\{?([a-z]\w*)", DASHBOARD.read_text())) <= variables
    taken = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                 for y in range(place["y"], place["y"] + place["h"])}
        assert max(x for x, _ in cells) < 24 and not cells & taken, panel["title"]
        taken |= cells
        assert panel["type"] == "row" or all(target["expr"] for target in panel["targets"])


@pytest.mark.skipif(not shutil.which("promtool"), reason="no promtool here")
def test_the_dashboards_expressions_are_promql(tmp_path):
    rules = [{"record": f"test:{number}", "expr": re.sub(
        r"\$__\w+", "5m", text).replace("$instance", ".*")}
        for number, text in enumerate(expressions(json.loads(DASHBOARD.read_text())))
        if not text.startswith("label_values")]
    file = tmp_path / "rules.json"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    godwit.run("promtool", "check", "rules", file)
