"""Writes catalog events into their tables: one transaction per range of the catalog topic, fenced as usage is."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime

import structlog
from flexcredits_schemas.codec import InvalidEvent, decode
from flexcredits_schemas.decoding.decimals import micro
from flexcredits_schemas.events import (
    Actor,
    Agent,
    Contract,
    ContractData,
    Correction,
    CreditPeriod,
    Feature,
    Group,
    Member,
    Organization,
    ProductAmounts,
    Rate,
    RateData,
    Usage,
)
from flexcredits_schemas.zones import TZ_VERSION, changes_of
from msgspec import Raw
from runtime.isolation import describe_failure, is_data_failure
from runtime.postgres.pool import Connection, Pool

from aggregator.db.catalog_cache import CATALOG_LOCK
from aggregator.db.dead_letters import insert_dead_letters
from aggregator.db.progress import OffsetGap
from aggregator.db.quarantine import CATALOG_EVENTS, headers_json, quarantine
from aggregator.db.statements import SQL
from aggregator.db.unnest import columns_of
from aggregator.domain.decode import Kind, Rejection
from aggregator.domain.record import Record
from aggregator.metrics import DEAD_LETTERS, QUARANTINES

log = structlog.get_logger()
ALL_ORGANIZATIONS = 0
RATES_PER_MONTH = 10_000
"""Of an organization. Every aggregator has all rates in memory, some 500 bytes each, and computes what they change."""


async def apply_catalog_events(
    pool: Pool, topic: str, records: Sequence[Record], span: tuple[int, int] | None = None
) -> int:
    """Apply one partition's `records` and return its new next_offset. Safe to repeat; raises OffsetGap.

    Events that fail wait in quarantine, however many there are: none is lost, and each is applied later by its own
    time.

    `span` gives the first offset that was read and the one after the last, if the reader knows that the log holds no
    other records there.
    """
    begin, end = span or (records[0].offset, records[-1].offset + 1)
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(SQL["lock_catalog"], CATALOG_LOCK)
        [progress] = await connection.fetch(SQL["lock_progress"], topic, [0])
        position: int = progress["next_offset"]
        records = [record for record in records if record.offset >= position]
        if end <= position:
            return position
        skipped = end - position - len(records)
        if begin > position or (skipped and span is None):
            raise OffsetGap(f"{topic}: Postgres expects offset {position}, Kafka delivers {begin}")
        rejections: list[Rejection] = []
        failures: list[tuple[int, Record, Exception]] = []
        concerned: set[int] = set()
        for record in records:
            try:
                async with connection.transaction():
                    concerned.add(await apply_catalog_event(connection, record))
            except InvalidEvent as error:
                rejections.append(Rejection(record, error.detail, error.pointer, Kind.UNREADABLE))
            except Exception as error:
                if not is_data_failure(error):
                    raise
                await _set_aside(connection, record, error, failures, rejections)
        await _keep(connection, topic, failures)
        if concerned:
            await connection.execute(SQL["retry_now"], sorted(concerned))
        await insert_dead_letters(connection, topic, rejections)
        received = [max(record.timestamp for record in records) / 1000 if records else None]
        records_end = [records[-1].offset + 1 if records else None]
        applied = len(records) - len(rejections) - len(failures)
        await connection.execute(
            SQL["advance_progress"],
            topic, [0], [end], [applied], [0], [len(rejections)], [len(failures)], [skipped], records_end, received,
        )  # fmt: skip
    DEAD_LETTERS.labels(Kind.UNREADABLE).inc(len(rejections))
    return end


async def _set_aside(
    connection: Connection, record: Record, error: Exception, failures: list[tuple[int, Record, Exception]],
    rejections: list[Rejection],
) -> None:  # fmt: skip
    """Put a valid event that fails into the quarantine of its organization. Without a known organization it becomes a
    dead letter."""
    try:
        async with connection.transaction():
            number = await _organization_id(connection, decode(record.value or b"").subject or "")
    except Exception as unfounded:
        if not is_data_failure(unfounded):
            raise
        rejections.append(Rejection(record, f"cannot be applied: {describe_failure(error)}", "", Kind.UNREADABLE))
    else:
        failures.append((number, record, error))


async def _keep(connection: Connection, topic: str, failures: Sequence[tuple[int, Record, Exception]]) -> None:
    if not failures:
        return
    reasons = {number: f"catalog event: {describe_failure(error)}" for number, _, error in failures}
    await quarantine(connection, CATALOG_EVENTS, sorted(reasons.items()))
    rows = [
        (
            number,
            record.partition,
            record.offset,
            record.key,
            record.value,
            headers_json(record),
            record.timestamp / 1000,
        )
        for number, record, _ in failures
    ]
    await connection.execute(SQL["insert_quarantined_records"], topic, *columns_of(rows))
    for number, reason in reasons.items():
        QUARANTINES.labels("aggregator").inc()
        log.error("catalog events in quarantine", organization_id=number, reason=reason)


async def apply_catalog_event(connection: Connection, record: Record) -> int:
    """Apply one catalog event. Returns the number of its organization, or 0 if it concerns all organizations.

    An older `time` never overwrites a newer one; of equal times the higher offset wins.
    """
    event = decode(record.value or b"")
    if isinstance(event, Usage | Correction):
        raise InvalidEvent("usage belongs on usage.events.v1", "/type")
    if isinstance(event, Organization):
        await _apply_organization(connection, event, record.offset)
    organization_id = await _organization_id(connection, event.subject or "")
    at = (event.time, record.offset)
    match event:
        case Contract():
            received_at = datetime.fromtimestamp(record.timestamp / 1000, UTC)
            await _apply_contract(connection, organization_id, event, record.offset, received_at)
        case Member(data=member):
            person = (member.email.lower(), member.name, member.role, member.removed)
            await connection.execute(SQL["upsert_member"], organization_id, *person, *at)
        case Actor():
            await _apply_actor(connection, organization_id, event, record.offset)
        case Group(data=group):
            owners = sorted({email.lower() for email in group.owner_emails or []})
            version = (group.id, group.name, group.parent, owners)
            await connection.execute(SQL["upsert_people_group"], organization_id, *version, *at)
        case Agent(data=agent):
            entry = (agent.id, agent.state, agent.name, agent.owner)
            await connection.execute(SQL["upsert_agent"], organization_id, *entry, *at)
        case Feature(data=feature):
            key = (feature.product, feature.feature_kind, feature.feature, feature.effective_from)
            names = (feature.display_name, feature.category)
            await connection.execute(SQL["upsert_feature"], organization_id, *key, *names, *at)
        case Rate(data=rate):
            price = (micro(rate.credits), micro(rate.per or Raw(b'"1"')), rate.effective_from)
            received = datetime.fromtimestamp(record.timestamp / 1000, UTC)
            if not await connection.fetchval(SQL["has_rate"], organization_id, event.source, event.id):
                await _check_number(connection, organization_id, received)
                await _check_whole(connection, organization_id, rate)
                await connection.execute(
                    SQL["insert_rate"], organization_id, rate.product, rate.feature_kind, rate.feature, rate.unit,
                    rate.part_of, *price, received, record.offset, event.source, event.id,
                )  # fmt: skip
    await connection.execute(SQL["insert_wakeup"], organization_id)
    return organization_id


async def _check_number(connection: Connection, organization_id: int, received: datetime) -> None:
    """Raises InvalidEvent if the organization has sent RATES_PER_MONTH rates in the month (UTC) of the receipt."""
    month = received.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    if organization_id != ALL_ORGANIZATIONS and await connection.fetchval(
        SQL["has_rates"], organization_id, month, RATES_PER_MONTH
    ):
        raise InvalidEvent(
            f"the organization has sent {RATES_PER_MONTH:,} rates in this month: send a rate only when a price changes",
            "/data",
        )


async def _check_whole(connection: Connection, organization_id: int, rate: RateData) -> None:
    """Raises InvalidEvent if the unit would be part of itself: then nothing of both units would be charged."""
    if rate.part_of is not None:
        units = (rate.product, rate.feature_kind, rate.feature, rate.unit, rate.part_of)
        if await connection.fetchval(SQL["is_in_its_part"], organization_id, *units):
            raise InvalidEvent(
                f"`{rate.part_of}` is part of `{rate.unit}` by another rate, so neither would be charged",
                "/data/part_of",
            )


async def _apply_organization(connection: Connection, event: Organization, offset: int) -> None:
    data = event.data
    columns = (
        data.name, data.time_zone, data.billing_moderator_enabled, data.locale, data.label_keys, data.people, data.my_usage,
    )  # fmt: skip
    zone = await connection.fetchval(SQL["upsert_organization"], event.subject, *columns, event.time, offset)
    if zone is not None:
        await connection.execute(SQL["insert_zone_rules"], event.subject, zone, TZ_VERSION, list(changes_of(zone)))
    if zone not in (None, data.time_zone):
        log.warning("time zone not changed: usage was counted in it", organization=event.subject, time_zone=zone)


async def _apply_actor(connection: Connection, organization_id: int, event: Actor, offset: int) -> None:
    actor, at = event.data, (event.time, offset)
    email = actor.email.lower() if actor.email else None
    person = (actor.id, actor.display_name, email, actor.removed, actor.erased)
    await connection.execute(SQL["upsert_actor"], organization_id, *person, *at)
    if actor.groups is not None:
        day = actor.effective_from or event.time.date()
        groups = list(dict.fromkeys(actor.groups))
        await connection.execute(SQL["upsert_actor_groups"], organization_id, actor.id, day, groups, *at)


async def _organization_id(connection: Connection, organization: str) -> int:
    if organization == "":
        return ALL_ORGANIZATIONS
    await connection.execute(SQL["ensure_organizations"], [organization])
    [row] = await connection.fetch(SQL["select_organizations"], [organization])
    number: int = row["organization_id"]
    return number


def _price_version(data: ContractData, received_at: datetime) -> str:
    """The JSON from which the query API builds its price history (query_api/contracts/domain/prices.py)."""
    steps: list[tuple[str | None, Raw, Raw]] = [(None, data.overage_price, data.credit_price)]
    steps += [(f"{price.effective_from}", price.overage_price, price.credit_price) for price in data.prices or []]
    return json.dumps(
        {
            "received_at": received_at.isoformat(),
            "currency": data.currency,
            "is_list": data.prices is not None,
            "steps": [
                {"from": begins_on, "overage": _amount(overage), "credit": _amount(credit)}
                for begins_on, overage, credit in steps
            ],
        }
    )


async def _apply_contract(
    connection: Connection, organization_id: int, event: Contract, offset: int, received_at: datetime
) -> None:
    data, team = event.data, event.data.account_team
    newer = await connection.fetchval(
        SQL["upsert_contract"], organization_id, data.contract_id, data.from_, data.to, _amount(data.minimum_commitment),
        _amount(data.overage_price), _amount(data.credit_price), data.currency, team and team.name, team and team.email,
        team and team.url, event.time, offset, _price_version(data, received_at),
    )  # fmt: skip
    if newer is None:
        return
    starts, ends = [period.from_ for period in data.credit_periods], [period.to for period in data.credit_periods]
    other = await connection.fetchrow(SQL["select_overlapping_period"], organization_id, data.contract_id, starts, ends)
    if other is not None:
        raise InvalidEvent(
            f"overlaps credit period {other['credit_period_id']!r} of contract {other['contract_id']!r}",
            "/data/credit_periods",
        )
    await connection.execute(SQL["delete_credit_periods"], organization_id, data.contract_id)
    for period in data.credit_periods:
        await _insert_credit_period(connection, organization_id, data.contract_id, period)


async def _insert_credit_period(
    connection: Connection, organization_id: int, contract_id: str, period: CreditPeriod
) -> None:
    products = period.products or ProductAmounts()
    amounts = [_amount(products.assistant), _amount(products.agents), _amount(products.api)]
    given = [amount for amount in amounts if amount is not None]
    total = _amount(period.total) if period.total else (sum(given) if given else None)
    key = (organization_id, contract_id, period.id)
    await connection.execute(SQL["insert_credit_period"], *key, period.from_, period.to, total, *amounts)
    for position, add_on in enumerate(period.add_ons or []):
        await connection.execute(
            SQL["insert_add_on"], *key, position, add_on.name, micro(add_on.credits), add_on.included
        )


def _amount(raw: Raw) -> int | None:
    return micro(raw) if raw else None
