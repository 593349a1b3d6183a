"""GET /api/v1/projection: when credits run out, and the budget with which they last."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from query_api.access.dependencies import CurrentUser, UsageAccess
from query_api.access.state import app_state
from query_api.http.problems import problems
from query_api.projection.compute import compute_projection
from query_api.projection.schemas import ProjectionQuery, ProjectionResponse

router = APIRouter(prefix="/api/v1")


@router.get("/projection", responses=problems(404))
async def get_projection(
    request: Request, principal: CurrentUser, session: UsageAccess, query: Annotated[ProjectionQuery, Query()]
) -> ProjectionResponse:
    """The end of the current credit period as projected from past usage, with a range that contained what came in 8 of 10
    past cases; and the glide path: the budget with which the remaining credits last.

    The same watermark gives the same answer. Without a projection, `refusal` has the reason.
    """
    return await compute_projection(app_state(request), session, principal.organization, query)
