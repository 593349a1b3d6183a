"""Tests of people, groups, labels, runs and my usage in a real browser."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, expect
from support.clients.browser import Visit, Who, decimal, needs_chromium, visiting
from support.data.dashboard_data import NORMAL, member
from support.data.factories import contract, event, organization, rfc3339, usage
from support.infra.full_stack import WholeStack
from support.infra.service_process import eventually

pytestmark = [needs_chromium, pytest.mark.slow, pytest.mark.timeout(300)]
NAMED, ALIASES, GROUPS = "org_named", "org_aliases", "org_groups"
PHONE = {"width": 390, "height": 844}
AGENT = {"id": "agt_report", "name": "Quarterly report", "kind": "saved"}
LEADER_GROUPS = {"usr_ada": "grp_storage", "usr_dev": "grp_sales", "usr_gone": "grp_sales"}


def directory(name: str, people: str) -> list[dict[str, Any]]:
    """A department with a team, another department, and Ada, Dev and a removed person."""
    about = organization(name)
    about["data"] |= {"label_keys": ["project"], "people": people}
    domain = f"{name.replace('_', '-')}.example"
    groups: list[dict[str, Any]] = [
        {"id": "grp_engineering", "name": "Engineering"},
        {"id": "grp_storage", "name": "Storage", "parent": "grp_engineering"},
        {"id": "grp_sales", "name": "Sales"},
    ]
    actors: list[dict[str, Any]] = [
        {"id": "usr_ada", "display_name": "Ada Okafor", "email": f"ada@{domain}"},
        {"id": "usr_dev", "display_name": "Dev Patel", "email": f"dev@{domain}"},
        {"id": "usr_gone", "display_name": "Eva Keller", "removed": True},
    ]
    for actor in actors:
        actor |= {"groups": [LEADER_GROUPS[actor["id"]]], "effective_from": "2020-01-01"}
    return [
        about,
        contract(name),
        member(name, "Ada", "super_admin"),
        member(name, "Ben", "admin"),
        member(name, "Dev", "member"),
        *(event("flexcredits.group.v1", group, subject=name) for group in groups),
        *(event("flexcredits.actor.v1", actor, subject=name) for actor in actors),
    ]


def uses(name: str) -> list[dict[str, Any]]:
    """A workflow run of Ada with a child run, a conversation of Dev, and usage of others."""
    began = datetime.now(UTC) - timedelta(minutes=20)
    ada, parent = {"actor": {"id": "usr_ada"}, "labels": {"project": "atlas"}}, {"id": "wf_1"}
    of_agent: dict[str, Any] = {"product": "agents", "agent": AGENT} | ada
    each: list[dict[str, Any]] = [
        of_agent | {"feature_kind": "model", "feature": "gpt-6", "credits": "6", "run": parent},
        of_agent | {"feature_kind": "tool", "feature": "jira_search", "credits": "1.5", "run": parent},
        of_agent | {"feature_kind": "model", "feature": "gpt-6", "credits": "2.5", "run": parent},
        of_agent
        | {
            "feature_kind": "tool",
            "feature": "web_browser",
            "credits": "4",
            "run": {"id": "wf_2", "parent_id": "wf_1"},
        },
        {"actor": {"id": "usr_dev"}, "feature": "slack_post", "credits": "3", "run": {"id": "conv_1"}},
        {"actor": {"id": "usr_gone"}, "credits": "2"},
        {"actor": {"id": "svc_portal", "kind": "service_account"}, "group": "grp_engineering", "credits": "0.5"},
        {"credits": "1"},
        *({"actor": {"id": f"usr_{number}"}, "group": "grp_sales", "credits": "1"} for number in range(3)),
    ]
    return [
        usage(**data, envelope={"subject": name, "time": rfc3339(began + timedelta(seconds=number))})
        for number, data in enumerate(each)
    ]


TOTAL = Decimal("23.5")


@pytest.fixture(scope="module")
def people(stack: WholeStack) -> WholeStack:
    """The stack with three organizations that differ only in how they show people."""
    modes = {NAMED: "named", ALIASES: "pseudonymous", GROUPS: "groups_only"}
    for name, mode in modes.items():
        for batch in (directory(name, mode), uses(name)):
            answer = stack.post(batch)
            assert answer.json()["accepted"] == len(batch), answer.text

    url, tokens = f"{stack.addresses['query_url']}/api/v1/usage/people", [stack.token_of(name) for name in modes]

    def is_counted() -> bool:
        answers = [
            httpx.get(url, params={"by": "group", "range": "all"}, headers={"Authorization": f"Bearer {token}"})
            for token in tokens
        ]
        return all(answer.is_success and Decimal(answer.json()["total"]) == TOTAL for answer in answers)

    asyncio.run(eventually(is_counted, what="the usage of people"))
    return stack


async def read_rows(visit: Visit) -> dict[str, Decimal]:
    """Exact credits by the first line of each row's head, of open rows too."""
    table = visit.of_test_id("people-table")
    await table.wait_for()
    rows = await table.locator("tbody tr").evaluate_all(
        "rows => rows.map(row => [row.querySelector('th').innerText.split('\\n')[0], row.querySelector('td').dataset.hint])"
    )
    return {name: decimal(credits) for name, credits in rows}


async def assert_fits(visit: Visit, what: str) -> None:
    assert await visit.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), what
    await visit.assert_accessible(what)


async def test_rows_of_people_groups_and_labels_add_up_and_filter_the_page(
    people: WholeStack, browser: Browser
) -> None:
    async with visiting(browser, people.origin) as visit:
        await visit.sign_in(Who(NAMED), "/?range=all")
        await visit.page.get_by_role("tab", name="People").click()
        rows = await read_rows(visit)
        assert rows == {
            "Ada Okafor": Decimal(14), "Dev Patel": Decimal(3), "svc_portal": Decimal("0.5"),
            "usr_0": Decimal(1), "usr_1": Decimal(1), "usr_2": Decimal(1),
            "Removed people": Decimal(2), "Unattributed": Decimal(1),
        }  # fmt: skip
        await expect(visit.of_test_id("people-total")).to_have_text("23.50")
        await visit.assert_accessible("people")

        await visit.page.get_by_label("Search the table").fill("okáfor")
        await expect(visit.of_test_id("people-table").get_by_role("rowheader", name="Dev Patel")).to_have_count(0)
        assert set(await read_rows(visit)) == {"Ada Okafor", "Removed people", "Unattributed"}
        await expect(visit.of_test_id("people-total")).to_have_text("23.50")
        await visit.page.get_by_label("Search the table").fill("none at all")
        await expect(visit.of_test_id("people-table")).to_contain_text("Nothing found for “none at all”")
        await visit.assert_accessible("a search without result")
        await visit.page.get_by_role("button", name="Clear search").click()

        await visit.page.get_by_text("Groups", exact=True).click()
        table = visit.of_test_id("people-table")
        await table.get_by_role("button", name="Engineering", exact=True).click()
        await expect(table.get_by_role("rowheader", name="Storage")).to_be_visible()
        rows = await read_rows(visit)
        assert (rows["Engineering"], rows["Storage"], rows["Directly in Engineering"]) == (
            Decimal("14.5"), Decimal(14), Decimal("0.5"),
        )  # fmt: skip
        assert rows["Sales"] + rows["Engineering"] + rows["Unattributed"] == TOTAL
        await visit.page.reload()
        await expect(table.get_by_role("rowheader", name="Storage")).to_be_visible()

        await visit.page.get_by_text("Project", exact=True).click()
        await expect(table.get_by_role("rowheader", name="atlas")).to_be_visible()
        await table.get_by_role("button", name="Show the people of atlas").click()
        await expect(table.get_by_role("rowheader", name="Ada Okafor")).to_be_visible()
        assert sum((await read_rows(visit)).values()) == Decimal(14)
        await table.get_by_role("button", name="Show what Ada Okafor uses").click()
        await visit.page.get_by_role("tab", name="Agents").click()
        await expect(visit.of_test_id("breakdown-total")).to_have_text("14.00")
        chips = visit.page.get_by_role("list", name="Filters")
        await expect(chips).to_contain_text("Ada Okafor")
        await expect(chips).to_contain_text("project: atlas")
        await chips.get_by_role("button", name="Remove the filter by person").click()
        await chips.get_by_role("button", name="Remove the filter by label").click()
        await expect(chips).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_reconciliation_is_divided_by_groups_and_people(
    people: WholeStack, browser: Browser, scheme: Any
) -> None:
    async with visiting(browser, people.origin, color_scheme=scheme, viewport=PHONE) as visit:
        await visit.sign_in(Who(NAMED), "/?panel=reconcile")
        parts = visit.of_test_id("reconcile-parts")
        total = parts.get_by_role("row", name="Total").get_by_role("cell").first
        await expect(total).to_have_text("23.50")
        await expect(parts.get_by_role("row", name="Storage")).to_contain_text("14.00")
        await assert_fits(visit, f"reconciliation by group in {scheme}")
        await visit.page.get_by_role("region", name="Who used the credits").get_by_text("People", exact=True).click()
        await expect(parts.get_by_role("row", name="Ada Okafor")).to_contain_text("14.00")
        await expect(parts.get_by_role("row", name="Removed people")).to_contain_text("2.00")
        await expect(total).to_have_text("23.50")
        await assert_fits(visit, f"reconciliation by person in {scheme}")


async def test_the_chart_of_a_person_has_hours(people: WholeStack, browser: Browser) -> None:
    today = datetime.now(UTC).date()
    days = f"from={today - timedelta(days=1)}&to={today + timedelta(days=1)}"
    async with visiting(browser, people.origin) as visit:
        await visit.sign_in(Who(NAMED), f"/?product=agents&{days}&chart=table&actor=usr_ada")
        chart = visit.page.get_by_role("region", name="Credits over time")
        await chart.get_by_text("Hour", exact=True).click()
        await expect(visit.page).to_have_url(re.compile("interval=hour"))
        await expect(chart.get_by_role("heading")).to_contain_text("times in")
        totals = visit.of_test_id("trend-table").locator("tbody tr")
        await expect(totals.nth(12)).to_be_visible()
        cells = await totals.evaluate_all(
            "rows => rows.map(row => [...row.querySelectorAll('td')].at(-1).dataset.hint)"
        )
        assert sum(decimal(cell) for cell in cells) == Decimal(14)
        assert 1 <= sum(decimal(cell) > 0 for cell in cells) <= 2  # they began twenty minutes ago
        await visit.assert_accessible("hours of a person")
        visit.expected.append(r"status of 422")
        days = f"from={today - timedelta(days=40)}&to={today}"
        await visit.page.goto(f"{people.origin}/?product=agents&{days}&actor=usr_ada&interval=hour")
        await expect(chart.get_by_role("alert")).to_contain_text("allows up to 31 days")
        await chart.get_by_text("Day", exact=True).click()
        await expect(visit.page).to_have_url(re.compile("interval=day"))
        await expect(chart.get_by_role("slider", name="Credits by day")).to_be_visible()


async def test_an_agents_panel_shows_who_uses_it(people: WholeStack, browser: Browser) -> None:
    async with visiting(browser, people.origin) as visit:
        await visit.sign_in(Who(NAMED), "/?range=all&product=agents")
        row = visit.of_test_id("usage-table").get_by_role("row", name="Quarterly report")
        await row.hover()
        await row.get_by_role("button", name="Who uses this").click()
        await expect(visit.page.get_by_role("dialog", name="Who uses Quarterly report")).to_be_visible()
        await expect(visit.of_test_id("drivers").get_by_role("listitem").first).to_contain_text("Ada Okafor")
        await visit.assert_accessible("the people of an agent")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_a_run_is_a_waterfall_that_leads_to_receipts_and_child_runs(
    people: WholeStack, browser: Browser, scheme: Any
) -> None:
    async with visiting(browser, people.origin, color_scheme=scheme, viewport=PHONE) as visit:
        await visit.sign_in(Who(NAMED), "/?range=all&tab=runs")
        await expect(visit.of_test_id("runs-count")).to_have_text("3")
        await expect(visit.of_test_id("agent-runs").get_by_role("row", name="Quarterly report")).to_contain_text(
            "14.00"
        )
        await assert_fits(visit, f"runs in {scheme}")
        await visit.of_test_id("agent-runs").get_by_role("button", name="Quarterly report").click()
        await expect(visit.of_test_id("runs-count")).to_have_text("2")
        await expect(visit.page).to_have_url(re.compile("agent=agt_report"))
        await assert_fits(visit, f"runs of one agent in {scheme}")
        await visit.page.get_by_role("button", name="Remove the filter by agent").click()
        await expect(visit.of_test_id("runs-count")).to_have_text("3")
        await visit.of_test_id("runs-table").get_by_role("button", name="wf_1").click()
        steps = visit.of_test_id("waterfall").get_by_role("listitem")
        await expect(steps).to_have_count(4)
        assert [(await step.inner_text()).split("\n")[-1] for step in await steps.all()][:3] == ["6.00", "1.50", "2.50"]
        await steps.nth(1).get_by_role("button").click()
        await expect(visit.of_test_id("receipt")).to_contain_text("1.5")
        await assert_fits(visit, f"a run in {scheme}")
        await steps.nth(3).get_by_role("button", name="Started run wf_2").click()
        await expect(steps).to_have_count(1)
        await visit.page.get_by_role("button", name="Started by run wf_1").click()
        await expect(steps).to_have_count(4)


async def test_a_person_without_access_sees_their_own_usage(people: WholeStack, browser: Browser) -> None:
    async with visiting(browser, people.origin, viewport=PHONE, color_scheme="dark") as visit:
        await visit.sign_in(Who(NAMED, "member", "Dev"))
        await visit.page.get_by_role("link", name="See your own usage").click()
        await expect(visit.of_test_id("my-total")).to_have_text("3.00")
        await expect(visit.page.get_by_role("rowheader", name="slack_post")).to_be_visible()
        await assert_fits(visit, "my usage")
        asked = [url for url in visit.requests if "/api/" in url and not url.endswith(("/session", "/logout"))]
        assert all("/api/v1/me/usage" in url for url in asked), asked
        await expect(visit.page.get_by_role("link", name="Conversation")).to_have_count(0)
    async with visiting(browser, people.origin) as visit:
        await visit.sign_in(Who(NAMED), "/me")
        await visit.page.get_by_role("link", name="Quarterly report").first.click()
        await expect(visit.of_test_id("waterfall")).to_be_visible()


async def test_aliases_are_revealed_one_by_one_and_groups_only_has_no_people(
    people: WholeStack, browser: Browser
) -> None:
    async with visiting(browser, people.origin, viewport=PHONE) as visit:
        await visit.sign_in(Who(ALIASES), "/?range=all&tab=people")
        rows = await read_rows(visit)
        assert "Ada Okafor" not in rows
        alias = next(name for name, credits in rows.items() if credits == 14)
        await visit.page.get_by_role("button", name=f"Reveal {alias}").click()
        await visit.page.get_by_role("button", name="Reveal", exact=True).click()
        await expect(visit.page.get_by_text("Ada Okafor")).to_be_visible()
        await assert_fits(visit, "an alias")
    async with visiting(browser, people.origin) as visit:
        await visit.sign_in(Who(GROUPS), "/?range=all&tab=people")
        await expect(visit.page.get_by_text("Your organization shows usage by group only")).to_be_visible()
        assert sum((await read_rows(visit)).values()) == TOTAL
        await expect(visit.page.get_by_text("Ada Okafor")).to_have_count(0)
        await visit.page.get_by_role("button", name="More formats").click()
        await expect(visit.page.get_by_role("menuitem", name="FOCUS 1.2 (.csv)")).to_be_visible()
        await expect(visit.page.get_by_role("menuitem", name="Usage by person (.csv)")).to_have_count(0)
        visit.expected.append(r"status of 403")
        await visit.page.goto(f"{people.origin}/?range=all&tab=runs&group=grp_sales")
        await expect(visit.page.get_by_text("runs have no filter by person, group or label")).to_be_visible()
        await visit.page.get_by_role("button", name="Remove the filter by group").click()
        await expect(visit.of_test_id("runs-table").get_by_role("columnheader")).to_have_text(
            ["Run", "Credits", "Uses", "Began"]
        )


async def test_usage_that_names_no_people_is_explained(people: WholeStack, browser: Browser) -> None:
    async with visiting(browser, people.origin) as visit:
        await visit.sign_in(Who(NORMAL), "/?range=all&tab=people")
        await expect(visit.of_test_id("no-people")).to_contain_text("names no people")
        await visit.page.get_by_role("tab", name="Runs").click()
        await expect(visit.of_test_id("no-runs")).to_be_visible()
