"""The client is a package of its own, which products install without anything else of ours."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

from flexcredits_cli.machine.state_folder import REPOSITORY

PACKAGE = REPOSITORY / "clients" / "python"
MODULES = sorted((PACKAGE / "flexcredits_client").rglob("*.py"))
KNOWN = sys.stdlib_module_names | {"flexcredits_client", "httpx", "httpcore"}
"""httpcore comes with httpx."""


def test_httpx_is_its_only_dependency() -> None:
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]
    assert project["dependencies"] == ["httpx>=0.28"]
    for module in MODULES:
        for node in ast.walk(ast.parse(module.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert {name.partition(".")[0] for name in names} <= KNOWN, module


def test_its_imports_keep_their_direction() -> None:
    command = [Path(sys.executable).with_name("lint-imports"), "--config", PACKAGE / "pyproject.toml", "--no-cache"]
    done = subprocess.run(command, cwd=PACKAGE, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout


def test_it_is_typed_and_in_no_image() -> None:
    assert (PACKAGE / "flexcredits_client" / "py.typed").exists()
    copied = [line for line in (REPOSITORY / "Dockerfile").read_text().splitlines() if line.startswith(("COPY", "RUN"))]
    assert not [line for line in copied if "clients" in line]
    assert "clients" not in (REPOSITORY / ".dockerignore").read_text()
