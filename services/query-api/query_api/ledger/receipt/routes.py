"""GET /api/v1/receipt: what happened to one event."""

from datetime import date, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request
from flexcredits_schemas.identity import OTHER, bucket_of, hash_bucket, identity_of
from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from query_api.access.dependencies import CurrentUser, UsageAccess
from query_api.access.state import app_state
from query_api.actors.queries import NO_WHO, Who, select_who
from query_api.contracts.domain.periods import CreditPeriod, period_on
from query_api.contracts.queries import select_credit_periods
from query_api.contracts.schemas import answer_credit_period
from query_api.db.session import ReadSession
from query_api.http.problems import ApiProblem, invalid_parameter
from query_api.ledger.domain import Entry, LedgerKey, Posting, RateUsed, UnitUsed, event_buckets, waits_for_now
from query_api.ledger.queries import select_corrections, select_receipt, select_rejections
from query_api.ledger.receipt.schemas import (
    CountedIn,
    PostedEvent,
    Receipt,
    ReceiptQuantity,
    ReceiptRate,
    ReceiptRun,
    RejectedRecord,
)
from query_api.runs.queries import select_run
from query_api.usage.domain.catalog import id_of

router = APIRouter(prefix="/api/v1")


class ReceiptQuery(BaseModel):
    """Identity of the event, together with the organization of the principal: `source` and `id`, or `key`."""

    model_config = ConfigDict(extra="forbid")

    source: str | SkipJsonSchema[None] = Field(None, min_length=1, max_length=128, examples=["/products/assistant"])
    id: str | SkipJsonSchema[None] = Field(None, min_length=1, max_length=128, description="Needs `source`.")
    key: str | SkipJsonSchema[None] = Field(
        None,
        pattern=r"^(-?\d{1,9})-([0-9a-f]{32})$",
        description="Instead of `source` and `id`: `receipt` of a use in a run.",
        examples=["20779-0f5e1c3a9b7d2468ace013579bdf2468"],
    )


@router.get("/receipt")
async def get_receipt(
    request: Request,
    session: UsageAccess,
    principal: CurrentUser,
    query: Annotated[ReceiptQuery, Query()],
) -> Receipt:
    """Whether an event is counted, in which totals and with how many credits, who used it, or what it waits for."""
    key = read_key(principal.organization, query)
    key, entry = await find_entry(session, key)
    identity = key.identity
    rejections = [RejectedRecord.model_validate(at) for at in await select_rejections(session, identity)]
    zone, topic = session.organization.time_zone, app_state(request).topic
    if entry is None and not rejections:
        raise ApiProblem(
            "no-such-event",
            "This organization has no event with this source and id that is counted, held or rejected. It was never sent, "
            "ingest refused it, or it is older than the ledger.",
        )
    if entry is None:
        return Receipt(
            source=query.source, id=query.id, state="rejected", topic=topic, rejections=rejections, time_zone=zone
        )
    posting, dimensions, corrected = entry.posting, entry.dimensions, entry.corrected
    original = await select_receipt(session, entry.corrects) if entry.corrects else None
    periods = await select_credit_periods(session)
    day = event_buckets(posting.occurred_at, zone or "UTC").day
    who = await read_who(session, entry.attribution_id, day)
    return Receipt(
        source=query.source,
        id=query.id,
        type="usage" if entry.corrects is None else "correction",
        state="held" if posting.held else "counted" if corrected is None else "corrected",
        waits_for=waits_for_now(entry, knows_organization=zone is not None),
        product=dimensions.product,
        feature_kind=dimensions.feature_kind,
        feature=id_of(dimensions.feature) or None,
        agent=id_of(dimensions.agent) or None,
        surface=id_of(dimensions.surface) or None,
        is_beyond_limit=OTHER in dimensions,
        actor=who.actor,
        group=who.group,
        labels=who.labels,
        run=await read_run(session, entry, entry.run) if entry.run else None,
        topic=topic,
        occurred_at=posting.occurred_at,
        received_at=posting.received_at,
        partition=posting.partition,
        offset=posting.offset,
        credits=None if posting.held else posting.credits,
        credits_after_corrections=posting.credits + (corrected or 0)
        if not posting.held and not entry.corrects
        else None,
        quantity=entry.quantity,
        unit=entry.unit if not entry.units else None,
        quantities=[answer_unit(used) for used in entry.units],
        missing_rate_of=entry.unit if entry.units else None,
        rate=answer_rate(entry.rate) if entry.rate else None,
        counted_in=None if posting.held or zone is None else answer_place(posting.occurred_at, zone, periods),
        corrections=[answer_posting(posting) for posting in await select_corrections(session, key)]
        if corrected is not None
        else [],
        corrects=answer_posting(original.posting) if original else None,
        reason=posting.reason,
        rejections=rejections,
        time_zone=zone,
    )


def read_key(organization: str, query: ReceiptQuery) -> LedgerKey:
    """Raises ApiProblem unless the query has either `key` or both `source` and `id`."""
    if query.key is not None:
        if query.source is not None or query.id is not None:
            raise invalid_parameter("key", "not together with `source` and `id`")
        bucket, _, identity = query.key.rpartition("-")
        return LedgerKey(int(bucket), bytes.fromhex(identity))
    if query.source is None or query.id is None:
        raise invalid_parameter("source" if query.source is None else "id", "give `source` and `id`, or `key`")
    identity_ = identity_of(organization, query.source, query.id)
    return LedgerKey(bucket_of(query.id, identity_), identity_)


async def find_entry(session: ReadSession, key: LedgerKey) -> tuple[LedgerKey, Entry | None]:
    """Find the event in the partition of its id or, if the ledger had no partition for that day, in a hash partition."""
    entry = await select_receipt(session, key)
    if entry is None and key.ledger_bucket >= 0:
        key = LedgerKey(hash_bucket(key.identity), key.identity)
        entry = await select_receipt(session, key)
    return key, entry


async def read_who(session: ReadSession, attribution_id: int | None, day: date) -> Who:
    """Who used it, as the organization shows people."""
    if attribution_id is None:
        return NO_WHO
    [who] = await select_who(session, [(attribution_id, day)])
    return who


async def read_run(session: ReadSession, entry: Entry, run: bytes) -> ReceiptRun:
    """The run's id is known from its counted usage, or from the held event."""
    known = await select_run(session, run)
    if known is None:
        return ReceiptRun(id=entry.run_id, key=run.hex(), parent_id=entry.parent_id or None)
    return ReceiptRun(id=known.run_id, key=run.hex(), parent_id=known.parent_id or None)


def answer_posting(posting: Posting) -> PostedEvent:
    return PostedEvent(
        credits=None if posting.held else posting.credits,
        occurred_at=posting.occurred_at,
        received_at=posting.received_at,
        partition=posting.partition,
        offset=posting.offset,
        reason=posting.reason,
    )


def answer_rate(rate: RateUsed) -> ReceiptRate:
    return ReceiptRate(
        credits=rate.credits,
        per=rate.per,
        effective_from=rate.effective_from,
        received_at=rate.received_at,
        scope="organization" if rate.is_own else "deployment",
    )


def answer_unit(used: UnitUsed) -> ReceiptQuantity:
    return ReceiptQuantity(
        unit=used.unit,
        quantity=used.quantity,
        part_of=used.part_of,
        charged=used.charged,
        rate=answer_rate(used.rate) if used.rate else None,
        credits=used.credits_e12,
    )


def answer_place(occurred_at: datetime, time_zone: str, periods: list[CreditPeriod]) -> CountedIn:
    place = event_buckets(occurred_at, time_zone)
    period = period_on(periods, place.day)
    return CountedIn(
        quarter_hour_at=place.quarter_hour_at,
        day=place.day,
        month=f"{place.day:%Y-%m}",
        credit_period=answer_credit_period(period) if period else None,
    )
