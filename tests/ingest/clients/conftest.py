"""The running stack, and a new organization per test whose totals a test compares with what a client sent."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.clients.metered_organization import MeteredOrganization
from support.clients.pinned import installing
from support.data.factories import uuid7
from support.infra.full_stack import WholeStack, running_stack, state_of_its_own

PROGRAMS = Path(__file__).parent / "programs"


@pytest.fixture(scope="package")
def stack() -> Iterator[WholeStack]:
    """While it starts, the clients are installed."""
    with installing(), state_of_its_own() as home, running_stack(home) as (_, addresses):
        yield WholeStack(home, addresses)


@pytest.fixture
def organization(stack: WholeStack) -> Callable[..., MeteredOrganization]:
    return lambda mapping="": MeteredOrganization(stack, f"org_{uuid7()[-8:]}", mapping)


@pytest.fixture
def programs() -> Path:
    return PROGRAMS
