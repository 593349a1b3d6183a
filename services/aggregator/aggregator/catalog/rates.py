"""Writes rate events in their order, within the limit of each organization."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import NamedTuple

from flexcredits_schemas.codec import InvalidEvent
from flexcredits_schemas.decoding.decimals import micro
from flexcredits_schemas.events import Rate, RateData
from msgspec import Raw
from runtime.postgres.pool import Connection

from aggregator.db.statements import SQL
from aggregator.domain.decode import Kind, Rejection
from aggregator.domain.record import Record

ALL_ORGANIZATIONS = 0
RATES_PER_MONTH = 10_000
"""Of an organization. Every aggregator has all rates in memory, some 500 bytes each, and computes what they change."""
TOO_MANY = f"the organization has sent {RATES_PER_MONTH:,} rates in this month: send a rate only when a price changes"


class SentRate(NamedTuple):
    event: Rate
    record: Record

    @property
    def received_at(self) -> datetime:
        return datetime.fromtimestamp(self.record.timestamp / 1000, UTC)

    @property
    def month(self) -> datetime:
        """The month (UTC) of its receipt."""
        return self.received_at.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


class Applied(NamedTuple):
    """What became of several rates. Those that are in neither list were inserted, or are copies."""

    rejections: list[Rejection]
    left: list[Record]
    """Not applied: the limit lies among them."""
    is_full: bool = False
    """Whether the organization was beyond its limit before."""


def by_organization(sent: Sequence[tuple[str, SentRate]]) -> list[tuple[str, list[SentRate]]]:
    """Rates by the name of their organization, "" for the deployment's. Its rates stay before and after those of organizations
    as they came: whether `part_of` of an organization's rate is refused depends on them."""
    groups: list[tuple[str, list[SentRate]]] = []
    for _, section in groupby(sent, key=lambda at: at[0] == ""):
        rates = defaultdict[str, list[SentRate]](list)
        for name, rate in section:
            rates[name].append(rate)
        groups += rates.items()
    return groups


async def apply_rates(connection: Connection, organization_id: int, sent: Sequence[SentRate]) -> Applied:
    """Insert the rates of an organization with few statements, in their order."""
    new = await _without_copies(connection, organization_id, sent)
    if not new:
        return Applied([], [])
    months, records = {at.month for at in new}, [at.record for at in new]
    month = max(months)
    if len(months) > 1:
        return Applied([], records)
    if await has_rates(connection, organization_id, month, RATES_PER_MONTH):
        rejections = [Rejection(record, TOO_MANY, "/data", Kind.UNREADABLE) for record in records]
        return Applied(rejections, [], is_full=True)
    if await has_rates(connection, organization_id, month, RATES_PER_MONTH - len(new) + 1):
        return Applied([], records)
    rejections, rows = list[Rejection](), list[tuple[object, ...]]()
    for at in new:
        try:
            row = _row(organization_id, at)
            if at.event.data.part_of is not None:
                await connection.executemany(SQL["insert_rate"], rows)
                rows.clear()
                if await _is_copy(connection, organization_id, at.event):
                    continue
                await _check_whole(connection, organization_id, at.event.data)
            rows.append(row)
        except InvalidEvent as error:
            rejections.append(Rejection(at.record, error.detail, error.pointer, Kind.UNREADABLE))
    await connection.executemany(SQL["insert_rate"], rows)
    return Applied(rejections, [])


async def apply_rate(connection: Connection, organization_id: int, sent: SentRate) -> None:
    """Insert a rate unless it is a copy. Raises InvalidEvent beyond the limit, or if nothing would be charged for it."""
    if await _is_copy(connection, organization_id, sent.event):
        return
    if await has_rates(connection, organization_id, sent.month, RATES_PER_MONTH):
        raise InvalidEvent(TOO_MANY, "/data")
    await _check_whole(connection, organization_id, sent.event.data)
    await connection.execute(SQL["insert_rate"], *_row(organization_id, sent))


def _row(organization_id: int, sent: SentRate) -> tuple[object, ...]:
    event, rate = sent.event, sent.event.data
    return (
        organization_id, rate.product, rate.feature_kind, rate.feature, rate.unit, rate.part_of, micro(rate.credits),
        micro(rate.per or Raw(b'"1"')), rate.effective_from, sent.received_at, sent.record.offset, event.source, event.id,
    )  # fmt: skip


async def _is_copy(connection: Connection, organization_id: int, event: Rate) -> bool:
    return bool(await connection.fetchval(SQL["has_rate"], organization_id, event.source, event.id))


async def has_rates(connection: Connection, organization_id: int, month: datetime, number: int) -> bool:
    """Whether the organization has sent so many rates in the month. Those of the deployment have no limit."""
    if organization_id == ALL_ORGANIZATIONS:
        return False
    return bool(await connection.fetchval(SQL["has_rates"], organization_id, month, number))


async def _without_copies(connection: Connection, organization_id: int, sent: Sequence[SentRate]) -> list[SentRate]:
    names = [at.event.source for at in sent], [at.event.id for at in sent]
    rows = await connection.fetch(SQL["select_known_rates"], organization_id, *names)
    known = {(row["source"], row["event_id"]) for row in rows}
    return [at for at in sent if (at.event.source, at.event.id) not in known]


async def _check_whole(connection: Connection, organization_id: int, rate: RateData) -> None:
    """Raises InvalidEvent if the unit would be part of itself: then nothing of both units would be charged."""
    if rate.part_of is not None:
        units = (rate.product, rate.feature_kind, rate.feature, rate.unit, rate.part_of)
        if await connection.fetchval(SQL["is_in_its_part"], organization_id, *units):
            raise InvalidEvent(
                f"`{rate.part_of}` is part of `{rate.unit}` by another rate, so neither would be charged",
                "/data/part_of",
            )
