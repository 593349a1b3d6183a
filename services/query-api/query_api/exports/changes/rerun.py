"""A file again, from its kept lines."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import datetime
from hashlib import sha256
from typing import NamedTuple
from uuid import UUID

from query_api.calendar import Days
from query_api.db.session import ReadSession
from query_api.exports.domain.focus import BillingAccount
from query_api.exports.domain.labels import Label, label_cells
from query_api.exports.formats.files import CsvWriter, FileWriter, ParquetWriter, Parts, write_file
from query_api.exports.formats.rows import Rows
from query_api.exports.manifests.kept import AnotherForm, read_kept_rows, read_labels
from query_api.exports.manifests.manifest import Manifest, read_manifest
from query_api.exports.manifests.queries import StoredManifest, select_export_lines, select_manifest
from query_api.exports.usage import USAGE_COLUMNS, usage_batch
from query_api.http.problems import ApiProblem


class KeptLines(NamedTuple):
    """Lines of some days; several in a row may be of the same days."""

    days: Days
    begins_at: Sequence[datetime]
    labels: list[Label]
    rows: Rows


async def find_manifest(session: ReadSession, export_id: UUID) -> StoredManifest:
    """Raises ApiProblem."""
    stored = await select_manifest(session, export_id)
    if stored is None:
        raise ApiProblem(
            "no-such-export",
            "This organization has no manifest with this id. The file was not sent whole, newer ones have taken its place, or "
            "it is by people: a person was removed since, or what is shown of people is another.",
        )
    return stored


async def find_kept(session: ReadSession, export_id: UUID) -> Manifest:
    """A manifest whose lines are kept. Raises ApiProblem."""
    stored = await find_manifest(session, export_id)
    if not stored.is_kept:
        raise ApiProblem(
            "lines-not-kept",
            "The lines of this file are not kept: newer files have taken their place, or it had too many. Its manifest still "
            "proves what was in it.",
        )
    return read_manifest(stored.manifest)


async def read_kept(session: ReadSession, export_id: UUID) -> AsyncGenerator[KeptLines, None]:
    labels: list[Label] = []
    async with aclosing(select_export_lines(session, export_id)) as parts:
        async for part in parts:
            try:
                if part.labels is not None:
                    labels = await asyncio.to_thread(read_labels, part.labels)
                rows = await asyncio.to_thread(read_kept_rows, part.lines)
            except AnotherForm as error:
                raise ApiProblem("written-differently", str(error)) from None
            yield KeptLines(part.days, part.begins_at, labels, rows)


def writer_of(manifest: Manifest) -> FileWriter:
    if manifest.body["format"] == "parquet":
        return ParquetWriter(USAGE_COLUMNS, {})
    return CsvWriter(USAGE_COLUMNS, bom=manifest.body["byte_order_mark"])


async def parts_again(session: ReadSession, export_id: UUID, manifest: Manifest, writer: FileWriter) -> Parts:
    body = manifest.body
    account = BillingAccount(body["organization"], None, "", body["time_zone"])
    of, cells = None, list[Label]()
    async with aclosing(read_kept(session, export_id)) as kept:
        async for days, _, labels, rows in kept:
            if labels is not of:
                of, cells = labels, [label_cells(label, writer.rules) for label in labels]
            yield await asyncio.to_thread(usage_batch, rows, days, cells, account)


async def check_bytes(session: ReadSession, export_id: UUID, manifest: Manifest) -> None:
    """Write the file without sending it. Raises ApiProblem if its hash is not that of the manifest."""
    writer, found = writer_of(manifest), sha256()
    async with aclosing(write_file(writer, parts_again(session, export_id, manifest, writer))) as pieces:
        async for piece in pieces:
            found.update(piece)
    if found.hexdigest() != manifest.body["sha256"]:
        raise ApiProblem(
            "written-differently",
            "This release does not write the same bytes of these lines. The file was written by "
            f"{manifest.body['rules']['program']}.",
        )
