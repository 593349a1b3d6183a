"""CloudEvents for other systems: a firing, its resolution, and a test. Pure."""

import json
from datetime import datetime
from typing import Any

from flexcredits_schemas.alerts import Resolution
from flexcredits_schemas.credits import decimal_text

from alerter.domain.firings import AlertEvent, Firing, Kind, Organization, identify_firing
from alerter.domain.identity import identify
from alerter.domain.thresholds import UsageLevel

SOURCE = "/flexcredits/alerter"


def write_fired(organization: Organization, firing: Firing, level: UsageLevel) -> AlertEvent:
    """The event of a threshold that was met."""
    return write(organization, "fired", firing.fired_at, firing, level, {}, firing.episode)


def write_resolved(
    organization: Organization,
    firing: Firing,
    level: UsageLevel | None,
    at: datetime,
    resolution: Resolution,
    number: int,
) -> AlertEvent:
    """The event of a resolved firing: the level fell below the threshold, or the threshold or its period was removed
    (then `level` may be None). The event's id contains `number` in place of the episode."""
    end = {"resolved_at": at.isoformat(), "resolution": resolution}
    return write(organization, "resolved", at, firing, level, end, number)


def write(
    organization: Organization, kind: Kind, at: datetime, firing: Firing, level: UsageLevel | None, end: dict[str, str],
    number: int,
) -> AlertEvent:  # fmt: skip
    period = firing.period
    about = {
        "name": organization.name,
        "rule": period.rule,
        "kind": period.kind,
        "threshold": firing.threshold,
        "episode": firing.episode,
        "period": {
            "contract": period.contract_id or None,
            "id": period.period_id,
            "from": f"{firing.starts_on}",
            "to": f"{firing.ends_on}",
        },
        "notification": firing.notification,
        "used": decimal_text(level.used) if level else None,
        "available": decimal_text(level.available) if level and level.available is not None else None,
        "fired_at": firing.fired_at.isoformat(),
        "passed_on": firing.passed_on.as_texts() if firing.passed_on else None,
    }
    event_id = identify_firing(kind, organization.organization, firing, number)
    return as_event(event_id, f"flexcredits.alert.{kind}.v1", organization.organization, at, about | end)


def write_test(organization: Organization, request_id: int, at: datetime) -> AlertEvent:
    """The event that tests a channel."""
    event_id = identify("test", organization.organization, f"{request_id}", at.isoformat())
    return as_event(event_id, "flexcredits.alert.test.v1", organization.organization, at, {"name": organization.name})


def as_event(event_id: str, kind: str, organization: str, at: datetime, data: dict[str, Any]) -> AlertEvent:
    event = {
        "specversion": "1.0", "id": event_id, "source": SOURCE, "type": kind, "subject": organization,
        "time": at.isoformat(), "datacontenttype": "application/json", "data": data,
    }  # fmt: skip
    return AlertEvent(event_id, json.dumps(event, ensure_ascii=False))
