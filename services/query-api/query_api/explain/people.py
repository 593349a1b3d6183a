"""Reads the usage of people who used something in one of two ranges only, as far as the organization shows people."""

from collections.abc import Mapping, Sequence
from datetime import date

import numpy as np

from query_api.attributions.book import Book, BookKey, Books
from query_api.attributions.domain.fold import Fold, grown
from query_api.attributions.domain.tally import key_by_person
from query_api.attributions.queries import PeopleVersion, select_people_version, select_range_versions
from query_api.db.session import ReadSession
from query_api.explain.domain.decompose import People
from query_api.explain.domain.items import ItemKey, Person, Usage
from query_api.explain.queries import sum_attributed_series
from query_api.explain.ranges import Compared
from query_api.http.problems import ApiProblem

ATTRIBUTIONS_MAX = 5_000
"""Of people of one range only, whose usage by series is read from daily rows. With more, people are not separated."""


async def read_people(
    session: ReadSession, books: Books, compared: Compared, keys: Mapping[int, ItemKey], series: Sequence[int] | None, today: date
) -> People | None:  # fmt: skip
    """`series` None: all, else `keys` has them. None if the organization does not show people, there are too many of them or
    of their attributions, or both ranges begin on the same day."""
    version = await select_people_version(session)
    if version.people == "groups_only":
        return None
    if compared.before.first == compared.now.first:  # reads are by first day, and two reads may be of two books
        return None
    try:
        book, folds = await read_folds(session, books, version, compared, series, today)
    except ApiProblem as problem:
        if problem.problem == "too-many-attributions":
            return None  # the other parts do not need people
        raise
    before, now = (grown(fold.is_used, len(book.keys)) for fold in folds)
    found: list[dict[Person, dict[ItemKey, Usage]]] = []
    for rows, days in ((before & ~now, compared.before), (now & ~before, compared.now)):
        of_one_range = set(np.flatnonzero(rows & people_in(book)).tolist())
        people = {attribution: row for attribution, (row, _) in book.places.items() if row in of_one_range}
        if len(people) > ATTRIBUTIONS_MAX:
            return None
        usage: dict[Person, dict[ItemKey, Usage]] = {}
        for attribution, number, credits, uses in await sum_attributed_series(session, days, [*people]):
            if key := keys.get(number):
                of_person = usage.setdefault(Person(*book.keys[people[attribution]]), {})
                of_person.setdefault(key, Usage()).add(credits, uses)
        found.append(usage)
    return People(*found)


async def read_folds(
    session: ReadSession, books: Books, people: PeopleVersion, compared: Compared, series: Sequence[int] | None, today: date
) -> tuple[Book, list[Fold]]:  # fmt: skip
    versions = await select_range_versions(session, compared)
    key = BookKey(session.organization_id or 0, "person", None, None, None)
    return await books.read(session, key, people, key_by_person, today, [*versions.items()], series)


def people_in(book: Book) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which rows are one person or service account."""
    return np.array([kind in ("person", "service_account") for kind, _ in book.keys], np.bool_)
