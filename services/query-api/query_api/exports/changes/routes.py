"""/api/v1/export/manifests: files of the past."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import PlainTextResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from query_api.access.dependencies import CurrentUser, PastExportAccess, PastFileAccess, ReadAccess
from query_api.access.state import app_state
from query_api.calendar import today_in
from query_api.exports.changes.again import write_today
from query_api.exports.changes.answers import answer_changes, answer_file, answer_file_changes
from query_api.exports.changes.reading import compare_with_today
from query_api.exports.changes.rerun import (
    check_bytes,
    find_kept,
    find_manifest,
    has_usage,
    read_whole,
    write_again,
)
from query_api.exports.changes.schemas import Changes, ExportedFiles, ExportManifest, FileChanges
from query_api.exports.downloads import FileResponse
from query_api.exports.formats.files import CsvWriter, ParquetWriter
from query_api.exports.manifests.manifest import read_manifest
from query_api.exports.manifests.queries import select_manifests
from query_api.exports.parts import audit_past_export
from query_api.exports.queries import prepare_copy
from query_api.freshness.queries import select_watermark
from query_api.http.answers import JSON
from query_api.http.problems import ApiProblem, problems

router = APIRouter(prefix="/api/v1/export")

ExportId = Annotated[
    UUID, Path(description="Of the header `Flexcredits-Export`.", examples=["0b9f64c1-6c0e-4b7a-9a53-0e5c1d1f7d10"])
]


def text_answer(example: str) -> dict[int | str, dict[str, Any]]:
    return {200: {"content": {"text/plain": {"schema": {"type": "string"}, "example": example}}}}


SIGNATURE = text_answer("untrusted comment: key 0C0FFEE00C0FFEE0\nRUQ...\ntrusted comment: org_acme ...\n...\n")
PUBLIC_KEY = text_answer("untrusted comment: minisign public key 0C0FFEE00C0FFEE0\nRWQ...\n")
ANY_FILE: dict[int | str, dict[str, Any]] = {
    200: {"description": "The file.", "content": {"application/octet-stream": {}}}
}


class ManifestsQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    limit: int = Field(20, ge=1, le=100)


@router.get("/manifests")
async def get_manifests(session: ReadAccess, query: Annotated[ManifestsQuery, Query()]) -> ExportedFiles:
    """The newest files that were sent whole, without files of some people.

    2,000 are kept: the newest ones, of each request 12. Older ones of a request only fill what is left. Files by people are
    listed until a person is removed, and while the organization shows as much of people as in the file.
    """
    found = await select_manifests(session, query.limit)
    return ExportedFiles(exports=[answer_file(each) for each in found])


@router.get("/manifests/{export_id}", response_model=ExportManifest)
async def get_manifest(session: ReadAccess, export_id: ExportId) -> Response:
    """The manifest, byte by byte as it was signed.

    `watermark.next_offsets`: usage of all earlier offsets was in the file or held. `sha256` is of the file.
    """
    stored = await find_manifest(session, export_id)
    return Response(stored.manifest.encode(), media_type=JSON)


@router.get("/manifests/{export_id}/signature", response_class=PlainTextResponse, responses=SIGNATURE)
async def get_manifest_signature(session: ReadAccess, export_id: ExportId) -> str:
    """The signature of the manifest's bytes, for `minisign -V -p key.pub -m manifest.json -x manifest.minisig`."""
    stored = await find_manifest(session, export_id)
    if stored.signature is None:
        raise ApiProblem("not-signed", "This deployment had no EXPORT_SIGNING_KEY when the file was made.")
    return stored.signature


@router.get("/manifests/{export_id}/file", response_class=Response, responses=ANY_FILE | problems(409))
async def get_past_file(
    request: Request, session: PastFileAccess, principal: CurrentUser, export_id: ExportId
) -> FileResponse:
    """The same bytes again: usage, names, categories, prices and zone as they were. Files by people are not kept."""
    manifest = await find_kept(session, export_id)
    await prepare_copy(session)  # the transaction waits as long for a slow client as that of any file
    await check_bytes(session, export_id, manifest)
    await audit_past_export(request, principal, manifest.body["file"], str(export_id))
    pieces, body = write_again(session, export_id, manifest), manifest.body
    media_type = (CsvWriter if body["format"] == "csv" else ParquetWriter).media_type
    return FileResponse(pieces, body["file"], media_type)


class ChangesQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    limit: int = Field(200, ge=1, le=2000, description="The largest changes; `causes` are of all.")


@router.get("/manifests/{export_id}/changes", responses=problems(409))
async def get_changes(
    request: Request,
    session: PastExportAccess,
    principal: CurrentUser,
    export_id: ExportId,
    query: Annotated[ChangesQuery, Query()],
) -> Annotated[Changes | FileChanges, Field(discriminator="compared")]:
    """What differs today from the file, by cause. Causes add up to the difference, to the micro-credit.

    Of usage files. Of other files, and without lines, the answer says whether the same request has the same bytes today, and the
    difference of their sums.

    Usage that was held when the file was made is late. Rates never change what was counted; prices of contracts change `worth`.
    """
    app = app_state(request)
    stored = await find_manifest(session, export_id)
    manifest = read_manifest(stored.manifest)
    zone = session.organization.time_zone
    watermark = await select_watermark(session, app.topic)
    async with limited(app.export_limits.compare_within_s):
        if not stored.is_kept or not has_usage(manifest):
            about = await read_whole(session, export_id) if stored.is_kept else {}
            today = await write_today(request, session, principal, manifest, about)
            return answer_file_changes(manifest, today, stored.is_kept, zone, watermark.complete_to)
        now = app.now()
        compared = await compare_with_today(session, export_id, manifest, now, today_in(zone, now), query.limit)
    return answer_changes(str(export_id), compared, zone, watermark.complete_to, query.limit)


@asynccontextmanager
async def limited(seconds: float) -> AsyncIterator[None]:
    """Limits the time of the block. Raises ApiProblem. A COPY that it aborts costs the session its connection."""
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            yield
    except TimeoutError:
        if not limit.expired():
            raise
        raise ApiProblem(
            "too-long-to-compare",
            f"The file could not be compared within {seconds:.0f} s. Compare files of fewer days, or at a time with less load.",
        ) from None


@router.get("/key.pub", response_class=PlainTextResponse, responses=PUBLIC_KEY | problems(404))
async def get_export_key(request: Request, session: ReadAccess) -> str:
    """The public key of manifests, for `minisign -V -p`. Get it once and keep it: a signature proves nothing to who fetches
    both together."""
    key = app_state(request).export_key
    if key is None:
        raise ApiProblem("not-signed", "This deployment has no EXPORT_SIGNING_KEY.")
    return key.public_file()
