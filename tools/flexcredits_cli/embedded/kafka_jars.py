"""Downloads Apache Kafka's jars once from the Maven repository, and checks each against a committed SHA-256.

`python -m flexcredits_cli.embedded.kafka_jars` prints a new list after a change of version.
"""

import fcntl
import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests
from jgo.maven import MavenContext

from flexcredits_cli.machine.state_folder import remove_tree
from flexcredits_cli.machine.trust import trust_in_requests
from flexcredits_cli.terminal.problem import SetupProblem

BROKER = "org.apache.kafka:kafka_2.13:4.3.1"
# The broker logs through slf4j, and its pom names no binding. The binding is resolved separately, because its parent
# pom manages a much older kafka-clients, which would override the broker's.
LOGGING = "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4"
LIST = Path(__file__).with_name("kafka-jars.sha256")
ATTEMPTS = 3
REPORT_EVERY = 5 * 10**6  # bytes, of 45 MB
PARALLEL = 4  # the registry's latency dominates: 24 s one by one


@dataclass(frozen=True)
class Jar:
    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def coordinate(self) -> str:
        return f"{self.group}:{self.artifact}:{self.version}"

    @property
    def file_name(self) -> str:
        return f"{self.artifact}-{self.version}.jar"


def pinned_jars() -> list[Jar]:
    """The jars of the committed list, in the order of the class path."""
    jars = []
    for line in LIST.read_text().splitlines():
        if not line.startswith("#"):
            sha256, coordinate = line.split()
            group, artifact, version = coordinate.split(":")
            jars.append(Jar(group, artifact, version, sha256))
    return jars


def missing_jars(folder: Path) -> list[Jar]:
    """Jars that are not in the folder or have a wrong checksum."""
    return [jar for jar in pinned_jars() if file_sha256(folder / jar.file_name) != jar.sha256]


def ensure_jars(folder: Path, report: Callable[[str], None]) -> list[Path]:
    """The broker's class path. Downloads missing jars into `folder`.

    Safe to run concurrently and to interrupt: a jar is moved into the folder only after its check.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with only_one(folder / ".lock"):
        missing = missing_jars(folder)
        if missing:
            download_all(missing, folder, report)
    return [folder / jar.file_name for jar in pinned_jars()]


def download_all(missing: list[Jar], folder: Path, report: Callable[[str], None]) -> None:
    for abandoned in folder.glob(".incoming-*"):
        remove_tree(abandoned)  # left by a killed download; the lock excludes a running one
    report(f"downloading Apache Kafka: {len(missing)} jars (first start only)")
    with (
        tempfile.TemporaryDirectory(dir=folder, prefix=".incoming-") as incoming,
        ThreadPoolExecutor(PARALLEL) as pool,
    ):
        maven = maven_context(Path(incoming))
        downloads = {pool.submit(download, maven, jar): jar for jar in missing}
        received = reported = 0
        try:
            for number, done in enumerate(as_completed(downloads), start=1):
                path, jar = done.result(), downloads[done]
                received += path.stat().st_size
                path.replace(folder / jar.file_name)
                if received - reported > REPORT_EVERY or number == len(missing):
                    report(f"Apache Kafka: {number} of {len(missing)} jars, {received / 1e6:.0f} MB")
                    reported = received
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def download(maven: MavenContext, jar: Jar) -> Path:
    """Download one jar and check it. Raises SetupProblem if the download fails or the checksum differs."""
    artifact = maven.create_dependency(jar.coordinate).artifact
    for attempt in range(1, ATTEMPTS + 1):
        try:
            path = Path(artifact.resolve())
        except (requests.RequestException, RuntimeError) as error:
            if artifact.cached_path is not None:
                # The next attempt would treat the partial file as the whole jar.
                artifact.cached_path.unlink(missing_ok=True)
            if attempt == ATTEMPTS:
                raise SetupProblem(
                    f"could not download {jar.coordinate} from the Maven repository: {error}\n"
                    "Check the network (HTTPS_PROXY and SSL_CERT_FILE are honoured; set FLEXCREDITS_MAVEN_REPOSITORY to use a "
                    "mirror) and run the command again: completed downloads are kept. "
                    "Or set KAFKA_BOOTSTRAP to a Kafka that you run."
                ) from error
            time.sleep(attempt)
        else:
            if file_sha256(path) != jar.sha256:
                raise SetupProblem(
                    f"{jar.coordinate} has a wrong checksum: its SHA-256 is {file_sha256(path)}, and "
                    f"{LIST.name} says {jar.sha256}. A proxy or mirror may have changed the file; "
                    "nothing was installed."
                )
            return path
    raise AssertionError("the last attempt returns or raises")


def maven_context(cache: Path) -> MavenContext:
    trust_in_requests()
    mirror = os.environ.get("FLEXCREDITS_MAVEN_REPOSITORY")
    return MavenContext(repo_cache=cache, remote_repos={"mirror": mirror} if mirror else None, timeout=60)


def file_sha256(path: Path) -> str | None:
    """The checksum in hex, or None if the file does not exist."""
    if not path.exists():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def only_one(lock: Path) -> Iterator[None]:
    """Hold a lock that other processes wait for. The system releases it when this process ends."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def resolve_all() -> list[str]:
    """The lines of a new list, resolved from the poms in the Maven repository."""
    with tempfile.TemporaryDirectory() as cache:
        maven = maven_context(Path(cache))
        inputs, transitive = maven.resolver.resolve([maven.create_dependency(BROKER)])
        needed = [*inputs, *(each for each in transitive if each.scope in ("compile", "runtime"))]
        artifacts = [each.artifact for each in [*needed, maven.create_dependency(LOGGING)]]
        return sorted(
            (f"{file_sha256(Path(a.resolve()))}  {a.groupId}:{a.artifactId}:{a.version}" for a in artifacts),
            key=lambda line: line.split()[1],
        )


if __name__ == "__main__":
    print("\n".join(resolve_all()))
