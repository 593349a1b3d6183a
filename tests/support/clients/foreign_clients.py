"""Public client libraries and generators: pinned, installed into the test's folder, run as programs."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from flexcredits_cli.embedded.kafka_jars import maven_context

GENERATOR = "org.openapitools:openapi-generator-cli:7.17.0"
NO_MODULES: Mapping[str, Path] = MappingProxyType({})
PYTHON_GENERATOR = "openapi-python-client==0.29.0"


def run(*command: str | Path, folder: Path, **environment: Any) -> str:
    """A program's output. If the program fails, the test fails and shows it."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder, env={**os.environ, **{name: str(value) for name, value in environment.items()}},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=400,
    )  # fmt: skip
    assert done.returncode == 0, f"{command}: {done.stdout[-5000:]}"
    return done.stdout


def need(*programs: str) -> None:
    """Skip the test if a program is missing."""
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not on this machine")


def python_with(folder: Path, *packages: str) -> Path:
    """The interpreter of a new virtual environment with these packages."""
    home = folder / "venv"
    run(sys.executable, "-m", "venv", home, folder=folder)
    run(home / "bin" / "python", "-m", "pip", "install", "--quiet", *packages, folder=folder)
    return home / "bin" / "python"


def node_with(folder: Path, *packages: str) -> None:
    """Install npm packages into `folder`, so that programs in it can import them."""
    need("node", "npm")
    (folder / "package.json").write_text("{}")  # else npm takes one above the folder
    run("npm", "install", "--silent", "--no-audit", "--no-fund", *packages, folder=folder)


def go_module(folder: Path, program: Path, *modules: str, local: Mapping[str, Path] = NO_MODULES) -> Path:
    """The folder of a Go module with `program` as its main.go; `modules` are `path@version`, and `local` ones in folders."""
    need("go")
    lines = (f"require {name} v0.0.0\nreplace {name} => {place}\n" for name, place in local.items())
    (folder / "go.mod").write_text("".join(["module example.test/try\n\ngo 1.23\n", *lines]))
    shutil.copy(program, folder / "main.go")
    if modules:
        run("go", "get", *modules, folder=folder)
    run("go", "mod", "tidy", folder=folder)
    return folder


def java_class_path(folder: Path, *coordinates: str) -> str:
    """The class path of Maven artifacts (group:artifact:version) and what they need."""
    need("java")
    maven = maven_context(folder / "maven")
    inputs, transitive = maven.resolver.resolve([maven.create_dependency(each) for each in coordinates])
    needed = [*inputs, *(each for each in transitive if each.scope in ("compile", "runtime"))]
    return os.pathsep.join(str(each.artifact.resolve()) for each in needed)


def generate_python(description: Path, folder: Path) -> Path:
    """Generate package `generated` in `folder`; returns an interpreter that can import it there."""
    python = python_with(folder, PYTHON_GENERATOR, "ruff")
    path = f"{python.parent}{os.pathsep}{os.environ['PATH']}"
    run(
        python.parent / "openapi-python-client", "generate", "--path", description, "--meta", "none",
        "--output-path", folder / "generated", folder=folder, PATH=path,
    )  # fmt: skip
    return python


def generate_go(description: Path, folder: Path) -> Path:
    """Generate and compile a Go module in `folder`; returns the folder for a main.go beside it."""
    need("java", "go")
    jar = maven_context(folder / "maven").create_dependency(GENERATOR).artifact.resolve()
    module = folder / "module"
    run(
        "java", "-Xmx512m", "-jar", jar, "generate", "-g", "go", "-i", description, "-o", module / "client",
        "--additional-properties=packageName=client,withGoMod=false", folder=folder,
    )  # fmt: skip
    shutil.rmtree(module / "client" / "test", ignore_errors=True)
    (module / "go.mod").write_text("module example.test/try\n\ngo 1.23\n\nrequire gopkg.in/validator.v2 v2.0.1\n")
    run("go", "mod", "tidy", folder=module)
    run("go", "build", "./...", folder=module)
    return module
