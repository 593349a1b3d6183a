"""Everyone sees their own usage, and nothing of others."""

from datetime import UTC, datetime
from typing import Any

import pytest
from flexcredits_schemas.identity import run_identity_of
from query_api.my_usage.routes import USES_READ
from support.data.people_rows import actor, attribution, run_use, show, use_by
from support.data.table_rows import MICRO, TableRows, local
from support.services.query_api import Api

ME = "/api/v1/me/usage"
NOVEMBER = f"{ME}?from=2026-11&to=2026-11"
ZONE = "Asia/Kathmandu"
DEV: dict[str, Any] = {"sub": "dev-1", "email": "Dev@acme.example", "email_verified": True, "role": "member"}


async def test_own_usage_by_product_feature_agent_day_and_run(api: Api, db: TableRows) -> None:
    acme = await db.organization(time_zone=ZONE)
    await db.feature(acme, "agents", "model", "gpt", "2026-01-01", "Models", "GPT")
    await db.agent(acme, "agt_42", "saved", "Quarterly report")
    own = await attribution(db, acme, "dev-1", labels={"project": "apollo"})
    by_address = await attribution(db, acme, "dev@acme.example")
    of_directory, others = await attribution(db, acme, "d-77"), await attribution(db, acme, "other")
    await actor(db, acme, "d-77", "Dev", email="dev@acme.example")
    await run_use(
        db,
        acme,
        "org_acme",
        "r",
        "e1",
        local(ZONE, "2026-11-01"),
        5 * MICRO,
        zone=ZONE,
        attribution=own,
        corrected=-MICRO,
    )
    await run_use(
        db, acme, "org_acme", "r", "e2", local(ZONE, "2026-11-30", "23:59"), 9 * MICRO, zone=ZONE, attribution=others
    )
    await use_by(db, acme, by_address, "assistant", "tool", "search", "2026-11-02", 2 * MICRO, events=2)
    await use_by(db, acme, of_directory, "assistant", "tool", "search", "2026-11-02", MICRO)
    await use_by(db, acme, own, "assistant", "tool", "search", "2026-10-31", 7 * MICRO)
    answer = await api.get(NOVEMBER, **DEV)
    assert answer == {
        "range": {"from": "2026-11-01", "to": "2026-11-30"}, "time_zone": ZONE, "ids": ["d-77", "dev-1", "dev@acme.example"], "note": None,
        "credits": "7.000000", "events": 4,
        "products": [
            {"product": "assistant", "credits": "3.000000", "events": 3}, {"product": "agents", "credits": "4.000000", "events": 1},
            {"product": "api", "credits": "0.000000", "events": 0},
        ],
        "features": [
            {"product": "agents", "feature_kind": "model", "feature": "gpt", "name": "GPT", "credits": "4.000000", "events": 1},
            {"product": "assistant", "feature_kind": "tool", "feature": "search", "name": "search", "credits": "3.000000", "events": 3},
        ],
        "agents": [{"id": "agt_42", "name": "Quarterly report", "status": "agent", "credits": "4.000000", "events": 1}],
        "days": [
            {"day": "2026-11-01", "credits": "4.000000", "events": 1}, {"day": "2026-11-02", "credits": "3.000000", "events": 3},
        ],
        "runs": [{
            "id": "r", "key": run_identity_of("r").hex(), "agent": "Quarterly report", "first_at": "2026-10-31T18:15:00Z", "last_at": "2026-10-31T18:15:00Z",
            "credits": "5.000000", "events": 1,
        }],
    }  # fmt: skip


@pytest.mark.parametrize("people", ["named", "pseudonymous", "groups_only"])
async def test_no_number_of_others_is_in_it(api: Api, db: TableRows, people: str) -> None:
    acme = await db.organization()
    await show(db, acme, people)
    own, others = await attribution(db, acme, "dev-1"), await attribution(db, acme, "other")
    at = datetime(2026, 11, 5, 10, tzinfo=UTC)
    await run_use(db, acme, "org_acme", "r", "e1", at, MICRO, attribution=own)
    await run_use(db, acme, "org_acme", "r", "e2", at, MICRO, attribution=others)
    await run_use(db, acme, "org_acme", "r", "e3", at, MICRO)
    before = await api.ask(NOVEMBER, **DEV)
    for table in ("usage_daily", "usage_monthly", "usage_organization_daily", "usage_organization_monthly"):
        await db.execute(f"UPDATE {table} SET credits = credits * 3, events = events + 5")
    for table in ("usage_attributed_daily", "usage_attributed_monthly"):
        await db.execute(
            f"UPDATE {table} SET credits = credits * 3, events = events + 5 WHERE attribution_id <> $1", own
        )
    await db.execute(
        "UPDATE usage_ledger SET credits = credits * 3, corrected = 7 WHERE attribution_id IS DISTINCT FROM $1", own
    )
    await db.execute(
        "UPDATE usage_runs SET credits = credits * 3, events = events + 5, last_at = last_at + interval '1 day'"
    )
    after = await api.ask(NOVEMBER, **DEV)
    assert before.status_code == 200
    assert before.content == after.content


async def test_a_person_without_usage_gets_zeros_and_an_explanation(api: Api, db: TableRows) -> None:
    acme = await db.organization()
    await use_by(db, acme, await attribution(db, acme, "other"), "api", "namespace", "search", "2026-11-02", MICRO)
    answer = await api.get(NOVEMBER, **DEV)
    assert (answer["credits"], answer["events"], answer["ids"], answer["runs"], answer["days"]) == (
        "0.000000",
        0,
        [],
        [],
        [],
    )
    assert "`dev-1` or `dev@acme.example`" in answer["note"]
    await use_by(db, acme, await attribution(db, acme, "dev-1"), "api", "namespace", "search", "2026-11-02", MICRO)
    assert (await api.get(NOVEMBER, **DEV))["note"] is None
    assert (await api.get(f"{ME}?from=2026-10&to=2026-10", **DEV))["note"] == "You used no credits in this range."


async def test_an_organization_may_forbid_it(api: Api, db: TableRows) -> None:
    acme = await db.organization()
    await db.execute("UPDATE organizations SET my_usage = false WHERE organization_id = $1", acme)
    for role in ("member", "super_admin"):
        answer = await api.ask(ME, **DEV | {"role": role})
        assert (answer.status_code, answer.json()["type"]) == (403, "/problems/forbidden")
        assert "does not show people their own usage" in answer.json()["detail"]
    assert (await api.get("/api/v1/session"))["my_usage"] is False


async def test_an_address_that_the_identity_provider_did_not_verify_is_not_used(api: Api, db: TableRows) -> None:
    acme = await db.organization()
    await actor(db, acme, "d-77", "Dev", email="dev@acme.example")
    for actor_id in ("d-77", "dev@acme.example"):
        await use_by(db, acme, await attribution(db, acme, actor_id), "api", "namespace", "search", "2026-11-02", MICRO)
    for verified, ids in (
        (True, ["d-77", "dev@acme.example"]),
        ("true", ["d-77", "dev@acme.example"]),
        (None, []),
        (False, []),
        ("false", []),
    ):
        assert (await api.get(NOVEMBER, **DEV | {"email_verified": verified}))["ids"] == ids, verified


@pytest.mark.parametrize("actor_id", ["Dev@Acme.example", "dev@acme.example", "DEV@ACME.EXAMPLE"])
async def test_an_address_as_an_id_is_compared_without_case(api: Api, db: TableRows, actor_id: str) -> None:
    acme = await db.organization()
    for each in (actor_id, "DEV-1"):
        await use_by(db, acme, await attribution(db, acme, each), "api", "namespace", "search", "2026-11-02", MICRO)
    assert (await api.get(NOVEMBER, **DEV))["ids"] == [actor_id]


async def test_neither_contracts_nor_the_first_day_of_others_are_in_it(api: Api, db: TableRows) -> None:
    acme = await db.organization()
    for contract, dates in (("secret-1", ("2025-01-01", "2026-01-01")), ("secret-2", ("2026-01-01", "2027-01-01"))):
        await db.contract(acme, contract, *dates)
        await db.period(acme, contract, "p1", *dates)
    others, own = await attribution(db, acme, "other"), await attribution(db, acme, "dev-1")
    await use_by(db, acme, others, "api", "namespace", "search", "2020-01-31", MICRO)
    await use_by(db, acme, own, "api", "namespace", "search", "2026-11-02", MICRO)
    answer = await api.ask(f"{ME}?credit_period=p1", **DEV)
    assert answer.status_code == 422
    assert "secret" not in answer.text
    assert (await api.get(f"{ME}?range=all", **DEV))["range"] == {"from": "2026-11-02", "to": "2026-11-22"}


async def test_removed_people_are_not_found_by_an_address_that_another_person_may_have_now(
    api: Api, db: TableRows
) -> None:
    acme = await db.organization()
    await actor(db, acme, "old", "Dev", email="dev@acme.example", removed=True)
    await actor(db, acme, "dev@acme.example", "Dev", removed=True)
    for actor_id in ("old", "dev@acme.example"):
        await use_by(db, acme, await attribution(db, acme, actor_id), "api", "namespace", "search", "2026-11-02", MICRO)
    assert (await api.get(NOVEMBER, **DEV))["ids"] == []


async def test_any_range_is_answered(api: Api, db: TableRows) -> None:
    acme = await db.organization()
    own = await attribution(db, acme, "dev-1")
    for day in ("2025-01-31", "2026-11-22", "2027-02-01"):
        await use_by(db, acme, own, "api", "namespace", "search", day, MICRO)
    for query, credits in {
        "range=all": 3,
        "from=0001-01&to=9999-12": 3,
        "": 1,
        "from=2020-01&to=2020-02": 0,
        "credit_period=x": None,
    }.items():
        answer = await api.ask(f"{ME}?{query}", **DEV)
        if credits is None:
            assert answer.status_code == 404
        else:
            assert answer.json()["credits"] == f"{credits}.000000", query


async def test_a_run_that_many_others_use_hides_no_other_run(api: Api, db: TableRows) -> None:
    acme = await db.organization()
    own = await attribution(db, acme, "dev-1")
    for number, run in enumerate(("small", "huge")):
        await run_use(
            db, acme, "org_acme", run, f"e{number}", local("UTC", f"2026-11-0{number + 1}"), MICRO, attribution=own
        )
    await db.execute("UPDATE usage_runs SET events = $1 WHERE run_id = 'huge'", USES_READ + 1)
    assert [run["id"] for run in (await api.get(NOVEMBER, **DEV))["runs"]] == ["small"]
