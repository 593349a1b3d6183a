"""A browser for stories of the dashboard."""

from collections.abc import AsyncIterator

import pytest
from browsing import CHROMIUM, chromium
from playwright.async_api import Browser


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    async with chromium() as running:
        yield running
