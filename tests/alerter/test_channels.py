"""Firings and resolutions reach the topic, signed webhooks and Slack, once each, and never a private address."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from alerter.evaluation.requests import answer_requests
from alerter.notify.public_http import NotPublic, is_public, open_public_http, open_socket
from alerter.notify.slack import write_message
from alerter.notify.webhooks import Deliverer
from alerter.queues.rotation import Rotation
from flexcredits_schemas import SCHEMAS
from runtime.postgres.pool import Connection, Pool
from standardwebhooks import Webhook
from support.clients.webhook_receiver import Receiver, https_receiver
from support.data.table_rows import TableRows
from support.services.alerter import NOW, Customer, add_channel, age, evaluator, make_customer

ALERT = jsonschema_rs.Draft202012Validator(
    json.loads((SCHEMAS / "alerts" / "alert.v1.json").read_text()), validate_formats=True
)
LOOPBACK = [ip_network("127.0.0.0/8")]


@pytest.fixture
async def receiver(tmp_path: Path) -> AsyncIterator[Receiver]:
    async with https_receiver(tmp_path) as made:
        yield made


@pytest.fixture
async def deliverer(pool: Pool, receiver: Receiver) -> AsyncIterator[Deliverer]:
    async with open_public_http(receiver.ca_file, LOOPBACK) as http:
        yield Deliverer(pool, http, "https://flex.example")


async def deliveries(owner: Connection) -> list[tuple[Any, ...]]:
    rows = await owner.fetch(
        "SELECT n.kind, d.state, d.attempts FROM alert_deliveries d JOIN alert_events n USING (alert_event_id) ORDER BY d.delivery_id"
    )
    return [tuple(row) for row in rows]


async def test_a_webhook_gets_every_firing_and_its_end_and_can_verify_them(
    db: TableRows, pool: Pool, owner: Connection, receiver: Receiver, deliverer: Deliverer
) -> None:
    acme = await make_customer(db)
    other = await make_customer(db, "org_other")
    _, secret = await add_channel(acme, receiver.url + "/hook")
    evaluate = evaluator(pool).evaluate
    for customer in (acme, other):
        await customer.use(95)
    await evaluate(None, trigger="test")
    await acme.use(-10)  # a correction
    await evaluate(None, trigger="test")
    while await deliverer.send_due():
        pass
    assert await deliverer.send_due() == 0
    events = [Webhook(secret).verify(post.body.decode(), dict(post.headers)) for post in receiver.posts]
    for event, post in zip(events, receiver.posts, strict=True):
        ALERT.validate(event)
        assert (post.headers["webhook-id"], post.headers["content-type"]) == (
            event["id"],
            "application/json",
        )
        assert (post.path, event["subject"], event["data"]["name"]) == ("/hook", "org_acme", "org_acme")
    received = [
        (event["type"].split(".")[2], event["data"]["threshold"], event["data"]["notification"]) for event in events
    ]
    assert received == [("fired", 75, "bundled"), ("fired", 90, "sent"), ("resolved", 90, "sent")]
    assert [event["data"]["used"] for event in events] == ["95.000000", "95.000000", "85.000000"]
    assert len({event["id"] for event in events}) == 3
    assert await deliveries(owner) == [("fired", "sent", 1), ("fired", "sent", 1), ("resolved", "sent", 1)]
    said = await owner.fetch("SELECT outcome, detail FROM alert_delivery_attempts")
    assert {tuple(row) for row in said} == {("sent", "200 OK said so")}


async def test_a_webhook_gets_the_same_bytes_under_the_type_that_it_asked_for(
    db: TableRows, pool: Pool, receiver: Receiver, deliverer: Deliverer
) -> None:
    acme = await make_customer(db)
    await add_channel(acme, receiver.url + "/json")
    await add_channel(acme, receiver.url + "/cloudevents", content_type="application/cloudevents+json")
    await acme.use(80)
    await evaluator(pool).evaluate(None, trigger="test")
    assert await deliverer.send_due() == 2
    types = {post.path: post.headers["content-type"] for post in receiver.posts}
    assert types == {"/json": "application/json", "/cloudevents": "application/cloudevents+json"}
    assert len({post.body for post in receiver.posts}) == 1


async def test_slack_gets_what_is_mailed_and_its_end(
    db: TableRows, pool: Pool, receiver: Receiver, deliverer: Deliverer
) -> None:
    acme = await make_customer(db)
    await owner_renames(acme, "A <b>&</b> C")
    await add_channel(acme, receiver.url + "/services/T1/B1/x", "slack")
    await acme.set_budget(100)
    await acme.use(95)
    await evaluator(pool).evaluate(None, trigger="test")
    await acme.set_total(1000)
    await evaluator(pool).evaluate(None, trigger="test")
    while await deliverer.send_due():
        pass
    texts = [json.loads(post.body)["text"] for post in receiver.posts]
    name = "A &lt;b&gt;&amp;&lt;/b&gt; C"
    assert sorted(texts) == sorted(
        [
            f":warning: *95% of credits used*: 95 of 100 ({name}, 90% alert)\n"
            "Jul 15, 2026 – Jan 14, 2027 · <https://flex.example/?credit_period=c1/p1|Open dashboard>",
            f":warning: *95% of the November 2026 budget used*: 95 of 100 ({name}, 90% alert)\n"
            "Nov 1, 2026 – Nov 30, 2026 · <https://flex.example/?from=2026-11&to=2026-11|Open dashboard>",
            f":white_check_mark: *Back under 90% of credits*: 95 of 1,000 ({name})\n"
            "Jul 15, 2026 – Jan 14, 2027 · <https://flex.example/?credit_period=c1/p1|Open dashboard>",
        ]
    )


def slack(kind: str, **changes: Any) -> str:
    data = {
        "name": "A*c*me <b>", "rule": "usage", "threshold": 90, "used": "-1.250000", "available": "10.000000",
        "period": {"contract": "c1", "id": "p 1", "from": "2026-07-15", "to": "2027-01-15"}, "resolution": "level",
    } | changes  # fmt: skip
    body = json.dumps({"type": f"flexcredits.alert.{kind}.v1", "data": data})
    text: str = json.loads(write_message(body, "https://flex.example"))["text"]
    return text.partition("\n")[0]


def test_slack_writes_amounts_as_mails_do_and_no_name_ends_the_bold_text() -> None:
    assert slack("resolved") == ":white_check_mark: *Back under 90% of credits*: -1.25 of 10 (A*c*me &lt;b&gt;)"
    assert slack("resolved", used="99.700000", available="100.000000").endswith(": 99.7 of 100 (A*c*me &lt;b&gt;)")
    assert slack("fired", used="0.700000", available="0.800000", threshold=75).startswith(
        ":warning: *87.5% of credits used*: 0.7 of 0.8 ("
    )
    assert slack("fired", used="1000000.000000").startswith(
        ":warning: *More than 999% of credits used*: 1,000,000 of 10 ("
    )
    assert (
        slack("resolved", available=None)
        == ":white_check_mark: *Back under 90% of credits*: -1.25 used, none available (A*c*me &lt;b&gt;)"
    )
    removed = slack("resolved", used=None, available=None, resolution="removed", rule="budget")
    assert removed == ":white_check_mark: *The 90% alert on the July 2026 budget was removed* (A*c*me &lt;b&gt;)"
    assert (
        slack("test")
        == ":white_check_mark: *Test*: FlexCredits alerts for A*c*me &lt;b&gt; reach this channel. <https://flex.example/?panel=channels|Manage channels>"
    )


async def owner_renames(acme: Customer, name: str) -> None:
    await acme.db.execute("UPDATE organizations SET name = $1 WHERE organization_id = $2", name, acme.number)


async def test_what_is_not_taken_is_sent_again_with_the_same_id_and_bytes(
    db: TableRows, pool: Pool, owner: Connection, receiver: Receiver, deliverer: Deliverer
) -> None:
    acme = await make_customer(db)
    await add_channel(acme, receiver.url)
    receiver.answers = [500, 302, (429, {"Retry-After": "120"}), 200]
    await acme.use(80)
    await evaluator(pool).evaluate(None, trigger="test")
    for attempt in range(1, 5):
        assert await deliverer.send_due() == 1
        waiting = await owner.fetchval("SELECT extract(epoch FROM due_at - now())::float8 FROM alert_deliveries")
        assert attempt != 3 or 100 < waiting <= 120
        await owner.execute("UPDATE alert_deliveries SET due_at = now()")
    assert {post.headers["webhook-id"] for post in receiver.posts} == {receiver.posts[0].headers["webhook-id"]}
    assert len({post.body for post in receiver.posts}) == 1
    rows = await owner.fetch("SELECT outcome, detail FROM alert_delivery_attempts ORDER BY attempt")
    assert [row["outcome"] for row in rows] == ["deferred"] * 3 + ["sent"]
    assert rows[1]["detail"].startswith("302 Found")


async def test_a_receiver_that_is_gone_gets_no_more_and_says_why(
    db: TableRows, pool: Pool, owner: Connection, receiver: Receiver, deliverer: Deliverer
) -> None:
    acme = await make_customer(db)
    await add_channel(acme, receiver.url)
    receiver.answers = [410]
    await acme.use(95)
    await evaluator(pool).evaluate(None, trigger="test")
    while await deliverer.send_due():
        pass
    assert len(receiver.posts) == 1
    assert {state for _, state, _ in await deliveries(owner)} == {"failed"}
    assert await owner.fetchval("SELECT stop_reason FROM alert_channels") == "410 Gone said so"
    await acme.use(10)
    await evaluator(pool).evaluate(None, trigger="test")
    assert len(await deliveries(owner)) == 2


async def test_deliveries_to_a_removed_channel_are_not_sent_and_fail(
    db: TableRows, pool: Pool, owner: Connection, receiver: Receiver, deliverer: Deliverer
) -> None:
    acme = await make_customer(db)
    await add_channel(acme, receiver.url)
    await acme.use(80)
    await evaluator(pool).evaluate(None, trigger="test")
    await owner.execute("UPDATE alert_channels SET removed_at = now(), url = '', signing_secret = ''")
    assert await deliverer.send_due() == 1
    assert not receiver.posts
    assert await deliveries(owner) == [("fired", "failed", 1)]


async def test_a_receiver_that_hangs_or_is_down_delays_no_other_and_fails_after_three_days(
    db: TableRows, pool: Pool, owner: Connection, receiver: Receiver, deliverer: Deliverer
) -> None:
    acme = await make_customer(db)
    await add_channel(acme, "https://localhost:1/closed")
    await add_channel(acme, receiver.url)
    await acme.use(80)
    await evaluator(pool).evaluate(None, trigger="test")
    assert await deliverer.send_due() == 2
    assert sorted(state for _, state, _ in await deliveries(owner)) == ["pending", "sent"]
    await owner.execute("UPDATE alert_deliveries SET due_at = now(), pending_since = now() - interval '73 hours'")
    assert await deliverer.send_due() == 1
    assert sorted(state for _, state, _ in await deliveries(owner)) == ["failed", "sent"]
    detail = await owner.fetchval("SELECT detail FROM alert_delivery_attempts WHERE outcome = 'refused'")
    assert detail.startswith("given up after 3 days: ")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://localhost:1/", "connection refused"),
        ("https://nowhere.invalid/", "host not found"),
        (
            "{receiver}/untrusted",
            "TLS failed: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate",
        ),
    ],
)
async def test_what_kept_a_delivery_from_its_receiver_is_said_in_a_few_words(
    db: TableRows, pool: Pool, owner: Connection, receiver: Receiver, url: str, words: str
) -> None:
    acme = await make_customer(db)
    await add_channel(acme, url.format(receiver=receiver.url))
    await acme.use(80)
    await evaluator(pool).evaluate(None, trigger="test")
    async with open_public_http(allowed=[*LOOPBACK, ip_network("::1/128")]) as http:
        assert await Deliverer(pool, http, "").send_due() == 1
    row = await owner.fetchrow("SELECT outcome, detail FROM alert_delivery_attempts")
    assert row is not None
    assert row["outcome"] == "deferred"
    assert row["detail"].startswith(words)


@pytest.mark.parametrize(
    "url", ["https://a..example/", f"https://{'a' * 64}.example/", "https://1.2.3/", "https://x:99999/"]
)
async def test_a_url_without_a_host_fails_alone(
    db: TableRows, pool: Pool, owner: Connection, receiver: Receiver, deliverer: Deliverer, url: str
) -> None:
    """asyncio's UnicodeError is not an OSError: before, it ended the alerter."""
    acme = await make_customer(db)
    await add_channel(acme, url)
    await add_channel(acme, receiver.url)
    await acme.use(80)
    await evaluator(pool).evaluate(None, trigger="test")
    assert await deliverer.send_due() == 2
    assert sorted(state for _, state, _ in await deliveries(owner)) == ["failed", "sent"]
    details = await owner.fetch("SELECT detail FROM alert_delivery_attempts WHERE outcome = 'refused'")
    assert [row["detail"].startswith("not sent: the URL is not valid") for row in details] == [True]


async def test_an_answer_that_never_comes_is_an_outcome(
    db: TableRows, pool: Pool, owner: Connection, receiver: Receiver
) -> None:
    acme = await make_customer(db)
    await add_channel(acme, receiver.url)
    receiver.answers = [0]
    await acme.use(80)
    await evaluator(pool).evaluate(None, trigger="test")
    async with open_public_http(receiver.ca_file, LOOPBACK, within_s=0.5) as http:
        assert await Deliverer(pool, http, "").send_due() == 1
    assert await owner.fetchval("SELECT detail FROM alert_delivery_attempts") == "no answer in time"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "[::1]"])
async def test_no_spelling_of_a_private_address_is_connected_to(
    db: TableRows, pool: Pool, owner: Connection, receiver: Receiver, host: str
) -> None:
    acme = await make_customer(db)
    await add_channel(acme, receiver.url.replace("localhost", host))
    await acme.use(80)
    await evaluator(pool).evaluate(None, trigger="test")
    async with open_public_http(receiver.ca_file) as http:
        assert await Deliverer(pool, http, "").send_due() == 1
    assert not receiver.posts
    row = await owner.fetchrow("SELECT outcome, detail FROM alert_delivery_attempts")
    assert row is not None
    assert row["outcome"] == "refused"
    assert "is not a" in row["detail"]


@pytest.mark.parametrize(
    "address",
    [
        "10.1.2.3", "127.0.0.1", "169.254.169.254", "172.16.0.1", "192.168.1.1", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "255.255.255.255", "::", "::1", "fe80::1", "fc00::1", "fec0::1", "ff02::1", "::ffff:10.0.0.1", "64:ff9b::a00:1",
        "2002:a00:1::", "2001:0:a00:1::", "::127.0.0.1",
    ],
)  # fmt: skip
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(ip_address(address))
    with pytest.raises(NotPublic):
        open_socket([], (2, 1, 6, "", (address, 443)))


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:4700::1111", "::ffff:93.184.215.14"])
def test_addresses_that_are_public(address: str) -> None:
    assert is_public(ip_address(address))


async def test_a_test_reaches_its_channel_alone_and_not_the_topic(
    db: TableRows, pool: Pool, owner: Connection, receiver: Receiver, deliverer: Deliverer
) -> None:
    acme = await make_customer(db)
    await add_channel(acme, receiver.url + "/other")
    number, secret = await add_channel(acme, receiver.url + "/tested")
    await owner.execute(
        "INSERT INTO mail_requests (organization_id, kind, rule, channel_id) VALUES ($1, 'channel_test', 'usage', $2)",
        acme.number, number,
    )  # fmt: skip
    await answer_requests(pool, "flex.example", lambda: NOW, Rotation())
    assert await deliverer.send_due() == 1
    [post] = receiver.posts
    event = Webhook(secret).verify(post.body.decode(), dict(post.headers))
    ALERT.validate(event)
    assert (post.path, event["type"]) == ("/tested", "flexcredits.alert.test.v1")
    assert await owner.fetchval("SELECT count(*) FROM alert_events WHERE published_at IS NULL") == 0


async def test_two_processes_never_send_the_same_at_once_and_a_dead_one_is_taken_over(
    db: TableRows, pool: Pool, owner: Connection, receiver: Receiver, deliverer: Deliverer
) -> None:
    acme = await make_customer(db)
    for path in range(8):
        await add_channel(acme, f"{receiver.url}/{path}")
    await acme.use(80)
    await evaluator(pool).evaluate(None, trigger="test")
    await asyncio.gather(deliverer.send_due(), deliverer.send_due())
    assert sorted(post.path for post in receiver.posts) == [f"/{path}" for path in range(8)]
    await owner.execute("UPDATE alert_deliveries SET state = 'pending', finished_at = NULL, due_at = now()")
    assert len(await deliverer.claim(32, (), 0)) == 8  # and then that process dies
    assert await deliverer.send_due() == 0
    await age(owner, timedelta(minutes=2))
    assert await deliverer.send_due() == 8
