"""Writes the Helm chart from the manifests of deploy/k8s: `python deploy/helm/write_chart.py FOLDER`. Needs kustomize or kubectl.

The manifests are rendered with all components and without each of them; what a component adds or removes gets its condition.
What operators usually change becomes a value, with the manifests' own value as its default.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from difflib import SequenceMatcher
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from chart_values import COMPONENTS, POD, Chart, Manifest

K8S = Path(__file__).parents[1] / "k8s"
CHART = Path(__file__).with_name("Chart.yaml")
COMMENTS = {
    "image": "Of services and jobs. An empty tag is the chart's version; a digest replaces the tag.",
    "components": "Leave out what you run elsewhere, and set its address in `settings`.",
    "settings": "Environment variables by service, all strings (docs/configuration.md). They add to those of the manifests or\n"
    "# replace them. Those of `kafka` are for all services and jobs.",
    "secrets": "Names of Secrets that differ from those in docs/deployment.md, as `flexcredits-smtp: mail`.",
    "pod": "Fields that every pod gets, such as imagePullSecrets, nodeSelector and tolerations.",
    "services": "Replicas and resources. The aggregator's maximum is the number of partitions of usage.events.v1.",
    "kafka": "Brokers, by Strimzi.",
    "postgres": "By CloudNativePG. docs/deployment.md says how many connections the services open.",
    "pooler": "PgBouncer, if `components.pooler` is true. More processes of the query API need more sessions.",
}
HELPERS = """\
{{- define "flexcredits.image" -}}
{{ .Values.image.repository }}
{{- if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{- /* A job is immutable, so another image needs another name. */}}
{{- define "flexcredits.release" -}}
{{ .Chart.AppVersion | replace "." "-" }}
{{- with coalesce .Values.image.digest .Values.image.tag }}-{{ sha256sum . | trunc 8 }}{{ end }}
{{- end }}
"""
SETTINGS = """
{{- define "flexcredits.defaults.NAME" }}
LINES
{{- end }}

{{- define "flexcredits.settings.NAME" -}}
{{- $settings := fromYaml (include "flexcredits.defaults.NAME" .) }}
{{- range list GIVEN }}{{ range $name, $value := . }}{{ $_ := set $settings $name $value }}{{ end }}{{ end }}
{{- toYaml $settings }}
{{- end }}
"""
Line = tuple[frozenset[tuple[str, bool]], str]
"""A line of a manifest, and the components with which and without which it is there."""


def render(components: tuple[str, ...]) -> list[Manifest]:
    """The production overlay with these components instead of its own."""
    command = ["kustomize", "build"] if shutil.which("kustomize") else ["kubectl", "kustomize"]
    overlay = yaml.safe_load((K8S / "overlays/prod/kustomization.yaml").read_text())
    with TemporaryDirectory() as folder:
        k8s = Path(os.path.relpath(K8S, Path(folder).resolve()))
        overlay["resources"] = [str(k8s / "base")]
        overlay["components"] = [str(k8s / "components" / name) for name in components]
        (Path(folder) / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
        output = subprocess.run([*command, folder], check=True, stdout=subprocess.PIPE, text=True).stdout
    return list(yaml.load_all(output, getattr(yaml, "CSafeLoader", yaml.SafeLoader)))


def documents(chart: Chart, components: tuple[str, ...]) -> dict[tuple[str, str], list[str]]:
    """The lines of each manifest by kind and name, and of each service's settings, with marks for values."""
    found: dict[tuple[str, str], list[str]] = {}
    for manifest in render(components):
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        if kind == "Namespace":
            continue  # the release's namespace is Helm's or the operator's
        chart.replace_values(manifest)
        if "defaults" in manifest:
            of = name if name == "jobs" else name[:-11]
            found["settings", of] = dump(manifest.pop("defaults"))
        found[kind, manifest["metadata"]["name"]] = dump(manifest)
    return found


class Dumper(yaml.SafeDumper):
    """Writes texts of several lines as such."""

    def represent_text(self, text: str) -> yaml.ScalarNode:
        return self.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


Dumper.add_representer(str, Dumper.represent_text)


def dump(node: Any) -> list[str]:
    return yaml.dump(node, Dumper=Dumper, width=sys.maxsize, allow_unicode=True).splitlines()


def conditional(chart: Chart) -> dict[tuple[str, str], list[Line]]:
    """Every manifest's lines with their conditions, of all components together."""
    whole = documents(chart, COMPONENTS)
    without = {name: documents(chart, tuple(each for each in COMPONENTS if each != name)) for name in COMPONENTS}
    found = {key: merge(lines, {name: each.get(key) for name, each in without.items()}) for key, lines in whole.items()}
    for name, each in without.items():
        for key in each.keys() - found.keys():
            found[key] = [(frozenset({(name, False)}), line) for line in each[key]]
    return found


def merge(lines: list[str], variants: dict[str, list[str] | None]) -> list[Line]:
    """The lines, and those of the variants between them. A variant is named by the component that it lacks."""
    conditions: list[set[tuple[str, bool]]] = [set() for _ in lines]
    others: list[list[Line]] = [[] for _ in range(len(lines) + 1)]
    for name, variant in variants.items():
        if variant is None:
            for each in conditions:
                each.add((name, True))
        elif variant != lines:
            for _, begin, end, first, last in SequenceMatcher(None, lines, variant, autojunk=False).get_opcodes():
                if lines[begin:end] != variant[first:last]:
                    for number in range(begin, end):
                        conditions[number].add((name, True))
                    others[begin] += [(frozenset({(name, False)}), line) for line in variant[first:last]]
    everywhere = frozenset[tuple[str, bool]]().union(*[set.intersection(*conditions)] if conditions else [])
    merged: list[Line] = []
    for number, line in enumerate(lines):
        merged += [(condition | everywhere, other) for condition, other in others[number]]
        merged.append((frozenset(conditions[number]), line))
    return merged + [(condition | everywhere, other) for condition, other in others[-1]]


def write_lines(chart: Chart, lines: list[Line]) -> Iterator[str]:
    """Template lines. The conditions of the whole manifest come first."""
    everywhere = frozenset.intersection(*(condition for condition, _ in lines)) if lines else frozenset()
    if everywhere:
        yield "{{- if " + condition_of(everywhere) + " }}"
    yield "---"
    for condition, group in groupby(lines, key=lambda line: line[0] - everywhere):
        if condition:
            yield "{{- if " + condition_of(condition) + " }}"
        for _, line in group:
            yield write_line(chart, line)
        if condition:
            yield "{{- end }}"
    if everywhere:
        yield "{{- end }}"


def condition_of(condition: frozenset[tuple[str, bool]]) -> str:
    terms = [f'(index .Values.components "{name}")' for name, _ in sorted(condition)]
    terms = [term if there else f"(not {term})" for term, (_, there) in zip(terms, sorted(condition), strict=True)]
    return " ".join(["and", *terms]) if len(terms) > 1 else terms[0]


def write_line(chart: Chart, line: str) -> str:
    indent = len(line) - len(line.lstrip())
    if line.strip() == f"{POD}: ''":
        return f"{{{{- with .Values.pod }}}}{{{{ toYaml . | nindent {indent} }}}}{{{{- end }}}}"
    escaped = re.sub(r"\{\{|\}\}", lambda braces: f'{{{{ "{braces[0]}" }}}}', line)
    return re.sub(r"'?@@(\d+)@@'?", lambda mark: expression(chart, int(mark[1]), indent), escaped)


def expression(chart: Chart, number: int, indent: int) -> str:
    text = chart.expressions[number]
    trimmed = "-" if "INDENT" in text else ""
    return f"{{{{{trimmed} {text.replace('INDENT', str(indent + 2))} }}}}"


def write_chart(folder: Path) -> None:
    chart = Chart()
    found = conditional(chart)
    templates = folder / "templates"
    templates.mkdir(parents=True, exist_ok=True)
    for old in templates.iterdir():
        old.unlink()
    helpers = HELPERS
    kinds: dict[str, list[str]] = {}
    for (kind, name), lines in sorted(found.items()):
        if kind == "settings":
            given = "$.Values.settings.kafka" if name in ("kafka", "jobs") else ""
            own = f'(index $.Values.settings "{name}")'
            text = "\n".join([*write_lines(chart, lines)][1:])
            helpers += SETTINGS.replace("NAME", name).replace("LINES", text).replace("GIVEN", f"{given} {own}".strip())
        else:
            kinds.setdefault(kind, []).extend(write_lines(chart, lines))
    (templates / "_helpers.tpl").write_text(helpers)
    for kind, template in kinds.items():
        (templates / f"{kind.lower()}.yaml").write_text("\n".join([*template, ""]))
    shutil.copy(CHART, folder / "Chart.yaml")
    sections = [f"# {COMMENTS[name]}\n{yaml.safe_dump({name: each})}" for name, each in chart.values.items()]
    (folder / "values.yaml").write_text("\n".join(["# The defaults are deploy/k8s/overlays/prod.\n", *sections]))
    (folder / "values.schema.json").write_text(json.dumps(chart.schema(), indent=2) + "\n")


if __name__ == "__main__":
    [argument] = sys.argv[1:]
    write_chart(Path(argument))
