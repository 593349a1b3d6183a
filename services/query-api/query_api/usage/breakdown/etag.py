"""The breakdown's entity tag, which is known before the breakdown is made."""

from datetime import datetime
from typing import Annotated

from fastapi import Depends, Request

from query_api.access.dependencies import CurrentUser, ReadAccess
from query_api.access.state import app_state
from query_api.calendar import today_in
from query_api.freshness.queries import Watermark, select_watermark
from query_api.http.etags import answer_if_new
from query_api.usage.breakdown.queries import select_version

COMPLETE_TO = "FlexCredits-Complete-To"
"""How far the totals reach, which moves every second and is no part of the tag."""


async def tag_breakdown(request: Request, principal: CurrentUser, session: ReadAccess) -> Watermark:
    """How far the totals reach. Raises NotModified when the client has the answer.

    A breakdown follows from usage, catalog, today's date and the address alone. The tag follows from the snapshot that the
    answer will be made from, so it never names a later one.
    """
    app, time_zone = app_state(request), session.organization.time_zone
    made_from = (principal.organization, principal.role, time_zone, today_in(time_zone, app.now()))
    version = await select_version(session)
    watermark = await select_watermark(session, app.topic)
    complete_to = watermark.complete_to
    answer_if_new(request, (*made_from, *version), {COMPLETE_TO: write_instant(complete_to)} if complete_to else {})
    return watermark


def write_instant(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


Tagged = Annotated[Watermark, Depends(tag_breakdown, scope="function")]
