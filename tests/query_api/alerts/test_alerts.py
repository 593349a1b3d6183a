"""The banner and the history of alerts, from rows as the alerter writes them."""

from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from query_api.db.statements import SQL
from query_api.http.pagination import InvalidCursor, read_cursor, write_cursor
from runtime.postgres.pool import Pool
from support.data.table_rows import MICRO, NOW, TableRows
from support.services.query_api import Api, OpenApi

FIRED_AT = NOW - timedelta(hours=5)


async def acme(db: TableRows, time_zone: str = "UTC", name: str = "org_acme") -> int:
    """An organization in the second of two credit periods: 300 for Assistant, 100 for Agents, and no own amount for
    API."""
    acme = await db.organization(name, time_zone)
    await db.contract(acme, "c1", "2026-06-15", "2027-06-15")
    await db.period(acme, "c1", "first", "2026-06-15", "2026-09-15", assistant=100)
    await db.period(acme, "c1", "second", "2026-09-15", "2026-12-15", assistant=300, agents=100)
    return acme


async def use(db: TableRows, organization: int, product: str, micro_credits: int) -> None:
    await db.use(organization, product, "model", "opus", "2026-11-01", micro_credits)


async def test_an_alert_and_its_deliveries(api: Api, db: TableRows) -> None:
    number = await acme(db)
    firing = await db.firing(
        number, 90, period="second", episode=2, starts_on="2026-09-15", ends_on="2026-12-15", fired_at=FIRED_AT,
        used=360_039_999, available=400 * MICRO,
    )  # fmt: skip
    # Not in alphabetical order, so that the test sees the order of the answer.
    waiting = await db.email(number, firing, "cleo@acme.example", attempts=3)
    await db.attempt(number, waiting, 1, "deferred", "451 greylisted")
    await db.attempt(number, waiting, 2, "deferred", "450 mailbox busy")  # the third attempt is in progress
    refused = await db.email(number, firing, "bob@acme.example", "failed", attempts=2, finished_at=NOW)
    await db.attempt(number, refused, 1, "deferred", "451 greylisted")
    await db.attempt(number, refused, 2, "refused", "550 no such user")
    sent = await db.email(
        number, firing, "ada@acme.example", "sent", attempts=2, finished_at=NOW + timedelta(seconds=7)
    )
    await db.attempt(number, sent, 1, "deferred", "451 greylisted")
    await db.attempt(number, sent, 2, "sent", "250 ok")
    await db.email(number, firing, "dora@acme.example")
    assert await api.get("/api/v1/alerts") == {
        "alerts": [
            {
                "id": str(firing),
                "rule": "usage",
                "kind": "used",
                "passed_on": None,
                "threshold": 90,
                "episode": 2,
                "period": {
                    "id": "second",
                    "contract_id": "c1",
                    "key": "c1/second",
                    "from": "2026-09-15",
                    "to": "2026-12-15",
                },
                "state": "met",
                "fired_at": "2026-11-22T07:00:00Z",
                "resolved_at": None,
                "resolution": None,
                "notification": "sent",
                "used": "360.039999",
                "available": "400.000000",
                "percent_used": "90.00",
                "deliveries": [
                    delivery("ada", "sent", 2, sent_at="2026-11-22T12:00:07Z"),
                    delivery("bob", "failed", 2, last_error="550 no such user"),
                    delivery("cleo", "pending", 3, last_error="450 mailbox busy", due_at="2026-11-22T12:01:00Z"),
                    delivery("dora", "pending", 0, due_at="2026-11-22T12:01:00Z"),
                ],
                "no_recipients": False,
            }
        ],
        "next": None,
    }


def delivery(
    name: str, state: str, attempts: int, *, sent_at: str | None = None, due_at: str | None = None, last_error: str | None = None
) -> dict[str, Any]:  # fmt: skip
    return {
        "recipient": f"{name}@acme.example", "state": state, "attempts": attempts, "created_at": "2026-11-22T12:00:00Z",
        "sent_at": sent_at, "next_attempt_at": due_at, "last_error": last_error,
    }  # fmt: skip


async def test_a_mail_goes_with_its_own_firing(api: Api, db: TableRows) -> None:
    number = await db.organization()
    for threshold, recipients in ((75, ["bob", "ada"]), (90, []), (100, ["ada"])):
        firing = await db.firing(number, threshold, "sent" if recipients else "bundled")
        for recipient in recipients:
            email = await db.email(number, firing, recipient, attempts=1)
            await db.attempt(number, email, 1, "deferred", f"{recipient} at {threshold}")
    alerts = (await api.get("/api/v1/alerts"))["alerts"]
    assert [[mail["last_error"] for mail in alert["deliveries"]] for alert in alerts] == [
        ["ada at 100"], [], ["ada at 75", "bob at 75"]
    ]  # fmt: skip


async def test_a_mail_without_recipients_differs_from_no_mail(api: Api, db: TableRows) -> None:
    number = await db.organization()
    for threshold, notification in enumerate(("sent", "bundled", "suppressed", "backfilled"), start=1):
        await db.firing(number, threshold, notification)
    alerts = (await api.get("/api/v1/alerts"))["alerts"]
    assert [(alert["notification"], alert["no_recipients"], alert["deliveries"]) for alert in alerts] == [
        ("backfilled", False, []), ("suppressed", False, []), ("bundled", False, []), ("sent", True, [])
    ]  # fmt: skip


@pytest.mark.parametrize("resolution", ["level", "removed"])
async def test_a_resolved_alert_says_when_and_why(api: Api, db: TableRows, resolution: str) -> None:
    number = await db.organization()
    await db.firing(number, 75, resolution=resolution, resolved_at=NOW)
    await db.firing(number, 75, episode=2)
    again, first = (await api.get("/api/v1/alerts"))["alerts"]
    fields = ("episode", "state", "resolved_at", "resolution")
    assert tuple(first[field] for field in fields) == (1, "resolved", "2026-11-22T12:00:00Z", resolution)
    assert tuple(again[field] for field in fields) == (2, "met", None, None)


async def test_the_percentage_of_an_alert_is_never_rounded_up(api: Api, db: TableRows) -> None:
    number = await db.organization()
    for threshold, used, available in ((1, 399_999_999, 400_000_000), (2, 413, 400), (3, 1, 3)):
        await db.firing(number, threshold, used=used, available=available)
    alerts = (await api.get("/api/v1/alerts"))["alerts"]
    assert [alert["percent_used"] for alert in alerts] == ["33.33", "103.25", "99.99"]


async def test_an_alert_keeps_the_dates_and_amounts_that_it_fired_with(api: Api, db: TableRows) -> None:
    number = await acme(db)
    await db.firing(number, 75, period="second", starts_on="2026-09-01", ends_on="2026-12-01", available=7 * MICRO)
    (alert,) = (await api.get("/api/v1/alerts"))["alerts"]
    assert alert["period"] == {
        "id": "second",
        "contract_id": "c1",
        "key": "c1/second",
        "from": "2026-09-01",
        "to": "2026-12-01",
    }
    assert alert["available"] == "7.000000"


async def test_nothing_has_fired_yet(api: Api, db: TableRows) -> None:
    await db.organization()
    for organization in ("org_acme", "org_unknown"):
        assert await api.get("/api/v1/alerts", organization=organization) == {"alerts": [], "next": None}


async def test_pages_visit_every_alert_once_while_others_fire(api: Api, db: TableRows) -> None:
    for limit in (None, 1, 7, 40, 60, 119, 120, 121, 200):
        name = f"org_{limit}"
        number, other = await db.organization(name), await db.organization(f"org_other_{limit}")
        fired = []
        for threshold in range(1, 121):
            fired.append(await db.firing(number, threshold, "suppressed"))
            await db.firing(other, threshold, "suppressed")
        path = "/api/v1/alerts?" + (f"limit={limit}&" if limit else "")
        visited: list[int] = []
        following: str | None = path
        while following:
            page = await api.get(following, organization=name)
            assert len(page["alerts"]) == min(limit or 50, 120 - len(visited))
            visited += [int(alert["id"]) for alert in page["alerts"]]
            await db.firing(number, 1000 + len(visited), "suppressed")  # belongs before the first page
            following = f"{path}before={page['next']}" if page["next"] else None
        assert visited == fired[::-1], limit


async def test_a_page_is_found_without_walking_through_the_firings_of_others(db: TableRows, pool: Pool) -> None:
    quiet, busy = await db.organization(), await db.organization("org_busy")
    for organization, first, last in ((busy, 1, 1000), (quiet, 1001, 1500), (busy, 1501, 2500)):
        await db.execute(
            "INSERT INTO alert_firings (organization_id, rule, contract_id, period_id, threshold, episode, starts_on, ends_on, fired_at,"
            " used, available, notification) SELECT $1, 'usage', 'c1', n::text, 75, 1, $2, $2, $3, 3, 4, 'suppressed' FROM generate_series($4::integer, $5) AS n",
            organization, NOW.date(), NOW, first, last,
        )  # fmt: skip
    await db.execute("ANALYZE alert_firings")
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        await connection.execute(SQL["act_for"], "org_acme")
        for before in (None, 1250):
            rows = await connection.fetch(f"EXPLAIN {SQL['select_firings']}", quiet, before, 51)
            plan = "\n".join(str(row[0]) for row in rows)
            assert "using alert_firings_by_time" in plan
            assert "Sort" not in plan


async def test_a_cursor_of_another_organization_shows_nothing_of_it(api: Api, db: TableRows) -> None:
    number, other = await db.organization(), await db.organization("org_other")
    first = await db.firing(number, 75)
    for threshold in range(1, 4):
        await db.firing(other, threshold)
    foreign = (await api.get("/api/v1/alerts?limit=1", organization="org_other"))["next"]
    alerts = (await api.get(f"/api/v1/alerts?before={foreign}"))["alerts"]
    assert [alert["id"] for alert in alerts] == [str(first)]


NOT_VALID = [
    ("before=", "before"),
    ("before=1", "before"),
    ("before=null", "before"),
    ("before=%00", "before"),
    ("before=%C3%A4", "before"),
    ("before=AAAAAAAAAAA", "before"),  # 0
    ("before=__________8", "before"),  # -1
    ("before=gAAAAAAAAAA", "before"),  # beyond bigint
    ("before=AAAAAAAAAAE=", "before"),  # padded
    ("before=AAAAAAAAAAF", "before"),  # with an extra bit
    ("before=AAAA%20AAAAAAE", "before"),
    ("before=AAAAAAAAAAAAAAAAAAAAAAE", "before"),
    (f"before={'A' * 5000}", "before"),
    ("limit=0", "limit"),
    ("limit=201", "limit"),
    ("limit=-1", "limit"),
    ("limit=ten", "limit"),
    ("limit=1.5", "limit"),
    ("limit=", "limit"),
    ("after=AAAAAAAAAAE", "after"),
]


async def test_a_parameter_that_is_not_valid_is_named(api: Api, db: TableRows) -> None:
    await db.organization()
    for query, parameter in NOT_VALID:
        answer = await api.ask(f"/api/v1/alerts?{query}")
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json"), query
        assert answer.json()["type"] == "/problems/invalid-parameter"
        assert [error["parameter"] for error in answer.json()["errors"]] == [parameter], query


@given(st.integers(1, 2**63 - 1))
def test_a_cursor_is_read_as_it_was_written(firing_id: int) -> None:
    assert read_cursor(write_cursor(firing_id)) == firing_id


@given(st.text(max_size=14) | st.text("AEFQgw89-_+/=", min_size=10, max_size=12))
def test_any_other_text_is_no_cursor(text: str) -> None:
    with suppress(InvalidCursor):
        assert write_cursor(read_cursor(text)) == text


async def test_alerts_require_a_role_that_may_read(open_api: OpenApi, db: TableRows) -> None:
    await db.organization("org_with", billing_moderators=True)
    await db.organization("org_without")
    for deployment in (True, False):
        async with open_api(billing_moderators=deployment) as api:
            for path in ("/api/v1/banner", "/api/v1/alerts", "/api/v1/alerts/settings"):
                for role, organization, status in (
                    ("super_admin", "org_without", 200),
                    ("admin", "org_without", 200),
                    ("billing_moderator", "org_with", 200 if deployment else 403),
                    ("billing_moderator", "org_without", 403),
                    ("member", "org_with", 403),
                ):
                    answer = await api.ask(path, role=role, organization=organization)
                    assert answer.status_code == status, (path, role, organization, deployment)
                assert (await api.client.get(path)).status_code == 401
