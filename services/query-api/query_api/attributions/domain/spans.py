"""Attributions as the organization may see them, and the mode in which it shows people. Pure."""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Literal, NamedTuple

Membership = Literal["then", "now"]
PeopleMode = Literal["named", "pseudonymous", "groups_only"]

PEOPLE_MIN = 5
"""In the mode groups_only, nothing is answered about fewer people."""


class PeopleSettings(NamedTuple):
    people: PeopleMode
    label_keys: Sequence[str]


class Span(NamedTuple):
    """The days, inclusive, on which usage of an attribution belongs to one group."""

    attribution_id: int
    first_on: date
    last_on: date
    actor_kind: str
    """"user", "service_account", "" if no actor is given, or "other": of combinations beyond the aggregator's limit."""
    actor: str
    """The id; the alias of a person if the organization does not show names."""
    removed: bool
    group_id: str  # "" if none
    value: str | None
    """Of the label by which the view divides; "" beyond the aggregator's limit of combinations."""
    filtered: str | None
    """Value of the label by which the request filters."""


class Place(NamedTuple):
    """Row and person, by number, of usage of an attribution from `first_on` to `last_on`."""

    row: int
    person: int
    first_on: date
    last_on: date


class PeopleGroup(NamedTuple):
    group_id: str
    name: str
    parent_id: str | None


def is_person(span: Span) -> bool:
    return span.actor_kind == "user"


def is_other(span: Span) -> bool:
    """Whether it stands for attributions beyond the aggregator's limit."""
    return span.actor_kind == "other"


def find_place(places: Iterable[Place], day: date) -> Place | None:
    return next((place for place in places if place.first_on <= day <= place.last_on), None)
