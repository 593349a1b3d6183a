"""Alert settings: of two concurrent saves one succeeds, a save is complete or refused, and each error has its place."""

import asyncio
import json
from copy import deepcopy
from typing import Any

import asyncpg
import httpx
import pytest
from support.data.table_rows import MICRO, NOW, TableRows
from support.services.query_api import Api

SETTINGS = "/api/v1/alerts/settings"
OFF = {"enabled": False, "addresses": []}
NO_BUDGET = {"enabled": False, "type": "recurring", "credits": None, "thresholds": [75, 90, 100], "additional_recipients": OFF}  # fmt: skip
NOT_PROJECTED: dict[str, Any] = {"projected_thresholds": []}
ASKED: dict[str, Any] = {
    "usage": {"thresholds": [50, 90], "additional_recipients": {"enabled": True, "addresses": ["Fin@acme.example"]}},
    "monthly_budget": NO_BUDGET
    | {"enabled": True, "credits": "5000.5", "thresholds": [80], "additional_recipients": OFF | {"addresses": ["x@b.example"]}},
}  # fmt: skip


def asked(pointer: str = "", value: Any = None, body: dict[str, Any] = ASKED) -> dict[str, Any]:
    """ASKED with another value at a JSON pointer."""
    changed = deepcopy(body)
    *steps, last = pointer.split("/")[1:] or [""]
    at = changed
    for step in steps:
        at = at[step]
    if last:
        at[last] = value
    return changed


async def save(api: Api, version: int, body: dict[str, Any] = ASKED, **claims: Any) -> httpx.Response:
    return await api.send("PUT", SETTINGS, body, headers={"If-Match": f'"{version}"'}, **claims)


async def test_defaults_apply_until_settings_are_saved(api: Api, db: TableRows) -> None:
    await db.organization()
    for organization in ("org_acme", "org_unknown"):
        answer = await api.ask(SETTINGS, organization=organization)
        assert (answer.headers["etag"], answer.headers["cache-control"]) == ('"0"', "no-store")
        assert answer.json() == {
            "version": 0, "updated_at": None, "updated_by": None,
            "usage": {"thresholds": [75, 90, 100], "additional_recipients": OFF} | NOT_PROJECTED,
            "monthly_budget": NO_BUDGET | NOT_PROJECTED | {"month": None, "resumes": None, "used_this_month": "0.000000"},
            "projections": {"usage": None, "monthly_budget": None}, "recommended_monthly_budget": None, "role_recipients": [],
        }  # fmt: skip


async def test_what_holds_for_all_can_be_another_default(api: Api, db: TableRows) -> None:
    await db.organization()
    await db.execute("UPDATE alert_settings SET usage_thresholds = '{60}' WHERE organization_id = 0")
    settings = await api.get(SETTINGS)
    assert (settings["version"], settings["updated_at"], settings["usage"]["thresholds"]) == (0, None, [60])


async def test_what_is_saved_is_answered(api: Api, db: TableRows) -> None:
    number = await db.organization()
    saved = await save(api, 0)
    assert (saved.status_code, saved.headers["etag"], saved.headers["cache-control"]) == (200, '"1"', "no-store")
    settings = saved.json()
    assert settings == await api.get(SETTINGS)
    assert settings["usage"] == ASKED["usage"] | NOT_PROJECTED  # addresses keep their case
    assert settings["monthly_budget"] == ASKED["monthly_budget"] | NOT_PROJECTED | {
        "credits": "5000.500000", "month": None, "resumes": None, "used_this_month": "0.000000",
    }  # fmt: skip
    assert (settings["version"], settings["updated_by"]) == (1, "ada@acme.example")
    (row,) = await db.fetch("SELECT * FROM alert_settings WHERE organization_id = $1", number)
    assert (row["budget_recurring_credits"], row["budget_once_credits"]) == (5_000_500_000, None)
    assert settings["updated_at"] == row["updated_at"].isoformat().replace("+00:00", "Z")


async def test_no_thresholds_are_no_usage_alerts(api: Api, db: TableRows) -> None:
    await db.organization()
    assert (await save(api, 0, asked("/usage/thresholds", []))).json()["usage"]["thresholds"] == []


async def test_a_save_is_one_row_one_audit_entry_and_one_wakeup(api: Api, db: TableRows) -> None:
    number = await db.organization()
    await save(api, 0)
    await save(api, 1, asked("/usage/thresholds", [100]), email="ben@acme.example", sub="user-2")
    assert [row[0] for row in await db.fetch("SELECT organization_id FROM alert_wakeups")] == [number, number]
    rows = await db.fetch("SELECT subject, email, details FROM audit_log WHERE action = 'alert_settings.save' ORDER BY audit_id")  # fmt: skip
    first, second = (json.loads(row["details"]) for row in rows)
    assert [(row["subject"], row["email"]) for row in rows] == [("user-1", "ada@acme.example"), ("user-2", "ben@acme.example")]  # fmt: skip
    assert (first["before"]["version"], first["before"]["usage"]["thresholds"]) == (0, [75, 90, 100])
    assert first["after"] == second["before"]
    assert first["after"] == {
        "version": 1,
        "usage": ASKED["usage"] | NOT_PROJECTED,
        "monthly_budget": NOT_PROJECTED | {
            "recurring_credits": "5000.500000", "one_time_credits": None, "one_time_month": None,
            "thresholds": [80], "additional_recipients": {"enabled": False, "addresses": ["x@b.example"]},
        },
    }  # fmt: skip
    assert second["after"]["usage"]["thresholds"] == [100]


@pytest.mark.parametrize("table", ["audit_log", "alert_wakeups", "alert_settings"])
async def test_nothing_is_saved_when_a_part_of_it_cannot_be(api: Api, db: TableRows, table: str) -> None:
    await db.organization()
    await save(api, 0)
    await db.execute("CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no''; END'")
    await db.execute(f"CREATE TRIGGER fail BEFORE INSERT OR UPDATE ON {table} EXECUTE FUNCTION fail()")
    before = await count_everything(db)
    assert (await save(api, 1, asked("/usage/thresholds", [1]))).status_code == 500
    assert await count_everything(db) == before
    settings = await api.get(SETTINGS)
    assert (settings["version"], settings["usage"]["thresholds"]) == (1, [50, 90])


async def count_everything(db: TableRows) -> list[int]:
    return [
        await db.count(f"SELECT count(*) FROM {table}") for table in ("audit_log", "alert_wakeups", "alert_settings")
    ]


@pytest.mark.parametrize("version", [0, 1])
async def test_of_admins_who_save_at_once_one_wins_and_the_others_learn_who(
    api: Api, db: TableRows, version: int
) -> None:
    number = await db.organization()
    if version:
        await save(api, 0)
    await db.execute("DELETE FROM audit_log")
    people = [f"admin-{person}@acme.example" for person in range(6)]
    answers = await asyncio.gather(
        *(
            save(api, version, asked("/usage/thresholds", [10 + turn]), email=email, sub=email)
            for turn, email in enumerate(people)
        )
    )
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [200, 412, 412, 412, 412, 412]
    won = next(turn for turn, answer in enumerate(answers) if answer.status_code == 200)
    saved = answers[won].json()
    assert (saved["version"], saved["updated_by"], saved["usage"]["thresholds"]) == (version + 1, people[won], [10 + won])  # fmt: skip
    for answer in answers:
        if answer.status_code == 412:
            problem = answer.json()
            assert problem["type"] == "/problems/changed-meanwhile"
            assert (problem["current_version"], problem["updated_by"]) == (version + 1, people[won])
            assert problem["updated_at"] == saved["updated_at"]
            assert people[won] in problem["detail"]
    assert await api.get(SETTINGS) == saved
    assert [row["email"] for row in await db.fetch("SELECT email FROM audit_log")] == [people[won]]
    assert await db.count("SELECT count(*) FROM alert_settings WHERE organization_id = $1", number) == 1


TAGS: list[tuple[str | None, int]] = [
    (None, 428), ('"0"', 412), ('"2"', 412), ("1", 412), ("*", 412), ("", 412), ('"01"', 412), ('"x"', 412), ('"99999999999999999999"', 412),
    ('"1"', 200), ('W/"2"', 200), ('"7", "3"', 200),
]  # fmt: skip


async def test_a_save_says_what_it_changes(api: Api, db: TableRows) -> None:
    await db.organization()
    await save(api, 0)
    for tag, status in TAGS:
        answer = await api.send("PUT", SETTINGS, ASKED, headers={} if tag is None else {"If-Match": tag})
        assert answer.status_code == status, (tag, answer.text)
        if tag is None:
            assert answer.json()["type"] == "/problems/precondition-required"


async def test_version_0_requires_that_no_other_user_has_saved(api: Api, db: TableRows) -> None:
    await db.organization()
    problem = (await save(api, 3)).json()
    assert (problem["status"], problem["current_version"]) == (412, 0)
    assert "updated_by" not in problem
    assert (await save(api, 0, organization="org_unknown")).status_code == 404


async def test_the_recommended_budget_is_the_overviews_in_words(api: Api, db: TableRows) -> None:
    number = await db.organization()
    await db.contract(number, "c1", "2026-01-01", "2027-01-01")
    await db.period(number, "c1", "p1", "2026-09-15", "2027-01-15", total=1000)
    await db.use(number, "agents", "tool", "search", "2026-11-03", 100 * MICRO)
    await db.use(number, "api", "namespace", "search", "2026-10-03", 200 * MICRO)
    settings, overview = await api.get(SETTINGS), await api.get("/api/v1/overview")
    recommended = settings["recommended_monthly_budget"]
    assert recommended.pop("explanation") == (
        "700.000000 remaining credits / 3 months that remain of the credit period; the current month counts as one."
    )
    assert recommended == overview["recommended_monthly_budget"]
    assert recommended == {"credits": "233.333333", "remaining_credits": "700.000000", "remaining_months": 3}
    assert settings["monthly_budget"]["used_this_month"] == "100.000000"


async def test_who_is_mailed_for_a_role(api: Api, db: TableRows) -> None:
    number = await db.organization(billing_moderators=True)
    other = await db.organization("org_other")
    for email, role in (("zoe", "super_admin"), ("ben", "admin"), ("chi", "billing_moderator"), ("dev", "member")):
        await db.member(number, f"{email}@acme.example", role)
        await db.member(other, f"{email}@other.example", role)
    await db.member(number, "gone@acme.example", "admin", removed=True)
    assert (await api.get(SETTINGS))["role_recipients"] == [f"{name}@acme.example" for name in ("ben", "chi", "zoe")]
    await db.execute("UPDATE organizations SET billing_moderator_enabled = false")
    assert (await api.get(SETTINGS))["role_recipients"] == ["ben@acme.example", "zoe@acme.example"]


async def test_settings_are_one_organizations(api: Api, db: TableRows) -> None:
    await db.organization()
    other = await db.organization("org_other")
    await save(api, 0)
    assert (await api.get(SETTINGS, organization="org_other"))["version"] == 0
    assert (await save(api, 1, organization="org_other")).status_code == 412
    assert (await save(api, 0, asked("/usage/thresholds", [1]), organization="org_other")).status_code == 200
    assert (await api.get(SETTINGS))["usage"]["thresholds"] == [50, 90]
    assert await db.count("SELECT count(*) FROM alert_wakeups WHERE organization_id = $1", other) == 1


async def test_the_apis_role_saves_nothing_for_another_organization(api: Api, db: TableRows, pool: Any) -> None:
    await db.organization()
    other = await db.organization("org_other")
    await save(api, 0, organization="org_other")
    firing = await db.firing(other, 75)
    statements = {
        "INSERT INTO alert_settings (organization_id) VALUES ($1)": asyncpg.InsufficientPrivilegeError,
        "INSERT INTO alert_wakeups (organization_id) VALUES ($1)": asyncpg.InsufficientPrivilegeError,
        "INSERT INTO mail_requests (organization_id, kind, rule, recipient) VALUES ($1, 'test', 'usage', 'a')": asyncpg.InsufficientPrivilegeError,
        f"INSERT INTO banner_dismissals (organization_id, subject, firing_id) VALUES ($1, 's', {firing})": asyncpg.InsufficientPrivilegeError,
        "UPDATE alert_settings SET usage_thresholds = '{1}' WHERE organization_id = $1": None,
        # The row of the default settings.
        "UPDATE alert_settings SET usage_thresholds = '{1}' WHERE organization_id = $1::integer - $1": None,
    }  # fmt: skip
    for statement, error in statements.items():
        async with pool.acquire() as connection:
            transaction = connection.transaction()
            await transaction.start()
            await connection.execute("SELECT set_config('app.organization', 'org_acme', true)")
            if error is None:
                assert await connection.execute(statement, other) == "UPDATE 0", statement
            else:
                with pytest.raises(error):
                    await connection.execute(statement, other)
            await transaction.rollback()


async def test_what_changes_without_a_save_is_never_taken_from_a_cache(api: Api, db: TableRows) -> None:
    number = await db.organization()
    await save(api, 0)
    await db.use(number, "api", "namespace", "search", f"{NOW:%Y-%m-%d}", 5 * MICRO)
    answer = await api.send("GET", SETTINGS, headers={"If-None-Match": '"1"'})
    assert (answer.status_code, answer.json()["monthly_budget"]["used_this_month"]) == (200, "5.000000")
