"""Quotas and the memory budget."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ingest.domain.limits import Budget, OverBudget, OverQuota, Quota


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_quota_refills_with_time() -> None:
    clock = Clock()
    quota = Quota(10, clock)
    quota.charge("a", 100)
    with pytest.raises(OverQuota) as refused:
        quota.check("a")
    assert refused.value.retry_after_s == 1
    quota.check("b")
    clock.now += 0.2
    quota.check("a")


def test_a_client_over_its_quota_waits_until_it_refills() -> None:
    clock = Clock()
    quota = Quota(10, clock)
    quota.charge("a", 1000)
    with pytest.raises(OverQuota) as refused:
        quota.check("a")
    assert refused.value.retry_after_s == 91
    assert quota.headers("a") == {"RateLimit-Policy": '"events";q=100;w=10', "RateLimit": '"events";r=0;t=100'}
    clock.now += 91
    quota.check("a")


def test_what_was_not_written_is_given_back_but_no_more_than_the_bucket_holds() -> None:
    quota = Quota(10, Clock())
    quota.charge("a", 60)
    quota.charge("a", -60)
    quota.charge("a", -60)
    assert quota.headers("a")["RateLimit"] == '"events";r=100;t=0'


def test_no_quota_is_no_limit() -> None:
    quota = Quota(0, Clock())
    quota.charge("a", 10**9)
    quota.check("a")
    assert quota.headers("a") == {}


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(1, 300)), max_size=50))
def test_average_never_exceeds_the_quota(requests: list[tuple[float, int]]) -> None:
    clock = Clock()
    quota = Quota(20, clock)
    taken, largest, began = 0, 0, clock.now
    for pause, events in requests:
        clock.now += pause
        try:
            quota.check("a")
        except OverQuota:
            continue
        quota.charge("a", events)
        taken, largest = taken + events, max(largest, events)
        assert taken <= 200 + (clock.now - began) * 20 + largest


def test_budget_refuses_what_does_not_fit_and_gives_back_what_was_held() -> None:
    budget = Budget(100)
    with budget.reserve("a") as first:
        first.take(60)
        with budget.reserve("b") as second:
            with pytest.raises(OverBudget):
                second.take(41)
            second.take(30)
        assert budget.held == 60
    assert budget.held == 0


def test_a_sender_holds_at_most_three_quarters_and_leaves_each_other_one_room() -> None:
    budget = Budget(1_000)
    for sender in ("a", "b", "c"):
        while True:
            try:
                budget.take(sender, 10)
            except OverBudget:
                break
    assert budget.held == 750 + 180 + 50
    budget.take("d", 10)


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(1, 400), st.booleans()), max_size=60))
def test_a_budget_counts_what_each_sender_holds(steps: list[tuple[str, int, bool]]) -> None:
    budget, held = Budget(1_000), list[tuple[str, int]]()
    for sender, size, gives in steps:
        if gives and held:
            budget.give(*held.pop())
            continue
        with suppress(OverBudget):
            budget.take(sender, size)
            held.append((sender, size))
        assert budget.held == sum(size for _, size in held) <= 1_000
    for sender, size in held:
        budget.give(sender, size)
    assert budget.held == 0
    budget.take("a", 750)
