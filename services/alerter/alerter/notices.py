"""What other systems are told: a firing, or its end, as a CloudEvent. Pure."""

import json
from datetime import date, datetime
from typing import Any, Literal, NamedTuple

from flexcredits_schemas.credits import decimal_text

from alerter.identity import identify
from alerter.thresholds import Level, Period, Resolution, Told

SOURCE = "/flexcredits/alerter"

Kind = Literal["fired", "resolved"]


class Firing(NamedTuple):
    """A firing as other systems see it; half-open dates in the organization's zone."""

    period: Period
    starts_on: date
    ends_on: date
    threshold: int
    episode: int
    told: Told
    fired_at: datetime


class Notice(NamedTuple):
    """A CloudEvent; `body` is what is sent, byte for byte."""

    event_id: str
    body: str


def write_fired(organization: str, name: str, firing: Firing, level: Level) -> Notice:
    """A threshold was met."""
    return write(organization, name, "fired", firing.fired_at, firing, level, {})


def write_resolved(
    organization: str, name: str, firing: Firing, level: Level | None, at: datetime, resolution: Resolution
) -> Notice:
    """The level fell under a threshold again, or (without a level, too) the threshold or its period was removed."""
    end = {"resolved_at": at.isoformat(), "resolution": resolution}
    return write(organization, name, "resolved", at, firing, level, end)


def write(
    organization: str, name: str, kind: Kind, at: datetime, firing: Firing, level: Level | None, end: dict[str, str]
) -> Notice:
    period = firing.period
    about = {
        "name": name,
        "rule": period.rule,
        "threshold": firing.threshold,
        "episode": firing.episode,
        "period": {
            "contract": period.contract_id or None,
            "id": period.period_id,
            "from": f"{firing.starts_on}",
            "to": f"{firing.ends_on}",
        },
        "told": firing.told,
        "used": decimal_text(level.used) if level else None,
        "available": decimal_text(level.available) if level and level.available is not None else None,
        "fired_at": firing.fired_at.isoformat(),
    }
    key = organization, *period, str(firing.threshold), str(firing.episode)
    return as_event(identify(kind, *key), f"flexcredits.alert.{kind}.v1", organization, at, about | end)


def write_test(organization: str, name: str, request_id: int, at: datetime) -> Notice:
    """What a channel gets to show that it works."""
    event_id = identify("test", organization, f"{request_id}", at.isoformat())
    return as_event(event_id, "flexcredits.alert.test.v1", organization, at, {"name": name})


def as_event(event_id: str, kind: str, organization: str, at: datetime, data: dict[str, Any]) -> Notice:
    event = {
        "specversion": "1.0", "id": event_id, "source": SOURCE, "type": kind, "subject": organization,
        "time": at.isoformat(), "datacontenttype": "application/json", "data": data,
    }  # fmt: skip
    return Notice(event_id, json.dumps(event, ensure_ascii=False))
