"""A firing for other systems, and the id of its alert event. Pure."""

from datetime import date, datetime
from typing import Literal, NamedTuple

from flexcredits_schemas.alerts import Notification

from alerter.domain.identity import identify
from alerter.domain.projected import PassedOn
from alerter.domain.thresholds import Period

Kind = Literal["fired", "resolved"]


class Organization(NamedTuple):
    """An organization's id in the API, and its display name."""

    organization: str
    name: str


class Firing(NamedTuple):
    """A firing for other systems. Dates are half-open, in the organization's zone."""

    period: Period
    starts_on: date
    ends_on: date
    threshold: int
    episode: int
    notification: Notification
    fired_at: datetime
    passed_on: PassedOn | None = None
    """Only of projected use: as it was known when it fired."""


class AlertEvent(NamedTuple):
    """A CloudEvent. `body` is sent unchanged, byte for byte."""

    event_id: str
    body: str


def identify_firing(kind: Kind, organization: str, firing: Firing, number: int) -> str:
    """The id of a firing's alert event. `number` is its episode, or a later number if another event has that id."""
    return identify(kind, organization, *firing.period.identity, f"{firing.threshold}", f"{number}")
