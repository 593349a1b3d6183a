"""The tree of a view: which rows are nested in which, and no credit is lost."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from query_api.calendar import Days, split_at
from query_api.usage.breakdown.domain.rows import change, in_order, share
from query_api.usage.breakdown.domain.tree import LeafUsage, Row, ViewTree
from query_api.usage.domain.catalog import (
    FEATURE_KINDS,
    NO_AGENT,
    Agent,
    AgentStatus,
    Feature,
    FeatureEntry,
    Features,
    View,
    agent_status,
)
from query_api.usage.domain.series import Series, SeriesUsage

DAY = date(2026, 9, 1)
CODE, IMAGE, SEARCH = Feature("feature", "code"), Feature("feature", "image"), Feature("tool", "search")
AGENTS = {
    "a1": Agent("agent", "Quarterly report"),
    "a2": Agent("agent", "Inbox"),
    "d1": Agent("deleted", "Old one"),
    "d2": Agent("deleted", "Older one"),
    "u1": Agent("unsaved", "Draft"),
    "u2": Agent("unsaved", "Draft"),
    "s1": Agent("system", "Deep Research"),
    "s2": Agent("system", "Chat"),
}


def use(feature: Feature, credits: int, agent: str = "", *, day: date = DAY, events: int = 1) -> SeriesUsage:
    return SeriesUsage(day, Series(feature, agent, "", "agents"), credits, events)


def feature_entry(
    feature: Feature, category: str | None, *, since: int = 0, wide: bool = False, name: str | None = None
) -> FeatureEntry:
    return FeatureEntry(feature, wide, DAY + timedelta(days=since), name, category)


def build_rows(
    view: View, uses: list[SeriesUsage], features: Features, agents: dict[str, Agent], before: Sequence[SeriesUsage] = (),
    *, by_surface: bool = False, tree: ViewTree | None = None,
) -> list[Row]:  # fmt: skip
    """The rows of a new tree, or of one that other requests have used."""
    tree = tree or ViewTree(view, features, agents, by_surface=by_surface)
    now, then = (
        LeafUsage(
            np.array([tree.leaf(use.series, use.day) for use in used], np.int64),
            np.array([use.credits for use in used], np.int64),
            np.array([use.events for use in used], np.int64),
        )
        for used in (uses, before)
    )
    return tree.rows([now], [then])


def outline(rows: list[Row]) -> list[Any]:
    """Kind, name, credits and nested rows, in a short form to compare."""
    return [
        (row.kind, row.name, row.credits, outline(row.rows)) if row.rows else (row.kind, row.name, row.credits)
        for row in rows
    ]


def tree(view: View, uses: list[SeriesUsage], *entries: FeatureEntry) -> list[Any]:
    return outline(build_rows(view, uses, Features(entries, DAY + timedelta(days=100)), AGENTS))


def test_models_are_rows_by_credits_then_name() -> None:
    uses = [use(Feature("model", name), credits) for name, credits in (("b", 1), ("c", 5), ("a", 1), ("c", 2))]
    assert tree("models", uses, feature_entry(Feature("model", "a"), "Large", name="Alpha")) == [
        ("model", "c", 7),
        ("model", "Alpha", 1),
        ("model", "b", 1),
    ]


def test_a_category_expands_into_its_features_and_a_feature_without_one_stands_alone() -> None:
    rows = tree("tools", [use(SEARCH, 3), use(Feature("tool", "jira"), 4), use(Feature("tool", "new"), 5)],
                feature_entry(SEARCH, "Connectors"), feature_entry(Feature("tool", "jira"), "Connectors"))  # fmt: skip
    assert rows == [("category", "Connectors", 7, [("tool", "jira", 4), ("tool", "search", 3)]), ("tool", "new", 5)]


def test_usage_keeps_the_category_of_its_day() -> None:
    uses = [use(CODE, 1), use(CODE, 2, day=DAY + timedelta(days=9)), use(CODE, 4, day=DAY + timedelta(days=10))]
    rows = tree(
        "other_features", uses, feature_entry(CODE, "Writing", since=1), feature_entry(CODE, "Coding", since=10)
    )
    assert rows == [
        ("category", "Coding", 4, [("feature", "code", 4)]),
        ("category", "Writing", 2, [("feature", "code", 2)]),
        ("feature", "code", 1),
    ]


def test_an_organizations_own_category_goes_before_the_deployments_from_its_first_day() -> None:
    entries = [
        feature_entry(CODE, "Wide", wide=True),
        feature_entry(CODE, "Own", since=5),
        feature_entry(CODE, "Wide again", since=7, wide=True),
        feature_entry(CODE, None, since=9),
    ]
    features = Features(entries, DAY)
    assert [features.category(CODE, DAY + timedelta(days=n)) for n in (-1, 0, 4, 5, 7, 8, 9, 99)] == [
        None, "Wide", "Wide", "Own", "Own", "Own", None, None
    ]  # fmt: skip
    assert features.changes() == [DAY, DAY + timedelta(days=5), DAY + timedelta(days=9)]


def test_names_are_todays_and_a_later_name_waits_for_its_day() -> None:
    entries = [
        feature_entry(CODE, None, name="Code"),
        feature_entry(CODE, None, since=3, name="Code Writer"),
        feature_entry(IMAGE, None, since=3, name="Pictures"),
    ]
    assert Features(entries, DAY).name(CODE) == "Code"
    assert Features(entries, DAY + timedelta(days=3)).name(CODE) == "Code Writer"
    assert Features(entries, DAY).name(IMAGE) == "image"
    own = [
        feature_entry(CODE, None, name="Ours"),
        feature_entry(CODE, None, since=2, name="The deployment's", wide=True),
    ]
    assert Features(own, DAY + timedelta(days=5)).name(CODE) == "Ours"


def test_agents_view_aggregates_deleted_and_unsaved_and_lists_every_system_workflow() -> None:
    uses = [use(CODE, 10 + n, agent) for n, agent in enumerate(AGENTS)] + [use(SEARCH, 1, "a1")]
    assert tree("agents", uses) == [
        ("unsaved", "Unsaved workflows", 14 + 15),
        ("deleted", "Deleted agents", 12 + 13, [("agent", "Older one", 13), ("agent", "Old one", 12)]),
        ("system", "Chat", 17),
        ("system", "Deep Research", 16),
        ("agent", "Inbox", 11),
        ("agent", "Quarterly report", 11),
    ]


def test_features_view_nests_the_same_agent_rows() -> None:
    uses = [use(CODE, 10 + n, agent) for n, agent in enumerate(AGENTS)] + [use(Feature("model", "opus"), 1, "d1")]
    agents = tree("agents", uses[:-1])
    assert tree("features", uses, feature_entry(CODE, "Writing")) == [
        ("category", "Writing", 108, [("feature", "code", 108, agents)]),
        ("model", "opus", 1, [("deleted", "Deleted agents", 1, [("agent", "Old one", 1)])]),
    ]


def test_a_feature_used_with_and_without_an_agent_adds_up() -> None:
    assert tree("other_features", [use(CODE, 5), use(CODE, 2, "u1"), use(CODE, 1, "s1"), use(IMAGE, 3)]) == [
        ("feature", "code", 8, [("feature", "No agent", 5), ("unsaved", "Unsaved workflows", 2), ("system", "Deep Research", 1)]),
        ("feature", "image", 3),
    ]  # fmt: skip


def test_an_agent_that_no_table_knows_shows_under_its_id() -> None:
    assert tree("agents", [use(CODE, 5, "agt_7"), use(CODE, 1, "")]) == [
        ("agent", "agt_7", 5),
        ("unsaved", "Unsaved workflows", 1),
    ]


def test_api_namespaces() -> None:
    assert tree("namespaces", [use(Feature("namespace", "search"), 5)]) == [("namespace", "search", 5)]


@pytest.mark.parametrize(
    ("registered", "seen", "ever_saved", "status"),
    [
        ("saved", None, True, "agent"),
        ("saved", "unsaved", True, "agent"),
        ("saved", "system", True, "agent"),
        ("deleted", "saved", True, "deleted"),
        ("deleted", "unsaved", True, "deleted"),
        ("deleted", "unsaved", False, "unsaved"),
        ("deleted", None, False, "unsaved"),
        ("deleted", "system", False, "system"),
        ("system", "saved", True, "system"),
        ("system", None, False, "system"),
        (None, "saved", True, "agent"),
        (None, "unsaved", False, "unsaved"),
        (None, "unsaved", True, "agent"),
        (None, "system", False, "system"),
        (None, None, False, "agent"),
    ],
)
def test_agent_status(registered: Any, seen: Any, ever_saved: bool, status: AgentStatus) -> None:
    assert agent_status(registered, seen, ever_saved) == status


def test_share_of_nothing_is_nothing() -> None:
    assert (share(5, 0), share(0, 0)) == (0, 0)
    assert (share(1, 3), share(2, 3), share(-1, 4), share(1, -4), share(-1, -4)) == (
        333_333, 666_667, -250_000, -250_000, 250_000
    )  # fmt: skip


names = st.sampled_from(["a", "b", "c", "d"])
features = st.builds(Feature, st.sampled_from(["model", "tool", "feature"]), names)
days = st.integers(0, 40).map(lambda n: DAY + timedelta(days=n))
entries = st.lists(
    st.builds(
        FeatureEntry, features, st.booleans(), days, st.none() | names, st.none() | st.sampled_from(["X", "Y", "a"])
    ),
    max_size=12,
    unique_by=lambda entry: (entry.feature, entry.deployment_wide, entry.effective_from),
)
# Corrections create negative sums, and sums without an event.
uses = st.lists(
    st.builds(
        SeriesUsage,
        days,
        st.builds(
            Series,
            features,
            st.sampled_from(["", *AGENTS, "x9"]),
            st.sampled_from(["", "web", "slack"]),
            st.just("agents"),
        ),
        st.integers(-5, 10**12),
        st.integers(0, 9),
    ),
    max_size=40,
)
views = st.sampled_from(sorted({view for _, view in FEATURE_KINDS}))


def walk(rows: list[Row]) -> Iterator[Row]:
    for row in rows:
        yield row
        yield from walk(row.rows)


@given(views, uses, entries)
def test_every_level_adds_up_to_the_usage(view: View, uses: list[SeriesUsage], entries: list[FeatureEntry]) -> None:
    rows = build_rows(view, uses, Features(entries, DAY), AGENTS)
    assert sum(row.credits for row in rows) == sum(use.credits for use in uses)
    assert sum(row.events for row in rows) == sum(use.events for use in uses)
    for row in walk(rows):
        if row.rows:
            assert sum(part.credits for part in row.rows) == row.credits
            assert sum(part.events for part in row.rows) == row.events
            assert len({(part.kind, part.id) for part in row.rows}) == len(row.rows)
    assert len({(row.kind, row.id) for row in rows}) == len(rows)


@given(views, uses, uses, entries, st.booleans())
def test_previous_usage_adds_up_and_changes_nothing_else(
    view: View, uses: list[SeriesUsage], before: list[SeriesUsage], entries: list[FeatureEntry], by_surface: bool
) -> None:
    features = Features(entries, DAY)
    rows = build_rows(view, uses, features, AGENTS, before, by_surface=by_surface)
    assert sum(row.previous for row in rows) == sum(use.credits for use in before)
    for row in walk(rows):
        assert row.previous == sum(part.previous for part in row.rows) or not row.rows
    assert rows == sorted(rows, key=in_order)

    def parts(rows: list[Row], value: Callable[[Row], int]) -> list[Any]:
        # A feature's usage without an agent is a separate row only if one of the two ranges has agents.
        named = [row for row in rows if row.name != NO_AGENT]
        found = [(row.kind, row.id, row.name, value(row), parts(row.rows, value)) for row in named]
        return sorted(row for row in found if row[3] or row[4])

    alone = build_rows(view, before, features, AGENTS, by_surface=by_surface)
    assert parts(rows, lambda row: row.previous) == parts(alone, lambda row: row.credits)
    alone = build_rows(view, uses, features, AGENTS, by_surface=by_surface)
    assert parts(rows, lambda row: row.credits) == parts(alone, lambda row: row.credits)


@given(views, uses, entries)
def test_by_surface_each_row_is_the_view_of_that_surface(
    view: View, uses: list[SeriesUsage], entries: list[FeatureEntry]
) -> None:
    features = Features(entries, DAY)
    rows = build_rows(view, uses, features, AGENTS, by_surface=True)
    assert {row.kind for row in rows} <= {"surface"}
    for row in rows:
        on_it = [use for use in uses if use.series.surface == row.id]
        assert row.name == (row.id or "No surface")
        assert row.rows == build_rows(view, on_it, features, AGENTS) or view in ("models", "tools", "namespaces")
        assert row.credits == sum(use.credits for use in on_it)
    assert {row.id for row in rows} == {use.series.surface for use in uses}


def test_usage_that_is_gone_stays_as_a_row_of_zero() -> None:
    rows = build_rows("models", [use(CODE, 4)], Features([], DAY), AGENTS, [use(CODE, 1), use(IMAGE, 5)])
    assert [(row.id, row.credits, row.events, row.previous) for row in rows] == [("code", 4, 1, 1), ("image", 0, 0, 5)]


def test_shares_are_rounded_half_even() -> None:
    parts = ((1, 2_000_000), (3, 2_000_000), (5, 2_000_000), (-1, 2_000_000), (-3, 2_000_000), (2, 3), (-2, 3), (1, -3))
    assert [share(*part) for part in parts] == [0, 2, 2, 0, -2, 666_667, -666_667, -333_333]


def test_change_is_a_fraction_of_what_was_before() -> None:
    assert [change(now, before) for now, before in ((3, 2), (2, 3), (0, 5), (5, 0), (0, 0), (4, -2), (-1, 1))] == [
        500_000, -333_333, -1_000_000, None, None, 3_000_000, -2_000_000,
    ]  # fmt: skip


@given(features, days, days, entries)
def test_as_now_every_day_has_todays_category(
    feature: Feature, today: date, day: date, entries: list[FeatureEntry]
) -> None:
    as_now = Features(entries, today, "now")
    assert as_now.category(feature, day) == Features(entries, today).category(feature, today)
    assert as_now.changing(DAY, DAY + timedelta(days=40)) == set()


@given(st.sampled_from(["agents", "features", "other_features"]), uses)
def test_special_rows_hold_exactly_their_agents_usage(view: View, uses: list[SeriesUsage]) -> None:
    expected: Counter[str] = Counter()
    for item in uses:
        state = AGENTS[item.series.agent_id].status if item.series.agent_id in AGENTS else "agent"
        if item.series.agent_id or view == "agents":
            expected[state if item.series.agent_id else "unsaved"] += item.credits
    rows = build_rows(view, uses, Features([], DAY), AGENTS)
    found: Counter[str] = Counter()
    for row in walk(rows):
        for part in row.rows if row.kind == "deleted" else []:
            assert part.kind == "agent"
            found["agent"] -= part.credits  # listed inside, but counted with the deleted ones
        if row.kind in ("agent", "deleted", "unsaved", "system"):
            found[row.kind] += row.credits
    assert {state: credits for state, credits in found.items() if credits} == {
        state: credits for state, credits in expected.items() if credits
    }


@given(views, uses, entries)
def test_stretches_between_changes_give_the_same_tree_as_days(
    view: View, uses: list[SeriesUsage], entries: list[FeatureEntry]
) -> None:
    by_day = Features(entries, DAY)
    stretches = split_at(Days(DAY, DAY + timedelta(days=40)), by_day.changes())
    sums: dict[tuple[date, Series], list[int]] = {}
    for item in uses:
        first = next(stretch.first for stretch in stretches if stretch.first <= item.day <= stretch.last)
        cell = sums.setdefault((first, item.series), [0, 0])
        cell[0] += item.credits
        cell[1] += item.events
    folded = [SeriesUsage(first, series, *cell) for (first, series), cell in sums.items()]
    assert build_rows(view, folded, by_day, AGENTS) == build_rows(view, uses, by_day, AGENTS)


@given(entries, days, days)
def test_a_feature_that_does_not_change_has_one_category(entries: list[FeatureEntry], first: date, last: date) -> None:
    by_day = Features(entries, DAY)
    categories = {
        feature: {by_day.category(feature, first + timedelta(days=n)) for n in range((last - first).days + 1)}
        for feature in {entry.feature for entry in entries}
    }
    constant = categories.keys() - by_day.changing(first, last)
    assert all(len(categories[feature]) <= 1 for feature in constant)
    assert all(by_day.changing(day - timedelta(days=1), day) for day in by_day.changes())


@given(features, days, entries)
def test_the_category_is_that_of_the_latest_entry_of_the_organization_or_the_deployment(
    feature: Feature, day: date, entries: list[FeatureEntry]
) -> None:
    spoken = [entry for entry in entries if entry.feature == feature and entry.effective_from <= day]
    own = [entry for entry in spoken if not entry.deployment_wide]
    latest = max(own or spoken, key=lambda entry: entry.effective_from, default=None)
    assert Features(entries, DAY).category(feature, day) == (latest.category if latest else None)


@given(st.lists(st.integers(0, 10**15), min_size=1, max_size=50))
def test_shares_of_all_rows_add_up_to_one_within_rounding(credits: list[int]) -> None:
    total = sum(credits)
    assert abs(sum(share(part, total) for part in credits) - (1_000_000 if total else 0)) <= len(credits)


@given(views, uses, uses, uses, entries, st.booleans())
def test_a_tree_that_served_other_requests_gives_the_rows_of_a_new_one(
    view: View,
    uses: list[SeriesUsage],
    before: list[SeriesUsage],
    others: list[SeriesUsage],
    entries: list[FeatureEntry],
    by_surface: bool,
) -> None:
    features = Features(entries, DAY)
    shared = ViewTree(view, features, AGENTS, by_surface=by_surface)
    build_rows(view, others, features, AGENTS, by_surface=by_surface, tree=shared)
    again = build_rows(view, uses, features, AGENTS, before, by_surface=by_surface, tree=shared)
    assert again == build_rows(view, uses, features, AGENTS, before, by_surface=by_surface)
