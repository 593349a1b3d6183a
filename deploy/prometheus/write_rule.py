"""rules.yml -> the PrometheusRule of the monitoring component. `python deploy/prometheus/write_rule.py [--check]`

Prometheus' operator reads rules from resources of its own alone, and kustomize cannot put a file into one.
"""

import sys
from pathlib import Path

RULES = Path(__file__).with_name("rules.yml")
RESOURCE = Path(__file__).parents[1] / "k8s/components/monitoring/prometheus-rule.yaml"
HEAD = """\
# Made from deploy/prometheus/rules.yml by deploy/prometheus/write_rule.py: change it there.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: flexcredits
spec:
"""


def made() -> str:
    lines = RULES.read_text().splitlines(keepends=True)
    begin = lines.index("groups:\n")
    return HEAD + "".join(f"  {line}" if line.strip() else line for line in lines[begin:])


if __name__ == "__main__":
    if "--check" not in sys.argv[1:]:
        RESOURCE.write_text(made())
    elif RESOURCE.read_text() != made():
        sys.exit(f"{RESOURCE.name} is not what rules.yml makes: run deploy/prometheus/write_rule.py")
