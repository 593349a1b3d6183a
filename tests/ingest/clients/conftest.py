"""The running stack, and a new organization per test whose totals a test compares with what a client sent."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.clients.metered_organization import MeteredOrganization
from support.clients.pinned import installing
from support.data.factories import uuid7
from support.infra.full_stack import WholeStack, whole_stack

PROGRAMS = Path(__file__).parent / "programs"


@pytest.fixture(scope="package")
def stack() -> Iterator[WholeStack]:
    """While it starts, the clients are installed."""
    with installing(), whole_stack() as running:
        yield running


@pytest.fixture
def organization(stack: WholeStack) -> Callable[..., MeteredOrganization]:
    return lambda mapping="": MeteredOrganization(stack, f"org_{uuid7()[-8:]}", mapping)


@pytest.fixture
def programs() -> Path:
    return PROGRAMS
