"""Collects a mail's content when the mail is written, so that the content does not depend on when it is sent."""

from datetime import datetime
from typing import Any

from flexcredits_schemas.alerts import Rule
from flexcredits_schemas.calendar import local_date
from flexcredits_schemas.zones import zone_of
from runtime.postgres.pool import Connection

from alerter.db.queries import read_usage
from alerter.domain.firings import Organization
from alerter.domain.projected import RUN_OUT
from alerter.domain.thresholds import UsageLevel, elapsed_permille, period_state


async def gather_context(
    connection: Connection, organization: Organization, level: UsageLevel, now: datetime
) -> dict[str, Any]:
    """The content for a level at `now`, in micro-credits. The caller adds the met threshold, with the dates of
    a projected one, or marks it as a test."""
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
            "kind": level.period.kind,
            "projection": describe_projection(level, now),
        }
    )


def describe_projection(level: UsageLevel, now: datetime) -> dict[str, Any] | None:
    """When the available credits run out: dates, or the reason why there are none. None if there is nothing to say: without a
    projection of these days for the period as it is, or after they were used up."""
    stored, today = level.projection, local_date(now, level.time_zone)
    if stored is None or level.available is None or level.used >= level.available:
        return None
    if stored.made_for != level.made_for or not 0 <= (today - stored.day).days <= 1 or level.ends_on <= today:
        return None
    if stored.refusal:
        return {"refusal": stored.detail}
    return next(
        (mark.passed_on.as_texts() for mark in stored.marks if mark.threshold == RUN_OUT),
        None,
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
