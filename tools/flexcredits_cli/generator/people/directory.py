"""The people, service accounts and groups of a company, as functions of the date alone. Pure.

A company has places. A person takes a place for TENURE_DAYS, then leaves it to the next person, so about the same number of
people works there on every day, and a demo that starts tomorrow generates the same people for yesterday.
"""

from collections.abc import Iterator
from datetime import date, timedelta
from functools import cache, lru_cache
from typing import Any, NamedTuple

from flexcredits_cli.generator.company.cast import Company
from flexcredits_cli.generator.company.events import Event, build_catalog_event, entropy_of, midnight_of
from flexcredits_cli.generator.company.vocabulary import (
    BEGINNING,
    DEPARTMENTS,
    FIRST_NAMES,
    LAST_NAMES,
    SERVICE_ACCOUNTS,
)

TENURE_DAYS = 1600
ERASED_AFTER_DAYS = 30
ERASED_ONE_OF = 8
FEW_PEOPLE = 500
"""Smaller companies have departments only."""
MEMBERS_PLACES = {2: "Ada", 9: "Ben", 23: "Chi", 14: "Dev"}
"""Places of the members that sign in to the demo."""


class Group(NamedTuple):
    """`parent` None: a department."""

    id: str
    name: str
    parent: str | None
    cost_center: str


class Person(NamedTuple):
    """In `groups[0]` from `joined_on` on, in `groups[1]` from `moved_on` on, until `left_on`. `date.max`: never."""

    id: str
    name: str
    email: str
    groups: tuple[Group, Group]
    joined_on: date
    moved_on: date
    left_on: date

    def group_on(self, day: date) -> Group:
        return self.groups[day >= self.moved_on]


@cache
def groups_of(company: Company) -> tuple[Group, ...]:
    """Departments, each followed by its teams."""
    groups = []
    for department, (cost_center, teams) in DEPARTMENTS.items():
        top = _group(department, None, cost_center)
        groups.append(top)
        for name, inner in teams.items() if company.people >= FEW_PEOPLE else ():
            team = _group(name, top.id, cost_center)
            groups += [team, *(_group(each, team.id, cost_center) for each in inner)]
    return tuple(groups)


def _group(name: str, parent: str | None, cost_center: str) -> Group:
    return Group(f"grp_{name.lower().replace(' ', '_')}", name, parent, cost_center)


def places_of(company: Company) -> int:
    """Four fifths of the company's people: in 13 months, a quarter of the places changes hands."""
    return company.people * 4 // 5


def person_in(company: Company, place: int, day: date) -> Person:
    """Who has a place on a day."""
    turn = 0 if place in MEMBERS_PLACES else (day.toordinal() + _shift(company, place)) // TENURE_DAYS
    return _person(company, place, turn)


@lru_cache(maxsize=1 << 16)
def _shift(company: Company, place: int) -> int:
    return entropy_of(company.id, "place", place) % TENURE_DAYS


@lru_cache(maxsize=1 << 16)
def _person(company: Company, place: int, turn: int) -> Person:
    entropy = entropy_of(company.id, "person", place, turn)
    groups = groups_of(company)
    first, second = groups[entropy % len(groups)], groups[(entropy >> 8) % len(groups)]
    actor_id = f"usr_{entropy >> 34:010x}"
    if name := MEMBERS_PLACES.get(place):
        email = f"{name.lower()}@{company.domain}"
        return Person(actor_id, name, email, (first, first), BEGINNING, date.max, date.max)
    joined_on = date.fromordinal(turn * TENURE_DAYS - _shift(company, place))
    moves = (entropy >> 16) % 3 == 0 and first != second
    moved_on = joined_on + timedelta(days=200 + (entropy >> 20) % 1200) if moves else date.max
    name, email = _name(company, place, turn)
    return Person(actor_id, name, email, (first, second), joined_on, moved_on, joined_on + timedelta(days=TENURE_DAYS))


def _name(company: Company, place: int, turn: int) -> tuple[str, str]:
    """Name and address: the same two names occur once among places, and the initial differs from turn to turn."""
    whole = len(FIRST_NAMES) * len(LAST_NAMES)
    number = place * 1009 % whole  # 1009 is prime, so neighbours differ in both names
    first, last = FIRST_NAMES[number % len(FIRST_NAMES)], LAST_NAMES[number // len(FIRST_NAMES)]
    initial = chr(ord("A") + (turn + place // whole) % 26)
    return f"{first} {initial}. {last}", f"{first}.{initial}.{last}@{company.domain}".lower()


def build_directory(company: Company, first: date, last: date) -> Iterator[Event]:
    """Groups, service accounts, and the people between `first` and `last`: joined, moved, left, erased."""
    if not company.people:
        return
    for group in groups_of(company):
        data = {"id": group.id, "name": group.name, "owner_emails": [f"ada@{company.domain}"]}
        if group.parent:
            data["parent"] = group.parent
        yield build_catalog_event("group", company.id, midnight_of(BEGINNING), data)
    for actor_id, name in SERVICE_ACCOUNTS.items():
        account = {"display_name": name, "groups": [groups_of(company)[0].id], "effective_from": f"{BEGINNING}"}
        yield _build_actor(company, actor_id, BEGINNING, account)
    for place in range(places_of(company)):
        person = person_in(company, place, first)
        yield from _changes(company, person, first, last)
        while person.left_on <= last:
            person = person_in(company, place, person.left_on)
            yield from _changes(company, person, first, last)


def _changes(company: Company, person: Person, first: date, last: date) -> Iterator[Event]:
    """The directory's changes of a person; of those before `first`, only the last."""
    described = {"display_name": person.name, "email": person.email}
    memberships = {person.joined_on: person.groups[0], person.moved_on: person.groups[1]}
    in_effect = max(day for day in memberships if day <= max(first, person.joined_on))
    for day, group in memberships.items():
        if in_effect <= day <= last and day < person.left_on:
            membership = {"groups": [group.id], "effective_from": f"{day}"}
            yield _build_actor(company, person.id, day, described | membership)
    if person.left_on <= last:
        yield _build_actor(company, person.id, person.left_on, {"removed": True})
        erased_on = person.left_on + timedelta(days=ERASED_AFTER_DAYS)
        if erased_on <= last and entropy_of(person.id, "erased") % ERASED_ONE_OF == 0:
            yield _build_actor(company, person.id, erased_on, {"erased": True})


def _build_actor(company: Company, actor_id: str, day: date, data: dict[str, Any]) -> Event:
    """In effect from the beginning of `day` in every time zone: its time is the day before."""
    at = midnight_of(day - timedelta(days=1))
    return build_catalog_event("actor", company.id, at, {"id": actor_id} | data)
