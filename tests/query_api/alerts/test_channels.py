"""Channels for alerts: admins add, test and remove them, and no answer contains their secrets again."""

import asyncio
import base64
import json
from typing import Any

import asyncpg
import pytest
from runtime.postgres.pool import Pool
from support.data.table_rows import TableRows
from support.services.query_api import Api

PATH = "/api/v1/alert-channels"
WEBHOOK = {"kind": "webhook", "name": "On call", "url": "https://hooks.acme.example/alerts/s3cret-token"}
SLACK = {"kind": "slack", "name": "#credits", "url": "https://hooks.slack.com/services/T1/B1/s3cret"}


async def add(api: Api, body: dict[str, Any], **claims: Any) -> Any:
    answer = await api.send("POST", PATH, body, **claims)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_a_channel_is_added_and_its_secrets_are_shown_once(api: Api, db: TableRows) -> None:
    number = await db.organization()
    webhook, slack = await add(api, WEBHOOK), await add(api, SLACK)
    assert len(base64.b64decode(webhook["signing_secret"].removeprefix("whsec_"))) == 32
    assert slack["signing_secret"] is None
    assert webhook["url"] == "https://hooks.acme.example/…oken"
    listed = (await api.get(PATH))["channels"]
    assert listed == [
        {name: value for name, value in each.items() if name != "signing_secret"} for each in (webhook, slack)
    ]
    rows = await db.fetch(
        "SELECT url, signing_secret FROM alert_channels WHERE organization_id = $1 ORDER BY 1", number
    )
    assert [tuple(row) for row in rows] == [(WEBHOOK["url"], webhook["signing_secret"]), (SLACK["url"], None)]
    entries = await db.fetch("SELECT action, details FROM audit_log ORDER BY audit_id")
    assert [entry["action"] for entry in entries] == ["alert_channel.add"] * 2
    assert not any("s3cret" in entry["details"] or "whsec" in entry["details"] for entry in entries)
    assert json.loads(entries[0]["details"]) == {
        "channel": webhook["id"], "kind": "webhook", "name": "On call", "url": "https://hooks.acme.example/…oken",
        "content_type": "application/json",
    }  # fmt: skip


async def test_a_webhook_is_sent_json_unless_it_asks_for_the_type_of_cloudevents(api: Api, db: TableRows) -> None:
    await db.organization()
    plain, cloud = await add(api, WEBHOOK), await add(api, WEBHOOK | {"content_type": "application/cloudevents+json"})
    types = [channel["content_type"] for channel in (await api.get(PATH))["channels"]]
    assert (
        types == [plain["content_type"], cloud["content_type"]] == ["application/json", "application/cloudevents+json"]
    )


async def test_the_apis_role_cannot_read_what_it_wrote(api: Api, db: TableRows, pool: Pool) -> None:
    await db.organization()
    await add(api, WEBHOOK)
    for column in ("url", "signing_secret"):
        async with pool.acquire() as connection:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.fetch(f"SELECT {column} FROM alert_channels")


@pytest.mark.parametrize(
    ("changed", "pointer"),
    [
        ({"url": "http://hooks.acme.example/"}, "/url"),
        ({"url": "https://"}, "/url"),
        ({"url": "https://user:pass@hooks.acme.example/"}, "/url"),
        ({"url": "https://hooks.acme.example/#x"}, "/url"),
        ({"url": "https://hooks.acme.example\\@10.0.0.1/"}, "/url"),
        ({"url": "https://hooks.acme.example:0x/"}, "/url"),
        ({"url": "https://[::1/"}, "/url"),
        ({"url": "https://hooks.acme.example/a b"}, "/url"),
        ({"url": "https://hööks.acme.example/"}, "/url"),
        ({"url": "https://hooks.acme.example/" + "x" * 2000}, "/url"),
        ({"url": "file:///etc/passwd"}, "/url"),
        ({"url": "https://a..example/"}, "/url"),
        ({"url": "https://.example/"}, "/url"),
        ({"url": f"https://{'a' * 64}.example/"}, "/url"),
        ({"kind": "slack"}, "/url"),
        ({"kind": "slack", "url": "https://hooks.slack.com.evil.example/services/T/B/x"}, "/url"),
        ({"kind": "slack", "url": "https://hooks.slack.com/elsewhere"}, "/url"),
        ({"kind": "sms"}, "/kind"),
        ({"name": " "}, "/name"),
        ({"name": "a\nb"}, "/name"),
        ({"name": "x" * 101}, "/name"),
        ({"secret": "mine"}, "/secret"),
        ({"content_type": "text/plain"}, "/content_type"),
        (
            {
                "kind": "slack",
                "url": "https://hooks.slack.com/services/T/B/x",
                "content_type": "application/cloudevents+json",
            },
            "/content_type",
        ),
    ],
)
async def test_what_is_no_channel_says_where(api: Api, db: TableRows, changed: dict[str, str], pointer: str) -> None:
    await db.organization()
    answer = await api.send("POST", PATH, WEBHOOK | changed)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)
    assert (await api.get(PATH)) == {"channels": []}


async def test_a_removed_channel_is_gone_with_its_secrets_and_its_history_stays(api: Api, db: TableRows) -> None:
    await db.organization()
    webhook, slack = await add(api, WEBHOOK), await add(api, SLACK)
    for channel in (webhook, slack):
        assert (await api.send("DELETE", f"{PATH}/{channel['id']}", None)).status_code == 204
        answer = await api.send("DELETE", f"{PATH}/{channel['id']}", None)
        assert (answer.status_code, answer.json()["type"]) == (404, "/problems/no-such-channel")
    assert (await api.get(PATH)) == {"channels": []}
    rows = await db.fetch("SELECT url, coalesce(signing_secret, '') AS secret FROM alert_channels")
    assert {tuple(row) for row in rows} == {("", "")}
    entries = await db.fetch("SELECT action FROM audit_log ORDER BY audit_id")
    assert [entry["action"] for entry in entries] == ["alert_channel.add"] * 2 + ["alert_channel.remove"] * 2


async def test_there_are_at_most_ten_also_when_all_come_at_once(api: Api, db: TableRows) -> None:
    await db.organization()
    answers = await asyncio.gather(*(api.send("POST", PATH, WEBHOOK, sub=f"user-{turn}") for turn in range(12)))
    assert sorted(answer.status_code for answer in answers) == [201] * 10 + [409] * 2
    assert len((await api.get(PATH))["channels"]) == 10


async def test_a_test_is_asked_of_the_alerter_at_most_every_ten_seconds(api: Api, db: TableRows) -> None:
    number = await db.organization()
    channel = await add(api, WEBHOOK)
    path = f"{PATH}/{channel['id']}/test"
    assert (await api.send("POST", path, None)).json() == {"requested_at": "2026-11-22T12:00:00Z"}
    row = (await db.fetch("SELECT organization_id, kind, channel_id FROM mail_requests"))[0]
    assert tuple(row) == (number, "channel_test", int(channel["id"]))
    assert await db.count("SELECT count(*) FROM alert_wakeups") == 1
    again = await api.send("POST", path, None)
    assert (again.status_code, 1 <= int(again.headers["retry-after"]) <= 10) == (429, True)
    await db.execute("UPDATE audit_log SET at = at - interval '11 seconds'")
    assert (await api.send("POST", path, None)).status_code == 202
    await db.execute("UPDATE alert_channels SET stopped_at = now(), stop_reason = '410 Gone'")
    await db.execute("UPDATE audit_log SET at = at - interval '11 seconds'")
    stopped = await api.send("POST", path, None)
    assert (stopped.status_code, stopped.json()["type"]) == (409, "/problems/channel-stopped")
    assert (await api.get(PATH))["channels"][0]["state"] == "stopped"


async def test_other_organizations_and_moderators_can_do_nothing_with_it(api: Api, db: TableRows) -> None:
    await db.organization(billing_moderators=True)
    await db.organization("org_other")
    channel = await add(api, WEBHOOK)
    for method, path in (("DELETE", ""), ("POST", "/test"), ("GET", "/deliveries")):
        answer = await api.send(method, f"{PATH}/{channel['id']}{path}", None, organization="org_other")
        assert answer.status_code == 404
        if method != "GET":
            answer = await api.send(method, f"{PATH}/{channel['id']}{path}", None, role="billing_moderator")
            assert answer.status_code == 403
    assert (await api.get(PATH, organization="org_other")) == {"channels": []}
    assert len((await api.get(PATH, role="billing_moderator"))["channels"]) == 1


async def test_deliveries_are_listed_with_every_attempt_page_by_page(api: Api, db: TableRows) -> None:
    number = await db.organization()
    channel = int((await add(api, WEBHOOK))["id"])
    firing = await db.firing(number, 75)
    await db.notice(number, channel, "fired.1", "fired", firing, "sent", [("deferred", "503 busy"), ("sent", "200 OK")])
    await db.notice(number, channel, "resolved.1", "resolved", firing, "failed", [("refused", "not sent: 10.0.0.1 is not a public address")])  # fmt: skip
    await db.notice(number, channel, "test.1", "test", None, "pending", [])
    page = await api.get(f"{PATH}/{channel}/deliveries?limit=2")
    assert [(each["event_id"], each["event"], each["state"]) for each in page["deliveries"]] == [
        ("test.1", "test", "pending"), ("resolved.1", "resolved", "failed"),
    ]  # fmt: skip
    assert page["deliveries"][0]["next_attempt_at"] is not None
    assert page["deliveries"][1]["attempt_log"][0]["detail"] == "not sent: 10.0.0.1 is not a public address"
    rest = await api.get(f"{PATH}/{channel}/deliveries?limit=2&before={page['next']}")
    assert rest["next"] is None
    [first] = rest["deliveries"]
    assert (first["alert"], first["attempts"], first["sent_at"]) == (str(firing), 2, "2026-11-22T12:00:00Z")
    assert [(tried["attempt"], tried["outcome"], tried["detail"]) for tried in first["attempt_log"]] == [
        (1, "deferred", "503 busy"), (2, "sent", "200 OK"),
    ]  # fmt: skip
