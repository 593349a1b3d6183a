"""A compose deployment of an earlier commit becomes the present one: nothing is lost, and each migration runs once."""

import io
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from flexcredits_cli.machine.state_folder import REPOSITORY
from support.data.factories import contract, organization, usage
from support.infra.compose import Project, free_port_settings, timed
from support.infra.service_process import eventually
from support.infra.stack import throwaway_folder
from support.services.ingest import BATCH

pytestmark = [pytest.mark.containers, pytest.mark.timeout(900), pytest.mark.usefixtures("engine")]

MIGRATIONS = sorted(path.name for path in (REPOSITORY / "schemas/postgres").glob("*.sql"))
NEW = 3
"""Migrations that the earlier commit lacks at least."""


def git(*arguments: str) -> bytes:
    done = subprocess.run(["git", *arguments], cwd=REPOSITORY, capture_output=True)
    if done.returncode != 0:
        pytest.skip(f"this checkout has no history: {done.stderr.decode().strip()}")
    return done.stdout


def migrations_of(commit: str) -> dict[str, str]:
    """Content, as git's hash, of each migration by its name."""
    lines = git("ls-tree", commit, "schemas/postgres/").decode().splitlines()
    found = {Path(name).name: content.split()[2] for content, _, name in (line.partition("\t") for line in lines)}
    return {name: content for name, content in sorted(found.items()) if name.endswith(".sql")}


def newest_before() -> str:
    """The newest commit that lacks at least the NEW last migrations and has the others as they are."""
    for commit in git("log", "--format=%H", "--", "schemas/postgres").decode().split():
        there = list(migrations_of(commit).items())
        if there == list(migrations_of("HEAD").items())[: len(there)] and len(there) <= len(MIGRATIONS) - NEW:
            return commit
    pytest.skip("no earlier commit can be upgraded")


@pytest.fixture(scope="module")
def earlier() -> Iterator[Path]:
    """The tree of that commit."""
    with throwaway_folder() as folder:
        with tarfile.open(fileobj=io.BytesIO(git("archive", newest_before()))) as archive:
            archive.extractall(folder, filter="data")
        yield folder


async def test_an_upgrade_loses_nothing_and_migrates_once(earlier: Path) -> None:
    ports = free_port_settings()
    old = Project("flexcredits-upgrade", earlier, environment=ports)
    new = Project("flexcredits-upgrade", environment=ports)
    try:
        with timed("build and up of the earlier commit"):
            old("build")
            old("up", "--detach", "--wait", "--wait-timeout", "300")
        key = old("run", "--rm", "cli", "keys", "create", "--organization", "*").splitlines()[-1]
        # Held events too: their organization comes after the upgrade.
        held = [usage(credits="3", envelope={"subject": "org_later"}) for _ in range(10)]
        first = [usage(credits="2") for _ in range(50)]
        await send(old, key, [organization(), contract(total="1000"), *first, *held])
        await until_used(old, "org_acme", "100.000000")
        before = applied(old)
        assert before == MIGRATIONS[: len(before)]
        assert len(before) <= len(MIGRATIONS) - NEW

        with timed("build and up of the present commit"):
            new("build")
            new("up", "--detach", "--wait", "--wait-timeout", "300")
        assert applied(new) == MIGRATIONS
        assert new.logs("migrations").count(MIGRATIONS[-1]) == 1
        await until_used(new, "org_acme", "100.000000")
        await send(new, key, [*first, usage(credits="5"), organization("org_later")])  # what was counted is a duplicate
        await until_used(new, "org_acme", "105.000000")
        await until_used(new, "org_later", "30.000000")
        assert psql(new, "SELECT sum(duplicate) FROM partition_progress") == "50"
        new("up", "--detach", "--force-recreate", "migrations")  # `--wait` does not wait for the end of a job
        await eventually(lambda: '"applied": []' in new.logs("migrations"), what="the end of the second run")
    finally:
        new.down()


def psql(project: Project, statement: str) -> str:
    command = ("psql", "--no-psqlrc", "--tuples-only", "--no-align", "--username=flexcredits", "--command", statement)
    return project("exec", "-T", "postgres", *command)


def applied(project: Project) -> list[str]:
    return psql(project, "SELECT name FROM schema_migrations ORDER BY 1").splitlines()


async def send(project: Project, key: str, events: list[object]) -> None:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": BATCH}
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        url = f"{project.url('ingest', 8080)}/api/v1/events"
        sent = await client.post(url, json=events, headers=headers)
    assert sent.status_code == 202, sent.text


async def until_used(project: Project, organization: str, credits: str) -> None:
    who = ("--organization", organization, "--role", "super_admin", "--email", "ada@acme.example")
    token = project("run", "--rm", "cli", "token", *who).splitlines()[-1]
    url = f"{project.url('query-api', 8081)}/api/v1/overview"
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:

        async def is_used() -> bool:
            answer = await client.get(url, headers={"Authorization": f"Bearer {token}"})
            return answer.status_code == 200 and answer.json()["credits_used"] == credits

        await eventually(is_used, what=f"{credits} credits")
