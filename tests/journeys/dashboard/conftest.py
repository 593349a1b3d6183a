"""A browser for the dashboard's tests, and the stack that they share."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from playwright.async_api import Browser
from support.clients.browser import chromium
from support.data.dashboard_data import fill
from support.infra.full_stack import WholeStack, whole_stack


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as running:
        yield running


@pytest.fixture(scope="package")
def stack() -> Iterator[WholeStack]:
    """A stack with the organizations of dashboard_data. Tests that change an organization create their own."""
    with whole_stack() as filled:
        asyncio.run(fill(filled))
        yield filled
