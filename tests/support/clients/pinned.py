"""Foreign clients that run in the usual tests: pinned, each in an environment of its own, installed once and kept for later runs."""

import fcntl
import hashlib
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from flexcredits_cli.machine.state_folder import remove_tree, state_folder
from support.clients.foreign_clients import node_with, run

PYTHON = {
    "openmeter": ("openmeter==1.0.0b236",),
    "lago": ("lago-python-client==1.55.0",),
    # With what its cache needs (findings/litellm-cache-hit-needs-undeclared-packages.sh).
    "litellm": ("litellm==1.110.2", "fastapi", "orjson", "soundfile"),
    "instrumentations": (
        "openai==3.57.0",
        "anthropic==2.14.0",
        "opentelemetry-sdk==1.45.2",
        "opentelemetry-exporter-otlp-proto-http==1.45.2",
        "opentelemetry-instrumentation-openai==0.62.4",
        "opentelemetry-instrumentation-anthropic==0.62.4",
    ),
    "cloudevents 1": ("cloudevents==1.13.0",),
    "cloudevents 2": ("cloudevents==2.2.0",),
}
NODE = {
    "openmeter": ("@openmeter/sdk@1.0.0-beta.232",),
    "lago": ("lago-javascript-client@1.53.0",),
    "opentelemetry": ("@opentelemetry/sdk-node@0.301.0", "@opentelemetry/api@1.10.0"),
    "cloudevents": ("cloudevents@10.0.0",),
}


def python(name: str) -> Path:
    """The interpreter of a virtual environment with the packages of PYTHON."""
    return kept(python_with_uv, PYTHON[name]) / "venv" / "bin" / "python"


def node(folder: Path, name: str) -> None:
    """Let programs in `folder` import the packages of NODE."""
    (folder / "node_modules").symlink_to(kept(node_with, NODE[name]) / "node_modules")


@contextmanager
def installing() -> Iterator[None]:
    """Installs all of them meanwhile. Who needs one waits for it, and reports what failed."""
    with ThreadPoolExecutor(4) as threads:
        for packages in PYTHON.values():
            threads.submit(kept, python_with_uv, packages)
        for packages in NODE.values():
            threads.submit(kept, node_with, packages)
        yield


def python_with_uv(folder: Path, *packages: str) -> None:
    """As foreign_clients.python_with, in seconds: the launcher has installed uv, and these are its settings."""
    uv = shutil.which("uv") or state_folder().root / "uv" / "bin" / "uv"
    settings = {"UV_SYSTEM_CERTS": "true", "UV_HTTP_TIMEOUT": "180", "UV_PYTHON_DOWNLOADS": "never"}
    run(uv, "venv", "--quiet", "--python", sys.executable, "venv", folder=folder, **settings)
    at = ("--python", folder / "venv" / "bin" / "python")
    run(uv, "pip", "install", "--quiet", *at, *packages, folder=folder, **settings)


def kept(install: Callable[..., object], packages: Sequence[str]) -> Path:
    """The folder of these packages. The first that asks installs them; others, and later runs, find them."""
    name = hashlib.sha256("\n".join((install.__name__, sys.version, *packages)).encode()).hexdigest()[:16]
    folder = state_folder().clients / name
    folder.parent.mkdir(exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            remove_tree(folder)
            folder.mkdir()
            install(folder, *packages)
            (folder / "complete").touch()
    return folder
