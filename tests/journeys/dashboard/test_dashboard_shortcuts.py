"""Keyboard shortcuts: listed under `?`, inactive in text fields, and optional."""

import re

import pytest
from playwright.async_api import Browser, expect
from support.clients.browser import Visit, Who, needs_chromium, visiting
from support.data.dashboard_data import NORMAL
from support.infra.full_stack import WholeStack

from .test_dashboard import rows_on

pytestmark = [needs_chromium, pytest.mark.slow, pytest.mark.timeout(300)]


async def listed(visit: Visit) -> dict[str, str]:
    """Keys and descriptions in the open list."""
    lines = visit.page.get_by_role("dialog", name="Keyboard shortcuts").locator("dl").first.locator("div")
    await lines.first.wait_for()
    pairs = await lines.evaluate_all("all => all.map(each => [...each.children].map(part => part.textContent))")
    return {key: does for key, does in pairs}


async def test_each_key_in_the_list_does_what_the_list_says(stack: WholeStack, browser: Browser) -> None:
    async with visiting(browser, stack.origin) as visit:
        await visit.sign_in(Who(NORMAL))
        await rows_on(visit)
        page, keys = visit.page, visit.page.keyboard
        await keys.press("?")
        descriptions = await listed(visit)
        await keys.press("m")  # inactive while a dialog is open
        await expect(page.get_by_role("dialog")).to_have_count(1)
        await keys.press("Escape")
        await expect(page.get_by_role("dialog")).to_have_count(0)

        async def opens_panel(name: str) -> None:
            await expect(page.get_by_role("dialog", name=name)).to_be_visible()
            await keys.press("Escape")
            await expect(page.get_by_role("dialog")).to_have_count(0)

        async def opens_tab(name: str) -> None:
            await expect(page.get_by_role("tab", name=name)).to_have_attribute("aria-selected", "true")
            await expect(page.get_by_role("tabpanel", name=name)).to_be_visible()

        async def searches() -> None:
            await expect(page.get_by_role("textbox", name="Search the table")).to_be_focused()
            await keys.type("m?1/")
            await expect(page.get_by_role("textbox", name="Search the table")).to_have_value("m?1/")
            await expect(page.get_by_role("dialog")).to_have_count(0)
            await keys.press("ControlOrMeta+a")
            await keys.press("Delete")
            await page.get_by_role("heading", name="Usage breakdown").click()

        async def opens_periods() -> None:
            await expect(page.get_by_role("button", name="All time")).to_be_visible()
            await keys.press("Escape")

        async def turns_chart() -> None:
            await expect(page).to_have_url(re.compile("chart=table"))

        checks = {
            "Show this list": lambda: opens_panel("Keyboard shortcuts"),
            "Search the table": searches,
            "People": lambda: opens_tab("People"), "Runs": lambda: opens_tab("Runs"),
            "Agents": lambda: opens_tab("Agents"), "API": lambda: opens_tab("API"), "Assistant": lambda: opens_tab("Assistant"),
            "Choose a period": opens_periods,
            "Toggle chart and table": turns_chart,
            "Manage budget and alerts": lambda: opens_panel("Manage budget and alerts"),
            "Why doesn't this match my contract?": lambda: opens_panel("Why doesn't this match my contract?"),
        }  # fmt: skip
        assert set(checks) == set(descriptions.values())
        for does, check in checks.items():
            (key,) = [key for key, said in descriptions.items() if said == does]
            await keys.press(key)
            await check()


async def test_shortcuts_can_be_switched_off_permanently(stack: WholeStack, browser: Browser) -> None:
    async with visiting(browser, stack.origin) as visit:
        await visit.sign_in(Who(NORMAL))
        await visit.page.get_by_role("button", name="Keyboard shortcuts").click()
        await visit.page.get_by_role("switch", name="Single-key shortcuts").click()
        await expect(visit.page.get_by_role("dialog")).not_to_contain_text("Search the table")
        await visit.assert_accessible("with shortcuts off")
        await visit.open("/")
        await rows_on(visit)
        for key in "?m1":
            await visit.page.keyboard.press(key)
        await expect(visit.page.get_by_role("dialog")).to_have_count(0)
        await visit.page.get_by_role("button", name="Keyboard shortcuts").click()
        await visit.page.get_by_role("switch", name="Single-key shortcuts").click()
        assert "/" in await listed(visit)
