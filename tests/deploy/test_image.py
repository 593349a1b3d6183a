"""Checks of the Dockerfile that need no container engine; docs/deployment.md describes how images are built and run."""

import re
from importlib.metadata import requires

from flexcredits_cli.machine.state_folder import REPOSITORY
from packaging.requirements import Requirement
from query_api.settings import Settings

DOCKERFILE = (REPOSITORY / "Dockerfile").read_text()
LOCKED = set(re.findall(r"^([a-z0-9-]+)==", (REPOSITORY / "requirements.lock").read_text(), re.MULTILINE))


def test_images_do_not_run_as_root() -> None:
    stages = dict(re.findall(r"^FROM \S+ AS (\S+)\n(.*?)(?=^FROM|\Z)", DOCKERFILE, re.MULTILINE | re.DOTALL))
    assert re.search(r"^USER 10001:10001$", stages["base"], re.MULTILINE)
    for image in ("service", "tools"):
        assert re.search(rf"^FROM base AS {image}$", DOCKERFILE, re.MULTILINE)
        assert "USER" not in stages[image]


def test_everything_is_installed_by_hash() -> None:
    installs = re.findall(r"pip install (.*?)(?:\n\n|\nENV|\nRUN|\Z)", DOCKERFILE, re.DOTALL)
    assert len(installs) == 3
    for install in installs:
        assert "--require-hashes" in install or "--no-sources --constraint requirements.lock" in install


def test_no_registry_is_named() -> None:
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert set(bases) == {"${PYTHON_IMAGE}", "${NODE_IMAGE}", "build", "base"}
    assert "://" not in DOCKERFILE


def test_the_installer_is_that_of_the_launcher() -> None:
    [version] = re.findall(r'^UV_VERSION = "(.+)"$', (REPOSITORY / "flexcredits").read_text(), re.MULTILINE)
    assert (REPOSITORY / "deploy/installer.lock").read_text().startswith(f"uv=={version} ")


def test_the_dashboard_is_served_from_where_it_is_copied() -> None:
    [folder] = re.findall(r"^ENV DASHBOARD_FOLDER=(\S+)$", DOCKERFILE, re.MULTILINE)
    assert re.search(rf"^COPY --from=dashboard \S+/dashboard/dist {folder}$", DOCKERFILE, re.MULTILINE)
    assert "dashboard_folder" in Settings.model_fields
    assert "npm ci" in DOCKERFILE


def test_the_lock_holds_all_that_services_need() -> None:
    needed = [
        Requirement(line).name
        for package in ("schemas", "runtime", "ingest", "aggregator", "alerter", "query-api", "cli")
        for line in requires(f"flexcredits-{package}") or []
    ]
    assert {name for name in needed if not name.startswith("flexcredits-")} <= LOCKED


def test_copied_files_are_in_the_context() -> None:
    shown = {line[1:] for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copies = re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
    for source in {path for copy in copies for path in copy.split()[:-1]}:
        assert (REPOSITORY / source).exists()
        assert any(source == path or source.startswith(f"{path}/") for path in shown), source
