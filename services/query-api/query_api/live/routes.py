"""GET /api/v1/live: the overview and the banner as they change, as server-sent events (HTML Standard, 9.2)."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from fastapi.responses import StreamingResponse

from query_api.access.dependencies import CurrentUser, ReadAccess
from query_api.access.state import app_state
from query_api.http.problems import ApiProblem
from query_api.live.hub import LiveHub
from query_api.live.stream import watch

router = APIRouter(prefix="/api/v1")

LIVE_RETRY_AFTER_S = "15"


class EventStream(StreamingResponse):
    media_type = "text/event-stream"


DESCRIPTION: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Events `overview` and `banner`, each with the response of that path, at once and after each "
        "change; a comment every 15 s. The stream ends with the session or token.",
        "content": {
            "text/event-stream": {
                "schema": {"type": "string"},
                "example": 'event: overview\ndata: {"credits_used":"420.750001"}\n\n',
            }
        },
    }
}


@router.get("/live", response_class=EventStream, responses=DESCRIPTION)
async def get_live(
    request: Request,
    principal: CurrentUser,
    _may_read: ReadAccess,
    last_event_id: Annotated[str, Header(description="Id of the last event received, which is not sent again.")] = "",
) -> EventStream:
    """Overview and banner as server-sent events, within a second of a change."""
    app, hub = app_state(request), hub_of(request)
    if hub.is_full(principal.organization):
        raise ApiProblem(
            "unavailable",
            "Too many live connections. Try again in a moment.",
            headers={"Retry-After": LIVE_RETRY_AFTER_S},
        )
    return EventStream(watch(app, hub, principal, last_event_id), headers={"X-Accel-Buffering": "no"})


def hub_of(request: Request) -> LiveHub:
    hub: LiveHub = request.app.state.hub
    return hub
