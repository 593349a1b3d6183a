"""The running stack, and a new organization per test whose totals a test compares with what a client sent."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.clients.metered_organization import MeteredOrganization
from support.data.factories import uuid7
from support.infra.full_stack import WholeStack, running_stack, state_of_its_own

PROGRAMS = Path(__file__).parent / "programs"


@pytest.fixture(scope="session")
def stack() -> Iterator[WholeStack]:
    with state_of_its_own() as home, running_stack(home) as (_, addresses):
        yield WholeStack(home, addresses)


@pytest.fixture
def organization(stack: WholeStack) -> Callable[..., MeteredOrganization]:
    return lambda mapping="": MeteredOrganization(stack, f"org_{uuid7()[-8:]}", mapping)


@pytest.fixture
def programs() -> Path:
    return PROGRAMS
