"""The request of a file of the past, as it is answered today: whether the file would have other bytes, and other sums."""

from collections.abc import Mapping
from contextlib import aclosing
from hashlib import sha256
from typing import Any, NamedTuple

from fastapi import Request
from pydantic import ValidationError

from query_api.auth.principal import Principal
from query_api.db.session import ReadSession
from query_api.exports.changes.rerun import writer_again
from query_api.exports.domain.table import TABLE_COLUMNS
from query_api.exports.focus.files import FocusFileQuery, plan_focus, plan_focus_csv
from query_api.exports.focus.reading import FocusQuery
from query_api.exports.formats.files import CsvWriter, FileWriter, ParquetWriter, write_file
from query_api.exports.manifests.manifest import Manifest
from query_api.exports.manifests.measure import Measured
from query_api.exports.parts import UsageFileQuery
from query_api.exports.people.lines import PEOPLE_COLUMNS, PeopleCsvQuery, plan_people
from query_api.exports.planned import Planned
from query_api.exports.queries import prepare_copy
from query_api.exports.table import TableCsvQuery, plan_table
from query_api.exports.usage import USAGE_COLUMNS, UsageCsvQuery, plan_usage
from query_api.http.problems import ApiProblem
from query_api.usage.breakdown.schemas import BreakdownQuery

_DAYS = ("from", "to", "credit_period", "range")


class Today(NamedTuple):
    """The file as of now. `credits` None: it has no such sum."""

    lines: int
    credits: int | None
    sha256: str


async def write_today(
    request: Request, session: ReadSession, principal: Principal, manifest: Manifest, about: Mapping[str, Any]
) -> Today:
    """The same request for the same days, without sending the file, with the metadata of then. Raises ApiProblem.

    `about`: what is kept of the whole file.
    """
    parameters = manifest.body.get("parameters")
    if parameters is None:
        raise ApiProblem(
            "lines-not-kept",
            "The lines of this file are not kept, and neither is its request: it was made by an older release. Its "
            "manifest still proves what was in it.",
        )
    # The days are those of then: all usage and the current credit period may be others today.
    rest = {name: value for name, value in parameters.items() if name not in _DAYS}
    first, last = (day.isoformat() for day in manifest.days)
    try:
        planned = await _plan(request, session, principal, manifest, {**rest, "from": first, "to": last})
    except ValidationError as error:
        raise ApiProblem(
            "written-differently", f"This release has other parameters: {error.errors()[0]['msg']}"
        ) from None
    await prepare_copy(session)
    if "metadata" in about:  # it has the watermark and the time
        planned = planned._replace(writer=writer_again(manifest, about))
    measured, digest = Measured(planned.columns, planned.column, planned.credits), sha256()
    async with aclosing(write_file(planned.writer, measured.read(planned.parts(None)))) as pieces:
        async for piece in pieces:
            digest.update(piece)
    return Today(measured.lines, measured.credits, digest.hexdigest())


async def _plan(
    request: Request, session: ReadSession, principal: Principal, manifest: Manifest, parameters: dict[str, Any]
) -> Planned:
    is_csv, bom = manifest.body["format"] == "csv", manifest.body["byte_order_mark"]

    def writer(columns: Any) -> FileWriter:
        return CsvWriter(columns, bom=bom) if is_csv else ParquetWriter(columns, {})

    match manifest.body["dataset"]:
        case "usage":
            usage = (UsageCsvQuery if is_csv else UsageFileQuery).model_validate(parameters)
            return await plan_usage(request, session, principal, usage, writer(USAGE_COLUMNS))
        case "table":
            table = (TableCsvQuery if is_csv else BreakdownQuery).model_validate(parameters)
            return await plan_table(request, session, table, writer(TABLE_COLUMNS))
        case "people":
            people = (PeopleCsvQuery if is_csv else UsageFileQuery).model_validate(parameters)
            return await plan_people(request, session, principal, people, writer(PEOPLE_COLUMNS))
        case _ if is_csv:
            focus = FocusFileQuery.model_validate(parameters)
            return await plan_focus_csv(request, session, principal, focus)
        case _:
            return await plan_focus(request, session, principal, FocusQuery.model_validate(parameters), "parquet")
