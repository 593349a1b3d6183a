"""Every link of every kind of email and Slack message, opened in a browser by its recipient, shows the right page."""

import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email.message import EmailMessage
from html import unescape
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest
from alerter.domain.firings import Organization
from alerter.notify.cloudevents import write_test
from alerter.notify.slack import write_message
from playwright.async_api import Browser, expect
from support.clients.browser import Visit, Who, needs_chromium, visiting
from support.data.factories import usage
from support.infra.full_stack import WholeStack
from support.infra.service_process import eventually

from .test_dashboard_alerts import make, messages_to

pytestmark = [needs_chromium, pytest.mark.slow, pytest.mark.timeout(300)]
FINANCE = "finance@links.example"


@pytest.fixture
async def owner(stack: WholeStack) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(stack.addresses["postgres_dsn"])
    yield connection
    await connection.close()


async def alert_all_members(stack: WholeStack, owner: asyncpg.Connection, ada: Who) -> None:
    """Usage and budget alerts by email, to role holders and an additional recipient, and a test of each rule."""
    number = await owner.fetchval("SELECT organization_id FROM organizations WHERE organization = $1", ada.organization)
    await owner.execute(
        "INSERT INTO alert_settings (organization_id, updated_at, usage_recipients_on, usage_recipients, budget_recurring_credits,"
        " budget_recipients_on, budget_recipients) VALUES ($1, now(), true, $2, 900000000, true, $2)",
        number, [FINANCE],
    )  # fmt: skip
    await owner.execute(
        "INSERT INTO mail_requests (organization_id, kind, rule, recipient) SELECT $1, 'test', rule, $2 FROM unnest('{usage,budget}'::text[]) rule",
        number, ada.email,
    )  # fmt: skip
    await owner.execute("INSERT INTO alert_wakeups (organization_id) VALUES ($1)", number)
    assert stack.post(usage(credits="200", envelope={"subject": ada.organization})).status_code == 202


def parts(message: EmailMessage) -> tuple[str, str]:
    plain, html = (message.get_body((kind,)) for kind in ("plain", "html"))
    assert plain is not None
    assert html is not None
    return plain.get_content(), html.get_content()


def links_of(message: EmailMessage) -> set[str]:
    """Links in text and HTML, and in the header for mail programs."""
    plain, html = parts(message)
    links = set(re.findall(r"https?://\S+", plain))
    assert links == {unescape(link) for link in re.findall(r'href="([^"]+)"', html)}
    header = re.findall(r"<(https?://\S+)>", message["List-Unsubscribe"] or "")
    assert set(header) <= links
    return links


async def open_and_see(visit: Visit, who: Who | None, link: str) -> None:
    """Open a link and check the page for its text; `who` signs in on the way."""
    page = visit.page
    await page.goto(link)
    if who is not None:
        sign_in = page.get_by_role("link", name=re.compile("^Sign in"))
        await expect(sign_in.or_(page.get_by_test_id("credits-used")).first).to_be_visible()
        if await sign_in.count():
            await sign_in.click()
            await visit.choose(who)
    query = link.partition("?")[2]
    if "token=" in query:
        await expect(page.get_by_role("heading", name=re.compile("^Unsubscribe from"))).to_be_visible()
        return
    assert parse_qs(urlsplit(page.url).query) == parse_qs(query), "signing in must lead back to the link's page"
    await expect(page.get_by_test_id("credits-used")).to_be_visible()
    if "panel=explain" in query:
        await expect(
            page.get_by_role("dialog", name="Why usage changed").get_by_test_id("explain-lead")
        ).to_be_visible()
        return
    if panel := re.match(r"panel=(\w+)$", query):
        drawer = page.get_by_role("dialog", name="Manage budget and alerts")
        tab = {"alerts": "Settings", "channels": "Channels"}[panel[1]]
        await expect(drawer.get_by_role("tab", name=tab)).to_have_attribute("aria-selected", "true")
        return
    now = datetime.now(UTC)
    days = rf"{now.year - 1}.*{now.year + 1}" if "credit_period=" in query else rf"{now:%b} 1 .*{now.year}"
    await expect(page.get_by_role("button", name=re.compile(f"^Credit period: .*{days}"))).to_be_visible()


async def test_every_link_opens_what_it_promises(
    stack: WholeStack, browser: Browser, owner: asyncpg.Connection
) -> None:
    ada, ben = await make(stack, "org_links", "600")
    await alert_all_members(stack, owner, ada)
    expected = {ada.email: 4, ben.email: 2, FINANCE: 2}  # usage and budget; Ada's tests of both
    for address, number in expected.items():
        await eventually(
            lambda address=address, number=number: len(messages_to(stack, address)) == number,
            what=f"mails to {address}",
        )
    opened: set[str] = set()
    for who in (ada, ben, None):
        links = set().union(*(links_of(message) for message in messages_to(stack, who.email if who else FINANCE)))
        async with visiting(browser, stack.origin) as visit:
            visit.expected = ["status of 401"]
            for link in sorted(links):
                if who is None and "token=" not in link:
                    continue  # an additional recipient has no account to sign in with
                await open_and_see(visit, who, link)
                opened.add(re.sub(r"=.*", "=", link.partition("?")[2]))
    assert opened == {"credit_period=", "from=", "panel=", "token="}


async def test_every_link_of_slack_opens_what_it_promises_and_webhooks_have_none(
    stack: WholeStack, browser: Browser, owner: asyncpg.Connection
) -> None:
    ada, _ = await make(stack, "org_slack_links", "600")
    await alert_all_members(stack, owner, ada)
    select = "SELECT body FROM alert_events n JOIN organizations o USING (organization_id) WHERE o.organization = $1"

    async def are_written() -> bool:
        return len(await owner.fetch(select, ada.organization)) == 2

    await eventually(are_written, what="the notices of both rules")
    bodies = [row["body"] for row in await owner.fetch(select, ada.organization)]
    bodies.append(write_test(Organization(ada.organization, "Acme"), 1, datetime.now(UTC)).body)
    links = set()
    for body in bodies:
        assert not re.search("https?://", body), "what a webhook gets"
        links |= set(re.findall(r"<(https?://[^|>]+)\|", json.loads(write_message(body, stack.origin))["text"]))
    assert len(links) == 3
    async with visiting(browser, stack.origin) as visit:
        visit.expected = ["status of 401"]
        for link in sorted(links):
            await open_and_see(visit, ada, link)
