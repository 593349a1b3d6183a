"""A file again, from its kept lines."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from hashlib import sha256
from typing import Any, NamedTuple
from uuid import UUID

from query_api.calendar import Days
from query_api.db.session import ReadSession
from query_api.exports.domain.cells import CellRules
from query_api.exports.domain.focus import FOCUS_COLUMNS, BillingAccount
from query_api.exports.domain.kinds import Columns
from query_api.exports.domain.labels import Label, label_cells
from query_api.exports.domain.table import TABLE_COLUMNS
from query_api.exports.focus.domain.columns import TABLES
from query_api.exports.focus.domain.columns import Dataset as FocusDataset
from query_api.exports.focus.kept import FocusAgain
from query_api.exports.formats.batches import Batch, Lines
from query_api.exports.formats.files import CsvWriter, FileWriter, ParquetWriter, Parts, write_file
from query_api.exports.formats.rows import LabelIndex, Rows
from query_api.exports.manifests.kept import (
    AnotherForm,
    days_of,
    read_about,
    read_kept_rows,
    read_labels,
    read_other_lines,
)
from query_api.exports.manifests.manifest import Manifest, read_manifest
from query_api.exports.manifests.queries import StoredManifest, select_export_lines, select_manifest
from query_api.exports.usage import USAGE_COLUMNS, usage_batch
from query_api.http.problems import ApiProblem


class KeptLines(NamedTuple):
    """Lines of some days; several in a row may be of the same days."""

    days: Days
    begins_at: Sequence[datetime]
    labels: LabelIndex
    """The same object for all lines with these labels."""
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
            "The lines of this file are not kept: newer files have taken their place, it had too many, or it is by people. Its "
            "manifest still proves what was in it.",
        )
    return read_manifest(stored.manifest)


async def read_kept(session: ReadSession, export_id: UUID) -> AsyncGenerator[KeptLines | Lines, None]:
    """What is kept of a file, in its order. Raises ApiProblem."""
    labels = LabelIndex([])
    async with aclosing(select_export_lines(session, export_id)) as parts:
        async for part in parts:
            try:
                if part.labels is not None:
                    labels = LabelIndex(await asyncio.to_thread(read_labels, part.labels))
                if part.first_on is not None and part.begins_at is not None and part.lines is not None:
                    days = days_of(part.first_on, part.begins_at)
                    rows = await asyncio.to_thread(read_kept_rows, part.lines, days, labels)
                    yield KeptLines(days, part.begins_at, labels, rows)
                elif part.labels is None:
                    yield await asyncio.to_thread(read_other_lines, part.lines)
            except AnotherForm as error:
                raise ApiProblem("written-differently", str(error)) from None


async def read_whole(session: ReadSession, export_id: UUID) -> Mapping[str, Any]:
    """What is the same for the whole file. Raises ApiProblem."""
    async with aclosing(select_export_lines(session, export_id)) as parts:
        async for part in parts:
            if part.first_on is not None:
                break  # kept by the release before
            try:
                return await asyncio.to_thread(read_about, part.lines)
            except AnotherForm as error:
                raise ApiProblem("written-differently", str(error)) from None
    return {}


def has_usage(manifest: Manifest) -> bool:
    """Whether the lines of a file are usage alone, so that its changes have causes. Those of FOCUS also follow from contracts."""
    return bool(manifest.body["dataset"] == "usage")


def _dataset_of(manifest: Manifest) -> FocusDataset:
    found: FocusDataset = manifest.body["parameters"]["dataset"]
    return found


def writer_again(manifest: Manifest, about: Mapping[str, Any]) -> FileWriter:
    """Of a file that is not by people."""
    body = manifest.body
    columns: Columns = USAGE_COLUMNS if body["dataset"] == "usage" else TABLE_COLUMNS
    names: Iterable[str] = columns
    if body["dataset"] == "focus":
        columns = TABLES[_dataset_of(manifest)].columns
        names = FOCUS_COLUMNS if body["parameters"].get("version") == "1.2" else columns
    if body["format"] == "parquet":
        return ParquetWriter(columns, about.get("metadata", {}))
    return CsvWriter(names, bom=body["byte_order_mark"])


def batches_again(
    manifest: Manifest, about: Mapping[str, Any], rules: CellRules
) -> Callable[[Days, Sequence[Label], Rows], Batch]:
    """Writes usage as it was written. One function for each file: it keeps what it needs of labels."""
    body = manifest.body
    if body["dataset"] == "focus":
        return FocusAgain(about, rules).batch
    account = BillingAccount(body["organization"], None, "", body["time_zone"])
    of, cells = None, list[Label]()

    def batch(days: Days, labels: Sequence[Label], rows: Rows) -> Batch:
        nonlocal of, cells
        if labels is not of:
            of, cells = labels, [label_cells(label, rules) for label in labels]
        return usage_batch(rows, days, cells, account)

    return batch


async def write_again(session: ReadSession, export_id: UUID, manifest: Manifest) -> AsyncGenerator[bytes, None]:
    """The file. Raises ApiProblem."""
    about = await read_whole(session, export_id)
    writer = writer_again(manifest, about)

    async def parts() -> Parts:
        batch = None
        async with aclosing(read_kept(session, export_id)) as kept:
            async for part in kept:
                if isinstance(part, KeptLines):
                    batch = batch or batches_again(manifest, about, writer.rules)
                    yield await asyncio.to_thread(batch, part.days, part.labels.labels, part.rows)
                else:
                    yield part

    async with aclosing(write_file(writer, parts())) as pieces:
        async for piece in pieces:
            yield piece


async def check_bytes(session: ReadSession, export_id: UUID, manifest: Manifest) -> None:
    """Write the file without sending it. Raises ApiProblem if its hash is not that of the manifest."""
    found = sha256()
    async with aclosing(write_again(session, export_id, manifest)) as pieces:
        async for piece in pieces:
            found.update(piece)
    if found.hexdigest() != manifest.body["sha256"]:
        raise ApiProblem(
            "written-differently",
            "This release does not write the same bytes of these lines. The file was written by "
            f"{manifest.body['rules']['program']}.",
        )
