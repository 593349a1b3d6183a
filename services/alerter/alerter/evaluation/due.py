"""Whether an organization needs changes or a projection."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Concatenate, ParamSpec, TypeVar

from alerter.domain.organization_state import OrganizationState, decide, unprojected

GivenT = ParamSpec("GivenT")
ResultT = TypeVar("ResultT")

TOGETHER_MAX = 1_000
"""Credit periods and firings of an organization that are evaluated together with those of others, in some 0.3 s. An organization
with more is evaluated alone, in its turns."""


async def beside(
    state: OrganizationState,
    function: Callable[Concatenate[OrganizationState, GivenT], ResultT],
    *args: GivenT.args,
    **kwargs: GivenT.kwargs,
) -> ResultT:
    """Call the function; for an organization with many levels in a thread, so that the event loop goes on for others."""
    if len(state.levels) + len(state.latest) <= TOGETHER_MAX:
        return function(state, *args, **kwargs)
    return await asyncio.to_thread(function, state, *args, **kwargs)


def is_due(state: OrganizationState, now: datetime, failures: dict[int, Exception]) -> bool:
    """Whether the organization needs a change. A failure that its data causes is added to `failures`."""
    try:
        return bool(decide(state, now))
    except Exception as error:
        failures[state.organization_id] = error
        return False


def is_outdated(state: OrganizationState, now: datetime, failures: dict[int, Exception]) -> bool:
    """Whether a period of the organization must be projected. A failure that its data causes is added to `failures`."""
    try:
        return bool(unprojected(state, now))
    except Exception as error:
        failures[state.organization_id] = error
        return False
