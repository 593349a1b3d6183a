"""Files that are ready to be written: sent and recorded, or compared with a file of the past."""

from collections.abc import AsyncGenerator, Callable, Sequence
from typing import NamedTuple

from fastapi import Request
from fastapi.responses import Response

from query_api.auth.principal import Principal
from query_api.calendar import Days
from query_api.contracts.range import RangeQuery
from query_api.db.session import ReadSession
from query_api.exports.domain.cells import file_name
from query_api.exports.downloads import FileResponse
from query_api.exports.formats.files import FileWriter, Parts, write_file
from query_api.exports.manifests.keeping import Keeper
from query_api.exports.manifests.manifest import Asked, Dataset
from query_api.exports.manifests.measure import Measured
from query_api.exports.manifests.recording import Recording, begin_recording
from query_api.exports.parts import audit_export


class Planned(NamedTuple):
    """What a request selects. Nothing is written yet."""

    dataset: Dataset
    days: Days
    what: Sequence[str | None]
    """Parts of its name."""
    writer: FileWriter
    parts: Callable[[Keeper | None], Parts]
    """They give usage to the keeper; the reader gives it the other lines."""
    columns: Sequence[str]
    column: str | None
    """The column of credits whose sum is that of the file; None: it has none, or `credits` is the sum."""
    credits: int | None = None
    is_of_some: bool = False
    """Whether it is of some people only. Nothing is recorded of it."""
    is_read: bool = False
    """Whether `parts` need no connection."""

    def name(self, principal: Principal) -> str:
        return file_name(principal.organization, self.days, *self.what, kind=self.writer.extension)


async def send_planned(
    request: Request, session: ReadSession, principal: Principal, query: RangeQuery, planned: Planned
) -> Response:
    """Audit the download, then send the file and record it."""
    name = planned.name(principal)
    recording = None
    if not planned.is_of_some:
        recording = await begin_recording(
            request, session, principal, asked_by(query, planned.dataset, planned.days), name, planned.writer
        )
    if planned.is_read:
        await session.finish()  # a client that reads slowly must not keep a connection
    await audit_export(request, principal, name)
    if recording is None:
        return FileResponse(write_file(planned.writer, planned.parts(None)), name, planned.writer.media_type)
    pieces = record_planned(planned, recording, session)
    return FileResponse(pieces, name, planned.writer.media_type, headers=recording.headers)


def record_planned(planned: Planned, recording: Recording, session: ReadSession) -> AsyncGenerator[bytes, None]:
    """The file, which is recorded when it was read, after the session."""
    measured, keeper = Measured(planned.columns, planned.column, planned.credits), recording.keeper
    pieces = write_file(planned.writer, measured.read(planned.parts(keeper), keeper))
    return recording.record(pieces, measured, session.finish)


def asked_by(query: RangeQuery, dataset: Dataset, days: Days) -> Asked:
    return Asked(dataset, days, query.model_dump(mode="json", by_alias=True, exclude_none=True))
