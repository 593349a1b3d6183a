"""GET /api/v1/proof: each record has one disposition, and sums agree."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Request
from flexcredits_schemas.zones import changes_of
from pydantic import BaseModel, ConfigDict, Field

from query_api.access.dependencies import SlowReadAccess
from query_api.access.state import AppState, app_state
from query_api.db.session import ReadSession
from query_api.freshness.queries import select_quarantine
from query_api.freshness.schemas import QuarantineEntry
from query_api.ledger.proof.queries import (
    Progress,
    select_hours,
    select_progress,
    select_zone_rules,
    sum_ledger,
    sum_rollups,
)
from query_api.ledger.proof.schemas import (
    Dispositions,
    HourDispositions,
    PartitionDispositions,
    Proof,
    Sums,
    TimeZoneRules,
)
from query_api.usage.queries import first_whole_day

router = APIRouter(prefix="/api/v1")


class ProofQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    hours: int = Field(0, ge=0, le=168, description="Number of hours to list, including the current one.")


@router.get("/proof")
async def get_proof(request: Request, session: SlowReadAccess, query: Annotated[ProofQuery, Query()]) -> Proof:
    """Check that each record has one disposition, and that the organization's sums agree at each grain. May take seconds."""
    app = app_state(request)
    progress = await select_progress(session, app.topic)
    names = ("applied", "counted", "duplicate", "rejected", "held", "skipped")
    totals = Dispositions(**dispositions(*(sum(getattr(row, name) for row in progress) for name in names)))
    this_hour = app.now().replace(minute=0, second=0, microsecond=0)
    hours = await select_hours(session, app.topic, this_hour - timedelta(hours=query.hours - 1)) if query.hours else []
    rollups = await sum_rollups(session, *await first_whole_day(session))
    ledger = await sum_ledger(session)
    agree = len(set(rollups)) == 1
    zone = session.organization.time_zone
    return Proof(
        partitions=[answer_partition(row) for row in progress],
        totals=totals,
        credits=Sums(
            ledger=ledger,
            quarter_hours=rollups.quarter_hours,
            days=rollups.days,
            months=rollups.months,
            organization_days=rollups.organization_days,
            organization_months=rollups.organization_months,
            equal=None if ledger is None and agree else agree and ledger == rollups.days,
        ),
        time_zone_rules=await answer_rules(app, session, zone) if zone else None,
        quarantine=[QuarantineEntry.model_validate(at) for at in await select_quarantine(session)],
        hours=[HourDispositions.model_validate(hour) for hour in hours],
    )


async def answer_rules(app: AppState, session: ReadSession, zone: str) -> TimeZoneRules:
    counted, differing = await select_zone_rules(session, zone), app.zones.differing
    since = counted.differs_since(changes_of(zone))
    return TimeZoneRules(
        tz=app.zones.version,
        counted_with=counted.tz,
        differs_since=since if since and since <= app.now() else None,
        postgres_differs=None if differing is None else zone in differing,
    )


def answer_partition(row: Progress) -> PartitionDispositions:
    # The end is read about once a second, so records after it may be applied already.
    in_flight = None if row.end_offset is None else max(0, row.end_offset - row.applied - row.skipped)
    return PartitionDispositions(
        topic=row.topic,
        partition=row.partition,
        **dispositions(row.applied, row.counted, row.duplicate, row.rejected, row.held, row.skipped),
        in_flight=in_flight,
        accepted=None if in_flight is None else row.applied + in_flight,
        end_offset=row.end_offset,
        end_seen_at=row.end_seen_at,
    )


def dispositions(applied: int, counted: int, duplicate: int, rejected: int, held: int, skipped: int) -> dict[str, int]:
    return {
        "applied": applied,
        "counted": counted,
        "duplicate": duplicate,
        "rejected": rejected,
        "held": held,
        "skipped": skipped,
        "balanced": applied == counted + duplicate + rejected + held,
    }
