"""Large responses are encoded by msgspec to the bytes that pydantic writes."""

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from query_api.http.answers import answer_json, write_instant
from query_api.http.fields import date_range
from query_api.usage.breakdown.schemas import Breakdown, BreakdownRow, ProductShare
from query_api.usage.trend.schemas import Trend, TrendBucket, TrendSeries

texts, numbers = st.text(st.characters(exclude_categories=["Cs"])), st.integers(-(2**62), 2**62)
days = st.builds(date_range, st.dates(), st.dates())
zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
instants = st.datetimes(timezones=zones | st.just(UTC))
rows: Any = st.recursive(
    st.builds(BreakdownRow, st.sampled_from(["model", "agent"]), texts, texts, texts, numbers, texts, st.none() | texts, st.none() | texts, st.just([])),
    lambda inner: st.builds(BreakdownRow, st.just("category"), texts, texts, texts, numbers, texts, texts, texts, st.lists(inner, max_size=3)),
    max_leaves=6,
)  # fmt: skip
breakdowns = st.builds(
    Breakdown, product=st.just("agents"), view=st.just("agents"), range=days, previous_range=st.none() | days, time_zone=st.none() | texts,
    categories=st.just("then"), group_by=st.sampled_from([None, "surface"]), total=texts, events=numbers, previous=st.none() | texts,
    change=st.none() | texts, rows=st.lists(rows, max_size=3), next=st.none() | texts, moved=st.booleans(), surfaces=st.lists(texts, max_size=3),
    product_shares=st.lists(st.builds(ProductShare, st.just("api"), texts, texts), max_size=3), complete_to=st.none() | instants,
)  # fmt: skip
trends = st.builds(
    Trend, st.none(), days, st.none() | texts, st.just("day"), st.just("agent"), texts, numbers,
    st.lists(st.builds(TrendBucket, instants.map(write_instant), instants.map(write_instant), st.none() | days, st.just("complete"), texts, numbers), max_size=3),
    st.lists(st.builds(TrendSeries, texts, texts, st.just("other"), st.none(), texts, st.lists(texts, max_size=3), st.lists(numbers, max_size=3)), max_size=3),
    st.none() | instants,
)  # fmt: skip


@given(breakdowns)
def test_a_breakdown(answer: Breakdown) -> None:
    assert answer_json(answer).body == TypeAdapter(Breakdown).dump_json(answer)


@given(trends)
def test_a_trend(answer: Trend) -> None:
    assert answer_json(answer).body == TypeAdapter(Trend).dump_json(answer)


@given(instants)
def test_an_instant(at: datetime) -> None:
    assert f'"{write_instant(at)}"'.encode() == TypeAdapter(datetime).dump_json(at)


def test_a_day() -> None:
    assert (
        answer_json(date_range(date(2026, 1, 2), date(2026, 1, 3))).body == b'{"from":"2026-01-02","to":"2026-01-03"}'
    )
