"""Tests of the dashboard in a real browser on the whole stack: it shows the counted usage."""

import asyncio
import csv
import io
import re
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from flexcredits_schemas.events import PRODUCTS
from playwright.async_api import Browser, Download, Locator, expect
from query_api.usage.domain.catalog import FEATURE_KINDS
from support.clients.browser import Visit, Who, decimal, needs_chromium, visiting
from support.data.dashboard_data import EMPTY, NORMAL, OVER
from support.data.factories import usage
from support.infra.full_stack import WholeStack
from support.infra.service_process import eventually

pytestmark = [needs_chromium, pytest.mark.slow, pytest.mark.timeout(300)]
VIEWS = [
    ("assistant", "models"), ("assistant", "tools"), ("assistant", "other_features"), ("agents", "agents"),
    ("agents", "features"), ("api", "namespaces"),
]  # fmt: skip
ADA, OLGA = Who(NORMAL), Who(OVER, name="Ada")


async def used_on(visit: Visit) -> Decimal:
    """The exact number on the card."""
    return decimal(await visit.of_test_id("credits-used").get_attribute("data-hint"))


async def rows_on(visit: Visit) -> dict[str, Decimal]:
    """Names and exact credits of the table's visible rows; groups are closed."""
    rows = visit.of_test_id("usage-table").locator("tbody tr")
    await rows.first.wait_for()
    pairs = await rows.evaluate_all(
        "rows => rows.map(row => [row.querySelector('th').querySelector('button, span').textContent, row.querySelector('td').dataset.hint])"
    )
    return {name: decimal(credits) for name, credits in pairs}


async def test_an_event_moves_the_number_on_the_open_page_within_two_seconds(stack: WholeStack, browser: Browser) -> None:  # fmt: skip
    async with visiting(browser, stack.origin) as visit:
        await visit.sign_in(ADA)
        before = await used_on(visit)
        card = visit.of_test_id("credits-used")
        for number in range(1, 4):
            answer = await asyncio.to_thread(stack.post, usage(credits="1.25", envelope={"subject": NORMAL}))
            accepted_at = time.monotonic()
            assert answer.status_code == 202
            wanted = before + number * Decimal("1.25")
            await expect(card).to_have_attribute("data-hint", re.compile(rf"^{wanted.normalize():,f}$"), timeout=5_000)
            assert time.monotonic() - accepted_at < 2
        shown = stack.get("overview", organization=NORMAL)["credits_used"]
        assert await used_on(visit) == Decimal(shown)


async def test_screen_readers_announce_the_level_and_not_each_event(stack: WholeStack, browser: Browser) -> None:  # fmt: skip
    async with visiting(browser, stack.origin) as visit:
        await visit.page.clock.install()
        await visit.sign_in(ADA)
        before = await used_on(visit)
        status = visit.page.get_by_role("region", name="Usage overview").get_by_role("status")
        await expect(status).to_have_text("")

        async def use(credits: int) -> None:
            used = usage(credits="20", envelope={"subject": NORMAL})
            assert (await asyncio.to_thread(stack.post, used)).status_code == 202
            wanted = f"{(before + credits).normalize():,f}"
            await expect(visit.of_test_id("credits-used")).to_have_attribute("data-hint", wanted)

        await use(20)
        await expect(status).to_have_text(
            re.compile(rf"^Credits used: {int(before + 20):,}(\.\d+)? of 4,000 \(\d+\.\d%\)\.$")
        )
        await use(40)
        await use(60)
        await expect(status).to_contain_text(f"{int(before + 20):,}")
        await visit.page.clock.fast_forward(30_000)
        await expect(status).to_contain_text(f"{int(before + 60):,}")


@pytest.mark.parametrize(("product", "view"), VIEWS)
async def test_each_tab_and_view_equals_the_api_and_the_downloaded_file(
    stack: WholeStack, browser: Browser, product: str, view: str
) -> None:
    async with visiting(browser, stack.origin, accept_downloads=True) as visit:
        await visit.sign_in(ADA, f"/?product={product}&view={view}&range=all")
        shown = await rows_on(visit)
        answer = stack.get("breakdown", organization=NORMAL, product=product, view=view, range="all")
        assert shown == {row["name"]: Decimal(row["credits"]) for row in answer["rows"]}
        total = decimal(await visit.of_test_id("breakdown-total").get_attribute("data-hint"))
        assert total == Decimal(answer["total"]) == sum(shown.values()) > 0
        async with visit.page.expect_download() as downloading:  # all usage, not only the visible rows
            await visit.page.get_by_role("link", name="Download all usage").click()
        lines = await lines_of(await downloading.value)
        assert {line["product"] for line in lines} == set(PRODUCTS)
        kinds = FEATURE_KINDS[product, view]
        of_view = [line for line in lines if line["product"] == product and line["kind"] in kinds]
        assert sum(Decimal(line["credits"]) for line in of_view) == total
        await visit.page.get_by_role("button", name="More formats").click()
        async with visit.page.expect_download() as downloading:
            await visit.page.get_by_role("menuitem", name="Shown usage only").click()
        assert (await downloading.value).suggested_filename.endswith(f"_usage_{product}_{view}.csv")
        assert await lines_of(await downloading.value) == of_view


async def lines_of(download: Download) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(Path(await download.path()).read_text())))


async def test_picking_a_period_changes_chart_table_and_address(stack: WholeStack, browser: Browser) -> None:
    async with visiting(browser, stack.origin) as visit:
        await visit.sign_in(ADA, "/?product=api")
        table = await rows_on(visit)
        caption = visit.of_test_id("usage-table").locator("caption")
        before = await caption.inner_text()
        await visit.page.get_by_role("button", name="Credit period").click()
        await visit.page.get_by_role("button", name="This month").click()
        await expect(caption).not_to_have_text(before)
        month = await rows_on(visit)
        assert sum(month.values()) < sum(table.values())
        chosen = re.search(r"from=(\d{4}-\d{2})&to=\1", visit.page.url)
        assert chosen, visit.page.url
        answer = stack.get("breakdown", organization=NORMAL, product="api", view="namespaces", **{"from": chosen[1], "to": chosen[1]})  # fmt: skip
        assert month == {row["name"]: Decimal(row["credits"]) for row in answer["rows"]}
        await visit.page.go_back()
        await expect(caption).to_have_text(before)


async def test_a_link_restores_the_view(stack: WholeStack, browser: Browser) -> None:
    link = "/?product=agents&view=features&range=all&surface=web&interval=month&chart=table&sort=name&q=e"
    async with visiting(browser, stack.origin) as visit:
        await visit.sign_in(ADA, link)
        first = await rows_on(visit)
        assert visit.page.url.endswith(link)
        await expect(visit.page.get_by_role("tab", name="Agents")).to_have_attribute("aria-selected", "true")
        await expect(visit.page.get_by_label("Search the table")).to_have_value("e")
        await expect(visit.page.get_by_role("columnheader", name="Feature")).to_have_attribute("aria-sort", "ascending")
        other = await visit.page.context.new_page()
        again = Visit(other, visit.origin)
        again.watch()
        await again.open(link)
        assert list(await rows_on(again)) == list(first)
        again.assert_clean()


async def test_agents_that_are_gone_never_saved_or_the_systems_own_are_all_there(stack: WholeStack, browser: Browser) -> None:  # fmt: skip
    async with visiting(browser, stack.origin) as visit:
        await visit.sign_in(ADA, "/?product=agents&range=all")
        assert {"Quarterly report", "Deep Research", "Deleted agents", "Unsaved workflows"} == set(await rows_on(visit))


async def test_overage_is_shown_while_it_lasts_with_a_contact(stack: WholeStack, browser: Browser) -> None:  # fmt: skip
    async with visiting(browser, stack.origin) as visit:
        await visit.sign_in(OLGA)
        overview = stack.get("overview", organization=OVER)
        for product in overview["products"]:
            row = visit.of_test_id(f"product-{product['product']}")
            await expect(row).to_contain_text("over")
        await expect(visit.page.get_by_role("link", name="Grace Hopper")).to_have_attribute("href", "mailto:grace@flexcredits.example")  # fmt: skip
        await visit.page.get_by_role("button", name="Why doesn't this match my contract?").click()
        panel = visit.page.get_by_role("dialog", name="Why doesn't this match my contract?")
        await expect(panel.get_by_text("Grace Hopper")).to_be_visible()


async def test_a_person_without_access_sees_a_contact(stack: WholeStack, browser: Browser) -> None:
    for who in (Who(NORMAL, "member", "Dev"), Who(NORMAL, "billing_moderator", "Chi")):
        async with visiting(browser, stack.origin) as visit:
            visit.expected.append(r"status of 401")
            await visit.sign_in(who)
            await expect(visit.page.get_by_role("heading", name="You don’t have access to FlexCredits")).to_be_visible()
            await expect(visit.page.get_by_text("Contact a Super Admin of your organization")).to_be_visible()
            assert await visit.of_test_id("credits-used").count() == 0
            await visit.assert_accessible("no access")


async def test_a_billing_moderator_sees_everything_where_that_is_enabled(stack: WholeStack, browser: Browser) -> None:
    async with visiting(browser, stack.origin) as visit:
        await visit.sign_in(Who(OVER, "billing_moderator", "Chi"))
        assert await used_on(visit) == Decimal(stack.get("overview", organization=OVER)["credits_used"])
        assert await rows_on(visit)
        await visit.page.get_by_role("button", name="account").click()
        await expect(visit.page.get_by_text("Billing Moderator")).to_be_visible()
        await visit.page.keyboard.press("Escape")
        await visit.page.get_by_role("button", name="Manage budget and alerts").click()
        await expect(visit.page.get_by_role("heading", name="Set usage alerts")).to_be_visible()


async def test_signing_in_leads_back_to_the_view_and_signing_out_ends_it(stack: WholeStack, browser: Browser) -> None:
    async with visiting(browser, stack.origin) as visit:
        visit.expected.append(r"status of 401")
        await visit.open("/?product=api&range=all")
        await expect(visit.page.get_by_role("heading", name="Sign in to FlexCredits")).to_be_visible()
        await visit.assert_accessible("signed out")
        await visit.page.get_by_role("link", name="Sign in").click()
        await visit.choose(ADA)
        assert visit.page.url == f"{visit.origin}/?product=api&range=all"
        await rows_on(visit)
        await visit.page.get_by_role("button", name="account").click()
        await expect(visit.page.get_by_text("Super Admin")).to_be_visible()
        await visit.page.get_by_role("menuitem", name="Sign out").click()
        await expect(visit.page.get_by_role("heading", name="Sign in to FlexCredits")).to_be_visible()
        await visit.open("/")
        await expect(visit.page.get_by_role("heading", name="Sign in to FlexCredits")).to_be_visible()


async def test_the_keyboard_alone_reaches_everything(stack: WholeStack, browser: Browser) -> None:
    async with visiting(browser, stack.origin) as visit:
        await visit.sign_in(ADA)
        await rows_on(visit)
        page, keys = visit.page, visit.page.keyboard

        async def tab_to(role: Any, name: str) -> None:
            wanted = page.get_by_role(role, name=name).first
            for _ in range(80):
                await keys.press("Tab")
                if await wanted.evaluate("element => element === document.activeElement"):
                    outline = await wanted.evaluate(
                        "e => getComputedStyle(e).outlineStyle + getComputedStyle(e).boxShadow"
                    )
                    assert outline != "nonenone", f"{name} does not show its focus"
                    return
            raise AssertionError(f"Tab never reached the {role} {name}")

        await keys.press("Tab")
        await expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
        await keys.press("Enter")
        await tab_to("button", "Manage budget and alerts")
        await keys.press("Enter")
        await expect(page.get_by_role("dialog", name="Manage budget and alerts")).to_be_visible()
        await keys.press("Escape")
        await expect(page.get_by_role("dialog")).to_have_count(0)
        await expect(page.get_by_role("button", name="Manage budget and alerts")).to_be_focused()
        await tab_to("button", "Credit period")
        await keys.press("Enter")
        await tab_to("button", "All time")
        await keys.press("Enter")
        await page.wait_for_url("**range=all*")
        await tab_to("tab", "Assistant")
        await keys.press("ArrowRight")
        await page.wait_for_url("**product=agents*")
        await rows_on(visit)
        await tab_to("textbox", "Search the table")
        await keys.type("deep")
        await expect(visit.of_test_id("usage-table").locator("tbody tr")).to_have_count(1)
        await tab_to("button", "Credits")
        await keys.press("Enter")
        await expect(page.get_by_role("columnheader", name="Credits")).to_have_attribute("aria-sort", re.compile("asc|desc"))  # fmt: skip


PANELS = {
    "page": "/", "agents by feature": "/?product=agents&view=features&group_by=surface", "chart as table": "/?product=api&chart=table",
    "reconcile": "/?panel=reconcile", "shortcuts": "/?panel=shortcuts",
}  # fmt: skip


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", [NORMAL, OVER, EMPTY])
async def test_no_page_has_a_barrier_that_axe_can_find(
    stack: WholeStack, browser: Browser, name: str, scheme: str
) -> None:
    async with visiting(browser, stack.origin, color_scheme=scheme, reduced_motion="reduce") as visit:
        await visit.sign_in(Who(name))
        for what, path in PANELS.items():
            await visit.open(path)
            await expect(visit.of_test_id("breakdown-total").or_(visit.of_test_id("empty")).first).to_be_visible()
            await eventually(lambda visit=visit: still(visit), what="nothing is loading")
            await visit.assert_accessible(f"{what} of {name} in {scheme}")


async def still(visit: Visit) -> bool:
    return await visit.page.locator(".mantine-Skeleton-root").count() == 0


@pytest.mark.parametrize("width", [390, 768, 1440])
async def test_nothing_has_to_be_scrolled_sideways(stack: WholeStack, browser: Browser, width: int) -> None:
    async with visiting(browser, stack.origin, viewport={"width": width, "height": 900}) as visit:
        await visit.sign_in(Who(OVER))
        for path in PANELS.values():
            await visit.open(path)
            await expect(visit.of_test_id("breakdown-total")).to_be_visible()
            assert await visit.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (width, path)


async def test_on_a_phone_each_column_can_be_brought_beside_the_names(stack: WholeStack, browser: Browser) -> None:
    async with visiting(browser, stack.origin, viewport={"width": 390, "height": 844}) as visit:
        await visit.sign_in(ADA, "/?product=agents&range=all")
        await rows_on(visit)
        table = visit.of_test_id("usage-table")

        def head(column: str) -> Locator:
            return table.get_by_role("columnheader", name=column).get_by_role("button")

        async def left_and_right(of: Locator) -> tuple[float, float]:
            box = await of.bounding_box()
            assert box
            return box["x"], box["x"] + box["width"]

        assert (await left_and_right(head("Change")))[1] > 390, "the columns fit, so the test shows nothing"
        _, end_of_names = await left_and_right(table.get_by_role("columnheader", name="Agent"))
        for column in ("Credits", "Share", "Uses", "Change"):
            await head(column).focus()
            left, right = await left_and_right(head(column))
            assert end_of_names <= left < right <= 390, column
        await expect(head("Agent")).to_be_in_viewport(ratio=1)
        await visit.page.get_by_role("region", name="Credits by agent").focus()
        for _ in range(20):
            await visit.page.keyboard.press("ArrowLeft")
        await expect(head("Credits")).to_be_in_viewport(ratio=1)
        await visit.assert_accessible("on a phone")


async def test_an_address_that_is_none_says_so(stack: WholeStack, browser: Browser) -> None:
    async with visiting(browser, stack.origin) as visit:
        visit.expected.append(r"status of 404")
        await visit.sign_in(ADA)
        await visit.open("/usage/of/old")
        await expect(visit.page.get_by_text(re.compile("not found|no such page|There is no page", re.IGNORECASE))).to_be_visible()  # fmt: skip
