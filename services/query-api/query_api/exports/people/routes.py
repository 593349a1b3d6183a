"""GET /api/v1/export/people.csv and people.parquet."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from query_api.access.dependencies import CurrentUser, ExportAccess
from query_api.exports.formats.files import CsvWriter, ParquetWriter
from query_api.exports.manifests.recording import with_manifest
from query_api.exports.parts import A_FILE, A_PARQUET_FILE, UsageFileQuery
from query_api.exports.people.lines import PEOPLE_COLUMNS, PeopleCsvQuery, plan_people
from query_api.exports.planned import send_planned

router = APIRouter(prefix="/api/v1/export")


@router.get("/people.csv", response_class=Response, responses=with_manifest(A_FILE))
async def get_people_file(
    request: Request, session: ExportAccess, principal: CurrentUser, query: Annotated[PeopleCsvQuery, Query()]
) -> Response:
    """The daily data by who used it. Lines add up to the same totals as `usage.csv`; corrections are included in `credits`.

    `actor_kind` is `user`, `service_account`, `removed` (removed people together), `unattributed` (usage without an actor) or
    `other` (people beyond the limit of new combinations). While people are pseudonymous, `actor_id` is the alias. `labels` is
    a JSON object of declared keys; beyond the limit, each value is empty. Cells are escaped as in `usage.csv`.
    A filter by group takes the groups that people were in on the day. Refused if the organization shows groups only.
    """
    planned = await plan_people(request, session, principal, query, CsvWriter(PEOPLE_COLUMNS, bom=query.bom))
    return await send_planned(request, session, principal, query, planned)


@router.get("/people.parquet", response_class=Response, responses=with_manifest(A_PARQUET_FILE))
async def get_people_parquet(
    request: Request, session: ExportAccess, principal: CurrentUser, query: Annotated[UsageFileQuery, Query()]
) -> Response:
    """The lines of `people.csv` with types: credits are decimals, dates are dates, names and ids have no apostrophes."""
    planned = await plan_people(request, session, principal, query, ParquetWriter(PEOPLE_COLUMNS, {}))
    return await send_planned(request, session, principal, query, planned)
