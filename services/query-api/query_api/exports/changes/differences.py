"""What differs between the lines of a file and today's lines of the same days, by cause. Pure.

For each day and series, in micro-credits: now - then = late + corrected + moved. Usage whose category has changed leaves one
category and enters another one, which adds nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Literal, NamedTuple

import numpy as np

from query_api.calendar import Days
from query_api.exports.domain.labels import Label
from query_api.exports.formats.rows import Array, LabelIndex, Rows, exact_sum

Cause = Literal["late", "corrected", "recategorized", "moved", "re_rated"]
CAUSES: tuple[Cause, ...] = ("late", "corrected", "recategorized", "moved", "re_rated")

_SERIES_BITS = 32


class Sums(NamedTuple):
    """Micro-credits and events by key, which is a day (ordinal) and a series; keys ascend."""

    keys: Array
    usage: Array
    corrected: Array
    events: Array


class Difference(NamedTuple):
    """A change of one cause, on a day, of the usage with a label."""

    cause: Cause
    day: date
    label: Label
    category: str | None
    credits: int
    events: int


class Total(NamedTuple):
    credits: int
    events: int


class DayCredits(NamedTuple):
    """Of a day, in the file and today."""

    then: int
    now: int


class Differences(NamedTuple):
    """Of some days. `largest` has as many as were asked for, or one more, `numbers` counts all."""

    then: Total
    now: Total
    totals: Mapping[Cause, Total]
    largest: Sequence[Difference]
    numbers: Mapping[Cause, int]
    by_day: Mapping[date, DayCredits]


def sums_of(pieces: Iterable[tuple[Days, LabelIndex, Rows]]) -> Sums:
    """Lines by key. A key has at most one line of usage and one of corrections."""
    columns: list[list[Array]] = [[np.empty(0, np.int64)] for _ in range(4)]
    for days, labels, rows in pieces:
        keys = (rows.day.astype(np.int64) + days.first.toordinal()) << _SERIES_BITS | labels.series[rows.label]
        for column, values in zip(columns, (keys, rows.is_correction, rows.credits, rows.events), strict=True):
            column.append(values.astype(np.int64))
    keys, is_correction, credits, events = (np.concatenate(column) for column in columns)
    found, at = np.unique(keys, return_inverse=True)
    usage, corrected, counted = (np.zeros(len(found), np.int64) for _ in range(3))
    np.add.at(usage, at, np.where(is_correction == 0, credits, 0))
    np.add.at(corrected, at, np.where(is_correction == 1, credits, 0))
    np.add.at(counted, at, events)
    return Sums(found, usage, corrected, counted)


def sums_of_days(rows: Sequence[tuple[int, int, int, int]]) -> Sums:
    """Day (ordinal), series, micro-credits and events, in any order."""
    columns = np.array(sorted(rows), np.int64).reshape(-1, 4).T
    return Sums(columns[0] << _SERIES_BITS | columns[1], columns[2], np.zeros(len(rows), np.int64), columns[3])


def key_of_day(day: int, series_id: int) -> int:
    return day << _SERIES_BITS | series_id


def series_of(sums: Sums) -> set[int]:
    return set(np.unique(sums.keys & (1 << _SERIES_BITS) - 1).tolist())


def cut_days(sums: Sums, days: Days) -> Sums:
    """The sums of some days."""
    first, after = (key_of_day(day, 0) for day in (days.first.toordinal(), days.last.toordinal() + 1))
    some = slice(*np.searchsorted(sums.keys, (first, after)).tolist())
    return Sums(*(column[some] for column in sums))


def compare(
    then: Sums, now: Sums, as_then: Sums | None, labels_then: LabelIndex, labels_now: LabelIndex, most: int
) -> Differences:
    """`as_then`: today's usage in the days of the file, if days have moved since: without corrections of their own.

    `labels_now` has a label for each key of all; `labels_then` for each of the file.
    """
    keys = np.unique(np.concatenate([then.keys, now.keys] + ([as_then.keys] if as_then else [])))
    before, after = _spread(then, keys), _spread(now, keys)
    difference = after.usage + after.corrected - before.usage - before.corrected
    none = np.zeros(len(keys), np.int64)
    if as_then is None:
        corrected = after.corrected - before.corrected
        by_cause: dict[Cause, tuple[Array, Array]] = {
            "late": (difference - corrected, after.events - before.events),
            "corrected": (corrected, none),
        }
    else:
        stayed = _spread(as_then, keys)
        late = stayed.usage - before.usage - before.corrected
        by_cause = {
            "late": (late, stayed.events - before.events),
            "moved": (difference - late, after.events - stayed.events),
        }
    days, series = keys >> _SERIES_BITS, keys & (1 << _SERIES_BITS) - 1
    at_now = labels_now.find(series, days)
    totals = {cause: Total(exact_sum(credits), exact_sum(events)) for cause, (credits, events) in by_cause.items()}
    largest: list[Difference] = []
    numbers: dict[Cause, int] = {}
    for cause, (credits, events) in by_cause.items():
        differs = np.flatnonzero((credits != 0) | (events != 0))
        numbers[cause] = len(differs)
        for at in _largest(differs, credits, events, most):
            label = labels_now.labels[at_now[at]]
            day = date.fromordinal(int(days[at]))
            largest.append(Difference(cause, day, label, label.category, int(credits[at]), int(events[at])))
    at_then = np.where(np.isin(keys, then.keys, assume_unique=True), labels_then.find(series, days), -1)
    of_then, of_now = (at_then, labels_then.labels), (at_now, labels_now.labels)
    more, numbers["recategorized"] = _recategorized(days, before, of_then, of_now, most)
    largest += more
    return Differences(
        total_of(then), total_of(now), totals, take_largest(largest, most), numbers, _by_day(days, before, after)
    )


def _recategorized(
    days: Array, before: Sums, then: tuple[Array, Sequence[Label]], now: tuple[Array, Sequence[Label]], most: int
) -> tuple[list[Difference], int]:
    """Both sides of each new category, and their number. `then` and `now`: the index of each key's label, -1 without one."""
    names: dict[str | None, int] = {}
    categories = [_number_categories(at, labels, names) for at, labels in (then, now)]
    amounts = before.usage + before.corrected
    differs = np.flatnonzero(
        (then[0] >= 0) & (categories[0] != categories[1]) & ((amounts != 0) | (before.events != 0))
    )
    found = []
    for at in _largest(differs, amounts, before.events, most):
        left, label, day = then[1][then[0][at]].category, now[1][now[0][at]], date.fromordinal(int(days[at]))
        credits, events = int(amounts[at]), int(before.events[at])
        found.append(Difference("recategorized", day, label, left, -credits, -events))
        found.append(Difference("recategorized", day, label, label.category, credits, events))
    return found, 2 * len(differs)


def _number_categories(at: Array, labels: Sequence[Label], names: dict[str | None, int]) -> Array:
    """A number for the category of each label, the same one for the same name. Only labels that are used are read."""
    used, key = np.unique(at, return_inverse=True)
    categories = (labels[each].category if each >= 0 else None for each in used.tolist())
    return np.array([names.setdefault(category, len(names)) for category in categories], np.int64)[key]


def take_largest(differences: Iterable[Difference], most: int) -> list[Difference]:
    """In the order of amounts. The two sides of a new category stay together: one more than `most`, if these would part them."""
    ordered = sorted(differences, key=_place)
    if len(ordered) > most > 0 and _place(ordered[most - 1]) == _place(ordered[most]):
        most += 1
    return ordered[:most]


def cut_pair(largest: Sequence[Difference], most: int) -> list[Difference]:
    """At most `most`: without both sides of the last new category, if there is one more."""
    return list(largest if len(largest) <= most else largest[: most - 1])


def _place(each: Difference) -> tuple[int, int, date, int, Cause]:
    """The same for both sides of a new category, and for no others."""
    return -abs(each.credits), -abs(each.events), each.day, each.label.series_id, each.cause


def total_of(sums: Sums) -> Total:
    return Total(exact_sum(sums.usage) + exact_sum(sums.corrected), exact_sum(sums.events))


def _by_day(days: Array, before: Sums, after: Sums) -> dict[date, DayCredits]:
    found = {}
    for day in np.unique(days):
        of_day = days == day
        then, now = (exact_sum(sums.usage[of_day]) + exact_sum(sums.corrected[of_day]) for sums in (before, after))
        found[date.fromordinal(int(day))] = DayCredits(then, now)
    return found


def _spread(sums: Sums, keys: Array) -> Sums:
    """The same sums for more keys; 0 for those that it lacks."""
    at = np.searchsorted(keys, sums.keys)
    columns = []
    for values in sums[1:]:
        column = np.zeros(len(keys), np.int64)
        column[at] = values
        columns.append(column)
    return Sums(keys, *columns)


def _largest(places: Array, credits: Array, events: Array, most: int) -> list[int]:
    order = np.lexsort((-np.abs(events[places]), -np.abs(credits[places])))
    found: list[int] = places[order[:most]].tolist()
    return found
