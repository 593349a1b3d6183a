"""The rules and dashboards of deploy/, and a real Prometheus that evaluates them."""

import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from flexcredits_cli.machine.ports import free_ports
from flexcredits_cli.machine.state_folder import REPOSITORY
from flexcredits_cli.processes.programs import Program
from flexcredits_cli.stack.services import answers
from support.clients.manifests import read_yaml
from support.infra.stack import running

RULES = REPOSITORY / "deploy" / "prometheus" / "rules.yml"
DASHBOARDS = sorted((REPOSITORY / "deploy" / "grafana" / "dashboards").glob("*.json"))
_NAME = re.compile(r"\b(?:flexcredits[a-z0-9_:]+|process_[a-z_]+|up)\b")


def find_program(name: str) -> str:
    """Prometheus' path. Skips the test if it is not installed (Debian's package prometheus)."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


def read_rules() -> list[dict[str, Any]]:
    return [rule for group in read_yaml(RULES)["groups"] for rule in group["rules"]]


def alerts() -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for rule in read_rules() if "alert" in rule}


def names_in_rules() -> set[str]:
    return set().union(*(metric_names(rule["expr"]) for rule in read_rules()))


def names_in_dashboards() -> set[str]:
    expressions = [
        target["expr"]
        for path in DASHBOARDS
        for panel in json.loads(path.read_text())["panels"]
        for target in panel["targets"]
    ]
    return set().union(*map(metric_names, expressions))


def metric_names(expression: str) -> set[str]:
    """Names of metrics and recorded rules in a PromQL expression."""
    return set(_NAME.findall(re.sub(r'"[^"]*"', '""', expression)))


class Prometheus:
    """A running Prometheus."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def ask(self, path: str, **parameters: str) -> Any:
        answer = self._client.get(f"/api/v1/{path}", params=parameters).raise_for_status().json()
        assert answer["status"] == "success"
        return answer["data"]

    def targets(self) -> dict[str, str]:
        """Health of targets by address."""
        return {each["labels"]["instance"]: each["health"] for each in self.ask("targets")["activeTargets"]}

    def names(self) -> set[str]:
        """Names of all series."""
        return set(self.ask("label/__name__/values"))

    def families(self) -> set[str]:
        """Names of all metrics that targets expose, also those without a sample."""
        return set(self.ask("metadata"))

    def rules(self) -> list[dict[str, Any]]:
        return [rule for group in self.ask("rules")["groups"] for rule in group["rules"]]

    def firing(self) -> dict[str, dict[str, Any]]:
        found = self.ask("alerts")["alerts"]
        return {each["labels"]["alertname"]: each for each in found if each["state"] == "firing"}


@contextmanager
def prometheus(targets: Sequence[tuple[str, int]], *, impatient: bool = False) -> Iterator[Prometheus]:
    """Compose's configuration for other targets, pairs of a service and its probe port on this machine.

    It scrapes and evaluates every second; `impatient` alerts fire without waiting for their `for`.
    """
    program, (port,) = find_program("prometheus"), free_ports(1)
    configuration = read_yaml(REPOSITORY / "deploy/compose/prometheus.yml")
    configuration["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    [job] = configuration["scrape_configs"]
    del job["relabel_configs"]
    job["static_configs"] = [
        {"targets": [f"127.0.0.1:{probe_port}"], "labels": {"service": service}} for service, probe_port in targets
    ]
    with tempfile.TemporaryDirectory(prefix="flexcredits-prometheus-") as folder:
        assert configuration["rule_files"] == ["rules.yml"]
        rules = RULES.read_text()
        (Path(folder) / "rules.yml").write_text(re.sub(r"\n +for: \w+", "", rules) if impatient else rules)
        (Path(folder) / "prometheus.yml").write_text(yaml.safe_dump(configuration))
        url = f"http://127.0.0.1:{port}"
        argv = [
            program, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn",
        ]  # fmt: skip
        server = Program("prometheus", argv, is_ready=lambda: answers(f"{url}/-/ready"))
        with running(server), httpx.Client(base_url=url, timeout=10, trust_env=False) as client:
            yield Prometheus(client)


def probe_ports(metrics_urls: Mapping[str, str]) -> list[tuple[str, int]]:
    """Targets of a stack, as its description names them."""
    return [(service, httpx.URL(url).port or 0) for service, url in metrics_urls.items()]
