"""Tests of details of the page: exact amounts and explanations, rows with equal names, printing, and the audit log."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.async_api import Browser, expect
from support.clients.browser import Who, needs_chromium, visiting
from support.data.dashboard_data import NORMAL, OVER, member
from support.data.factories import contract, organization, rfc3339, usage
from support.infra.full_stack import WholeStack

from .test_dashboard import rows_on

pytestmark = [needs_chromium, pytest.mark.slow, pytest.mark.timeout(300)]
ADA = Who(NORMAL)


async def test_exact_amounts_and_explanations_open_by_keyboard(stack: WholeStack, browser: Browser) -> None:
    async with visiting(browser, stack.origin) as visit:
        await visit.sign_in(ADA, "/?product=api&range=all")
        await rows_on(visit)
        cells = visit.of_test_id("usage-table").locator("tbody td[data-hint]")
        tip = visit.page.get_by_role("tooltip")
        await cells.first.focus()
        await expect(tip).to_have_text(str(await cells.nth(0).get_attribute("data-hint")))
        await visit.page.keyboard.press("ArrowDown")
        await expect(cells.nth(1)).to_be_focused()
        await expect(tip).to_have_text(str(await cells.nth(1).get_attribute("data-hint")))
        await visit.page.keyboard.press("Escape")
        await expect(tip).to_have_count(0)
        await visit.page.get_by_text("Not final", exact=True).focus()
        await expect(tip).to_have_text("Usage from the last 3 days can still arrive or be corrected.")


async def test_exact_amounts_and_explanations_open_by_touch(stack: WholeStack, browser: Browser) -> None:
    async with visiting(browser, stack.origin, has_touch=True, viewport={"width": 390, "height": 844}) as visit:
        await visit.sign_in(ADA, "/?product=api&range=all")
        await rows_on(visit)
        cell = visit.of_test_id("usage-table").locator("tbody td[data-hint]").first
        await cell.tap()
        await expect(visit.page.get_by_role("tooltip")).to_have_text(str(await cell.get_attribute("data-hint")))
        await visit.page.get_by_text("Not final", exact=True).tap()
        await expect(visit.page.get_by_text("Usage from the last 3 days")).to_be_visible()


async def test_rows_of_one_name_show_their_ids_and_unused_ones_fold(stack: WholeStack, browser: Browser) -> None:
    name, now = "org_twins", datetime.now(UTC)
    agents: list[dict[str, Any]] = [
        {"id": f"agt_{number}", "name": "Report" if number < 3 else f"Old {number}", "kind": "saved"}
        for number in range(1, 6)
    ]
    last = now.replace(day=1) - timedelta(days=10)
    before = last.replace(day=1) - timedelta(days=10)
    events = [
        usage(
            product="agents", agent=agent, credits="2",
            envelope={"subject": name, "time": rfc3339(last if place < 2 else before)},
        )
        for place, agent in enumerate(agents)
    ]  # fmt: skip
    catalog_events = [organization(name), contract(name), member(name, "Ada", "super_admin")]
    for batch in (catalog_events, events):
        assert (await asyncio.to_thread(stack.post, batch)).json()["accepted"] == len(batch)
    async with visiting(browser, stack.origin) as visit:
        await visit.sign_in(Who(name), "/?product=agents&range=all")
        await expect(visit.of_test_id("usage-table").locator("tbody tr")).to_have_count(5, timeout=15_000)
        await visit.open(f"/?product=agents&from={last:%Y-%m}&to={last:%Y-%m}")
        table = visit.of_test_id("usage-table")
        await expect(table.get_by_role("rowheader", name="Report agt_1")).to_be_visible()
        await expect(table.get_by_role("rowheader", name="Report agt_2")).to_be_visible()
        await expect(visit.page.get_by_role("listitem").filter(has_text="Report (agt_1)")).to_be_visible()  # the legend
        await table.get_by_role("button", name="Show 3 with no usage in this period").click()
        await expect(table.get_by_role("rowheader", name="Old 3")).to_be_visible()


async def test_paper_has_the_whole_chart_and_its_colors(stack: WholeStack, browser: Browser) -> None:
    async with visiting(browser, stack.origin) as visit:
        await visit.sign_in(ADA, "/?product=agents&range=all&interval=month")
        await rows_on(visit)
        chart = visit.page.get_by_role("slider", name="Credits by month")
        await expect(chart.locator("svg")).to_be_visible()
        await visit.page.emulate_media(media="print")
        await visit.page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert await chart.locator("svg").get_attribute("width") == "680"
        for what in (".mantine-Tabs-root", "body"):
            adjusted = await visit.page.locator(what).first.evaluate("e => getComputedStyle(e).printColorAdjust")
            assert adjusted == "exact", what
        await visit.page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert await chart.locator("svg").get_attribute("width") != "680"


async def test_who_did_what_can_be_read_by_admins_alone(stack: WholeStack, browser: Browser) -> None:
    async with visiting(browser, stack.origin) as visit:
        await visit.sign_in(Who(OVER, "admin", "Ben"), "/?product=api")
        await visit.page.get_by_role("button", name="account").click()
        await visit.page.get_by_role("menuitem", name="Audit log").click()
        await expect(visit.page).to_have_url(re.compile("product=api.*panel=audit"))
        log = visit.page.get_by_role("dialog", name="Audit log")
        newest = log.get_by_test_id("audit-entry").first
        await expect(newest).to_contain_text("Signed in")
        await expect(newest).to_contain_text("ben@org-over.example · Admin")
        await expect(newest).to_contain_text(re.compile(r"\d\d:\d\d:\d\d UTC"))
        await visit.assert_accessible("the audit log")
    async with visiting(browser, stack.origin) as visit:
        await visit.sign_in(Who(OVER, "billing_moderator", "Cleo"))
        await visit.page.get_by_role("button", name="account").click()
        await expect(visit.page.get_by_role("menuitem", name="Sign out")).to_be_visible()
        await expect(visit.page.get_by_role("menuitem", name="Audit log")).to_have_count(0)
