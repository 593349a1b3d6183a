"""Rules and dashboards are valid; each alert fires on its fault and has a runbook. Tests that need promtool may be skipped."""

import json
import re
import subprocess
import sys
from typing import Any

import pytest
from flexcredits_cli.machine.state_folder import REPOSITORY
from support.clients.manifests import find, read_yaml, render
from support.clients.prometheus import DASHBOARDS, RULES, alerts, find_program, metric_names, read_rules

UNIT_TESTS = REPOSITORY / "tests" / "prometheus" / "alerts.yml"


def promtool(*arguments: str) -> None:
    done = subprocess.run([find_program("promtool"), *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_rules_are_valid() -> None:
    promtool("check", "rules", str(RULES))


@pytest.mark.slow
def test_every_alert_is_silent_without_its_fault_and_fires_with_it() -> None:
    promtool("test", "rules", str(UNIT_TESTS))
    tests = [(test["name"], test["promql_expr_test"]) for test in read_yaml(UNIT_TESTS)["tests"]]
    assert {name for name, _ in tests} == set(alerts())
    for name, (silent, firing) in tests:
        assert silent["expr"] == firing["expr"]
        assert f'ALERTS{{alertname="{name}"' in firing["expr"]
        assert 'alertstate="firing"' in firing["expr"]
        assert (silent["exp_samples"], firing["exp_samples"]) == ([], [{"value": 1}])


def test_every_rule_is_evaluated_for_each_installation() -> None:
    """Installations that share a Prometheus have different jobs. An aggregation over all jobs adds them up."""
    expressions = [rule["expr"] for rule in read_rules()]
    aggregations = [found for each in expressions for found in re.findall(r"\b(?:sum|max|min|avg|count)\b.{8}", each)]
    assert len(aggregations) > 30
    assert {found[3:] for found in aggregations} == {" by (job"}


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    document = (REPOSITORY / "docs" / "runbooks.md").read_text()
    runbooks = document.partition("\n## Alerts\n")[2].partition("\n## ")[0]
    sections = re.findall(r"^### (\w+)\n", runbooks, re.MULTILINE)
    assert sections == list(alerts())
    for name, alert in alerts().items():
        assert alert["labels"]["severity"] in ("page", "ticket"), name
        assert set(alert["annotations"]) == {"summary", "description", "runbook_url"}, name
        assert alert["annotations"]["runbook_url"] == f"docs/runbooks.md#{name.lower()}"
    assert document.index("## The first ten minutes") < document.index("\n## Alerts")


def test_every_dashboard_is_whole() -> None:
    assert [path.stem for path in DASHBOARDS] == ["api", "business", "pipeline"]
    boards = [json.loads(path.read_text()) for path in DASHBOARDS]
    assert len({board["uid"] for board in boards}) == 3
    for board in boards:
        panels: list[dict[str, Any]] = board["panels"]
        assert len({panel["id"] for panel in panels}) == len(panels) > 10
        for panel in panels:
            assert panel["title"]
            assert panel["description"], panel["title"]
            assert all(metric_names(target["expr"]) for target in panel["targets"]), panel["title"]
            assert panel["datasource"]["uid"] == "${datasource}"


def test_every_panel_shows_the_chosen_installation_and_instances() -> None:
    """Two installations under one Prometheus are not added up. Recorded rules have a job and no instance."""
    for path in DASHBOARDS:
        board = json.loads(path.read_text())
        assert board["editable"] is False
        variables = {each["name"]: each for each in board["templating"]["list"]}
        assert list(variables) == ["datasource", "job", "instance"]
        assert variables["job"]["includeAll"] is False
        assert variables["instance"]["includeAll"] is True
        for expression in (target["expr"] for panel in board["panels"] for target in panel["targets"]):
            selectors = re.findall(r"\b(?:flexcredits[a-z0-9_:]+|process_[a-z_]+|up)\b(?:\{[^}]*\})?", expression)
            assert {name.partition("{")[0] for name in selectors} == metric_names(expression)
            for selector in selectors:
                assert 'job=~"$job"' in selector, (path.name, expression)
                assert ":" in selector or 'instance=~"$instance"' in selector, (path.name, expression)


def test_a_difference_has_a_value_if_the_second_sum_has_none() -> None:
    for path in DASHBOARDS:
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel["targets"]:
                assert not re.search(r"\) [+-] sum", target["expr"]), panel["title"]


def test_the_cluster_gets_the_same_rules_and_dashboards() -> None:
    subprocess.run([sys.executable, REPOSITORY / "deploy/prometheus/write_rule.py", "--check"], check=True)
    manifests = render("overlays/prod")
    assert find(manifests, "PrometheusRule", "flexcredits")["spec"] == read_yaml(RULES)
    boards = find(manifests, "ConfigMap", "flexcredits-dashboards")
    assert boards["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert boards["data"] == {path.name: path.read_text() for path in DASHBOARDS}


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ('sum(rate(flexcredits_a_total{x="up"}[5m])) > 1', {"flexcredits_a_total"}),
        ('absent(up{service="flexcredits_b"}) or flexcredits:c:ratio_rate5m', {"up", "flexcredits:c:ratio_rate5m"}),
    ],
)
def test_names_are_found_in_expressions(expression: str, names: set[str]) -> None:
    assert metric_names(expression) == names
