"""`sbom`: lists an image's parts as CycloneDX 1.6: the locked Python packages and the dashboard's packages."""

import base64
import json
import re
from collections.abc import Iterable
from importlib.metadata import requires
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from flexcredits_cli.commands.developer.version import current_version
from flexcredits_cli.machine.state_folder import REPOSITORY
from flexcredits_cli.terminal.output import print_json
from flexcredits_cli.terminal.problem import SetupProblem

SERVICES = ("ingest", "aggregator", "alerter", "query-api")
MEMBERS = {"service": SERVICES, "tools": (*SERVICES, "local")}
"""Workspace members in each image."""
_LOCKED = re.compile(r"^([a-z0-9-]+)==([^\s;]+)", re.MULTILINE)


def sbom(
    image: Annotated[Literal["service", "tools"], typer.Argument(help="Which of the two images.")] = "service",
) -> None:
    """Print the list of parts (SBOM) of an image as CycloneDX, for vulnerability scanners.

    The same sources give the same list. Hashes of Python's packages are in requirements.lock.
    """
    if not (REPOSITORY / "requirements.lock").exists():
        raise SetupProblem("this is an installation, not a checkout: it has no lock file.")
    print_json(describe(REPOSITORY, image))


def describe(repository: Path, image: str) -> dict[str, Any]:
    """The CycloneDX document. It has no time and no serial number, so that equal sources give equal bytes."""
    version = current_version(repository)
    name = "flexcredits" if image == "service" else "flexcredits-tools"
    components = python_parts(repository, MEMBERS[image])
    if image == "service":
        components += page_parts(repository)
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "application", "bom-ref": name, "name": name, "version": version}},
        "components": components,
    }


def python_parts(repository: Path, members: Iterable[str]) -> list[dict[str, Any]]:
    """Packages that the members need on this platform, at the locked versions."""
    locked = dict(_LOCKED.findall((repository / "requirements.lock").read_text()))
    seen: set[tuple[str, str]] = set()
    waiting = [(f"flexcredits-{member}", "") for member in members]
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        for line in requires(name) or ():
            needed = Requirement(line)
            if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                waiting += [(canonicalize_name(needed.name), each) for each in ("", *needed.extras)]
    names = sorted({name for name, _ in seen if not name.startswith("flexcredits-")})
    return [part("pypi", name, locked[name]) for name in names]


def page_parts(repository: Path) -> list[dict[str, Any]]:
    """Packages that are part of the dashboard's built files; build tools are left out."""
    lock = json.loads((repository / "services/query-api/dashboard/package-lock.json").read_text())
    found = []
    for path, package in lock["packages"].items():
        if path and not package.get("dev"):
            algorithm, _, digest = package["integrity"].partition("-")
            hashes = [{"alg": algorithm.upper().replace("SHA", "SHA-"), "content": base64.b64decode(digest).hex()}]
            found.append(part("npm", path.rpartition("node_modules/")[2], package["version"]) | {"hashes": hashes})
    return found


def part(registry: str, name: str, version: str) -> dict[str, Any]:
    url = f"pkg:{registry}/{name.replace('@', '%40')}@{version}"
    return {"type": "library", "bom-ref": url, "name": name, "version": version, "purl": url}
