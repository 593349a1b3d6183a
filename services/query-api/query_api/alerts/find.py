"""Finds an alert by the id in the path."""

from typing import Annotated

from fastapi import Path

from query_api.alerts.domain.firings import Firing
from query_api.alerts.queries import select_firing
from query_api.db.session import ReadSession
from query_api.http.problems import ApiProblem

AlertId = Annotated[str, Path(alias="id", pattern=r"^[1-9][0-9]{0,18}$", description="Id of an alert.", examples=["7"])]
BIGGEST_ID = 2**63 - 1


async def find_firing(session: ReadSession, alert_id: str) -> Firing:
    """Raises ApiProblem if the organization has no such alert."""
    firing = await select_firing(session, int(alert_id)) if int(alert_id) <= BIGGEST_ID else None
    if firing is None:
        raise ApiProblem("no-such-alert", "Your organization has no alert with this id.")
    return firing
