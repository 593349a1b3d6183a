"""Tests of channels: admins add, test, observe and remove them, others can see them."""

import re

import pytest
from playwright.async_api import Browser, Locator, expect
from support.clients.browser import Who, needs_chromium, visiting
from support.data.dashboard_data import OVER
from support.infra.full_stack import WholeStack

from .test_dashboard_alerts import make, open_settings

pytestmark = [needs_chromium, pytest.mark.slow, pytest.mark.timeout(300)]
NOWHERE = "https://127.0.0.1:9/hooks/credits"
"""No message is sent to this address, because it is in a private network."""


async def add(drawer: Locator, name: str, url: str) -> None:
    form = drawer.get_by_role("form", name="Add channel")
    await form.get_by_label("Name").fill(name)
    await form.get_by_label("URL").fill(url)
    await form.get_by_role("button", name="Add channel").click()


async def test_a_webhook_is_added_tried_and_removed(stack: WholeStack, browser: Browser) -> None:
    ada, _ = await make(stack, "org_channels", "5")
    async with visiting(browser, stack.origin) as visit:
        visit.expected = ["status of 422"]
        drawer = await open_settings(visit, ada)
        await drawer.get_by_role("tab", name="Channels").click()
        await expect(visit.page).to_have_url(re.compile("panel=channels"))

        await add(drawer, "On call", "http://example.com")
        await expect(drawer.get_by_text("The URL must start with https://")).to_be_visible()
        await visit.assert_accessible("a refused channel")
        await add(drawer, "On call", NOWHERE)
        secret = drawer.get_by_test_id("signing-secret")
        await expect(secret).to_have_text(re.compile(r"^whsec_[A-Za-z0-9+/=]{44}$"))
        await visit.assert_accessible("a channel's secret")
        await drawer.get_by_role("button", name="I’ve saved it").click()
        await expect(secret).to_have_count(0)

        channel = drawer.get_by_test_id("channel")
        await expect(channel).to_contain_text("On call")
        await expect(channel).to_contain_text("https://127.0.0.1:9/…dits")  # the hidden part may be a secret
        await channel.get_by_role("button", name="Send test").click()
        await expect(channel).to_contain_text("Attempt 1", timeout=20_000)
        await expect(channel).to_contain_text("is not a public address")
        await visit.assert_accessible("a channel and what was sent")

        await visit.page.reload()
        await expect(channel).to_have_count(1)
        await channel.get_by_role("button", name="Remove").click()
        await visit.assert_accessible("a question before it is removed")
        await channel.get_by_role("button", name="Keep").click()
        await channel.get_by_role("button", name="Remove").click()
        await channel.get_by_role("button", name="Remove channel").click()
        await expect(channel).to_have_count(0)
    entries = [entry["action"] for entry in stack.get("audit", organization=ada.organization)["entries"]]
    assert [entry for entry in entries if entry.startswith("alert_channel")] == [
        "alert_channel.remove", "alert_channel.test", "alert_channel.add",
    ]  # fmt: skip


async def test_a_person_with_read_access_sees_channels_and_cannot_change_them(
    stack: WholeStack, browser: Browser
) -> None:
    ben = Who(OVER, "admin", "Ben")
    async with visiting(browser, stack.origin) as visit:
        drawer = await open_settings(visit, ben)
        await drawer.get_by_role("tab", name="Channels").click()
        await drawer.get_by_text("Slack", exact=True).click()
        await add(drawer, "#finance", "https://hooks.slack.com/services/T0/B0/xyz123")
        await expect(drawer.get_by_test_id("channel")).to_contain_text("#finance")
        await expect(drawer.get_by_text("#finance added.")).to_be_visible()
    async with visiting(browser, stack.origin) as visit:
        await visit.sign_in(Who(OVER, "billing_moderator", "Cleo"), "/?panel=channels")
        channel = visit.of_test_id("channel")
        await expect(channel).to_contain_text("https://hooks.slack.com/…z123")
        await expect(visit.page.get_by_role("button", name="Remove")).to_have_count(0)
        await expect(visit.page.get_by_role("form", name="Add channel")).to_have_count(0)
