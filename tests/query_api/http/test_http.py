"""Properties of all answers: problems, headers, metrics and the OpenAPI description."""

import json
import re
from functools import cache
from typing import Any

import jsonschema_rs
from prometheus_client import REGISTRY
from query_api.app import build_app
from query_api.description.examples import BODIES
from query_api.openapi import TARGET, render
from support.clients.query_paths import FILES, PATHS
from support.data.people_rows import attribution, run_use
from support.data.table_rows import NOW, TableRows
from support.services.query_api import Api

OTHERWISE_READ = {
    "/api/v1/alerts/{id}",
    "/api/v1/alert-channels/{id}/deliveries",
    "/api/v1/api-keys/{key_id}/mapping",
    "/api/v1/usage/runs/{run_id}",
    "/api/v1/live",
    *(f"/api/v1/export/manifests/{{export_id}}{part}" for part in ("", "/changes", "/file", "/signature")),
    "/api/v1/export/key.pub",
    "/login",
    "/login/callback",
}
"""Routes for an id, streams, redirects, and the key, which this API has not. The tests of their topics read them."""


def test_every_answer_is_compared_with_its_description() -> None:
    described = {path for path, operations in build_app(None).openapi()["paths"].items() if "get" in operations}
    assert {path.partition("?")[0] for path in [*PATHS, *FILES]} | OTHERWISE_READ == described


def test_the_committed_description_is_the_codes() -> None:
    assert TARGET.read_text() == render(), "run python -m query_api.openapi"


@cache
def describe() -> dict[str, Any]:
    return build_app(None).openapi()


@cache
def validator(schema: str) -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for({**describe(), "$ref": f"#/components/schemas/{schema}"})


def test_every_answer_and_parameter_has_an_example_that_is_valid() -> None:
    description = describe()
    answers = set()
    for path, operations in description["paths"].items():
        for operation in operations.values():
            for parameter in operation.get("parameters", ()):
                jsonschema_rs.validator_for({**description, **parameter["schema"]}).validate(parameter["example"])
            for content in operation.get("requestBody", {}).get("content", {}).values():
                jsonschema_rs.validator_for({**description, **content["schema"]}).validate(content["example"])
            for status, response in operation["responses"].items():
                for media_type, content in response.get("content", {}).items():
                    if content.get("schema"):
                        schema = {**description, **content["schema"]}
                        jsonschema_rs.validator_for(schema, validate_formats=True).validate(content["example"])
                        answers.add((path, status, media_type))
    assert ("/api/v1/breakdown", "200", "application/json") in answers
    assert {path for path, status, _ in answers if status == "200"} >= {path.partition("?")[0] for path in PATHS}


async def test_answers_are_as_described(api: Api, db: TableRows) -> None:
    acme = await db.organization()
    await db.contract(
        acme, "c1", "2026-01-01", "2027-01-01", minimum_commitment=1, overage_price=2, credit_price=3, currency="EUR",
        account_team=("Grace", None, None),
    )  # fmt: skip
    await db.period(acme, "c1", "p1", "2026-01-01", "2027-01-01", assistant=3, agents=0, add_ons=[(1, True)])
    series = await db.use(acme, "agents", "tool", "search", "2026-11-01", 5, agent="a1")
    await db.event("org_acme", acme, series, "/products/api", "event-1", 5)
    ada = await attribution(db, acme, "user-1", group="platform")
    await run_use(db, acme, "org_acme", "run-1", "event-2", NOW, 5, attribution=ada, parent="run-0")
    await run_use(db, acme, "org_acme", "run-2", "event-3", NOW, 5, parent="run-1")
    await db.firing(acme, 50)
    firing = await db.firing(acme, 75)
    email = await db.email(acme, firing, "ada@acme.example", attempts=1)
    await db.attempt(acme, email, 1, "deferred", "451 greylisted")
    await db.email(acme, None, "ada@acme.example")
    await db.banner(acme, 75)
    await db.audit_entry(acme, "user-1")
    await db.api_key("key1")
    await db.audit_entry(acme, "user-2")
    for path, schema in PATHS.items():
        for moment in ("without progress", "with progress"):
            if moment == "with progress":
                await db.execute("DELETE FROM partition_progress")
                await db.progress(0, NOW, counted=1)
            validator(schema).validate(await api.get(path))
    validator("Run").validate(await api.get("/api/v1/usage/runs/run-1?limit=1"))
    validator("MappingResponse").validate(await api.get("/api/v1/api-keys/key1/mapping"))
    validator("AlertWithAttempts").validate(await api.get(f"/api/v1/alerts/{firing}"))
    for method, path, schema, status in (
        ("PUT", "/api/v1/alerts/settings", "AlertSettingsResponse", 200),
        ("POST", "/api/v1/alerts/preview", "Preview", 200),
        ("POST", "/api/v1/alerts/test-mail", "TestMailAccepted", 202),
        ("POST", "/api/v1/alert-channels", "CreatedChannel", 201),
        ("PUT", "/api/v1/api-keys/{key_id}/mapping", "MappingResponse", 200),
        ("POST", "/api/v1/mappings/try", "Trial", 200),
    ):
        address = path.replace("{key_id}", "key1")
        answer = await api.send(method, address, BODIES[path], headers={"If-Match": '"0"'})
        assert answer.status_code == status, answer.text
        validator(schema).validate(answer.json())
    problem = validator("Problem")
    problem.validate((await api.send("PUT", "/api/v1/alerts/settings", BODIES["/api/v1/alerts/settings"], headers={"If-Match": '"0"'})).json())  # fmt: skip
    for path, status in (
        ("/api/v1/nothing", 404),
        ("/", 404),
        ("/docs/assets/nothing.js", 404),
        ("/api/v1/breakdown", 422),
        ("/api/v1/alerts?before=x", 422),
        ("/api/v1/alerts/x", 422),
        ("/api/v1/alerts/999", 404),
        ("/api/v1/breakdown?product=api&view=namespaces&after=x", 422),
        ("/api/v1/breakdown?product=api&view=namespaces&credit_period=p9", 404),
    ):
        answer = await api.ask(path)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), path
        problem.validate(answer.json())
        assert answer.json()["status"] == status
    answer = await api.client.post("/api/v1/overview", json={"organization": "org_other"})
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
    problem.validate(answer.json())


async def test_no_answer_is_used_again_unasked_or_guessed_and_no_other_origin_may_read_it(
    api: Api, db: TableRows
) -> None:
    await db.organization()
    for path in (*PATHS, *FILES, "/api/v1/nothing", "/docs", "/openapi.json"):
        answer = await api.client.get(path, headers={"Authorization": f"Bearer {api.provider.token()}", "Origin": "https://evil.example"})  # fmt: skip
        assert answer.headers["x-content-type-options"] == "nosniff"
        is_kept = path in PATHS and path != "/api/v1/alerts/settings" and answer.status_code == 200
        kept = "private, no-cache" if is_kept else "no-store"
        assert answer.headers["cache-control"] == kept
        assert answer.headers["x-frame-options"] == "DENY"
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert "server" not in answer.headers


async def test_the_documentation_needs_no_other_host(api: Api) -> None:
    page = await api.client.get("/docs")
    assert page.status_code == 200
    links = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(links) >= 3
    for link in links:
        assert link.startswith("/docs/assets/")
        assert (await api.client.get(link)).status_code == 200
    assert "//" not in re.sub(r"//\s", "", page.text).replace("<!--", "")
    assert (await api.client.get("/openapi.json")).json() == build_app(None).openapi()


async def test_the_documentation_has_both_apis_by_topic_and_a_sentence_for_each_operation(api: Api) -> None:
    both = (await api.client.get("/docs/openapi.json")).json()
    assert "post" in both["paths"]["/api/v1/events"]
    topics = {tag["name"] for tag in both["tags"] if tag["description"]}
    for path, operations in both["paths"].items():
        for method, operation in operations.items():
            if method == "servers":
                continue
            assert set(operation["tags"]) <= topics, path
            assert " " in operation["summary"] or path.startswith("/log"), path
            assert not operation["summary"].istitle() or path.startswith("/log"), path
    named = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(both)))
    assert named <= set(both["components"]["schemas"])


def seconds_count(route: str, status: int) -> float:
    labels = {"route": route, "status": str(status)}
    return REGISTRY.get_sample_value("flexcredits_query_api_request_seconds_count", labels) or 0


async def test_requests_are_measured_by_route_and_never_by_address(api: Api, db: TableRows) -> None:
    await db.organization()
    for path, route, status in (
        ("/api/v1/breakdown?product=api&view=namespaces", "/api/v1/breakdown", 200),
        ("/api/v1/breakdown", "/api/v1/breakdown", 422),
        ("/api/v1/made-up", "unmatched", 404),
    ):
        before = seconds_count(route, status)
        await api.ask(path)
        assert seconds_count(route, status) == before + 1, route


async def test_no_row_of_another_organization_changes_an_answer(api: Api, db: TableRows) -> None:
    """Rows that cannot be evaluated: a zone that Postgres does not know, a contract from year 1, sums beyond bigint."""
    acme = await db.organization()
    await db.contract(acme, "c1", "2026-01-01", "2027-01-01")
    await db.period(acme, "c1", "p1", "2026-01-01", "2027-01-01", total=100)
    await db.use(acme, "api", "namespace", "search", "2026-11-01", 5)
    # The audit log and the list of manifests record each export.
    paths = [path for path in (*PATHS, *FILES) if "audit" not in path and "manifests" not in path]
    token = api.provider.token()  # one token, since the session's answer contains its expiry
    before = {path: await api.ask(path, token=token) for path in paths}
    broken = await db.organization("org_broken", "posix/Europe/Berlin")
    ancient = await db.organization("org_ancient", "Asia/Tokyo")
    await db.contract(ancient, "c1", "0001-01-01", "9999-12-31")
    await db.period(ancient, "c1", "p1", "0001-01-01", "9999-12-31", total=100)
    for number in (broken, ancient):
        for product in ("assistant", "agents"):
            kind = "tool"
            await db.use(number, product, kind, "search", "2026-11-01", 5_000_000_000_000_000_000)
    for path, answer in before.items():
        after = await api.ask(path, token=token)
        assert (after.status_code, after.content) == (answer.status_code, answer.content), path
