"""Measures paints and interactions of the dashboard in a real Chromium, for a large organization with its whole history."""

from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from playwright.async_api import Browser, Page, expect
from query_load import ORGANIZATION
from support.clients.browser import Visit, Who, chromium, visiting
from support.infra.full_stack import WholeStack

LOADS = 10
LIMITS_MS = {"first paint": 1_000, "largest paint": 1_000, "interaction": 100}

# Paints and interactions as the browser itself times them: Paint Timing, Largest Contentful Paint, Event Timing.
WATCH = """
window.paints = {}; window.interactions = []
new PerformanceObserver(list => list.getEntries().forEach(each => {
  if (each.name === 'first-contentful-paint') paints.first = each.startTime
})).observe({ type: 'paint', buffered: true })
new PerformanceObserver(list => list.getEntries().forEach(each => { paints.largest = each.startTime }))
  .observe({ type: 'largest-contentful-paint', buffered: true })
new PerformanceObserver(list => list.getEntries().forEach(each => {
  if (each.interactionId) interactions.push(each)
})).observe({ type: 'event', buffered: true, durationThreshold: 16 })
"""
# The last frame that still showed older numbers, or none.
WATCH_NUMBERS = """
const old = '[data-testid=breakdown] :is([data-stale=true], .mantine-Skeleton-root)'
const watch = () => { if (document.querySelector(old)) window.oldAt = performance.now(); requestAnimationFrame(watch) }
requestAnimationFrame(watch)
"""
SLOWEST = "Math.max(0, ...interactions.map(each => each.duration))"
ANSWERED = "Math.max(0, (window.oldAt ?? 0) - Math.min(...interactions.map(each => each.startTime)))"

Interaction = Callable[[Page], Awaitable[Any]]
INTERACTIONS: dict[str, Interaction] = {
    "another tab": lambda page: page.get_by_role("tab", name="Agents").click(),
    "another view": lambda page: page.get_by_text("Feature", exact=True).first.click(),
    "sort": lambda page: page.get_by_role("columnheader", name="Credits").get_by_role("button").click(),
    "search": lambda page: page.get_by_label("Search the table").press_sequentially("re", delay=120),
    "open the periods": lambda page: page.get_by_role("button", name="Credit period").click(),
    "all time": lambda page: page.get_by_role("button", name="All time").click(),
    "open budget and alerts": lambda page: page.get_by_role("button", name="Manage budget and alerts").first.click(),
}


@dataclass(frozen=True)
class DashboardResult:
    """Result of a run in milliseconds: paints of page loads with an empty cache, and each interaction until the next paint."""

    first_paint_ms: list[float]
    largest_paint_ms: list[float]
    interaction_ms: dict[str, float]
    """The slowest event of each interaction; 0: below the browser's minimum of 16."""
    answer_ms: dict[str, float]
    """For each interaction that requests data: time until the new numbers are shown. No limit."""
    kilobytes: float
    """Transferred for a first load, including the API."""

    @property
    def slowest_interaction_ms(self) -> float:
        return max(self.interaction_ms.values())


async def measure_dashboard(stack: WholeStack) -> DashboardResult:
    paints: dict[str, list[float]] = defaultdict(list)
    async with chromium() as browser, visiting(browser, stack.addresses["query_url"]) as visit:
        await visit.sign_in(Who(ORGANIZATION))
        await shown(visit)
        state = await visit.page.context.storage_state()
        sent = 0.0
        for _ in range(LOADS):
            sent = await load_afresh(browser, visit.origin, state, paints)
        interactions = await interact(browser, visit.origin, state, SLOWEST)
        answers = await interact(browser, visit.origin, state, ANSWERED, also=WATCH_NUMBERS)
    asked = {name: milliseconds for name, milliseconds in answers.items() if milliseconds > 0}
    return DashboardResult(paints["first"], paints["largest"], interactions, asked, sent / 1000)


async def shown(visit: Visit) -> None:
    await expect(visit.page.get_by_test_id("credits-used")).to_be_visible()
    await expect(visit.page.get_by_test_id("usage-table")).to_be_visible()


async def load_afresh(browser: Browser, origin: str, state: Any, paints: dict[str, list[float]]) -> float:
    """Load the page signed in, with an empty cache. Returns the transferred bytes."""
    async with visiting(browser, origin, storage_state=state) as visit:
        await visit.page.add_init_script(WATCH)
        await visit.open("/")
        await shown(visit)
        await visit.page.wait_for_timeout(500)  # a larger paint may follow
        for name, milliseconds in (await visit.page.evaluate("paints")).items():
            paints[name].append(milliseconds)
        sent = "performance.getEntriesByType('resource').reduce((sum, each) => sum + each.transferSize, 0)"
        return float(await visit.page.evaluate(sent))


async def interact(browser: Browser, origin: str, state: Any, measure: str, also: str = "") -> dict[str, float]:
    """Value of `measure` after each interaction."""
    measured = {}
    async with visiting(browser, origin, storage_state=state) as visit:
        await visit.page.add_init_script(WATCH + also)
        await visit.open("/")
        await shown(visit)
        for name, interact_with in INTERACTIONS.items():
            await visit.page.evaluate("interactions.length = 0; window.oldAt = undefined")
            await interact_with(visit.page)
            await visit.page.wait_for_timeout(700)
            measured[name] = float(await visit.page.evaluate(measure))
    return measured
