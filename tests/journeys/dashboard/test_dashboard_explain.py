"""Tests of the explanation of a change in a real browser: from a column of the chart, by pointer and keyboard, and on a phone."""

import asyncio
import re
from datetime import UTC, datetime
from decimal import Decimal
from urllib.parse import parse_qsl, urlsplit

import pytest
from playwright.async_api import Browser, expect
from support.clients.browser import Who, needs_chromium, visiting
from support.data.dashboard_data import NORMAL
from support.infra.full_stack import WholeStack

pytestmark = [needs_chromium, pytest.mark.slow, pytest.mark.timeout(300)]
ADA = Who(NORMAL)
CHART = "/?product=agents&range=all&interval=month"
PHONE = {"width": 390, "height": 844}


async def test_a_column_is_explained_against_the_one_before(stack: WholeStack, browser: Browser) -> None:
    month = f"{datetime.now(UTC):%Y-%m}"
    async with visiting(browser, stack.origin) as visit:
        await visit.sign_in(ADA, CHART)
        months = visit.page.get_by_role("slider", name="Credits by month")
        await months.focus()
        await visit.page.keyboard.press("End")
        async with visit.page.expect_request("**/api/v1/explain?*") as sent:
            await visit.page.keyboard.press("e")
        await expect(visit.page).to_have_url(re.compile(f"panel=explain&explained={month}"))
        asked = dict(parse_qsl(urlsplit((await sent.value).url).query))  # on the first of a month, a single day
        assert asked["from"].startswith(month)
        answer = await asyncio.to_thread(stack.get, "explain", organization=NORMAL, **asked)
        parts = [part for part in answer["parts"] if Decimal(part["amount"])]
        assert sum(Decimal(part["amount"]) for part in parts) == Decimal(answer["change"]) != 0
        panel = visit.page.get_by_role("dialog", name="Why usage changed")
        rows = panel.get_by_test_id("explain-waterfall").get_by_role("row")
        await expect(rows).to_have_count(len(parts) + 3)  # the heads and both totals
        heads = panel.get_by_test_id("explain-waterfall").get_by_role("columnheader")
        await expect(heads).to_have_text(["What changed", "Credits"])
        assert (
            await heads.first.evaluate("head => getComputedStyle(head.closest('thead')).display")
            == "table-header-group"
        )
        await expect(panel.get_by_test_id("explain-lead")).to_contain_text(re.compile("more|fewer"))
        movers = panel.get_by_test_id("explain-movers").get_by_role("listitem")
        assert answer["movers"]
        await expect(movers).to_have_count(len(answer["movers"]))
        part = panel.get_by_test_id("explain-waterfall").get_by_role("button").first
        await part.focus()
        await visit.page.keyboard.press("Enter")
        await expect(part).to_have_attribute("aria-expanded", "true")
        await expect(panel.get_by_role("list", name="largest contributors").get_by_role("listitem").first).to_be_visible()  # fmt: skip
        await visit.assert_accessible("an explanation")
        await visit.page.keyboard.press("Escape")
        await expect(panel).to_have_count(0)
        await expect(visit.page).to_have_url(re.compile("interval=month$"))


async def test_it_is_one_click_from_a_column_a_row_and_the_change(stack: WholeStack, browser: Browser) -> None:
    async with visiting(browser, stack.origin, has_touch=True, viewport=PHONE, color_scheme="dark") as visit:
        await visit.sign_in(ADA, CHART)
        panel = visit.page.get_by_role("dialog", name="Why usage changed")
        chart = visit.page.get_by_role("slider", name="Credits by month")
        box = await chart.bounding_box()
        assert box is not None
        await chart.tap(position={"x": box["width"] - 30, "y": box["height"] / 2})
        await visit.page.get_by_role("button", name="Why?", exact=True).first.click()
        await expect(panel.get_by_test_id("explain-waterfall")).to_be_visible()
        width = await panel.evaluate("element => [element.scrollWidth, element.clientWidth]")
        assert width[0] <= width[1]
        await visit.assert_accessible("an explanation on a phone")
        for path, button in (
            (f"{CHART}&chart=table", visit.of_test_id("trend-table").get_by_role("button", name="Why?").first),
            (f"/?product=agents&from={datetime.now(UTC):%Y-%m}&to={datetime.now(UTC):%Y-%m}", visit.page.get_by_role("button", name="Why?").first),
        ):  # fmt: skip
            await visit.open(path)
            await button.click()
            await expect(panel.get_by_test_id("explain-lead")).to_be_visible()
