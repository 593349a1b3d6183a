"""A firing as other systems see it, and the id of its alert event. Pure."""

from datetime import date, datetime
from typing import Literal, NamedTuple

from flexcredits_schemas.alerts import Notification

from alerter.domain.identity import identify
from alerter.domain.thresholds import Period

Kind = Literal["fired", "resolved"]


class Organization(NamedTuple):
    """An organization's id, as the API names it, and the name that people read."""

    organization: str
    name: str


class Firing(NamedTuple):
    """A firing as other systems see it; half-open dates in the organization's zone."""

    period: Period
    starts_on: date
    ends_on: date
    threshold: int
    episode: int
    notification: Notification
    fired_at: datetime


class AlertEvent(NamedTuple):
    """A CloudEvent; `body` is what is sent, byte for byte."""

    event_id: str
    body: str


def identify_firing(kind: Kind, organization: str, firing: Firing, number: int) -> str:
    """The id of a firing's alert event; `number` is its episode, unless another one had that id already."""
    return identify(kind, organization, *firing.period, f"{firing.threshold}", f"{number}")
