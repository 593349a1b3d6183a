"""API keys of an organization and their mappings: of exactly this organization, for Super Admins, with versions and audit."""

import asyncio
import json
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import asyncpg
import httpx
import pytest
from query_api.db.statements import SQL
from runtime.postgres.pool import Connection, Pool
from support.data.table_rows import TableRows
from support.services.query_api import Api

KEYS = "/api/v1/api-keys"
RULE: dict[str, Any] = {
    "name": "model calls",
    "protocol": "openmeter",
    "when": [{"at": "/type", "is": "prompt"}],
    "usage": {
        "product": {"value": "assistant"},
        "feature_kind": {"value": "model"},
        "feature": {"at": "/data/model"},
        "actor": {"id": {"at": "/subject"}},
        "credits": {"at": "/data/cost"},
        "times": "100",
    },
}
DOCUMENT: dict[str, Any] = {"type": "flexcredits.mapping.v1", "rules": [RULE]}


def changed(pointer: str, value: Any) -> dict[str, Any]:
    """DOCUMENT with another value at a JSON pointer."""
    document = deepcopy(DOCUMENT)
    *steps, last = pointer.split("/")[1:]
    at: Any = document
    for step in steps:
        at = at[int(step) if isinstance(at, list) else step]
    at[last] = value
    return document


async def save(
    api: Api, key_id: str, version: str | None, document: object = DOCUMENT, **claims: Any
) -> httpx.Response:
    headers = {} if version is None else {"If-Match": f'"{version}"'}
    return await api.send("PUT", f"{KEYS}/{key_id}/mapping", document, headers=headers, **claims)


async def remove(api: Api, key_id: str, version: str | None) -> httpx.Response:
    headers = {} if version is None else {"If-Match": f'"{version}"'}
    return await api.send("DELETE", f"{KEYS}/{key_id}/mapping", headers=headers)


async def test_keys_of_exactly_this_organization_are_listed(api: Api, db: TableRows) -> None:
    await db.organization()
    expires_at = datetime(2026, 12, 1, tzinfo=UTC)
    await db.api_key("mine2", products=["api"], expires_at=expires_at)
    await db.api_key("mine1")
    await db.api_key("both", "org_acme", "org_other")
    await db.api_key("all", "*")
    await db.api_key("other", "org_other")
    await db.api_key("revoked", revoked_at=expires_at)
    listed = await api.get(KEYS)
    assert listed == {
        "keys": [
            {"id": "mine1", "products": ["*"], "created_at": "2026-11-01T00:00:00Z", "expires_at": None, "mapping": None},
            {
                "id": "mine2", "products": ["api"], "created_at": "2026-11-01T00:00:00Z", "expires_at": "2026-12-01T00:00:00Z",
                "mapping": None,
            },
        ]
    }  # fmt: skip
    for key_id in ("both", "all", "other", "revoked", "nobodys"):
        answers = (
            await api.ask(f"{KEYS}/{key_id}/mapping"),
            await save(api, key_id, "0"),
            await remove(api, key_id, "0"),
        )
        for answer in answers:
            assert (answer.status_code, answer.json()["type"]) == (404, "/problems/no-such-key")
    assert await db.count("SELECT count(*) FROM api_key_mappings") == 0


async def test_a_mapping_is_saved_changed_and_removed_by_version_and_each_change_is_audited(
    api: Api, db: TableRows
) -> None:
    await db.organization()
    await db.api_key("k1")
    answer = await api.ask(f"{KEYS}/k1/mapping")
    assert answer.headers["etag"] == '"0"'
    assert answer.json() == {"version": "0", "document": None, "updated_at": None, "updated_by": None}

    first = await save(api, "k1", "0")
    assert first.status_code == 200, first.text
    assert first.json()["document"] == DOCUMENT
    assert first.json()["updated_by"] == "ada@acme.example"
    assert first.headers["etag"] == f'"{first.json()["version"]}"'
    read = await api.ask(f"{KEYS}/k1/mapping")
    assert (read.json(), read.headers["etag"]) == (first.json(), first.headers["etag"])
    assert list(read.json()["document"]["rules"][0]) == list(RULE)  # in the order of the description
    (listed,) = (await api.get(KEYS))["keys"]
    assert listed["mapping"] == {name: first.json()[name] for name in ("updated_at", "updated_by")}

    other = changed("/rules/0/usage/times", "0.01")
    second = await save(api, "k1", first.json()["version"], other)
    assert (second.status_code, second.json()["document"]) == (200, other)
    assert (await remove(api, "k1", second.json()["version"])).status_code == 204
    assert (await api.ask(f"{KEYS}/k1/mapping")).headers["etag"] == '"0"'
    gone = await remove(api, "k1", "0")
    assert (gone.status_code, gone.json()["type"]) == (404, "/problems/no-such-mapping")

    entries = await db.fetch("SELECT action, email, details FROM audit_log ORDER BY audit_id")
    assert [(entry["action"], json.loads(entry["details"])) for entry in entries] == [
        ("mapping.save", {"api_key": "k1", "before": {}, "after": DOCUMENT}),
        ("mapping.save", {"api_key": "k1", "before": DOCUMENT, "after": other}),
        ("mapping.remove", {"api_key": "k1", "before": other, "after": {}}),
    ]
    assert {entry["email"] for entry in entries} == {"ada@acme.example"}


async def test_nothing_is_overwritten_that_the_caller_has_not_seen(api: Api, db: TableRows) -> None:
    await db.organization()
    await db.api_key("k1")
    for attempt in (save(api, "k1", None), remove(api, "k1", None)):
        answer = await attempt
        assert (answer.status_code, answer.json()["type"]) == (428, "/problems/precondition-required")
    version = (await save(api, "k1", "0")).json()["version"]
    for outdated in ("0", "x", "f" * 32, version[:-1], version.upper() if version.upper() != version else "1"):
        for attempt in (save(api, "k1", outdated), remove(api, "k1", outdated)):
            answer = await attempt
            assert (answer.status_code, answer.json()["updated_by"]) == (412, "ada@acme.example")
    # The same document saved again is another version: what the caller saw was not the last change.
    again = (await save(api, "k1", version)).json()["version"]
    assert again != version
    assert (await save(api, "k1", version)).status_code == 412
    answer = await api.send("PUT", f"{KEYS}/k1/mapping", DOCUMENT, headers={"If-Match": f'W/"{again}"'})
    assert answer.status_code == 200  # made weak by a proxy that compresses


async def test_of_concurrent_changes_one_succeeds(api: Api, db: TableRows) -> None:
    await db.organization()
    await db.api_key("k1")
    for version in ("0", None):
        version = version or (await api.get(f"{KEYS}/k1/mapping"))["version"]
        answers = await asyncio.gather(*(save(api, "k1", version, sub=f"user-{turn}") for turn in range(5)))
        assert sorted(answer.status_code for answer in answers) == [200, 412, 412, 412, 412]
    version = (await api.get(f"{KEYS}/k1/mapping"))["version"]
    answers = await asyncio.gather(save(api, "k1", version), remove(api, "k1", version))
    assert sorted(answer.status_code // 100 for answer in answers) == [2, 4]
    assert await db.count("SELECT count(*) FROM audit_log") == 3


@pytest.mark.parametrize(
    ("pointer", "value", "place"),
    [
        ("/type", "flexcredits.mapping.v2", "/type"),
        ("/organization", "org_other", "/organization"),
        ("/rules", [], "/rules"),
        ("/rules/0/protocol", "smtp", "/rules/0/protocol"),
        ("/rules/0/usage/times", "-1", "/rules/0/usage/times"),
        ("/rules/0/usage/feature", {"at": "data"}, "/rules/0/usage/feature/at"),
        ("/rules/0/usage/product", {"value": "nothing"}, "/rules/0/usage/product/value"),
        ("/rules/0/colour", "red", "/rules/0/colour"),
    ],
)
async def test_a_document_that_cannot_work_is_refused_with_its_place(
    api: Api, db: TableRows, pointer: str, value: Any, place: str
) -> None:
    await db.organization()
    await db.api_key("k1")
    document = changed(pointer, value)
    answer = await save(api, "k1", "0", document)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, place), answer.text
    tried = await api.send("POST", "/api/v1/mappings/try", {"document": document, "protocol": "openmeter"})
    assert (tried.status_code, tried.json()["mistakes"][0]["pointer"], tried.json()["events"]) == (200, place, [])
    assert (await api.get(f"{KEYS}/k1/mapping"))["document"] is None


async def test_numbers_of_a_document_are_kept_to_the_digit(api: Api, db: TableRows) -> None:
    await db.organization()
    await db.api_key("k1")
    text = json.dumps(changed("/rules/0/usage/credits", {"value": "DIGITS"}))
    headers = {"Authorization": f"Bearer {api.provider.token()}", "If-Match": '"0"', "Content-Type": "application/json"}
    amount = "123456.100001000"  # as a float it would lose its last zeros
    body = text.replace('"DIGITS"', amount)
    answer = await api.client.put(f"{KEYS}/k1/mapping", content=body, headers=headers)
    assert answer.status_code == 200, answer.text
    stored = (await db.fetch("SELECT document #>> '{rules,0,usage,credits,value}' AS value FROM api_key_mappings"))[0]
    assert stored["value"] == amount


async def test_the_apis_role_sees_no_secret_and_changes_no_key_and_no_mapping_of_another_organization(
    db: TableRows, pool: Pool
) -> None:
    await db.organization()
    await db.organization("org_other")
    for key_id, organizations in (
        ("mine", ("org_acme",)), ("other", ("org_other",)), ("both", ("org_acme", "org_other")), ("all", ("*",)),
    ):  # fmt: skip
        await db.api_key(key_id, *organizations)
        await db.mapping(key_id, "rule", "op")
    await db.api_key("free", "org_other")
    async with pool.acquire() as connection:
        for statement in (
            "SELECT secret_sha256 FROM api_keys", "UPDATE api_keys SET revoked_at = now()", "DELETE FROM api_keys",
            "INSERT INTO api_keys (key_id) VALUES ('x')",
        ):  # fmt: skip
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
        for organization, mine in (
            ("org_acme", ["mine"]),
            ("org_other", ["free", "other"]),
            ("", []),
            (None, []),
        ):
            async with connection.transaction():
                if organization is not None:
                    await connection.execute(SQL["act_for"], organization)
                rows = await connection.fetch("SELECT key_id FROM api_keys ORDER BY 1")
                assert [row["key_id"] for row in rows] == mine
                rows = await connection.fetch("SELECT key_id FROM api_key_mappings ORDER BY 1")
                assert [row["key_id"] for row in rows] == [name for name in mine if name != "free"]
        insert = "INSERT INTO api_key_mappings (key_id, document, updated_by) VALUES ($1, '{}', 'x')"
        for foreign in ("free", "both", "all"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
                await change(connection, insert, foreign)
        assert await change(connection, "UPDATE api_key_mappings SET updated_by = 'x'") == "UPDATE 1"
        assert await change(connection, "DELETE FROM api_key_mappings") == "DELETE 1"
    assert await db.count("SELECT count(*) FROM api_key_mappings WHERE updated_by = 'op'") == 3


async def change(connection: Connection, statement: str, *values: object) -> str:
    """Execute a statement for org_acme."""
    async with connection.transaction():
        await connection.execute(SQL["act_for"], "org_acme")
        return await connection.execute(statement, *values)
