"""The page with missing, late or broken data, and in unusual states."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from playwright.async_api import Browser, Error, Locator, Route, expect
from support.clients.browser import Visit, Who, needs_chromium, visiting
from support.data.dashboard_data import NORMAL, TEAM, member
from support.data.factories import contract, event, organization, rfc3339, usage
from support.infra.full_stack import WholeStack
from support.infra.service_process import eventually

from .test_dashboard import rows_on

pytestmark = [needs_chromium, pytest.mark.slow, pytest.mark.timeout(300)]
ADA = Who(NORMAL)


async def test_what_cannot_be_loaded_is_said_and_asked_for_again(stack: WholeStack, browser: Browser) -> None:
    async with visiting(browser, stack.origin) as visit:
        visit.expected = ["net::ERR_FAILED"]
        await visit.page.route("**/api/v1/breakdown?*", lambda route: route.abort())
        await visit.sign_in(ADA)
        alert = visit.page.get_by_role("alert").filter(has_text="The server isn't responding")
        await expect(alert).to_be_visible()
        await expect(visit.of_test_id("credits-used")).to_be_visible()  # the rest of the page is visible
        await visit.assert_accessible("with a failure")
        await visit.page.unroute("**/api/v1/breakdown?*")
        await alert.get_by_role("button", name="Try again").click()
        assert await rows_on(visit)
        await expect(alert).to_have_count(0)


async def test_without_a_connection_the_last_numbers_stay_and_are_called_that(stack: WholeStack, browser: Browser) -> None:  # fmt: skip
    async with visiting(browser, stack.origin) as visit:
        visit.expected = ["net::ERR_INTERNET_DISCONNECTED", "net::ERR_NETWORK_CHANGED"]
        await visit.sign_in(ADA)
        rows = await rows_on(visit)
        await visit.page.context.set_offline(True)
        line = visit.of_test_id("freshness")
        await expect(line.get_by_role("status")).to_have_text("Not connected", timeout=40_000)
        assert await rows_on(visit) == rows
        await visit.page.context.set_offline(False)
        await expect(line).to_have_attribute("data-state", "current", timeout=30_000)


@asynccontextmanager
async def counting_behind(stack: WholeStack) -> AsyncIterator[None]:
    """Make every partition appear incomplete for five minutes."""
    connection = await asyncpg.connect(stack.addresses["postgres_dsn"])
    try:
        await connection.execute(
            "CREATE FUNCTION fall_behind() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN NEW.caught_up_at := now() - interval '5 minutes'; RETURN NEW; END $$;"
            "CREATE TRIGGER fall_behind BEFORE UPDATE ON partition_progress FOR EACH ROW EXECUTE FUNCTION fall_behind();"
            "CREATE FUNCTION stay_behind() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN NEW.complete_to := NULL; RETURN NEW; END $$;"
            "CREATE TRIGGER stay_behind BEFORE UPDATE ON partition_ends FOR EACH ROW EXECUTE FUNCTION stay_behind();"
            "UPDATE partition_progress SET updated_at = updated_at;"
            "UPDATE partition_ends SET end_offset = end_offset"
        )
        yield
        await connection.execute("DROP TRIGGER fall_behind ON partition_progress; DROP FUNCTION fall_behind")
        await connection.execute("DROP TRIGGER stay_behind ON partition_ends; DROP FUNCTION stay_behind")
    finally:
        await connection.close()


async def test_data_that_is_delayed_is_called_that(stack: WholeStack, browser: Browser) -> None:
    async with visiting(browser, stack.origin) as visit:
        await visit.sign_in(ADA)
        line = visit.of_test_id("freshness")
        await expect(line.get_by_role("status")).to_have_text(
            ""
        )  # present while empty, or screen readers do not announce it
        async with counting_behind(stack):
            await expect(line.get_by_role("status")).to_have_text("Data delayed", timeout=20_000)
            await visit.assert_accessible("delayed")
        await expect(line).to_have_attribute("data-state", "current", timeout=20_000)


async def test_while_it_loads_there_is_the_shape_of_the_page(stack: WholeStack, browser: Browser) -> None:
    async with visiting(browser, stack.origin) as visit:
        held = asyncio.Event()

        async def hold(route: object) -> None:
            await held.wait()
            await route.continue_()  # type: ignore[attr-defined]

        # The live stream brings the overview too, as soon as it is open.
        await visit.page.route(re.compile(r"/api/v1/(overview|live)$"), hold)
        await visit.sign_in(ADA)
        await expect(visit.page.locator("[aria-labelledby=overview-title] .mantine-Skeleton-root")).to_have_count(5)
        await expect(visit.of_test_id("credits-used")).to_have_count(0)
        held.set()
        await expect(visit.of_test_id("credits-used")).to_be_visible()
        await expect(visit.page.locator(".mantine-Skeleton-root")).to_have_count(0)


async def test_the_last_days_are_preliminary_and_a_month_long_past_is_not(stack: WholeStack, browser: Browser) -> None:
    async with visiting(browser, stack.origin) as visit:
        await visit.sign_in(ADA)
        await expect(visit.page.get_by_text("Not final", exact=True)).to_be_visible()
        month = f"{datetime.now(UTC) - timedelta(days=61):%Y-%m}"
        await visit.open(f"/?from={month}&to={month}")
        assert await rows_on(visit)
        await expect(visit.page.get_by_text("Not final", exact=True)).to_have_count(0)


async def test_surfaces_are_picked_by_clicking(stack: WholeStack, browser: Browser) -> None:
    async with visiting(browser, stack.origin) as visit:
        await visit.sign_in(ADA, "/?product=api&range=all")
        everything = await rows_on(visit)
        await visit.page.get_by_role("button", name="All surfaces").click()
        await visit.page.get_by_role("checkbox", name="Slack").check()
        await expect(visit.page).to_have_url(re.compile("surface=slack"))
        await visit.page.keyboard.press("Escape")
        answer = await asyncio.to_thread(
            stack.get, "breakdown", organization=NORMAL, product="api", view="namespaces", range="all", surface="slack"
        )
        await expect(visit.of_test_id("breakdown-total")).to_have_text(re.compile(r"\d"))
        wanted = {row["name"]: row["credits"] for row in answer["rows"]}
        await expect(visit.of_test_id("usage-table").locator("tbody tr")).to_have_count(len(wanted))
        shown = await rows_on(visit)
        assert {name: f"{credits:.6f}" for name, credits in shown.items()} == wanted
        assert sum(shown.values()) < sum(everything.values())


async def test_older_usage_stays_under_its_category_until_one_asks_for_todays(stack: WholeStack, browser: Browser) -> None:  # fmt: skip
    name, now = "org_categories", datetime.now(UTC)
    catalog_events = [organization(name), contract(name), member(name, "Ada", "super_admin")]
    for category, days in (("Tickets", 300), ("Work", 5)):
        data = {"product": "assistant", "feature_kind": "tool", "feature": "jira_search", "category": category, "effective_from": f"{now - timedelta(days=days):%Y-%m-%d}"}  # fmt: skip
        catalog_events.append(event("flexcredits.feature.v1", data, subject=name))
    used = [
        usage(credits=credits, envelope={"subject": name, "time": rfc3339(now - timedelta(days=days))})
        for credits, days in (("7", 20), ("2", 1))
    ]
    for batch in (catalog_events, used):
        assert (await asyncio.to_thread(stack.post, batch)).json()["accepted"] == len(batch)
    async with visiting(browser, stack.origin) as visit:
        await visit.sign_in(Who(name), "/?product=assistant&view=tools&range=all")
        rows = visit.of_test_id("usage-table").locator("tbody tr")
        await expect(rows).to_have_count(2)
        assert {name: int(credits) for name, credits in (await rows_on(visit)).items()} == {"Tickets": 7, "Work": 2}
        await visit.page.get_by_label("Use current categories").check()
        await expect(rows).to_have_count(1)
        assert {name: int(credits) for name, credits in (await rows_on(visit)).items()} == {"Work": 9}


async def test_numbers_and_days_are_written_as_the_words_around_them(stack: WholeStack, browser: Browser) -> None:  # fmt: skip
    name = "org_german"
    german = organization(name, "Europe/Berlin")
    german["data"]["locale"] = "de-DE"
    catalog_events = [german, contract(name), member(name, "Ada", "super_admin")]
    used = [usage(credits="1234.5", envelope={"subject": name})]
    for batch in (catalog_events, used):
        assert (await asyncio.to_thread(stack.post, batch)).json()["accepted"] == len(batch)
    async with visiting(browser, stack.origin, locale="en-US") as visit:
        await visit.sign_in(Who(name), "/?product=assistant&view=tools")
        await expect(visit.of_test_id("breakdown-total")).to_have_attribute("data-hint", "1,234.5")
        await expect(visit.page.get_by_role("button", name="Credit period")).to_contain_text(
            re.compile(r"[A-Z][a-z]{2} \d+, \d{4}")
        )


async def test_with_forced_colours_the_selection_is_shown_by_a_line(stack: WholeStack, browser: Browser) -> None:  # fmt: skip
    async with visiting(browser, stack.origin, forced_colors="active") as visit:
        await visit.sign_in(ADA)
        await rows_on(visit)

        async def outline(locator: Locator) -> str:
            return str(await locator.evaluate("element => getComputedStyle(element).outlineStyle"))

        for chosen, other in (("Assistant", "Agents"), ("Models", "Tools")):
            found = [
                visit.page.get_by_role("tab", name=name).or_(visit.page.locator("label").filter(has_text=name)).first
                for name in (chosen, other)
            ]
            assert [await outline(each) for each in found] == ["solid", "none"]
        await visit.assert_accessible("forced colours")


MADE_UP = [
    "product=zzz", "product=%00&view=zzz", "sort=zzz", "sort=constructor", "view=namespaces", "from=2026-99&to=2026-99", "from=zzz&to=-1",
    "range=none", "interval=century", "group_by=%E0%A4%A", "surface=%F0%9F%98%80", "open=%22&open=..%2F", "chart=x&sum=x&scope=x&panel=x",
    "q=%3Cscript%3E", "__proto__=1&__proto__=2", "constructor=1&constructor=2",
]  # fmt: skip


async def test_an_address_with_invalid_parameters_shows_the_page(stack: WholeStack, browser: Browser) -> None:
    async with visiting(browser, stack.origin) as visit:
        await visit.sign_in(ADA)
        for search in MADE_UP:
            await visit.open(f"/?{search}")
            await expect(visit.of_test_id("credits-used")).to_be_visible()
            await expect(visit.of_test_id("breakdown-total").or_(visit.of_test_id("empty")).first).to_be_visible()
        visit.expected.append("status of 404")
        await visit.open("/?credit_period=zzz")
        await expect(
            visit.page.get_by_text("This organization has no credit period with this key or id.").first
        ).to_be_visible()
        await visit.page.get_by_role("link", name="Reset view").first.click()
        assert await rows_on(visit)


async def test_what_cannot_be_drawn_is_a_page_of_ours_with_a_way_back(stack: WholeStack, browser: Browser) -> None:
    async with visiting(browser, stack.origin) as visit:
        visit.expected = ["uncaught", "error:"]
        await visit.page.route("**/api/v1/overview", lambda route: route.fulfill(json={"products": "none"}))
        await visit.page.route("**/api/v1/live", lambda route: route.abort())
        await visit.sign_in(ADA)
        await expect(visit.page.get_by_role("heading", name="This page couldn’t be displayed")).to_be_visible()
        await visit.assert_accessible("a crash")
        await visit.page.unroute("**/api/v1/overview")
        await visit.page.get_by_role("link", name="Go to the dashboard").click()
        await expect(visit.of_test_id("credits-used")).to_be_visible()


async def test_a_server_that_hangs_is_called_that_after_ten_seconds(stack: WholeStack, browser: Browser) -> None:
    async with visiting(browser, stack.origin) as visit:
        visit.expected = ["net::ERR_", "signal timed out"]
        await visit.sign_in(ADA)
        line = visit.of_test_id("freshness")
        await expect(line).to_have_attribute("data-state", "current")
        answering = asyncio.Event()

        async def hang(route: Route) -> None:
            await answering.wait()
            with suppress(Error):  # the page may have given up before
                await route.abort()

        await visit.page.route("**/api/v1/freshness", hang)
        await expect(line.get_by_role("status")).to_have_text("Not responding", timeout=20_000)
        await expect(line).to_have_attribute("data-state", "silent")
        await visit.assert_accessible("a server that hangs")
        answering.set()
        await visit.page.unroute("**/api/v1/freshness")
        await expect(line).to_have_attribute("data-state", "current", timeout=20_000)


async def test_nothing_is_asked_before_it_is_known_who_asks(stack: WholeStack, browser: Browser) -> None:
    def asked(visit: Visit) -> list[str]:
        return [urlsplit(url).path for url in visit.requests if "/api/" in url]

    async with visiting(browser, stack.origin) as visit:
        visit.expected = ["status of 401"]
        await visit.open("/")
        await expect(visit.page.get_by_role("heading", name="Sign in to FlexCredits")).to_be_visible()
        assert asked(visit) == ["/api/v1/session"]
    async with visiting(browser, stack.origin) as visit:  # and no error in the console
        await visit.sign_in(Who(NORMAL, "member", "Dev"))
        await expect(visit.page.get_by_role("heading", name="You don’t have access to FlexCredits")).to_be_visible()
        await expect(visit.page.get_by_text("· Member")).to_be_visible()
        assert asked(visit) == ["/api/v1/session"]


async def test_an_unknown_organization_is_reported(stack: WholeStack, browser: Browser) -> None:
    async with visiting(browser, stack.origin) as visit:
        visit.expected = ["status of 401"]
        await visit.sign_in(Who("org_misspelt"))
        await expect(visit.page.get_by_text("The organization “org_misspelt” isn’t set up in FlexCredits yet.")).to_be_visible()  # fmt: skip
        await visit.assert_accessible("an unknown organization")


async def filled(stack: WholeStack, name: str, catalog_events: list[dict[str, Any]], used: dict[str, str]) -> None:
    """Create an organization with usage of products, and wait until it is counted."""
    events = []
    for product, credits in used.items():
        kind = {"assistant": "tool", "agents": "tool", "api": "namespace"}[product]
        events.append(usage(product=product, feature_kind=kind, credits=credits, envelope={"subject": name}))
    for batch in ([organization(name), member(name, "Ada", "super_admin"), *catalog_events], events):
        assert (await asyncio.to_thread(stack.post, batch)).json()["accepted"] == len(batch)
    wanted = sum(Decimal(credits) for credits in used.values())

    async def is_counted() -> bool:
        answer = await asyncio.to_thread(stack.get, "overview", organization=name)
        return Decimal(answer["credits_used"]) == wanted

    await eventually(is_counted, what=f"the usage of {name}")


async def test_a_product_above_its_share_is_said_in_its_row_while_the_pool_covers_it(
    stack: WholeStack, browser: Browser
) -> None:
    await filled(stack, "org_covered", [contract("org_covered", total="1000", products={"api": "100"})], {"api": "131.5"})  # fmt: skip
    async with visiting(browser, stack.origin) as visit:
        await visit.sign_in(Who("org_covered"))
        row = visit.of_test_id("product-api")
        await expect(row).to_contain_text("+31.5 over")
        await expect(row).to_contain_text("covered by the pool: nothing to pay")
        await expect(visit.page.get_by_text("Remaining", exact=True)).to_be_visible()
        await expect(visit.page.get_by_text("Overage", exact=True)).to_have_count(0)
        await expect(visit.page.get_by_role("region", name="Usage notice")).to_have_count(0)


async def test_overage_is_said_once_with_one_link_also_after_its_notice_is_dismissed(
    stack: WholeStack, browser: Browser
) -> None:
    terms = contract("org_beyond", total="1000", products={"api": "100"})
    terms["data"]["account_team"] = TEAM
    await filled(stack, "org_beyond", [terms], {"api": "1200"})
    async with visiting(browser, stack.origin) as visit:
        await visit.sign_in(Who("org_beyond"))
        notice = visit.page.get_by_role("region", name="Usage notice")
        await expect(notice.get_by_role("heading", name="You’ve used 120% of your credits")).to_be_visible(timeout=20_000)  # fmt: skip
        for _ in range(2):
            await expect(visit.page.get_by_text("Overage", exact=True)).to_have_count(1)
            await expect(visit.page.get_by_role("link", name="Grace Hopper")).to_have_count(1)
            if await notice.count():
                await notice.get_by_role("button", name="Dismiss").click()
                await expect(notice).to_have_count(0)


async def test_without_a_contract_there_is_no_overage(stack: WholeStack, browser: Browser) -> None:
    await filled(stack, "org_free", [], {"assistant": "70"})
    async with visiting(browser, stack.origin) as visit:
        await visit.sign_in(Who("org_free"))
        await expect(visit.of_test_id("credits-used")).to_have_text("70")
        await expect(visit.page.get_by_text(re.compile("overage", re.IGNORECASE))).to_have_count(0)
        await expect(visit.page.get_by_text("No active contract").first).to_be_visible()
