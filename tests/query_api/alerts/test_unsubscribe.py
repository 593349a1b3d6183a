"""The link in a mail removes an address from one list of one organization. No other link does."""

import asyncio
import html
import json
import re
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import jwt
import pytest
from flexcredits_schemas.unsubscribe import VALID_FOR, Unsubscription, seal
from support.data.table_rows import TableRows
from support.services.query_api import UNSUBSCRIBE_SECRET, Api

WRITTEN_AT = datetime.now(UTC)
FIN = "Fin@acme.example"
ONE_CLICK = {"List-Unsubscribe": "One-Click"}


def token(recipient: str = FIN, rule: Any = "usage", organization: str = "org_acme", secret: str = UNSUBSCRIBE_SECRET, at: datetime = WRITTEN_AT) -> str:  # fmt: skip
    return seal(Unsubscription(organization, rule, recipient), secret, at)


async def acme(db: TableRows, name: str = "org_acme") -> int:
    """Two addresses on the list for usage. One is also on the list for the budget, which is off."""
    number = await db.organization(name)
    await db.execute("UPDATE organizations SET name = 'Acme & <Sons>' WHERE organization_id = $1", number)
    await db.execute(
        "INSERT INTO alert_settings (organization_id, usage_recipients_on, usage_recipients, budget_recipients, updated_by)"
        " VALUES ($1, true, '{bob@acme.example,Fin@acme.example}', '{fin@acme.example}', 'ada@acme.example')", number,
    )  # fmt: skip
    return number


async def lists(db: TableRows, number: int) -> tuple[Any, ...]:
    (row,) = await db.fetch("SELECT * FROM alert_settings WHERE organization_id = $1", number)
    return (row["version"], row["usage_recipients_on"], row["usage_recipients"], row["budget_recipients_on"], row["budget_recipients"])  # fmt: skip


async def test_the_page_names_everything_and_changes_nothing(api: Api, db: TableRows) -> None:
    number = await acme(db)
    before = await lists(db, number)
    answer = await api.client.get("/unsubscribe", params={"token": token()})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    for words in (FIN, "usage alerts", html.escape("Acme & <Sons>")):
        assert words in answer.text
    assert "<Sons>" not in answer.text
    assert answer.text.count("<button") == 1
    assert '<form method="post">' in answer.text  # posts to the same URL
    assert await lists(db, number) == before


async def test_the_page_needs_nothing_from_elsewhere_and_runs_nothing(api: Api, db: TableRows) -> None:
    await acme(db)
    for given in (token(), "x"):
        answer = await api.client.get("/unsubscribe", params={"token": given})
        (style,) = re.findall(r"<style>(.*?)</style>", answer.text, re.DOTALL)
        digest = b64encode(sha256(style.encode()).digest()).decode()
        policy = answer.headers["content-security-policy"]
        assert f"style-src 'sha256-{digest}'" in policy
        assert {"default-src 'none'", "form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'"} <= set(policy.split("; "))  # fmt: skip
        assert not re.search(r"<script|<link|<img|style=|\son\w+=|src=|https?:", answer.text)


async def test_one_click_is_enough_and_a_second_does_no_harm(api: Api, db: TableRows) -> None:
    number, other = await acme(db), await acme(db, "org_other")
    for _ in range(3):
        answer = await api.client.post("/unsubscribe", params={"token": token()}, data=ONE_CLICK)
        assert (answer.status_code, "You&#x27;re unsubscribed" in answer.text, FIN in answer.text) == (200, True, True)
        assert await lists(db, number) == (2, True, ["bob@acme.example"], False, ["fin@acme.example"])
    (entry,) = await db.fetch("SELECT * FROM audit_log")
    assert (entry["organization_id"], entry["action"], entry["subject"], entry["email"]) == (number, "alert_settings.unsubscribe", FIN, FIN)  # fmt: skip
    details = json.loads(entry["details"])
    assert details["rule"] == "usage"
    kept = [details[when]["usage"]["additional_recipients"]["addresses"] for when in ("before", "after")]
    assert kept == [["bob@acme.example", FIN], ["bob@acme.example"]]
    settings = await api.get("/api/v1/alerts/settings")
    assert (settings["version"], settings["updated_by"]) == (2, FIN)
    assert await lists(db, other) == (1, True, ["bob@acme.example", FIN], False, ["fin@acme.example"])


async def test_the_last_one_who_leaves_turns_the_list_off(api: Api, db: TableRows) -> None:
    number = await acme(db)
    for recipient in ("BOB@acme.example", FIN):
        await api.client.post("/unsubscribe", params={"token": token(recipient)}, data=ONE_CLICK)
    assert await lists(db, number) == (3, False, [], False, ["fin@acme.example"])
    await api.client.post("/unsubscribe", params={"token": token(rule="budget")}, data=ONE_CLICK)
    assert await lists(db, number) == (4, False, [], False, [])


async def test_who_is_on_no_list_or_of_no_organization_leaves_nothing_behind(api: Api, db: TableRows) -> None:
    number = await acme(db)
    before = await lists(db, number)
    for given in (token("zoe@acme.example"), token(organization="org_unknown")):
        for method in ("GET", "POST"):
            assert (await api.client.request(method, "/unsubscribe", params={"token": given})).status_code == 200
    assert await lists(db, number) == before
    assert await db.count("SELECT (SELECT count(*) FROM audit_log) + (SELECT count(*) FROM alert_wakeups)") == 0


def other_tokens() -> list[str]:
    claims = {"organization": "org_acme", "rule": "usage", "recipient": FIN, "exp": WRITTEN_AT + timedelta(days=1)}
    good = token()
    head, body, _ = good.split(".")
    return [
        "", "x", good[:-4] + "AAAA", f"{head}.{body}.", f"{head}.{body}", good + "A", "\0", "ä", "a" * 5000,
        token(secret="another secret, of another deployment"), token(at=WRITTEN_AT - VALID_FOR - timedelta(minutes=1)),
        jwt.encode(claims, UNSUBSCRIBE_SECRET, "HS256"), jwt.encode({**claims, "aud": "flexcredits"}, UNSUBSCRIBE_SECRET, "HS256"),
        jwt.encode({**claims, "aud": "flexcredits-unsubscribe"}, None, "none"),
        jwt.encode({"aud": "flexcredits-unsubscribe", "exp": claims["exp"]}, UNSUBSCRIBE_SECRET, "HS256"),
    ]  # fmt: skip


async def test_no_other_link_is_taken(api: Api, db: TableRows) -> None:
    number = await acme(db)
    before = await lists(db, number)
    for given in [*other_tokens(), api.provider.token()]:
        for method in ("GET", "POST"):
            answer = await api.client.request(method, "/unsubscribe", params={"token": given})
            assert (answer.status_code, answer.headers["content-type"]) == (400, "text/html; charset=utf-8"), given
            assert "This link isn&#x27;t valid" in answer.text
            assert "<form" not in answer.text
    assert (await api.client.post("/unsubscribe")).status_code == 400
    assert await lists(db, number) == before


async def test_a_link_opens_nothing_else(api: Api, db: TableRows) -> None:
    await acme(db)
    for path in ("/api/v1/overview", "/api/v1/alerts/settings"):
        assert (await api.ask(path, token=token())).status_code == 401


@pytest.mark.parametrize("turn", range(3))
async def test_an_admin_who_saves_at_once_does_not_put_the_address_back_unknowingly(
    api: Api, db: TableRows, turn: int
) -> None:
    number = await acme(db)
    settings = await api.get("/api/v1/alerts/settings")
    body = {
        "usage": settings["usage"] | {"thresholds": [10 + turn]},
        "monthly_budget": {
            "enabled": False, "type": "recurring", "credits": None, "thresholds": [75], "additional_recipients": {"enabled": False, "addresses": []},
        },
    }  # fmt: skip
    left, saved = await asyncio.gather(
        api.client.post("/unsubscribe", params={"token": token()}, data=ONE_CLICK),
        api.send("PUT", "/api/v1/alerts/settings", body, headers={"If-Match": '"1"'}),
    )
    assert left.status_code == 200
    assert saved.status_code in (200, 412)
    version, _, recipients, _, _ = await lists(db, number)
    assert (version, recipients) == (3 if saved.status_code == 200 else 2, ["bob@acme.example"])
    if saved.status_code == 412:
        assert saved.json()["updated_by"] == FIN
