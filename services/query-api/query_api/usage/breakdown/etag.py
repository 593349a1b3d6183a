"""The breakdown's entity tag, from versions of its inputs, without computing the breakdown."""

from typing import Annotated

from fastapi import Depends, Request

from query_api.access.dependencies import CurrentUser, UsageAccess
from query_api.access.state import app_state
from query_api.attributions.queries import select_people_version
from query_api.attributions.schemas import WhoQuery
from query_api.calendar import today_in
from query_api.http.answers import write_instant
from query_api.http.etags import answer_if_new
from query_api.usage.versions import UsageVersion, select_usage_version

COMPLETE_TO = "FlexCredits-Complete-To"
"""complete_to, which changes every second and is not part of the tag."""


WHO = frozenset(WhoQuery.model_fields)
"""Parameters with which the response depends on people and groups, too."""


async def tag_breakdown(request: Request, principal: CurrentUser, session: UsageAccess) -> UsageVersion:
    """Set the entity tag. Raises NotModified if the client has the response.

    A breakdown depends only on usage, catalog, today's date and the URL. The tag is computed in the snapshot of the response,
    so both have the same version.
    """
    app, time_zone = app_state(request), session.organization.time_zone
    made_from: tuple[object, ...] = (principal.organization, principal.role, time_zone, today_in(time_zone, app.now()))
    if not WHO.isdisjoint(request.query_params):
        made_from += await select_people_version(session)
    version = await select_usage_version(session, app.topic)
    complete_to = version.watermark.complete_to
    answer_if_new(request, (*made_from, *version.tag), {COMPLETE_TO: write_instant(complete_to)} if complete_to else {})
    return version


Tagged = Annotated[UsageVersion, Depends(tag_breakdown, scope="function")]
