"""Records a file while it is sent: its sums, its hash and, when it was sent whole, its manifest. Of usage, its lines too."""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from hashlib import sha256
from importlib.metadata import version
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import pyarrow as pa
from fastapi import Request
from runtime.postgres.pool import Pool

from query_api.access.state import ExportLimits, app_state
from query_api.auth.minisign import SigningKey
from query_api.auth.principal import Principal
from query_api.calendar import Days
from query_api.contracts.domain.periods import CreditPeriod
from query_api.contracts.queries import select_contracts, select_credit_periods, select_days
from query_api.db.session import ReadSession, write_as
from query_api.exports.domain.labels import Label
from query_api.exports.formats.files import FileWriter
from query_api.exports.formats.rows import Rows, exact_sum
from query_api.exports.manifests.kept import KeptPart, begins_of, keep_labels, keep_rows
from query_api.exports.manifests.manifest import About, Asked, Made, State, worth_of_days
from query_api.exports.manifests.measure import Measured
from query_api.exports.manifests.queries import (
    NewManifest,
    insert_export,
    select_actors_version,
    select_offsets,
    select_rules,
)
from query_api.freshness.queries import select_watermark

HEADER = "Flexcredits-Export"


def with_manifest(responses: Mapping[int | str, dict[str, Any]]) -> dict[int | str, dict[str, Any]]:
    """The description of a response that names its manifest."""
    text = "The id of the manifest. Without it the file has none: it is of some people, or the organization is unknown."
    header = {HEADER: {"schema": {"type": "string", "format": "uuid"}, "description": text}}
    return {200: {**responses[200], "headers": header}}


def new_id() -> str:
    return str(uuid4())


def program() -> str:
    """What wrote a file: another release may write other bytes of the same lines."""
    return f"query-api {version('flexcredits-query-api')}, pyarrow {pa.__version__}"


async def read_state(session: ReadSession, topic: str, days: Days, periods: Sequence[CreditPeriod]) -> State:
    used = await select_days(session)
    worth = []
    if used is not None and used.first <= days.last and days.first <= used.last:
        shown = Days(max(days.first, used.first), min(days.last, used.last))
        worth = await asyncio.to_thread(worth_of_days, await select_contracts(session), periods, shown)
    watermark = await select_watermark(session, topic)
    offsets, rules = await select_offsets(session, topic), await select_rules(session)
    return State(offsets, watermark.complete_to, rules, worth, await select_actors_version(session))


class Store(NamedTuple):
    """Where manifests are stored, and what signs them; without a key they are unsigned."""

    pool: Pool
    key: SigningKey | None
    limits: ExportLimits


class Recording:
    """Of one file. `request` is the same for the same request by the same principal."""

    def __init__(self, about: About, request: bytes, store: Store) -> None:
        self._about, self._request, self._store = about, request, store
        self._kept: list[KeptPart] | None = []
        self._kept_bytes = 0
        self._labels: bytes | None = None
        self._lines = self._credits = self._events = 0
        self._hash, self._bytes = sha256(), 0
        self._measured: Measured | None = None

    @property
    def headers(self) -> dict[str, str]:
        return {HEADER: self._about.export_id}

    def begin_month(self, labels: Sequence[Label]) -> None:
        """The labels of the lines that follow."""
        self._labels = keep_labels(labels)

    def add(self, days: Days, rows: Rows) -> None:
        """Lines of the file, in its order; days are indexes from the first of `days`."""
        self._lines += len(rows.day)
        self._credits += exact_sum(rows.credits)
        self._events += exact_sum(rows.events)
        if self._kept is None:
            return
        part = KeptPart(days.first, begins_of(days, self._about.time_zone), self._labels, keep_rows(rows))
        self._kept_bytes += len(part.lines) + len(part.labels or b"")
        self._labels = None
        self._kept.append(part)
        if self._kept_bytes > self._store.limits.file_bytes:
            self._kept = None

    def measure(self, measured: Measured) -> None:
        """The file has these sums, and no lines are kept."""
        self._measured, self._kept = measured, None

    async def record(self, pieces: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        """The pieces of the file. The client learns that the file is whole only after it is recorded."""
        async with aclosing(pieces):
            async for piece in pieces:
                self._hash.update(piece)
                self._bytes += len(piece)
                yield piece
        await self._save()

    async def _save(self) -> None:
        about, key = self._about, self._store.key
        digest = self._hash.hexdigest()
        made = Made(self._lines, self._credits, self._events, self._bytes, digest)
        if self._measured is not None:
            made = Made(self._measured.lines, self._measured.credits, None, self._bytes, digest)
        text = about.write(made)
        comment = f"{about.organization} {about.file} {about.export_id}"
        signature = None if key is None else key.sign(text.encode(), " ".join(comment.split()))
        new = NewManifest(
            UUID(about.export_id), about.made_at, text, signature, self._request, digest, about.people,
            about.state.people_version if about.people else None, None if self._kept is None else self._kept_bytes,
        )  # fmt: skip
        async with write_as(self._store.pool, about.organization) as session:
            await insert_export(session, self._store.limits, new, self._kept or [])


async def begin_recording(
    request: Request, session: ReadSession, principal: Principal, asked: Asked, file: str, writer: FileWriter
) -> Recording | None:
    """Reads the state of the snapshot. None: the organization is unknown."""
    if session.organization_id is None:
        return None
    app = app_state(request)
    state = await read_state(session, app.topic, asked.days, await select_credit_periods(session))
    bom = bool(asked.parameters.get("bom", False))
    about = About(
        new_id(), principal.organization, file, writer.extension, bom, app.now(), asked, session.organization.time_zone,
        session.organization.people if asked.is_by_people else None, program(), app.topic, state,
    )  # fmt: skip
    key = json.dumps([principal.subject, asked.dataset, writer.extension, asked.parameters], sort_keys=True)
    return Recording(about, sha256(key.encode()).digest(), Store(app.pool, app.export_key, app.export_limits))
