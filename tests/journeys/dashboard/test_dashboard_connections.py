"""Tests of the page Connections: a Super Admin chooses a key, tries a mapping on a pasted event, and saves it."""

import json
import re
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, Locator, expect
from support.clients.browser import Visit, Who, needs_chromium, visiting
from support.infra.full_stack import WholeStack

from .test_dashboard_alerts import make

pytestmark = [needs_chromium, pytest.mark.slow, pytest.mark.timeout(300)]
PHONE, WIDE = {"width": 390, "height": 844}, {"width": 1440, "height": 1000}
CHOICE = "LiteLLM with its callback “openmeter”"


def create_key(stack: WholeStack, organization: str) -> str:
    """The id of a new key."""
    key = stack.command("keys", "create", "--organization", organization, "--product", "assistant")
    return key.split("_")[2]


def put(stack: WholeStack, organization: str, key_id: str, document: dict[str, Any]) -> None:
    """Save a mapping as another program of the organization does."""
    url = f"{stack.origin}/api/v1/api-keys/{key_id}/mapping"
    headers = {"Authorization": f"Bearer {stack.token_of(organization)}"}
    tag = httpx.get(url, headers=headers).headers["etag"]
    answer = httpx.put(url, headers={**headers, "If-Match": tag}, json=document)
    assert answer.status_code == 200, answer.text


async def open_page(visit: Visit, who: Who) -> None:
    """Open the page by the account's menu."""
    await visit.sign_in(who)
    await visit.page.get_by_role("button", name="account").click()
    await visit.page.get_by_role("menuitem", name="Connections").click()
    await expect(visit.page.get_by_role("heading", name="Connections", exact=True)).to_be_visible()


async def use_ready_made(visit: Visit) -> None:
    choice = visit.page.get_by_label("Ready-made mapping")
    title = await choice.locator("option", has_text=CHOICE).inner_text()
    await choice.select_option(label=title)
    await visit.page.get_by_role("button", name="Use this mapping").click()


def editor(visit: Visit) -> Locator:
    return visit.page.get_by_label("Mapping (JSON)")


async def assert_fits(visit: Visit, what: str) -> None:
    assert await visit.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), what
    await visit.assert_accessible(what)


async def test_a_mapping_is_chosen_tried_saved_changed_and_removed(stack: WholeStack, browser: Browser) -> None:
    ada, _ = await make(stack, "org_connections", "5")
    async with visiting(browser, stack.origin) as visit:
        visit.expected = ["status of 412"]
        await open_page(visit, ada)
        page = visit.page
        await expect(page.get_by_text("keys create --organization org_connections")).to_be_visible()
        await visit.assert_accessible("no key")

        other, key_id = create_key(stack, ada.organization), create_key(stack, ada.organization)
        await page.reload()
        await expect(visit.of_test_id("api-key")).to_have_count(2)
        await page.get_by_role("link", name=key_id).click()
        await expect(page).to_have_url(re.compile(f"key={key_id}"))
        await expect(page.get_by_role("heading", name=f"Mapping of {key_id}")).to_be_visible()

        # A ready-made mapping, tried on its example: what is counted, field by field.
        await use_ready_made(visit)
        await page.get_by_role("button", name="Insert an example").click()
        tried = visit.of_test_id("tried-event")
        await expect(page.get_by_text("The event is counted.")).to_be_visible()
        await expect(tried).to_contain_text("Counted as usage by the rule “model calls”")
        await expect(tried.locator("dl")).to_contain_text("Assistant")
        await expect(tried.locator("dl")).to_contain_text("input_tokens")
        await expect(visit.of_test_id("client-settings")).to_contain_text("OPENMETER_API_ENDPOINT")
        await visit.assert_accessible("a mapping that counts the event")

        # Mistakes have their lines: first a text that is not JSON, then a field that does not exist.
        text = await editor(visit).input_value()
        await editor(visit).fill(text.replace('"feature": {', '"feature" {'))
        await expect(page.get_by_text("Expected a colon here.")).to_be_visible()
        save = page.get_by_role("button", name="Save mapping")
        await expect(save).to_be_disabled()
        await editor(visit).fill(text.replace('"feature": {', '"colour": {'))
        await expect(page.get_by_text("Rule 1, usage", exact=False).first).to_be_visible()
        await expect(save).to_be_disabled()
        await visit.assert_accessible("a mapping with a mistake")
        await page.get_by_role("button", name=re.compile(r"^Line \d+$")).first.press("Enter")
        await expect(editor(visit)).to_be_focused()
        selected = "(field => field.value.slice(field.selectionStart, field.selectionEnd))(document.activeElement)"
        assert await page.evaluate(selected) == '{"at": "/data/model"}'

        # An event that lacks what a field needs: the rule and the field.
        await editor(visit).fill(text)
        event = json.loads(await page.get_by_label("Event", exact=True).input_value())
        del event["data"]["model"]
        await page.get_by_label("Event", exact=True).fill(json.dumps(event, indent=1))
        await expect(page.get_by_text("The event is not counted.")).to_be_visible()
        await expect(tried).to_contain_text("the rule “model calls” failed")
        await expect(tried).to_contain_text("/data/model")
        await visit.assert_accessible("an event that fails")

        await save.click()
        await expect(page.get_by_text("Saved. It applies within five seconds.")).to_be_visible()
        await expect(visit.of_test_id("api-key").filter(has_text=key_id)).to_contain_text("Mapping saved by ada@")
        await expect(visit.of_test_id("api-key").filter(has_text=other)).to_contain_text("No mapping")
        await page.reload()
        await expect(editor(visit)).to_have_value(text)

        # Another admin saves meanwhile.
        await editor(visit).fill(text.replace("model calls", "my calls"))
        put(stack, ada.organization, key_id, json.loads(text.replace("model calls", "their calls")))
        await expect(page.get_by_text("Unsaved changes", exact=True)).to_be_visible()
        await save.click()
        await expect(page.get_by_text("changed this mapping while you were editing")).to_be_visible()
        await visit.assert_accessible("a conflict")
        await page.get_by_role("button", name="Keep mine").click()
        await save.click()
        await expect(page.get_by_text("Saved. It applies within five seconds.")).to_be_visible()

        await page.get_by_role("button", name="Remove mapping").click()
        await visit.assert_accessible("a question before it is removed")
        await page.get_by_role("button", name="Keep").click()
        await page.get_by_role("button", name="Remove mapping").click()
        await page.get_by_role("button", name="Remove", exact=True).click()
        await expect(visit.of_test_id("api-key").filter(has_text=key_id)).to_contain_text("No mapping")
        await expect(editor(visit)).to_have_value("")
    entries = [entry["action"] for entry in stack.get("audit", organization=ada.organization)["entries"]]
    assert [entry for entry in entries if entry.startswith("mapping")] == ["mapping.remove", *["mapping.save"] * 3]


async def test_only_super_admins_see_the_page(stack: WholeStack, browser: Browser) -> None:
    _, ben = await make(stack, "org_connections_admin", "5")
    async with visiting(browser, stack.origin) as visit:
        await visit.sign_in(ben, "/connections")
        await expect(visit.page.get_by_text("Connections are for Super Admins")).to_be_visible()
        await visit.page.get_by_role("button", name="account").click()
        await expect(visit.page.get_by_role("menuitem", name="Audit log")).to_be_visible()
        await expect(visit.page.get_by_role("menuitem", name="Connections")).to_have_count(0)
    assert not [url for url in visit.requests if "api-keys" in url]


async def test_unsaved_text_stays_when_another_key_is_chosen(stack: WholeStack, browser: Browser) -> None:
    ada, _ = await make(stack, "org_connections_drafts", "5")
    first, second = create_key(stack, ada.organization), create_key(stack, ada.organization)
    async with visiting(browser, stack.origin) as visit:
        await visit.sign_in(ada, f"/connections?key={first}")
        await editor(visit).fill("{ draft")
        await visit.page.get_by_role("link", name=second).click()
        await expect(editor(visit)).to_have_value("")
        await use_ready_made(visit)
        await visit.page.get_by_role("button", name="Undo").click()
        await expect(editor(visit)).to_have_value("")
        await visit.page.get_by_role("link", name=first).click()
        await expect(editor(visit)).to_have_value("{ draft")
        await visit.page.get_by_role("button", name="Discard").click()
        await expect(editor(visit)).to_have_value("")


@pytest.mark.parametrize(("scheme", "viewport"), [("light", WIDE), ("dark", PHONE)])
async def test_the_page_fits_and_is_accessible_in_each_scheme(
    stack: WholeStack, browser: Browser, scheme: str, viewport: dict[str, int]
) -> None:
    ada, _ = await make(stack, f"org_connections_{scheme}", "5")
    create_key(stack, ada.organization)
    async with visiting(browser, stack.origin, viewport=viewport, color_scheme=scheme) as visit:
        await visit.sign_in(ada, "/connections")
        await use_ready_made(visit)
        await visit.page.get_by_role("button", name="Insert an example").click()
        await expect(visit.page.get_by_text("The event is counted.")).to_be_visible()
        await assert_fits(visit, f"{scheme}, {viewport['width']} px")
