"""Tests of the breakdown's chart, table and files in a real browser, and of dark mode and printing."""

import asyncio
import csv
import io
import os
import re
import shutil
import subprocess
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest
from playwright.async_api import Browser, Response, expect
from support.clients.browser import Visit, Who, decimal, needs_chromium, visiting
from support.data.dashboard_data import EMPTY, NORMAL, OVER
from support.data.factories import contract, organization, usage
from support.infra.full_stack import WholeStack

pytestmark = [needs_chromium, pytest.mark.slow, pytest.mark.timeout(300)]
ADA = Who(NORMAL)


async def lines_on(visit: Visit) -> dict[str, list[Decimal]]:
    """Exact numbers of "view as table" by line of the chart, oldest first; the last line is the total."""
    table = visit.of_test_id("trend-table")
    await table.wait_for()
    names = await table.locator("thead th").all_inner_texts()
    rows = await table.locator("tbody tr").evaluate_all(
        "rows => rows.map(row => [...row.querySelectorAll('td')].map(cell => cell.dataset.hint || cell.textContent))"
    )
    return {name: [decimal(row[place]) for row in reversed(rows)] for place, name in enumerate(names[1:])}


@pytest.mark.parametrize(
    ("shown", "group_by"),
    [
        ({"product": "assistant", "view": "tools"}, "category"), ({"product": "assistant", "view": "models"}, "feature"),
        ({"product": "agents", "view": "agents"}, "agent"), ({"product": "api", "view": "namespaces"}, "feature"),
    ],
)  # fmt: skip
async def test_the_chart_is_the_trend_of_the_view(
    stack: WholeStack, browser: Browser, shown: dict[str, str], group_by: str
) -> None:
    link = "&".join(f"{name}={value}" for name, value in (shown | {"range": "all", "interval": "month"}).items())
    async with visiting(browser, stack.origin) as visit:
        await visit.sign_in(ADA, f"/?{link}")
        await expect(visit.page.get_by_role("slider", name="Credits by month")).to_be_visible()
        await visit.page.get_by_role("button", name="View as table").click()
        lines = await lines_on(visit)
        trend = stack.get("trend", organization=NORMAL, range="all", interval="month", group_by=group_by, **shown)
        wanted = {series["name"]: [Decimal(credits) for credits in series["credits"]] for series in trend["series"]}
        assert lines == wanted | {"Total": [Decimal(bucket["total"]) for bucket in trend["buckets"]]}
        await visit.page.get_by_role("switch", name="Cumulative").check()
        await visit.page.wait_for_url("**sum=cumulative*")
        assert (await lines_on(visit))["Total"][-1] == Decimal(trend["total"]) > 0


def save_budget(stack: WholeStack, credits: str) -> None:
    headers = {"Authorization": f"Bearer {stack.token_of(NORMAL)}"}
    with httpx.Client(base_url=f"{stack.origin}/api/v1/alerts", headers=headers) as client:
        settings = client.get("/settings").json()
        no_recipients: dict[str, Any] = {"enabled": False, "addresses": []}
        body = {
            "usage": {"thresholds": settings["usage"]["thresholds"], "additional_recipients": no_recipients},
            "monthly_budget": {
                "enabled": True, "type": "recurring", "credits": credits, "thresholds": [90],
                "additional_recipients": no_recipients,
            },
        }  # fmt: skip
        client.put("/settings", json=body, headers={"If-Match": f'"{settings["version"]}"'}).raise_for_status()


async def test_all_products_together_are_held_against_the_monthly_budget(stack: WholeStack, browser: Browser) -> None:
    save_budget(stack, "700")
    month = f"{datetime.now(UTC):%Y-%m}"
    async with visiting(browser, stack.origin) as visit:
        await visit.sign_in(ADA, f"/?from={month}&to={month}&interval=month&chart=table")
        assert "Monthly budget" not in await lines_on(visit)  # a single product has no budget
        await visit.page.get_by_text("All products").click()
        await visit.page.wait_for_url("**scope=all*")
        await expect(visit.of_test_id("trend-table").get_by_text("Monthly budget")).to_be_visible()
        lines = await lines_on(visit)
        assert lines["Monthly budget"] == [700]
        assert lines["Total"] == [sum(lines[product][0] for product in ("Assistant", "Agents", "API"))]


async def test_a_column_leads_into_its_days_and_back(stack: WholeStack, browser: Browser) -> None:
    async with visiting(browser, stack.origin) as visit:
        await visit.sign_in(ADA, "/?range=all&interval=month")
        months = visit.page.get_by_role("slider", name="Credits by month")
        await months.focus()
        await visit.page.keyboard.press("End")
        total = visit.of_test_id("breakdown-total")
        said, before = await months.get_attribute("aria-valuetext"), await total.inner_text()
        assert said
        assert re.search(r"\d+\.\d\d credits in progress, claude-opus-5 \d", said), said
        await visit.page.keyboard.press("Enter")
        month = f"{datetime.now(UTC):%Y-%m}"
        await visit.page.wait_for_url(re.compile(f"from={month}(-01)?&to={month}"))
        await expect(visit.page.get_by_role("slider", name=re.compile("Credits by (day|hour)"))).to_be_visible()
        await expect(total).not_to_have_text(before)
        assert said.split(": ")[1].startswith(f"{await total.inner_text()} credits")
        await visit.page.go_back()
        await expect(total).to_have_text(before)


async def test_groups_open_are_searched_and_stay_open_in_the_address(stack: WholeStack, browser: Browser) -> None:
    async with visiting(browser, stack.origin) as visit:
        await visit.sign_in(ADA, "/?product=agents&view=features&range=all")
        table = visit.of_test_id("usage-table")
        await table.get_by_role("button", name="jira_search").click()
        await expect(table.get_by_role("rowheader", name="Deep Research")).to_be_visible()
        await table.get_by_role("button", name="claude-opus-5").click()
        await expect(table.get_by_role("rowheader", name="Deleted agents")).to_be_visible()
        await visit.page.reload()
        await expect(table.get_by_role("rowheader", name="Deep Research")).to_be_visible()
        await visit.page.get_by_label("Search the table").press_sequentially("quarterly", delay=5)
        await expect(table.get_by_role("rowheader", name="Quarterly report")).to_have_count(2)  # in both features
        await expect(table.get_by_role("rowheader", name="Deep Research")).to_have_count(0)
        await visit.page.wait_for_url("**q=quarterly*")
        await visit.page.get_by_role("button", name="Clear search").click()
        await expect(table.get_by_role("rowheader", name="Deep Research")).to_be_visible()
        await visit.page.get_by_role("switch", name="By surface").check()
        await expect(table.get_by_role("columnheader", name="Surface")).to_be_visible()
        for surface in ("Web", "Slack", "Mobile"):
            await expect(table.get_by_role("button", name=surface)).to_be_visible()


async def test_the_other_files_are_beside_the_download(stack: WholeStack, browser: Browser) -> None:
    async with visiting(browser, stack.origin, accept_downloads=True) as visit:
        await visit.sign_in(ADA, "/?product=api&range=all&surface=slack")
        shown = decimal(await visit.of_test_id("breakdown-total").get_attribute("data-hint") or "")
        for name, wanted in (("This table", "name"), ("FOCUS 1.2", "PricingCurrencyEffectiveCost")):
            await visit.page.get_by_role("button", name="More formats").click()
            async with visit.page.expect_download() as downloading:
                await visit.page.get_by_role("menuitem", name=name).click()
            lines = list(csv.DictReader(io.StringIO(Path(await (await downloading.value).path()).read_text())))
            assert wanted in lines[0]
            if name == "This table":
                assert sum(Decimal(line["credits"]) for line in lines if line["is_leaf"] == "true") == shown > 0
        for name, (product, surface, credits) in (
            ("All usage (.parquet)", ("product", "surface", "credits")),
            ("FOCUS 1.4 (.parquet)", ("x_ProductType", "x_Surface", "PricingQuantity")),
        ):
            await visit.page.get_by_role("button", name="More formats").click()
            async with visit.page.expect_download() as downloading:
                await visit.page.get_by_role("menuitem", name=name).click()
            lines = pq.read_table(await (await downloading.value).path()).to_pylist()
            assert sum(line[credits] for line in lines if (line[product], line[surface]) == ("api", "slack")) == shown


async def test_the_open_table_follows_what_is_used(stack: WholeStack, browser: Browser) -> None:
    async with visiting(browser, stack.origin) as visit:
        await visit.sign_in(ADA, "/?product=api&range=all")
        total = visit.of_test_id("breakdown-total")
        before = decimal(await total.get_attribute("data-hint") or "")
        used = usage(
            product="api", feature_kind="namespace", feature="search", credits="3.5", envelope={"subject": NORMAL}
        )
        assert (await asyncio.to_thread(stack.post, used)).status_code == 202
        wanted = f"{(before + Decimal('3.5')).normalize():,f}"
        await expect(total).to_have_attribute("data-hint", wanted, timeout=8_000)
        await expect(visit.of_test_id("freshness")).to_contain_text(
            re.compile(r"Live · includes everything received by \d\d:\d\d UTC")
        )


async def test_the_page_is_dark_when_it_is_asked_to_be_and_stays_so(stack: WholeStack, browser: Browser) -> None:
    async with visiting(browser, stack.origin, color_scheme="light") as visit:
        await visit.sign_in(ADA)

        async def background() -> str:
            return str(await visit.page.evaluate("getComputedStyle(document.body).backgroundColor"))

        light = await background()
        await visit.page.get_by_role("button", name="Color scheme").click()
        await visit.page.get_by_role("menuitem", name="Dark").click()
        dark = await background()
        assert dark != light
        await visit.page.reload()
        assert await background() == dark


async def test_paper_has_the_numbers_and_no_buttons(stack: WholeStack, browser: Browser) -> None:
    async with visiting(browser, stack.origin, color_scheme="dark") as visit:
        await visit.sign_in(ADA)
        await expect(visit.of_test_id("usage-table")).to_be_visible()
        await visit.page.emulate_media(media="print")
        await expect(visit.of_test_id("credits-used")).to_be_visible()
        await expect(visit.of_test_id("usage-table")).to_be_visible()
        for name in ("Manage budget and alerts", "More formats", "Color scheme", "View as table"):
            await expect(visit.page.get_by_role("button", name=name)).to_have_count(0)
        assert await visit.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here: apt-get install curl")
async def test_who_has_no_usage_is_given_a_command_that_sends_some(stack: WholeStack, browser: Browser) -> None:
    name = "org_first"
    assert stack.post([organization(name), contract(name, total="1000")]).status_code == 202
    async with visiting(browser, stack.origin) as visit:
        await visit.sign_in(Who(name))
        command = await visit.of_test_id("first-event").inner_text()
        given = {"INGEST_URL": stack.addresses["ingest_url"], "INGEST_KEY": stack.addresses["ingest_key"]}
        sent = await asyncio.to_thread(
            subprocess.run, ["bash", "-c", command], env=os.environ | given, capture_output=True, text=True, timeout=30
        )
        assert '"accepted":1' in sent.stdout, sent.stdout + sent.stderr
        await expect(visit.of_test_id("credits-used")).to_have_attribute("data-hint", "1.25")
        await expect(visit.of_test_id("usage-table").get_by_role("rowheader", name="my-model")).to_be_visible()


@pytest.mark.parametrize(
    "how", [{}, {"color_scheme": "dark", "viewport": {"width": 390, "height": 844}}], ids=["light", "phone"]
)
async def test_the_period_is_drawn_to_its_end_and_the_run_out_date_is_shown(
    stack: WholeStack, browser: Browser, how: dict[str, Any]
) -> None:
    answers: list[Response] = []  # the page's own: it changes with usage, and from one quarter-hour to the next
    async with visiting(browser, stack.origin, **how) as visit:
        visit.page.on("response", lambda answer: "/api/v1/projection" in answer.url and answers.append(answer))
        await visit.sign_in(ADA, "/?scope=all&sum=cumulative&interval=week")
        await expect(visit.of_test_id("run-out")).to_contain_text("Projected to")
        band = visit.of_test_id("projected-band")
        await expect(band).to_be_visible()
        chart = visit.page.get_by_role("slider", name="Credits by week")
        box, drawn = await chart.bounding_box(), await band.bounding_box()
        assert box is not None
        assert drawn is not None
        assert drawn["x"] + drawn["width"] > box["x"] + box["width"] - 10, "the band ends before the period"
        await chart.focus()
        await visit.page.keyboard.press("End")
        last = (await answers[-1].json())["projection"]["band"]
        for name in ("p10", "p50", "p90"):
            value = re.escape(f"{Decimal(last[name][-1]):,.2f}")
            await expect(chart).to_have_attribute("aria-valuetext", re.compile(value))
        assert "Assistant" not in await chart.inner_text(), "a tip with usage of days that have not begun"
        await visit.assert_accessible("the projection")
        await visit.open("/?scope=all&sum=cumulative&interval=week&chart=table")
        newest = visit.of_test_id("trend-table").get_by_role("row").nth(1)
        await expect(newest).to_contain_text("not started")
        last = (await answers[-1].json())["projection"]["band"]
        for name in ("p10", "p50", "p90"):
            await expect(newest).to_contain_text(f"{Decimal(last[name][-1]):,.2f}")
        await expect(newest.get_by_role("button")).to_have_count(0)  # it has no usage to explain
        await visit.assert_accessible("the projection as a table")


async def test_why_there_is_no_run_out_date(stack: WholeStack, browser: Browser) -> None:
    for name, words in ((EMPTY, "No run-out date: "), (OVER, "The credits were used up on")):
        async with visiting(browser, stack.origin) as visit:
            await visit.sign_in(Who(name, name="Ada"))
            await expect(visit.of_test_id("run-out")).to_contain_text(words)
