"""Rows about fewer than five people merge, and no row can be computed as the difference of others."""

from collections.abc import Sequence
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from query_api.attributions.domain.groups import DEPTH_MAX, find_parents, find_subtree
from query_api.attributions.domain.privacy import TooFewPeople, hide_small
from query_api.attributions.domain.spans import PEOPLE_MIN, PeopleGroup, Span
from query_api.attributions.domain.tally import (
    PeopleRow,
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
uses = st.lists(
    st.builds(
        use, st.sampled_from(["", *(f"u{n}" for n in range(20))]), st.sampled_from(["", *NAMES]),
        st.sampled_from([None, "x", "y", "z"]), st.integers(-5, 50),
    ),
    max_size=80,
)  # fmt: skip


def credits_of(rows: Sequence[PeopleRow]) -> int:
    return sum(row.tally.credits for row in rows)


@given(uses, groups)
def test_every_row_is_about_five_people_or_none_and_no_credit_is_lost(
    used: list[Use], directory: list[PeopleGroup]
) -> None:
    total = sum(use.credits for use in used)
    for rows in (build_tree(add_up(used, key_by_group), directory), build_rows(add_up(used, key_by_value))):
        assert credits_of(rows) == total
        try:
            shown = hide_small(rows)
        except TooFewPeople:
            people = {use.span.actor for use in used} - {""}
            assert 0 < len(people) < PEOPLE_MIN
            continue
        assert credits_of(shown) == total
        for row in flatten(shown):
            assert len(row.tally.people) not in range(1, PEOPLE_MIN)
            assert not row.rows or credits_of(row.rows) == row.tally.credits


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
    shown = hide_small(build_tree(add_up(used, key_by_group), []))
    assert [(row.kind, row.id, row.tally.credits) for row in shown] == [("group", "big", 9), ("small", "small", 7)]


def test_one_to_four_people_are_not_shown_at_all() -> None:
    with pytest.raises(TooFewPeople):
        hide_small(build_tree(add_up([use(f"u{n}", "group") for n in range(4)], key_by_group), []))


def test_a_chain_of_groups_is_cut_and_a_cycle_has_roots() -> None:
    chain = [PeopleGroup(f"g{n}", "", f"g{n - 1}" if n else None) for n in range(5000)]
    parents = find_parents(chain)
    assert [group for group in parents if parents[group] is None] == [f"g{n}" for n in range(0, 5000, DEPTH_MAX)]
    cycle = [PeopleGroup("a", "", "b"), PeopleGroup("b", "", "a"), PeopleGroup("c", "", "a"), PeopleGroup("d", "", "x")]
    assert find_parents(cycle) == {"a": None, "b": None, "c": "a", "d": None}


@given(st.lists(st.integers(0, 10**12), max_size=500))
def test_each_person_is_in_one_band(credits: list[int]) -> None:
    bands = cut_bands(credits)
    assert (sum(band.people for band in bands), sum(band.credits for band in bands)) == (len(credits), sum(credits))
    if credits:
        assert bands[0].people == -(-len(credits) // 100)
    levels = [band.least for band in bands if band.least is not None]
    assert levels == sorted(levels, reverse=True)
