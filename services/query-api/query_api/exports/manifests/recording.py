"""Records a file while it is sent: its sums, its hash and, when it was sent whole, its manifest and what is kept of it."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
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
from query_api.exports.formats.files import FileWriter
from query_api.exports.manifests.keeping import Keeper
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
from query_api.turns import OneByOne

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
    one_by_one: OneByOne


class Recording:
    """Of one file. `request` is the same for the same request by the same principal."""

    def __init__(self, about: About, request: bytes, store: Store) -> None:
        self._about, self._request, self._store = about, request, store
        self._hash, self._bytes = sha256(), 0
        is_kept = not about.asked.is_by_people  # lines of people would outlive their erasure
        self.keeper = Keeper(about.time_zone, store.limits.file_bytes) if is_kept else None

    @property
    def headers(self) -> dict[str, str]:
        return {HEADER: self._about.export_id}

    async def record(
        self, pieces: AsyncGenerator[bytes, None], measured: Measured, finish: Callable[[], Awaitable[None]]
    ) -> AsyncGenerator[bytes, None]:
        """The pieces of the file. The client learns that the file is whole only after it is recorded.

        `finish` gives back the connection that they were read from, before others are waited for.
        """
        async with aclosing(pieces):
            async for piece in pieces:
                self._hash.update(piece)
                self._bytes += len(piece)
                yield piece
        await finish()
        await self._save(measured)

    async def _save(self, measured: Measured) -> None:
        about, key, keeper = self._about, self._store.key, self.keeper
        kept = None if keeper is None else await asyncio.to_thread(keeper.finish)
        digest = self._hash.hexdigest()
        events = keeper.events if keeper is not None and about.asked.dataset == "usage" else None
        text = about.write(Made(measured.lines, measured.credits, events, self._bytes, digest))
        comment = f"{about.organization} {about.file} {about.export_id}"
        signature = None if key is None else key.sign(text.encode(), " ".join(comment.split()))
        new = NewManifest(
            UUID(about.export_id), about.made_at, text, signature, self._request, digest, about.people,
            about.state.people_version if about.people else None,
        )  # fmt: skip
        pool, limits, one_by_one = self._store.pool, self._store.limits, self._store.one_by_one
        async with one_by_one.turn(about.organization), write_as(pool, about.organization) as session:
            await insert_export(session, limits, new, kept)


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
    store = Store(app.pool, app.export_key, app.export_limits, app.recording)
    return Recording(about, sha256(key.encode()).digest(), store)
