"""Requests for mails: a test to oneself, and a failed mail again. The history shows every attempt of each mail."""

import asyncio
import json
from typing import Any

from support.data.table_rows import NOW, TableRows
from support.services.query_api import Api

TEST_MAIL = "/api/v1/alerts/test-mail"


async def requests(db: TableRows) -> list[tuple[Any, ...]]:
    rows = await db.fetch("SELECT kind, rule, firing_id, recipient FROM mail_requests ORDER BY request_id")
    return [tuple(row) for row in rows]


async def test_a_test_mail_goes_to_oneself(api: Api, db: TableRows) -> None:
    number = await db.organization()
    for rule, stored, email in (("usage", "usage", "ada@acme.example"), ("monthly_budget", "budget", "ben@acme.example")):  # fmt: skip
        answer = await api.send("POST", TEST_MAIL, {"rule": rule}, email=email, sub=email)
        assert (answer.status_code, answer.json()) == (202, {"recipient": email, "requested_at": "2026-11-22T12:00:00Z"})  # fmt: skip
        assert (await requests(db))[-1] == ("test", stored, None, email)
    assert await db.count("SELECT count(*) FROM alert_wakeups WHERE organization_id = $1", number) == 2
    (first, _) = await db.fetch("SELECT action, email, details FROM audit_log ORDER BY audit_id")
    assert (first["action"], first["email"]) == ("alert.test_mail", "ada@acme.example")
    assert json.loads(first["details"]) == {"rule": "usage", "recipient": "ada@acme.example"}
    for body in ({"rule": "usage", "recipient": "eve@evil.example"}, {"rule": "budget"}, {}):
        assert (await api.send("POST", TEST_MAIL, body, sub="user-3")).status_code == 422


async def test_one_test_mail_a_minute_and_person_also_of_several_at_once(api: Api, db: TableRows) -> None:
    await db.organization()
    answers = await asyncio.gather(*(api.send("POST", TEST_MAIL, {"rule": "usage"}) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [202, 429, 429, 429, 429]
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.json()["type"] == "/problems/too-soon"
    assert 50 <= int(refused.headers["retry-after"]) <= 61
    assert (await api.send("POST", TEST_MAIL, {"rule": "usage"}, sub="user-2")).status_code == 202
    await db.execute("UPDATE audit_log SET at = at - interval '59 seconds' WHERE subject = 'user-1'")
    again = await api.send("POST", TEST_MAIL, {"rule": "usage"})
    assert (again.status_code, int(again.headers["retry-after"]) <= 2) == (429, True)
    await db.execute("UPDATE audit_log SET at = at - interval '2 seconds' WHERE subject = 'user-1'")
    assert (await api.send("POST", TEST_MAIL, {"rule": "usage"})).status_code == 202
    assert len(await requests(db)) == 3


async def test_who_has_no_address_gets_no_test_mail(api: Api, db: TableRows) -> None:
    await db.organization()
    for email in (None, "ada", "=?utf-8?q?x?=@acme.example", "ada@acme.example\r\nBcc: eve@evil.example"):
        answer = await api.send("POST", TEST_MAIL, {"rule": "usage"}, email=email)
        assert (answer.status_code, answer.json()["type"]) == (409, "/problems/no-address")
    assert await requests(db) == []


async def test_what_became_of_ones_test_mails(api: Api, db: TableRows) -> None:
    number, other = await db.organization(), await db.organization("org_other")
    for turn in range(6):
        email = await db.email(number, None, "ada@acme.example", "failed" if turn == 5 else "pending", attempts=turn, finished_at=NOW if turn == 5 else None)  # fmt: skip
    await db.attempt(number, email, 5, "refused", "550 no such user")
    await db.email(number, None, "ben@acme.example")
    await db.email(other, None, "ada@acme.example")
    await db.email(number, await db.firing(number, 75), "ada@acme.example")
    mails = (await api.get(TEST_MAIL))["mails"]
    assert [mail["attempts"] for mail in mails] == [5, 4, 3, 2, 1]
    assert mails[0] == {
        "recipient": "ada@acme.example", "state": "failed", "attempts": 5, "created_at": "2026-11-22T12:00:00Z", "sent_at": None,
        "next_attempt_at": None, "last_error": "550 no such user",
    }  # fmt: skip
    assert (mails[1]["state"], mails[1]["next_attempt_at"]) == ("pending", "2026-11-22T12:01:00Z")
    assert (await api.get(TEST_MAIL, organization="org_unknown")) == {"mails": []}


async def test_an_alert_with_every_attempt(api: Api, db: TableRows) -> None:
    number = await db.organization()
    firing = await db.firing(number, 90, rule="budget", contract="", period="2026-11", starts_on="2026-11-01", ends_on="2026-12-01")  # fmt: skip
    sent = await db.email(number, firing, "ada@acme.example", "sent", attempts=3, finished_at=NOW)
    await db.attempt(number, sent, 1, "deferred", "451 greylisted")
    await db.attempt(number, sent, 3, "sent", "250 ok")  # the process of the second attempt died
    await db.email(number, firing, "bob@acme.example")
    await db.email(number, await db.firing(number, 75), "eve@acme.example")
    alert = await api.get(f"/api/v1/alerts/{firing}")
    assert (alert["rule"], alert["period"]) == (
        "budget",
        {"id": "2026-11", "contract_id": None, "key": None, "from": "2026-11-01", "to": "2026-12-01"},
    )
    assert [delivery.pop("attempt_log") for delivery in alert["deliveries"]] == [
        [
            {"attempt": 1, "at": "2026-11-22T12:00:00Z", "outcome": "deferred", "detail": "451 greylisted"},
            {"attempt": 3, "at": "2026-11-22T12:00:00Z", "outcome": "sent", "detail": "250 ok"},
        ],
        [],
    ]
    assert [alert] == [each for each in (await api.get("/api/v1/alerts"))["alerts"] if each["id"] == str(firing)]


async def test_an_alert_is_its_organizations(api: Api, db: TableRows) -> None:
    await db.organization()
    firing = await db.firing(await db.organization("org_other"), 75)
    for alert, status in ((firing, 404), (firing + 1, 404), (2**63, 404), (9 * 10**18, 404), (10**19, 422), (0, 422), (-1, 422), ("x", 422), ("1.0", 422), ("%00", 422)):  # fmt: skip
        assert (await api.ask(f"/api/v1/alerts/{alert}")).status_code == status, alert
        answer = await api.send("POST", f"/api/v1/alerts/{alert}/resend", {"recipient": None})
        assert answer.status_code == status, alert
    assert await requests(db) == []


async def test_mails_are_sent_again(api: Api, db: TableRows) -> None:
    number = await db.organization()
    firing = await db.firing(number, 75)
    for name, state in (("ada", "failed"), ("bob", "sent"), ("Cleo", "failed"), ("dora", "pending")):
        await db.email(number, firing, f"{name}@acme.example", state, finished_at=None if state == "pending" else NOW)
    path = f"/api/v1/alerts/{firing}/resend"
    all_failed = await api.send("POST", path, {"recipient": None})
    assert (all_failed.status_code, all_failed.json()) == (
        202, {"recipients": ["Cleo@acme.example", "ada@acme.example"], "requested_at": "2026-11-22T12:00:00Z"}
    )  # fmt: skip
    one = await api.send("POST", path, {"recipient": "cleo@acme.example"})
    assert one.json()["recipients"] == ["Cleo@acme.example"]
    assert await requests(db) == [
        ("resend", "usage", firing, None),
        ("resend", "usage", firing, "Cleo@acme.example"),
    ]
    assert await db.count("SELECT count(*) FROM alert_wakeups") == 2
    entries = await db.fetch("SELECT details FROM audit_log WHERE action = 'alert.resend' ORDER BY audit_id")
    assert json.loads(entries[1]["details"]) == {"alert": str(firing), "recipients": ["Cleo@acme.example"]}
    for recipient in ("dora@acme.example", "bob@acme.example", "eve@acme.example", "", "\0", "\ud800"):
        answer = await api.send("POST", path, {"recipient": recipient})
        assert (answer.status_code, answer.json()["type"]) == (409, "/problems/nothing-to-resend"), recipient
    for body in ({}, {"recipient": 7}, {"recipient": None, "to": "eve"}):
        assert (await api.send("POST", path, body)).status_code == 422
    assert len(await requests(db)) == 2


async def test_the_newest_mail_to_a_recipient_says_whether_it_failed(api: Api, db: TableRows) -> None:
    number = await db.organization()
    firing = await db.firing(number, 75)
    await db.email(number, firing, "ada@acme.example", "failed", finished_at=NOW)
    await db.email(number, firing, "ada@acme.example", "pending")
    for recipient in (None, "ada@acme.example"):
        answer = await api.send("POST", f"/api/v1/alerts/{firing}/resend", {"recipient": recipient})
        assert (answer.status_code, answer.json()["type"]) == (409, "/problems/nothing-to-resend")
