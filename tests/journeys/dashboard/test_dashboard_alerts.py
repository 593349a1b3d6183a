"""Tests of budget and alerts in a real browser: settings, their effects, and conflicts between admins."""

import asyncio
import email
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

import pytest
from playwright.async_api import Browser, Locator, expect
from support.clients.browser import Visit, Who, needs_chromium, visiting
from support.data.dashboard_data import PEOPLE, member
from support.data.factories import contract, organization, usage
from support.infra.full_stack import WholeStack
from support.infra.service_process import eventually

pytestmark = [needs_chromium, pytest.mark.slow, pytest.mark.timeout(300)]


async def make(stack: WholeStack, name: str, used: str) -> tuple[Who, Who]:
    """Create an organization that used some of 1,000 credits. Returns Ada, its Super Admin, and Ben, its Admin."""
    people = [member(name, who, role) for who, role in PEOPLE]
    catalog_events = [organization(name), contract(name, total="1000"), *people]
    assert stack.post([*catalog_events, usage(credits=used, envelope={"subject": name})]).status_code == 202

    async def is_counted() -> bool:
        answer = await asyncio.to_thread(stack.get, "overview", organization=name)
        return Decimal(answer["credits_used"]) == Decimal(used)

    await eventually(is_counted, what=f"the usage of {name}")
    return Who(name), Who(name, "admin", "Ben")


def messages_to(stack: WholeStack, address: str) -> list[EmailMessage]:
    """Subjects in the mailbox, in order of arrival."""
    mails = [
        email.message_from_bytes(path.read_bytes(), policy=default)
        for path in sorted(Path(stack.addresses["mailbox"]).glob("*.eml"))
    ]
    return [mail for mail in mails if isinstance(mail, EmailMessage) and mail["To"] == address]


def subjects_to(stack: WholeStack, address: str) -> list[str]:
    return [str(mail["Subject"]) for mail in messages_to(stack, address)]


async def open_settings(visit: Visit, who: Who) -> Locator:
    """Open the drawer from the page."""
    await visit.sign_in(who)
    return await open_drawer(visit)


async def open_drawer(visit: Visit) -> Locator:
    await visit.page.get_by_role("button", name="Manage budget and alerts").first.click()
    drawer = visit.page.get_by_role("dialog", name="Manage budget and alerts")
    await expect(drawer.get_by_role("heading", name="Set usage alerts")).to_be_visible()
    return drawer


async def add_threshold(part: Locator, percent: str) -> None:
    await part.get_by_label("custom percentage").fill(percent)
    await part.get_by_role("button", name="Add", exact=True).click()


def usage_part(drawer: Locator) -> Locator:
    return drawer.get_by_role("region", name="Set usage alerts")


def budget_part(drawer: Locator) -> Locator:
    return drawer.get_by_role("region", name="Set a monthly budget alert")


async def save(drawer: Locator) -> None:
    await drawer.get_by_role("button", name="Save").click()
    await expect(drawer.get_by_text("Saved.")).to_be_visible()


async def test_a_threshold_under_the_level_raises_banner_and_mail_and_each_dismisses_for_themselves(
    stack: WholeStack, browser: Browser
) -> None:
    ada, ben = await make(stack, "org_under", "353.5")
    async with visiting(browser, stack.origin) as visit, visiting(browser, stack.origin) as other:
        drawer = await open_settings(visit, ada)
        await other.sign_in(ben)
        await add_threshold(usage_part(drawer), "35")
        await expect(usage_part(drawer).get_by_text(re.compile("35% on"))).to_be_visible()  # the preview
        await expect(usage_part(drawer).get_by_text(ben.email).first).to_be_visible()
        await save(drawer)
        await visit.page.keyboard.press("Escape")
        for page in (visit.page, other.page):
            banner = page.get_by_role("region", name="Usage notice")
            await expect(banner.get_by_role("heading", name="You’ve used 35% of your credits")).to_be_visible()  # fmt: skip
            await expect(
                page.get_by_role("status").filter(has_text="Usage has reached 35% of your credits.")
            ).to_have_count(1)
            await expect(banner.get_by_text("353.5 of 1,000 credits used (35.4%)")).to_be_visible()
        for who in (ada, ben):
            await eventually(
                lambda who=who: subjects_to(stack, who.email)[:1] != [], within_s=30, what=f"a mail to {who}"
            )
            assert subjects_to(stack, who.email)[0].startswith("You've used 35.4% of your credits")
        await visit.page.get_by_role("button", name="Dismiss").click()
        await expect(visit.page.get_by_role("region", name="Usage notice")).to_have_count(0)
        await visit.page.reload()
        await expect(visit.of_test_id("credits-used")).to_be_visible()
        await expect(visit.page.get_by_role("region", name="Usage notice")).to_have_count(0)
        await expect(other.page.get_by_role("region", name="Usage notice")).to_be_visible()


async def test_a_projected_threshold_is_offered_and_raises_banner_and_mail_with_its_date(
    stack: WholeStack, browser: Browser
) -> None:
    """Of 1,000 credits, 20 are used on each of 20 days: the rest is for 29 more days, and the credit period has a year."""
    ada, _ = await make(stack, "org_projected", "20")
    newest = datetime.now(UTC) - timedelta(days=1)
    events = [
        usage(credits="20", envelope={"subject": ada.organization, "time": (newest - timedelta(days=days)).isoformat()})
        for days in range(20)
    ]
    assert stack.post(events).status_code == 202
    async with visiting(browser, stack.origin) as visit:
        drawer = await open_settings(visit, ada)
        offered = usage_part(drawer).get_by_role("button", name="Alert when usage is projected to pass 100%")
        await offered.click()
        await expect(usage_part(drawer).get_by_role("group", name="Projected thresholds")).to_be_visible()
        await visit.assert_accessible("projected thresholds")
        await save(drawer)
        assert stack.get("alerts/settings", organization=ada.organization)["usage"]["projected_thresholds"] == [100]
        await visit.page.keyboard.press("Escape")
        banner = visit.page.get_by_role("region", name="Usage notice")
        heading = banner.get_by_role("heading", name=re.compile("^Your credits are projected to run out around "))
        await expect(heading).to_be_visible(timeout=30_000)
        await eventually(lambda: subjects_to(stack, ada.email) != [], within_s=30, what="a mail")
        assert subjects_to(stack, ada.email)[0].startswith("Your credits are projected to run out around ")
        await visit.page.reload()
        drawer = await open_drawer(visit)
        await expect(usage_part(drawer).get_by_text(re.compile("^100%: projected"))).to_be_visible()
        await drawer.get_by_role("tab", name="History").click()
        await expect(drawer.get_by_text("Projected: 100% of available credits")).to_be_visible()


async def test_two_admins_who_save_at_once_see_the_conflict_and_lose_nothing(
    stack: WholeStack, browser: Browser
) -> None:
    ada, ben = await make(stack, "org_conflict", "1")
    async with visiting(browser, stack.origin) as mine, visiting(browser, stack.origin) as theirs:
        mine.expected.append(r"status of 412")
        drawer, bens = await open_settings(mine, ada), await open_settings(theirs, ben)
        await add_threshold(usage_part(bens), "60")
        await save(bens)
        await add_threshold(usage_part(drawer), "80")
        await budget_part(drawer).get_by_role("switch", name="Monthly budget and alerts").check(force=True)
        await budget_part(drawer).get_by_label("Monthly credit budget").fill("5000")
        await drawer.get_by_role("button", name="Save").click()
        conflict = drawer.get_by_role("alert").filter(has_text="saved changes while you were editing")
        await expect(conflict).to_contain_text(ben.email)
        differing = conflict.get_by_role("row").filter(has_text="Usage thresholds")
        await expect(differing.get_by_role("cell").nth(0)).to_have_text("75%, 80%, 90%, 100%")
        await expect(differing.get_by_role("cell").nth(1)).to_have_text("60%, 75%, 90%, 100%")
        await expect(drawer.get_by_role("button", name="Save")).to_be_disabled()
        await mine.assert_accessible("a conflict")
        saved = stack.get("alerts/settings", organization=ada.organization)
        assert (saved["updated_by"], saved["usage"]["thresholds"]) == (ben.email, [60, 75, 90, 100])

        await conflict.get_by_role("button", name="Keep mine").click()
        await save(drawer)
        saved = stack.get("alerts/settings", organization=ada.organization)
        assert (saved["updated_by"], saved["version"]) == (ada.email, 2)
        assert saved["usage"]["thresholds"] == [75, 80, 90, 100]
        assert saved["monthly_budget"]["credits"] == "5000.000000"

        theirs.expected.append(r"status of 412")
        await add_threshold(usage_part(bens), "61")
        await bens.get_by_role("button", name="Save").click()
        await bens.get_by_role("button", name="Take theirs").click()
        await expect(usage_part(bens).get_by_role("checkbox", name="80%")).to_be_checked()
        await expect(usage_part(bens).get_by_role("checkbox", name="61%")).to_have_count(0)
        assert stack.get("alerts/settings", organization=ada.organization)["version"] == 2


async def test_a_monthly_budget_is_set_as_recommended_once_or_recurring_and_mails(
    stack: WholeStack, browser: Browser
) -> None:
    ada, _ = await make(stack, "org_budget", "400")
    async with visiting(browser, stack.origin) as visit:
        drawer = await open_settings(visit, ada)
        part = budget_part(drawer)
        await part.get_by_role("switch", name="Monthly budget and alerts").check(force=True)
        settings = stack.get("alerts/settings", organization=ada.organization)
        advice = settings["recommended_monthly_budget"]
        whole = advice["credits"].partition(".")[0]
        await part.get_by_role("button", name=f"Use recommended {whole}").click()
        await expect(part.get_by_text(f"600 ÷ {advice['remaining_months']}")).to_be_visible()
        await expect(part.get_by_text("Alerts you would have received")).to_be_visible()
        await save(drawer)
        saved = stack.get("alerts/settings", organization=ada.organization)["monthly_budget"]
        assert (saved["type"], saved["credits"]) == ("recurring", f"{whole}.000000")

        await part.get_by_role("radio", name="One-time").check()
        await part.get_by_label("Monthly credit budget").fill("410.25")
        await expect(part.get_by_text(f"the recurring budget of {whole} credits applies again")).to_be_visible()
        await save(drawer)
        saved = stack.get("alerts/settings", organization=ada.organization)["monthly_budget"]
        assert (saved["type"], saved["credits"], saved["resumes"]) == ("one_time", "410.250000", f"{whole}.000000")
        await eventually(
            lambda: any("budget" in subject for subject in subjects_to(stack, ada.email)), what="a mail of the budget"
        )

        await part.get_by_role("switch", name="Monthly budget and alerts").uncheck(force=True)
        await save(drawer)
        assert stack.get("alerts/settings", organization=ada.organization)["monthly_budget"]["enabled"] is False


async def test_what_cannot_be_is_refused_where_it_stands_and_nothing_is_saved(
    stack: WholeStack, browser: Browser
) -> None:
    ada, _ = await make(stack, "org_mistakes", "1")
    async with visiting(browser, stack.origin) as visit:
        drawer = await open_settings(visit, ada)
        part = usage_part(drawer)
        for percent, words in (
            ("0", "Enter a whole number"),
            ("201", "Enter a whole number"),
            ("75", "already selected"),
        ):
            await add_threshold(part, percent)
            await expect(part.get_by_text(words)).to_be_visible()
        await part.get_by_role("switch", name="Add additional recipients").check(force=True)
        await drawer.get_by_role("button", name="Save").click()
        await expect(part.get_by_text("Enter at least one email address")).to_be_visible()
        addresses = part.get_by_role("combobox", name="Email addresses").or_(part.get_by_role("textbox", name="Email addresses"))  # fmt: skip
        await addresses.fill("unknown")
        await addresses.press("Enter")
        await expect(part.get_by_text("unknown isn’t a valid email address.")).to_be_visible()
        await addresses.fill("finance@acme.example")
        await addresses.press("Enter")
        await addresses.fill("FINANCE@acme.example")
        await addresses.press("Enter")
        await expect(part.get_by_text("is already in the list")).to_be_visible()
        await addresses.fill("")
        await addresses.press("Enter")  # adds, and never saves
        assert stack.get("alerts/settings", organization=ada.organization)["version"] == 0
        await addresses.press_sequentially('"Hopper, Grace" <grace@acme.example>', delay=1)
        await addresses.press("Enter")
        await expect(part.get_by_text("grace@acme.example", exact=True)).to_be_visible()
        assert stack.get("alerts/settings", organization=ada.organization)["version"] == 0
        await save(drawer)
        saved = stack.get("alerts/settings", organization=ada.organization)["usage"]["additional_recipients"]
        assert saved == {"enabled": True, "addresses": ["finance@acme.example", "grace@acme.example"]}


async def test_what_was_typed_stays_when_the_drawer_is_closed_and_goes_when_it_is_discarded(
    stack: WholeStack, browser: Browser
) -> None:
    ada, _ = await make(stack, "org_typed", "1")
    async with visiting(browser, stack.origin) as visit:
        drawer = await open_settings(visit, ada)
        await add_threshold(usage_part(drawer), "42")
        await visit.page.keyboard.press("Escape")
        await expect(drawer).to_be_hidden()
        await visit.page.get_by_role("button", name="Manage budget and alerts").first.click()
        await expect(usage_part(drawer).get_by_role("checkbox", name="42%")).to_be_checked()
        await expect(drawer.get_by_text("1 unsaved change")).to_be_visible()
        await drawer.get_by_role("button", name="Discard").click()
        await expect(usage_part(drawer).get_by_role("checkbox", name="42%")).to_have_count(0)


async def test_a_test_mail_goes_to_the_person_who_asks_and_shows_its_result(stack: WholeStack, browser: Browser) -> None:  # fmt: skip
    ada, ben = await make(stack, "org_test_mail", "1")
    async with visiting(browser, stack.origin) as visit:
        visit.expected.append(r"status of 429")
        drawer = await open_settings(visit, ada)
        part = usage_part(drawer)
        await part.get_by_role("button", name="Send test email").click()
        await expect(part.get_by_text(re.compile(rf"^Sent to {ada.email}"))).to_be_visible()
        assert len(subjects_to(stack, ada.email)) == 1
        assert subjects_to(stack, ben.email) == []
        await part.get_by_role("button", name="Send test email").click()
        await expect(part.get_by_text(re.compile("minute"))).to_be_visible()


async def test_the_history_shows_every_attempt_and_resends_failed_mails(stack: WholeStack, browser: Browser) -> None:  # fmt: skip
    ada, ben = await make(stack, "org_history", "600")
    refused = "unknown@refused.example"
    async with visiting(browser, stack.origin) as visit:
        drawer = await open_settings(visit, ada)
        await usage_part(drawer).get_by_role("switch", name="Add additional recipients").check(force=True)
        await usage_part(drawer).get_by_label("Email addresses").fill(refused)
        await save(drawer)
        assert stack.post(usage(credits="320", envelope={"subject": ada.organization})).status_code == 202
        await drawer.get_by_role("tab", name="History").click()
        await expect(drawer.locator("summary")).to_have_count(2, timeout=15_000)
        await expect(drawer.locator("summary").filter(has_text="75%")).to_contain_text("Sent with the 90% alert")  # fmt: skip
        alert = drawer.locator("details").filter(has_text="90% of")
        await expect(alert).to_contain_text("2 sent, 1 failed", timeout=15_000)
        await alert.locator("summary").click()
        await expect(alert.get_by_text(re.compile("Attempt 1 delivered"))).to_have_count(2)
        await expect(alert.get_by_text(re.compile("Attempt 1 rejected: .*550"))).to_be_visible()
        await visit.assert_accessible("the history")
        await alert.get_by_role("button", name=f"Resend to {refused}").click()
        await expect(alert.get_by_text("Resending…")).to_be_visible()
        await expect(alert.get_by_text(re.compile("Attempt 2 rejected: .*550"))).to_be_visible(timeout=15_000)
    for who in (ada, ben):
        assert [subject.partition(" of")[0] for subject in subjects_to(stack, who.email)] == ["You've used 92%"]


async def test_who_was_added_leaves_by_the_link_of_a_mail_and_gets_no_other(stack: WholeStack, browser: Browser) -> None:  # fmt: skip
    ada, _ = await make(stack, "org_leave", "1")
    finance = "finance@leave.example"
    async with visiting(browser, stack.origin) as visit, visiting(browser, stack.origin) as reader:
        drawer = await open_settings(visit, ada)
        await usage_part(drawer).get_by_role("switch", name="Add additional recipients").check(force=True)
        await usage_part(drawer).get_by_label("Email addresses").fill(finance)
        await save(drawer)
        assert stack.post(usage(credits="780", envelope={"subject": ada.organization})).status_code == 202
        await eventually(lambda: subjects_to(stack, finance) != [], what="a mail to who was added")
        text = messages_to(stack, finance)[0].get_body(("plain",))
        link = re.search(r"http\S+/unsubscribe\S+", text.get_content() if text else "")
        assert link

        await reader.page.goto(link[0])
        await expect(reader.page.get_by_role("heading", name="Unsubscribe from usage alerts?")).to_be_visible()
        await reader.assert_accessible("the page of the link")
        recipients = stack.get("alerts/settings", organization=ada.organization)["usage"]["additional_recipients"]
        assert recipients == {"enabled": True, "addresses": [finance]}, "opening the link changes nothing"
        await reader.page.get_by_role("button", name="Unsubscribe").click()
        await expect(reader.page.get_by_role("heading", name="You're unsubscribed")).to_be_visible()

        await visit.page.reload()
        await expect(drawer.get_by_role("heading", name="Set usage alerts")).to_be_visible()
        await expect(usage_part(drawer).get_by_role("switch", name="Add additional recipients")).not_to_be_checked()
        await expect(usage_part(drawer).get_by_text(finance)).to_have_count(0)
        assert stack.post(usage(credits="150", envelope={"subject": ada.organization})).status_code == 202
        await eventually(lambda: len(subjects_to(stack, ada.email)) == 2, what="the next mail")
    latest = stack.get("alerts", organization=ada.organization)["alerts"][0]
    assert latest["threshold"] == 90
    assert finance not in {delivery["recipient"] for delivery in latest["deliveries"]}
    assert len(subjects_to(stack, finance)) == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_settings_have_no_barrier_that_axe_can_find(stack: WholeStack, browser: Browser, scheme: str) -> None:  # fmt: skip
    ada, _ = await make(stack, f"org_axe_{scheme}", "760")
    async with visiting(browser, stack.origin, color_scheme=scheme, reduced_motion="reduce") as visit:
        drawer = await open_settings(visit, ada)
        await expect(drawer.get_by_text("Alerts you would have received").first).to_be_visible()
        await visit.assert_accessible(f"settings in {scheme}")
        await budget_part(drawer).get_by_role("switch", name="Monthly budget and alerts").check(force=True)
        await usage_part(drawer).get_by_role("switch", name="Add additional recipients").check(force=True)
        await drawer.get_by_role("button", name="Save").click()
        await expect(drawer.get_by_text("Enter a monthly amount")).to_be_visible()
        await visit.assert_accessible(f"settings with mistakes in {scheme}")


async def test_the_keyboard_alone_sets_a_threshold(stack: WholeStack, browser: Browser) -> None:
    ada, _ = await make(stack, "org_keys", "1")
    async with visiting(browser, stack.origin) as visit:
        drawer = await open_settings(visit, ada)
        keys = visit.page.keyboard
        for _ in range(12):
            await keys.press("Tab")
            if await visit.page.evaluate("document.activeElement.type") == "checkbox":
                break
        await keys.press("Space")  # 50 %
        for _ in range(4):
            await keys.press("Tab")
        await keys.type("66")
        await keys.press("Enter")
        await expect(usage_part(drawer).get_by_role("checkbox", name="66%")).to_be_checked()
        await drawer.get_by_role("button", name="Save").focus()
        await keys.press("Enter")
        await expect(drawer.get_by_text("Saved.")).to_be_visible()
        saved = stack.get("alerts/settings", organization=ada.organization)["usage"]["thresholds"]
        assert saved == [50, 66, 75, 90, 100]
