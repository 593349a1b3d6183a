"""A browser for stories of the dashboard."""

from collections.abc import AsyncIterator

import pytest
from browsing import chromium
from playwright.async_api import Browser


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as running:
        yield running
