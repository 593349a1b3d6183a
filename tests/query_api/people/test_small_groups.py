"""Rows about fewer than five people merge, and no row can be computed as the difference of others."""

from collections.abc import Callable, Iterable, Sequence
from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from query_api.attributions.domain.crowd import Crowd
from query_api.attributions.domain.groups import DEPTH_MAX, find_parents, find_subtree
from query_api.attributions.domain.privacy import TooFewPeople, publish, publish_month
from query_api.attributions.domain.spans import PEOPLE_MIN, PeopleGroup, Span, is_person
from query_api.attributions.domain.tally import (
    SMALL,
    PeopleRow,
    RowKey,
    Tally,
    Use,
    add_up,
    build_rows,
    build_tree,
    flatten,
    key_by_group,
    key_by_value,
)
from query_api.people.domain.distribution import cut_bands


def use(actor: str, group: str = "", value: str | None = None, credits: int = 1) -> Use:
    span = Span(1, date.min, date.max, "user" if actor else "", actor, False, group, value, None)
    return Use(span, credits, 1, 0, 0)


NAMES = ["a", "b", "c", "d", "e", "f"]
groups = st.lists(
    st.builds(PeopleGroup, st.sampled_from(NAMES), st.just("Name"), st.sampled_from([None, *NAMES, "unknown"])),
    unique_by=lambda group: group.group_id,
)
many_uses = st.builds(
    use, st.sampled_from([f"u{n}" for n in range(12)]), st.sampled_from(NAMES[:3]), st.none(), st.integers(1, 50)
)
uses = st.lists(
    st.builds(
        use, st.sampled_from(["", *(f"u{n}" for n in range(20))]), st.sampled_from(["", *NAMES]),
        st.sampled_from([None, "x", "y", "z"]), st.integers(-5, 50),
    ),
    max_size=80,
)  # fmt: skip


def credits_of(rows: Sequence[PeopleRow]) -> int:
    return sum(row.tally.credits for row in rows)


def in_cells(used: Iterable[tuple[Use, str]], key_of: Callable[[Span], RowKey]) -> dict[RowKey, Tally]:
    """Tallies of a month, of uses with their cell."""
    used = list(used)
    tallies = add_up([each for each, _ in used], key_of)
    for each, cell in used:
        if is_person(each.span):
            tallies[key_of(each.span)].cells.setdefault(cell, Crowd()).join(Crowd((each.span.actor,)))
    return tallies


def in_one_cell(used: Iterable[Use], key_of: Callable[[Span], RowKey]) -> dict[RowKey, Tally]:
    return in_cells([(each, "") for each in used], key_of)


def is_shown_rightly(row: PeopleRow) -> bool:
    return all(len(people) >= PEOPLE_MIN for people in row.tally.cells.values())


@given(uses, groups)
def test_every_row_is_about_five_people_or_none_and_no_credit_is_lost(
    used: list[Use], directory: list[PeopleGroup]
) -> None:
    total = sum(use.credits for use in used)
    for key_of, tree in ((key_by_group, directory), (key_by_value, None)):
        try:
            published = publish({1: in_one_cell(used, key_of)}, tree)
        except TooFewPeople:
            people = {use.span.actor for use in used} - {""}
            assert 0 < len(people) < PEOPLE_MIN
            continue
        shown = build_rows(published.tallies) if tree is None else build_tree(published.tallies, tree)
        assert credits_of(shown) == total
        for row in flatten(shown):
            assert is_shown_rightly(row)
            assert not row.rows or credits_of(row.rows) == row.tally.credits


months = st.dictionaries(
    st.integers(1, 4), st.lists(st.tuples(many_uses, st.sampled_from(["web", "slack"])), max_size=60), min_size=2
)


@given(months, groups)
def test_the_difference_of_two_ranges_is_what_their_months_show(
    used: dict[int, list[tuple[Use, str]]], directory: list[PeopleGroup]
) -> None:
    """So no range shows more of a month than the month itself, in which each row is about five people in each cell."""
    tallies = {month: in_cells(inside, key_by_group) for month, inside in used.items()}
    try:
        whole = publish(tallies, directory).tallies
        parts = [publish({month: tallies[month]}, directory).tallies for month in tallies]
    except TooFewPeople:
        return
    assert {key: sum(part[key].credits for part in parts if key in part) for key in whole} == {
        key: tally.credits for key, tally in whole.items()
    }
    for part in parts:
        check_siblings(build_tree(part, directory))


def check_siblings(rows: Sequence[PeopleRow]) -> None:
    """Each is about five people in each cell, or is the only one with people in the cell and merged."""
    for row in rows:
        others = [other for other in rows if other is not row]
        for cell, people in row.tally.cells.items():
            is_alone = row.kind == "small" and all(cell not in other.tally.cells for other in others)
            assert len(people) >= PEOPLE_MIN or is_alone
        check_siblings(row.rows)


@given(uses, groups)
def test_a_tree_has_each_group_once_and_adds_up(used: list[Use], directory: list[PeopleGroup]) -> None:
    rows = build_tree(add_up(used, key_by_group), directory)
    every = [row for row in flatten(rows) if row.kind == "group"]
    assert len({row.id for row in every}) == len(every)
    assert {use.span.group_id for use in used} - {""} <= {row.id for row in every}
    for row in every:
        subtree = find_subtree(row.id, find_parents(directory))
        assert row.tally.credits == sum(use.credits for use in used if use.span.group_id in subtree)


def test_a_single_small_group_takes_another_along() -> None:
    used = [use(f"u{n}", "big") for n in range(9)] + [use(f"v{n}", "middle") for n in range(6)] + [use("w", "small")]
    shown = build_tree(publish({1: in_one_cell(used, key_by_group)}, []).tallies, [])
    assert [(row.kind, row.id, row.tally.credits) for row in shown] == [("group", "big", 9), ("small", "small", 7)]


def test_one_to_four_people_are_not_shown_at_all() -> None:
    with pytest.raises(TooFewPeople):
        publish({1: in_one_cell([use(f"u{n}", "group") for n in range(4)], key_by_group)}, [])


def test_a_group_is_merged_only_in_the_months_in_which_it_is_small() -> None:
    big = [use(f"b{n}", "big") for n in range(9)]
    months = {
        month: in_one_cell([*big, *(use(f"u{n}", "group") for n in range(month))], key_by_group) for month in (4, 6)
    }
    rows = build_tree(publish(months, []).tallies, [])
    assert [(row.kind, row.id, row.tally.credits) for row in rows] == [
        ("small", "small", 13), ("group", "big", 9), ("group", "group", 6),
    ]  # fmt: skip


def test_a_cell_of_one_person_merges_the_row_also_if_others_are_asked_for() -> None:
    """The usage of the surface could be computed from the group's total and its other surfaces."""
    used = [(use(f"u{n}", "group"), "web") for n in range(9)] + [(use("u1", "group"), "slack")]
    used += [(use(f"b{n}", "big"), cell) for n in range(9) for cell in ("web", "slack")]
    assert set(publish({1: in_cells(used, key_by_group)}, []).tallies) == {SMALL}


def test_days_show_no_group_that_the_whole_month_merges() -> None:
    """Else the sum of its days, subtracted from the month's small groups, would be the usage of three people."""
    days = ["2026-11-01", "2026-11-02", "2026-11-03"]
    used = [(use(f"a{n}", "a"), days[n // 2]) for n in range(6)]
    used += [(use(f"{name}{n}", name), day) for name, size in (("b", 3), ("g", 5)) for n in range(size) for day in days]
    whole = publish({11: in_one_cell([each for each, _ in used], key_by_group)}, [])
    assert whole.merged == {("group", "b"), ("group", "g")}
    assert whole.merged <= publish({11: in_cells(used, key_by_group)}, []).merged


some_people = st.tuples(
    st.sampled_from(NAMES[:3]), st.integers(0, 6), st.integers(1, 6), st.sets(st.sampled_from("123"), min_size=1),
    st.sets(st.sampled_from(["web", "slack"]), min_size=1),
)  # fmt: skip
"""A group, the first of its people who used something, their number, and the days and surfaces on which each of them did."""


@given(st.lists(some_people, max_size=9), groups)
def test_finer_cells_merge_all_that_coarser_ones_merge(
    used: list[tuple[str, int, int, set[str], set[str]]], directory: list[PeopleGroup]
) -> None:
    def merged(cell_of: Callable[[str, str], str]) -> frozenset[RowKey]:
        uses = [
            (use(f"{group}{number}", group), cell_of(day, surface))
            for group, first, count, days, surfaces in used
            for number in range(first, first + count) for day in days for surface in surfaces
        ]  # fmt: skip
        return publish_month(in_cells(uses, key_by_group), directory).merged

    whole = merged(lambda _day, _surface: "")
    by_surface = merged(lambda _day, surface: f"\x1f{surface}")
    assert whole <= by_surface <= merged(lambda day, surface: f"{day}\x1f{surface}")
    assert whole <= merged(lambda day, _surface: day)


def test_a_cell_of_people_whose_usage_is_cancelled_is_small() -> None:
    months = in_one_cell(
        [use(f"u{n}", "group") for n in range(9)] + [use(f"b{n}", "big") for n in range(9)], key_by_group
    )
    months["group", "group"].cells[""] = months["group", "group"].people = Crowd()
    assert set(publish({1: months}, []).tallies) == {SMALL}
    with pytest.raises(TooFewPeople):
        publish({1: {("group", "group"): months["group", "group"]}}, [])


def test_a_chain_of_groups_is_cut_and_a_cycle_has_roots() -> None:
    chain = [PeopleGroup(f"g{n}", "", f"g{n - 1}" if n else None) for n in range(5000)]
    parents = find_parents(chain)
    assert [group for group in parents if parents[group] is None] == [f"g{n}" for n in range(0, 5000, DEPTH_MAX)]
    cycle = [PeopleGroup("a", "", "b"), PeopleGroup("b", "", "a"), PeopleGroup("c", "", "a"), PeopleGroup("d", "", "x")]
    assert find_parents(cycle) == {"a": None, "b": None, "c": "a", "d": None}


@given(st.lists(st.integers(0, 10**12), max_size=500))
def test_each_person_is_in_one_band(credits: list[int]) -> None:
    bands = cut_bands(np.array(credits, np.int64))
    assert (sum(band.people for band in bands), sum(band.credits for band in bands)) == (len(credits), sum(credits))
    if credits:
        assert bands[0].people == -(-len(credits) // 100)
    levels = [band.least for band in bands if band.least is not None]
    assert levels == sorted(levels, reverse=True)
