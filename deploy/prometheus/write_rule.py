"""Writes rules.yml into the PrometheusRule of the monitoring component: `python deploy/prometheus/write_rule.py [--check]`

Prometheus' operator reads rules only from its own resources, and kustomize cannot include a file in them.
"""

import sys
from pathlib import Path

RULES = Path(__file__).with_name("rules.yml")
RESOURCE = Path(__file__).parents[1] / "k8s/components/monitoring/prometheus-rule.yaml"
HEAD = """\
# Generated from deploy/prometheus/rules.yml by deploy/prometheus/write_rule.py. Do not edit.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: flexcredits
spec:
"""


def render() -> str:
    lines = RULES.read_text().splitlines(keepends=True)
    begin = lines.index("groups:\n")
    return HEAD + "".join(f"  {line}" if line.strip() else line for line in lines[begin:])


if __name__ == "__main__":
    if "--check" not in sys.argv[1:]:
        RESOURCE.write_text(render())
    elif RESOURCE.read_text() != render():
        sys.exit(f"{RESOURCE.name} differs from rules.yml: run deploy/prometheus/write_rule.py")
