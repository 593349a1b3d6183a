"""The compose file at work: every container healthy, an event in and out, an alert and its mail, stopped in order."""

from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest
import yaml
from flexcredits_cli.machine.state_folder import REPOSITORY
from support.data.factories import contract, event, organization, usage
from support.infra.compose import Project, docker, free_port_settings, timed
from support.infra.service_process import eventually
from support.services.ingest import BATCH

pytestmark = [pytest.mark.containers, pytest.mark.timeout(900)]

ADA = event("flexcredits.member.v1", {"email": "ada@acme.example", "name": "Ada", "role": "super_admin"})
ENDED_BY_SIGTERM = {0, 143}
STOPPED_WITHIN_S = 10
"""All together, in the order of what they need. Docker kills a service, Postgres and Kafka 30 s after SIGTERM, and others 10 s; the code is then
137."""
ONE_SHOTS = {"secrets", "migrations", "topics"}
RULES = yaml.safe_load((REPOSITORY / "deploy/prometheus/rules.yml").read_text())


@pytest.fixture(scope="module")
def project(images: None) -> Iterator[Project]:
    ports = free_port_settings()
    made = Project("flexcredits-test", profiles=("demo", "observability"), environment=ports)
    demo = Project("flexcredits-test", profiles=("demo",), environment=ports)
    try:
        with timed("up"):
            demo("up", "--detach", "--wait", "--wait-timeout", "300")
        yield made
    finally:
        with timed("down"):
            made.down()


def test_everything_is_healthy_and_what_prepares_has_ended(project: Project) -> None:
    states = project.containers()
    assert {states[name]["ExitCode"] for name in ONE_SHOTS} == {0}
    running = {name: state["Health"] for name, state in states.items() if state["State"] == "running"}
    assert running.keys() == {
        "kafka", "postgres", "mailbox", "ingest", "aggregator", "alerter", "query-api", "issuer", "simulator",
    }  # fmt: skip
    assert {name for name, health in running.items() if health != "healthy"} == {"simulator"}, "it has no check"


async def test_an_event_is_counted_and_sets_off_an_alert_with_its_mail(project: Project) -> None:
    key = project("run", "--rm", "cli", "keys", "create", "--organization", "*").splitlines()[-1]
    who = ("--organization", "org_acme", "--role", "super_admin", "--email", "ada@acme.example")
    token = project("run", "--rm", "cli", "token", *who).splitlines()[-1]
    ingest, query, mailbox = (project.url(*each) for each in (("ingest", 8080), ("query-api", 8081), ("mailbox", 8025)))
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:

        async def ask(path: str) -> httpx.Response:
            headers = {"Authorization": f"Bearer {token}"}
            return (await client.get(f"{query}/api/v1/{path}", headers=headers)).raise_for_status()

        async def is_counted() -> bool:
            return bool((await ask("overview")).json()["credits_used"] == "80.000000")

        async def is_mailed() -> bool:
            found = (await client.get(f"{mailbox}/api/v1/messages", params={"limit": "1000"})).json()["messages"]
            return any(to["Address"] == "ada@acme.example" for mail in found for to in mail["To"])

        sent = await client.post(
            f"{ingest}/api/v1/events", json=[organization(), contract(total="100"), ADA, usage(credits="80")],
            headers={"Authorization": f"Bearer {key}", "Content-Type": BATCH},
        )  # fmt: skip
        assert sent.status_code == 202, sent.text
        with timed("accepted to counted"):
            await eventually(is_counted, within_s=120, what="the event")
        with timed("counted to mailed"):
            await eventually(is_mailed, within_s=120, what="the mail")
        assert (await ask("banner")).json()["threshold"] == 75
        page = await client.get(f"{query}/", headers={"Accept": "text/html"})
        assert "<title>FlexCredits" in page.text


async def test_prometheus_scrapes_every_service_and_loads_the_rules(project: Project) -> None:
    with timed("up with observability"):
        project("up", "--detach", "--wait", "prometheus")
    url = project.url("prometheus", 9090)
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:

        async def all_up() -> bool:
            targets = (await client.get(f"{url}/api/v1/targets")).json()["data"]["activeTargets"]
            health = {each["labels"]["service"]: each["health"] for each in targets}
            return health == dict.fromkeys(("ingest", "aggregator", "alerter", "query-api"), "up")

        await eventually(all_up, within_s=60, what="all targets")
        groups = (await client.get(f"{url}/api/v1/rules")).json()["data"]["groups"]
    loaded = {group["name"]: [rule["name"] for rule in group["rules"]] for group in groups}
    assert loaded == {
        group["name"]: [rule.get("record", rule.get("alert")) for rule in group["rules"]] for group in RULES["groups"]
    }
    broken = [rule["name"] for group in groups for rule in group["rules"] if rule["health"] == "err"]
    assert not broken


async def test_grafana_shows_every_dashboard(project: Project) -> None:
    image = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())["services"]["grafana"]["image"]
    if docker("image", "inspect", image, check=False).returncode != 0:
        pulled = docker("pull", "--quiet", image, check=False)
        if pulled.returncode != 0:
            pytest.skip(f"{image} cannot be pulled")
    project("up", "--detach", "--wait", "grafana")
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        found = (await client.get(f"{project.url('grafana', 3000)}/api/search", params={"type": "dash-db"})).json()
    assert len(found) == len(list((REPOSITORY / "deploy/grafana/dashboards").glob("*.json")))


def test_a_second_up_changes_nothing(project: Project) -> None:
    before = {name: state["ID"] for name, state in project.containers().items() if name not in ONE_SHOTS}
    project("up", "--detach", "--wait", "--no-recreate", *before)
    after = project.containers()
    assert {name: after[name]["ID"] for name in before} == before
    assert {after[name]["ExitCode"] for name in ONE_SHOTS} == {0}


def test_stop_ends_every_container_by_sigterm(project: Project) -> None:
    began = datetime.now(UTC)
    with timed("stop"):
        project("stop")
    took = {name: (at - began).total_seconds() for name, at in project.ended_at().items() if at > began}
    last_ones = sorted(took.items(), key=lambda each: each[1])[-3:]
    print(f"ended after: {', '.join(f'{name} {seconds:.1f} s' for name, seconds in last_ones)}")  # noqa: T201
    codes = {name: state["ExitCode"] for name, state in project.containers().items()}
    assert set(codes.values()) <= ENDED_BY_SIGTERM, codes
    assert took.keys() == codes.keys() - ONE_SHOTS
    assert max(took.values()) < STOPPED_WITHIN_S, took
