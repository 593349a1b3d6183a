"""Users of the dashboard: a real Chromium, the page's requests and its console errors."""

import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, ConsoleMessage, Locator, Page, Request, async_playwright, expect

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium")
# Root in a container has no sandbox. The other options stop the browser's own requests to its vendor.
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
# WCAG 2.2 at the levels A and AA, and axe's best practices.
AXE = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
WITHIN_MS = 15_000
expect.set_options(timeout=WITHIN_MS)
WATCH_POLICY = "document.addEventListener('securitypolicyviolation', e => console.error('CSP: ' + e.violatedDirective + ' ' + e.blockedURI + ' ' + e.sample))"


@dataclass(frozen=True)
class Who:
    organization: str
    role: str = "super_admin"
    name: str = "Ada"

    @property
    def email(self) -> str:
        return f"{self.name.lower()}@{self.organization.replace('_', '-')}.example"


@dataclass
class Visit:
    """One user's window. `expected` are regular expressions for the console errors that a test provokes."""

    page: Page
    origin: str
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)

    def watch(self) -> None:
        self.page.on("request", self._note_request)
        self.page.on("console", self._note_console)
        self.page.on("pageerror", lambda error: self.complaints.append(f"uncaught: {error}"))

    def _note_request(self, request: Request) -> None:
        # Signing in leads through the issuer's page, which is another site.
        if request.frame.parent_frame is None and (request.is_navigation_request() or not self._is_elsewhere()):
            self.requests.append(request.url)

    def _note_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not self._is_elsewhere():
            self.complaints.append(f"{message.type}: {message.text} ({message.location.get('url')})")

    def _is_elsewhere(self) -> bool:
        return not self.page.url.startswith((self.origin, "about:"))

    async def open(self, path: str = "/") -> None:
        await self.page.goto(self.origin + path)

    async def sign_in(self, who: Who, to: str = "/") -> None:
        """Sign in at the development issuer's page."""
        await self.open(f"/login?to={quote(to, safe='')}")
        await self.choose(who)

    async def choose(self, who: Who) -> None:
        """Choose a person on the development issuer's page."""
        await self.page.get_by_label("Organization").fill(who.organization)
        await self.page.get_by_label("Role").select_option(who.role)
        await self.page.get_by_label("Email").fill(who.email)
        await self.page.get_by_role("button", name="Sign in", exact=True).click()
        await self.page.wait_for_url(f"{self.origin}/**")

    def of_test_id(self, name: str) -> Locator:
        return self.page.get_by_test_id(name)

    def assert_clean(self) -> None:
        """Raises AssertionError if the page requested another origin or logged an unexpected error."""
        elsewhere = {
            url for url in self.requests if urlsplit(url).hostname not in (None, urlsplit(self.origin).hostname)
        }
        assert not elsewhere, f"requests left the origin: {elsewhere}"
        unexpected = [
            line for line in self.complaints if not any(re.search(pattern, line) for pattern in self.expected)
        ]
        assert not unexpected, "the page complained:\n" + "\n".join(unexpected)

    async def assert_accessible(self, what: str) -> None:
        """Raises AssertionError if axe finds a violation."""
        await self.page.evaluate("document.getAnimations().forEach(each => { try { each.finish() } catch {} })")
        results: Any = await Axe().run(self.page, options=AXE)
        assert results.violations_count == 0, f"{what}:\n{results.generate_report()}"


def decimal(text: str | None) -> Decimal:
    """Parse a number from its exact text on the page."""
    assert text is not None
    return Decimal(text.replace(",", ""))


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A Chromium with a temporary user folder."""
    assert CHROMIUM is not None, "needs_chromium marks the tests of a browser"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def visiting(browser: Browser, origin: str, **how: Any) -> AsyncIterator[Visit]:
    """A user's window with its own cookies; `how` are Playwright's options of new_context. Checks for errors at the end."""
    context = await browser.new_context(viewport=how.pop("viewport", {"width": 1440, "height": 900}), **how)
    context.set_default_timeout(WITHIN_MS)
    await context.add_init_script(WATCH_POLICY)
    visit = Visit(await context.new_page(), origin)
    visit.watch()
    yield visit
    visit.assert_clean()
    await context.close()
