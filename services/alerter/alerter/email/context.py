"""Collects a mail's content when the mail is written, so that the content does not depend on when it is sent."""

from datetime import datetime
from typing import Any

from flexcredits_schemas.alerts import Rule
from flexcredits_schemas.calendar import local_date
from flexcredits_schemas.zones import zone_of
from runtime.postgres.pool import Connection

from alerter.db.queries import read_usage
from alerter.domain.firings import Organization
from alerter.domain.thresholds import UsageLevel, elapsed_permille, period_state


async def gather_context(
    connection: Connection, organization: Organization, level: UsageLevel, now: datetime
) -> dict[str, Any]:
    """The content for a level at `now`, in micro-credits. The caller adds the met threshold, or marks it as a test."""
    zone = zone_of(level.time_zone)
    usage = await read_usage(connection, level, local_date(now, level.time_zone))
    return (
        organization._asdict()
        | usage
        | {
            "rule": level.period.rule,
            "used": level.used,
            "available": level.available,
            "period": {
                "contract": level.period.contract_id,
                "id": level.period.period_id,
                "from": f"{level.starts_on}",
                "to": f"{level.ends_on}",
            },
            "elapsed_permille": elapsed_permille(level, now),
            "ended": period_state(level, now) != "current",
            "time_zone": level.time_zone,
            "at": now.astimezone(zone).isoformat(timespec="seconds"),
        }
    )


async def gather_test_context(
    connection: Connection, organization: Organization, rule: Rule, level: UsageLevel | None, now: datetime
) -> dict[str, Any]:
    """The content for the current level, independent of its thresholds. Without a level, only the organization's
    names."""
    if level is None or not level.available:
        return organization._asdict() | {"rule": rule, "test": {"thresholds": []}, "used": None}
    return await gather_context(connection, organization, level, now) | {
        "test": {"thresholds": sorted(level.thresholds)}
    }
