"""What admins set: saved by one of two at once, whole or not at all, and with every error where it is."""

import asyncio
import json
from collections.abc import AsyncIterator
from copy import deepcopy
from typing import Any

import asyncpg
import httpx
import pytest
from query_api import bodies
from query_api.alert_rules import ADDRESSES_MAX, CREDITS_BELOW, THRESHOLDS_MAX
from querying import MICRO, NOW, Api, Books

SETTINGS = "/api/v1/alerts/settings"
OFF = {"enabled": False, "addresses": []}
NO_BUDGET = {"enabled": False, "type": "recurring", "credits": None, "thresholds": [75, 90, 100], "additional_recipients": OFF}  # fmt: skip
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


async def test_nobody_has_saved_anything_yet(api: Api, books: Books) -> None:
    await books.organization()
    for organization in ("org_acme", "org_nobody"):
        answer = await api.ask(SETTINGS, organization=organization)
        assert (answer.headers["etag"], answer.headers["cache-control"]) == ('"0"', "no-store")
        assert answer.json() == {
            "version": 0, "updated_at": None, "updated_by": None,
            "usage": {"thresholds": [75, 90, 100], "additional_recipients": OFF},
            "monthly_budget": NO_BUDGET | {"month": None, "resumes": None, "used_this_month": "0.000000"},
            "recommended_monthly_budget": None, "role_recipients": [],
        }  # fmt: skip


async def test_what_holds_for_all_can_be_another_default(api: Api, books: Books) -> None:
    await books.organization()
    await books.execute("UPDATE alert_settings SET usage_thresholds = '{60}' WHERE organization_id = 0")
    settings = await api.get(SETTINGS)
    assert (settings["version"], settings["updated_at"], settings["usage"]["thresholds"]) == (0, None, [60])


async def test_what_is_saved_is_answered(api: Api, books: Books) -> None:
    number = await books.organization()
    saved = await save(api, 0)
    assert (saved.status_code, saved.headers["etag"], saved.headers["cache-control"]) == (200, '"1"', "no-store")
    settings = saved.json()
    assert settings == await api.get(SETTINGS)
    assert settings["usage"] == ASKED["usage"]  # an address as it was given
    assert settings["monthly_budget"] == ASKED["monthly_budget"] | {
        "credits": "5000.500000", "month": None, "resumes": None, "used_this_month": "0.000000",
    }  # fmt: skip
    assert (settings["version"], settings["updated_by"]) == (1, "ada@acme.example")
    (row,) = await books.fetch("SELECT * FROM alert_settings WHERE organization_id = $1", number)
    assert (row["budget_recurring_credits"], row["budget_once_credits"]) == (5_000_500_000, None)
    assert settings["updated_at"] == row["updated_at"].isoformat().replace("+00:00", "Z")


async def test_no_thresholds_are_no_usage_alerts(api: Api, books: Books) -> None:
    await books.organization()
    assert (await save(api, 0, asked("/usage/thresholds", []))).json()["usage"]["thresholds"] == []


async def test_a_save_is_one_row_one_deed_and_one_wakeup(api: Api, books: Books) -> None:
    number = await books.organization()
    await save(api, 0)
    await save(api, 1, asked("/usage/thresholds", [100]), email="ben@acme.example", sub="user-2")
    assert [row[0] for row in await books.fetch("SELECT organization_id FROM alert_wakeups")] == [number, number]
    rows = await books.fetch("SELECT subject, email, details FROM audit_log WHERE action = 'alert_settings.save' ORDER BY audit_id")  # fmt: skip
    first, second = (json.loads(row["details"]) for row in rows)
    assert [(row["subject"], row["email"]) for row in rows] == [("user-1", "ada@acme.example"), ("user-2", "ben@acme.example")]  # fmt: skip
    assert (first["before"]["version"], first["before"]["usage"]["thresholds"]) == (0, [75, 90, 100])
    assert first["after"] == second["before"]
    assert first["after"] == {
        "version": 1,
        "usage": ASKED["usage"],
        "monthly_budget": {
            "recurring_credits": "5000.500000", "one_time_credits": None, "one_time_month": None,
            "thresholds": [80], "additional_recipients": {"enabled": False, "addresses": ["x@b.example"]},
        },
    }  # fmt: skip
    assert second["after"]["usage"]["thresholds"] == [100]


@pytest.mark.parametrize("table", ["audit_log", "alert_wakeups", "alert_settings"])
async def test_nothing_is_saved_when_a_part_of_it_cannot_be(api: Api, books: Books, table: str) -> None:
    await books.organization()
    await save(api, 0)
    await books.execute(
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no''; END'"
    )
    await books.execute(f"CREATE TRIGGER fail BEFORE INSERT OR UPDATE ON {table} EXECUTE FUNCTION fail()")
    before = await count_everything(books)
    assert (await save(api, 1, asked("/usage/thresholds", [1]))).status_code == 500
    assert await count_everything(books) == before
    settings = await api.get(SETTINGS)
    assert (settings["version"], settings["usage"]["thresholds"]) == (1, [50, 90])


async def count_everything(books: Books) -> list[int]:
    return [
        await books.count(f"SELECT count(*) FROM {table}") for table in ("audit_log", "alert_wakeups", "alert_settings")
    ]


@pytest.mark.parametrize("version", [0, 1])
async def test_of_admins_who_save_at_once_one_wins_and_the_others_learn_who(
    api: Api, books: Books, version: int
) -> None:
    number = await books.organization()
    if version:
        await save(api, 0)
    await books.execute("DELETE FROM audit_log")
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
    assert [row["email"] for row in await books.fetch("SELECT email FROM audit_log")] == [people[won]]
    assert await books.count("SELECT count(*) FROM alert_settings WHERE organization_id = $1", number) == 1


TAGS: list[tuple[str | None, int]] = [
    (None, 428), ('"0"', 412), ('"2"', 412), ("1", 412), ("*", 412), ("", 412), ('"01"', 412), ('"x"', 412), ('"99999999999999999999"', 412),
    ('"1"', 200), ('W/"2"', 200), ('"7", "3"', 200),
]  # fmt: skip


async def test_a_save_says_what_it_changes(api: Api, books: Books) -> None:
    await books.organization()
    await save(api, 0)
    for tag, status in TAGS:
        answer = await api.send("PUT", SETTINGS, ASKED, headers={} if tag is None else {"If-Match": tag})
        assert answer.status_code == status, (tag, answer.text)
        if tag is None:
            assert answer.json()["type"] == "/problems/precondition-required"


async def test_at_version_0_nobody_else_has_saved(api: Api, books: Books) -> None:
    await books.organization()
    problem = (await save(api, 3)).json()
    assert (problem["status"], problem["current_version"]) == (412, 0)
    assert "updated_by" not in problem
    assert (await save(api, 0, organization="org_nobody")).status_code == 404


THRESHOLDS = ["/usage/thresholds", "/monthly_budget/thresholds"]
LISTS = ["/usage/additional_recipients", "/monthly_budget/additional_recipients"]
MALFORMED = [
    "", "ada", "@acme.example", "ada@", "ada@acme", "a b@acme.example", "ada@acme..example", "ada@@acme.example", ".ada@acme.example",
    "Ada <ada@acme.example>", '"ada lovelace"@acme.example', 'a"b@acme.example', "ada@acme.example, bob@acme.example",
    "ada,bob@acme.example", "ada@acme.example;bob@acme.example", "ada@[127.0.0.1]", " ada@acme.example", "ada@acme.example\n",
    "ada@acme.example\r\nBcc: eve@evil.example", "ada\r@acme.example", "ada\n@acme.example", "ada\0@acme.example", "ada@acme\0.example",
    "ada\u2028@acme.example", "ada\u2029@acme.example", "ada\u0085@acme.example", "ada@acme\u2028.example", "ada@acme\u00ad.example",
    "=?utf-8?q?ada=0d=0aBcc:eve?=@acme.example", "ada@=?utf-8?q?acme?=.example", "=?us-ascii?q?x?=@acme.example", "\u00e4da@acme.example",
    "\ud800@acme.example", "ada@\ud800.example", "ada@acme\u3002example", "\uff41da@acme.example", "ada@xn--.example",
    "a" * 65 + "@acme.example", "ada@" + "a." * 125 + "example", "ada@" + "a" * 64 + ".example",
]  # fmt: skip


async def mistakes(api: Api, body: Any) -> list[str]:
    """The pointers of a body that is refused; nothing of it is saved."""
    answer = await save(api, 0, body)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json"), answer.text
    assert answer.json()["type"] == "/problems/invalid-parameter"
    for error in answer.json()["errors"]:
        assert len(error["detail"]) > 5
        assert error["detail"] in answer.json()["detail"]
    assert (await api.get(SETTINGS))["version"] == 0
    return [error["pointer"] for error in answer.json()["errors"]]


async def test_every_mistake_is_named_where_it_is(api: Api, books: Books) -> None:
    await books.organization()
    wrong: list[tuple[str, Any, str]] = []
    for pointer in THRESHOLDS:
        wrong += [
            (pointer, [75, 90, 75], f"{pointer}/2"), (pointer, [0], f"{pointer}/0"), (pointer, [75, 201], f"{pointer}/1"),
            (pointer, [75, -1], f"{pointer}/1"), (pointer, [7.5], f"{pointer}/0"), (pointer, ["75"], f"{pointer}/0"),
            (pointer, [True], f"{pointer}/0"), (pointer, [None], f"{pointer}/0"), (pointer, None, pointer), (pointer, 75, pointer),
            (pointer, list(range(1, THRESHOLDS_MAX + 2)), pointer),
        ]  # fmt: skip
    for pointer in LISTS:
        addresses = f"{pointer}/addresses"
        wrong += [(pointer, {"enabled": True, "addresses": []}, addresses)]
        for enabled in (True, False):
            several = ["ada@acme.example", "bob@acme.example", "ADA@acme.example"]
            wrong += [(pointer, {"enabled": enabled, "addresses": several}, f"{addresses}/2")]
            too_many = [f"person-{n}@acme.example" for n in range(ADDRESSES_MAX + 1)]
            wrong += [(pointer, {"enabled": enabled, "addresses": too_many}, addresses)]
        wrong += [
            (pointer, {"enabled": True, "addresses": [7]}, f"{addresses}/0"), (pointer, {"enabled": 1, "addresses": []}, f"{pointer}/enabled"),
            (pointer, {"addresses": []}, f"{pointer}/enabled"), (pointer, None, pointer),
        ]  # fmt: skip
    for amount in (None, 0, "0", "0.0", "0.000000", -1, "-1", "1.0000001", 0.0000001, "1e3", "five", "", " 5", "5 ", "+5", "5,000", "٥", True, [], CREDITS_BELOW, "1" * 13):  # fmt: skip
        wrong += [("/monthly_budget/credits", amount, "/monthly_budget/credits")]
    wrong += [
        ("/monthly_budget/thresholds", [], "/monthly_budget/thresholds"), ("/monthly_budget/type", "weekly", "/monthly_budget/type"),
        ("/monthly_budget/enabled", "yes", "/monthly_budget/enabled"), ("/usage/extra", 1, "/usage/extra"), ("/a~b", 1, "/a~0b"),
        ("/\ud800", 1, ""), ("/usage", None, "/usage"),
    ]  # fmt: skip
    for pointer, value, where in wrong:
        assert await mistakes(api, asked(pointer, value)) == [where], (pointer, value)


async def test_no_address_can_write_into_the_head_of_a_mail(api: Api, books: Books) -> None:
    await books.organization()
    for address in MALFORMED:
        for pointer in LISTS:
            body = asked(pointer, {"enabled": False, "addresses": ["ada@acme.example", address]})
            assert await mistakes(api, body) == [f"{pointer}/addresses/1"], address


async def test_addresses_that_people_have_are_taken_as_they_are_given(api: Api, books: Books) -> None:
    await books.organization()
    addresses = ["Ada.Lovelace@Acme.Example", "o'brien+flex@acme.example", "ada@bücher.example", "bob@xn--bcher-kva.example", "a_b-c%d@mail.acme.example", "x" * 64 + "@acme.example"]  # fmt: skip
    given = {"enabled": True, "addresses": addresses}
    saved = await save(api, 0, asked("/usage/additional_recipients", given))
    assert saved.json()["usage"]["additional_recipients"] == given
    twice = {"enabled": True, "addresses": ["ada@bücher.example", "Ada@xn--bcher-kva.example"]}
    answer = await save(api, 1, asked("/usage/additional_recipients", twice))
    assert answer.json()["errors"][0]["pointer"] == "/usage/additional_recipients/addresses/1"


async def test_all_mistakes_are_told_at_once(api: Api, books: Books) -> None:
    await books.organization()
    body = asked("/usage/thresholds", [5, 5, 5])
    body["monthly_budget"] |= {"credits": 0, "thresholds": [], "additional_recipients": {"enabled": True, "addresses": ["x", "x"]}}  # fmt: skip
    budget = "/monthly_budget"
    assert await mistakes(api, body) == [
        "/usage/thresholds/1", "/usage/thresholds/2", f"{budget}/additional_recipients/addresses/0",
        f"{budget}/additional_recipients/addresses/1", f"{budget}/credits", f"{budget}/thresholds",
    ]  # fmt: skip


NO_BODIES = [
    (b"", ""), (b"{", ""), (b"[]", ""), (b"null", ""), (b'"x"', ""), (b"\xff", ""), (b"[" * 10_000, ""), (b'{"usage":NaN}', "/usage"),
    (b'{"usage":' + b"1" * 5000 + b"}", ""),
]  # fmt: skip


async def test_what_is_no_body_is_refused(api: Api, books: Books) -> None:
    await books.organization()
    headers = {"Authorization": f"Bearer {api.provider.token()}", "If-Match": '"0"', "Content-Type": "application/json"}
    for body, pointer in NO_BODIES:
        answer = await api.client.put(SETTINGS, content=body, headers=headers)
        assert answer.status_code == 422, answer.text
        assert answer.json()["errors"][0]["pointer"] == pointer


async def test_a_large_body_is_refused_before_it_is_read(api: Api, books: Books) -> None:
    await books.organization()
    headers = {"If-Match": '"0"', "Content-Type": "application/json"}  # and nobody has said who asks
    answer = await api.client.put(SETTINGS, content=b" " * 70_000, headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (413, "/problems/too-large")
    largest = {"enabled": True, "addresses": [f"{n:064}@{'a' * 60}.{'b' * 60}.{'c' * 60}.ex" for n in range(ADDRESSES_MAX)]}  # fmt: skip
    body = asked("/usage/additional_recipients", largest) | {"monthly_budget": NO_BUDGET | {"additional_recipients": largest}}  # fmt: skip
    assert (await save(api, 0, body)).status_code == 200


async def test_a_body_that_does_not_come_is_not_waited_for(
    api: Api, books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    await books.organization()
    monkeypatch.setattr(bodies, "WITHIN_S", 0.2)

    async def begin_and_stall() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(3600)

    answer = await api.client.put(SETTINGS, content=begin_and_stall(), headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["type"]) == (408, "/problems/too-slow")
    assert answer.headers["connection"] == "close"


AMOUNTS: list[tuple[Any, int]] = [
    ("0.000001", 1), ("999999999999.999999", 10**18 - 1), ("007", 7 * MICRO), (1, MICRO), (0.1, 100_000), (1.25, 1_250_000),
    (1e3, 1000 * MICRO), (0.000001, 1), (123456789.123456, 123_456_789_123_456), (1.0, MICRO), (CREDITS_BELOW - 1, (CREDITS_BELOW - 1) * MICRO),
]  # fmt: skip


async def test_credits_are_exact(api: Api, books: Books) -> None:
    await books.organization()
    for version, (amount, kept) in enumerate(AMOUNTS):
        assert (await save(api, version, asked("/monthly_budget/credits", amount))).status_code == 200, amount
        assert (
            await books.count("SELECT budget_recurring_credits FROM alert_settings WHERE organization_id > 0") == kept
        )


async def test_a_number_that_may_not_be_the_one_that_was_meant_is_refused(api: Api, books: Books) -> None:
    await books.organization()
    answer = await save(api, 0, asked("/monthly_budget/credits", 1234567890123456.5 / 10_000))
    assert "as a string" in answer.json()["errors"][0]["detail"]


async def test_the_recommended_budget_is_the_overviews_in_words(api: Api, books: Books) -> None:
    number = await books.organization()
    await books.contract(number, "c1", "2026-01-01", "2027-01-01")
    await books.period(number, "c1", "p1", "2026-09-15", "2027-01-15", total=1000)
    await books.use(number, "agents", "tool", "search", "2026-11-03", 100 * MICRO)
    await books.use(number, "api", "namespace", "search", "2026-10-03", 200 * MICRO)
    settings, overview = await api.get(SETTINGS), await api.get("/api/v1/overview")
    recommended = settings["recommended_monthly_budget"]
    assert recommended.pop("explanation") == (
        "700.000000 remaining credits / 3 months that remain of the credit period; the current month counts as one."
    )
    assert recommended == overview["recommended_monthly_budget"]
    assert recommended == {"credits": "233.333333", "remaining_credits": "700.000000", "remaining_months": 3}
    assert settings["monthly_budget"]["used_this_month"] == "100.000000"


async def test_who_is_mailed_for_a_role(api: Api, books: Books) -> None:
    number = await books.organization(billing_moderators=True)
    other = await books.organization("org_other")
    for email, role in (("zoe", "super_admin"), ("ben", "admin"), ("chi", "billing_moderator"), ("dev", "member")):
        await books.member(number, f"{email}@acme.example", role)
        await books.member(other, f"{email}@other.example", role)
    await books.member(number, "gone@acme.example", "admin", removed=True)
    assert (await api.get(SETTINGS))["role_recipients"] == [f"{name}@acme.example" for name in ("ben", "chi", "zoe")]
    await books.execute("UPDATE organizations SET billing_moderator_enabled = false")
    assert (await api.get(SETTINGS))["role_recipients"] == ["ben@acme.example", "zoe@acme.example"]


async def test_settings_are_one_organizations(api: Api, books: Books) -> None:
    await books.organization()
    other = await books.organization("org_other")
    await save(api, 0)
    assert (await api.get(SETTINGS, organization="org_other"))["version"] == 0
    assert (await save(api, 1, organization="org_other")).status_code == 412
    assert (await save(api, 0, asked("/usage/thresholds", [1]), organization="org_other")).status_code == 200
    assert (await api.get(SETTINGS))["usage"]["thresholds"] == [50, 90]
    assert await books.count("SELECT count(*) FROM alert_wakeups WHERE organization_id = $1", other) == 1


async def test_the_apis_role_saves_nothing_for_another_organization(api: Api, books: Books, pool: Any) -> None:
    await books.organization()
    other = await books.organization("org_other")
    await save(api, 0, organization="org_other")
    firing = await books.firing(other, 75)
    statements = {
        "INSERT INTO alert_settings (organization_id) VALUES ($1)": asyncpg.InsufficientPrivilegeError,
        "INSERT INTO alert_wakeups (organization_id) VALUES ($1)": asyncpg.InsufficientPrivilegeError,
        "INSERT INTO mail_requests (organization_id, kind, rule, recipient) VALUES ($1, 'test', 'usage', 'a')": asyncpg.InsufficientPrivilegeError,
        f"INSERT INTO banner_dismissals (organization_id, subject, firing_id) VALUES ($1, 's', {firing})": asyncpg.InsufficientPrivilegeError,
        "UPDATE alert_settings SET usage_thresholds = '{1}' WHERE organization_id = $1": None,
        "UPDATE alert_settings SET usage_thresholds = '{1}' WHERE organization_id = $1::integer - $1": None,  # what holds for all
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


async def test_what_changes_without_a_save_is_never_taken_from_a_cache(api: Api, books: Books) -> None:
    number = await books.organization()
    await save(api, 0)
    await books.use(number, "api", "namespace", "search", f"{NOW:%Y-%m-%d}", 5 * MICRO)
    answer = await api.send("GET", SETTINGS, headers={"If-None-Match": '"1"'})
    assert (answer.status_code, answer.json()["monthly_budget"]["used_this_month"]) == (200, "5.000000")
