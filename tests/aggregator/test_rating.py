"""The rate card: order, reach and rounding of rates."""

import time
from decimal import ROUND_HALF_EVEN, Decimal

from flexcredits_schemas.rating.card import Rate, RateCard
from hypothesis import given
from hypothesis import strategies as st

NEVER = float("-inf")


def make_rate(
    rate_id: int, *, organization: str = "", feature: str = "*", effective: float = NEVER, received: float = 100.0
) -> Rate:
    return Rate(
        rate_id,
        organization,
        "assistant",
        "model",
        feature,
        "tokens",
        1_000_000,
        1_000_000,
        effective,
        received,
        rate_id,
    )


def rate_id_at(card: RateCard, occurred: float, *, organization: str = "org", feature: str = "gpt") -> int | None:
    rate = card.rate_at(organization, "assistant", "model", feature, "tokens", occurred)
    return rate.rate_id if rate else None


def card_of(*rates: Rate) -> RateCard:
    card = RateCard()
    card.add(rates)
    return card


def test_first_rate_reaches_back() -> None:
    assert rate_id_at(card_of(make_rate(1)), 5.0) == 1


def test_backdated_rate_reaches_as_far_as_it_says() -> None:
    card = card_of(make_rate(1, effective=50.0))
    assert rate_id_at(card, 49.9) is None
    assert rate_id_at(card, 50.0) == 1


def test_later_rate_changes_nothing_before_its_receipt() -> None:
    card = card_of(make_rate(1), make_rate(2, effective=10.0, received=200.0))
    assert rate_id_at(card, 199.9) == 1
    assert rate_id_at(card, 200.0) == 2


def test_rate_announced_for_the_future_waits_for_its_day() -> None:
    card = card_of(make_rate(1), make_rate(2, effective=300.0, received=200.0))
    assert rate_id_at(card, 299.0) == 1
    assert rate_id_at(card, 300.0) == 2


def test_second_rate_fills_a_time_that_none_covered() -> None:
    card = card_of(make_rate(1, effective=500.0), make_rate(2, effective=10.0, received=200.0))
    assert rate_id_at(card, 50.0) == 2
    assert rate_id_at(card, 500.0) == 1


def test_organization_goes_before_deployment_and_exact_before_wildcard() -> None:
    card = card_of(
        make_rate(1),
        make_rate(2, feature="gpt"),
        make_rate(3, organization="org"),
        make_rate(4, organization="org", feature="gpt"),
    )
    assert rate_id_at(card, 150.0) == 4
    assert rate_id_at(card, 150.0, feature="other") == 3
    assert rate_id_at(card, 150.0, organization="else") == 2
    assert rate_id_at(card, 150.0, organization="else", feature="other") == 1


def test_more_specific_rate_does_not_reprice_what_a_general_one_covered() -> None:
    card = card_of(make_rate(1), make_rate(2, organization="org", feature="gpt", received=200.0))
    assert rate_id_at(card, 150.0) == 1


@given(
    catalog_events=st.lists(
        st.tuples(st.sampled_from(["", "org"]), st.sampled_from(["*", "gpt"]), st.floats(0, 100), st.floats(0, 50)), max_size=6
    ),
    occurred=st.floats(0, 100),
)  # fmt: skip
def test_a_new_rate_never_changes_a_time_that_was_covered(
    catalog_events: list[tuple[str, str, float, float]], occurred: float
) -> None:
    received = 0.0
    card, before = RateCard(), None
    for number, (organization, feature, effective, wait) in enumerate(catalog_events):
        received += wait
        card.add(
            [make_rate(number, organization=organization, feature=feature, effective=effective, received=received)]
        )
        now = rate_id_at(card, occurred)
        if before is not None and occurred < received:
            assert now == before
        before = now


def rate_by_definition(covering: list[Rate], occurred: float) -> Rate | None:
    """As the docstring of rate_at() says it."""
    in_force = [rate for rate in covering if max(rate.effective_from, rate.received) <= occurred]
    if in_force:
        return max(in_force, key=lambda rate: (rate.specificity, max(rate.effective_from, rate.received), rate.offset))
    return next((rate for rate in covering if rate.effective_from <= occurred), None)


times = st.sampled_from([NEVER, 0.0, 1.0, 2.0, 3.0, 4.0])


@given(
    st.lists(st.tuples(st.sampled_from(["", "org"]), st.sampled_from(["*", "gpt"]), times, st.integers(0, 4)), max_size=8),
    st.sampled_from([-1.0, 0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 9.0]),
)  # fmt: skip
def test_every_time_has_the_rate_of_the_definition(
    given_rates: list[tuple[str, str, float, int]], occurred: float
) -> None:
    rates = [
        make_rate(number, organization=organization, feature=feature, effective=effective, received=float(received))
        for number, (organization, feature, effective, received) in enumerate(given_rates)
    ]
    expected = rate_by_definition(rates, occurred)
    assert rate_id_at(card_of(*rates), occurred) == (expected.rate_id if expected else None)


def test_thousands_of_rates_of_one_feature_do_not_slow_others_down() -> None:
    """Reading each rate for each change would take minutes."""
    card = card_of(*(make_rate(number, organization="org", received=float(number)) for number in range(20_000)))
    began = time.process_time()
    assert rate_id_at(card, 19_998.5) == 19_998
    for number in range(20_000):
        rate_id_at(card, float(number), feature=f"f{number}")
    assert time.process_time() - began < 5
    assert len(card._stretches) == 1


def test_thousands_of_rates_of_all_features_and_of_single_ones_do_not_slow_others_down() -> None:
    """Merging the rates of all features with those of each single one would take half a minute, again after each rate."""
    rates = [make_rate(number, organization="org", received=float(number)) for number in range(5_000)]
    rates += [
        make_rate(number, organization="org", feature=f"f{number}", received=float(number))
        for number in range(5_000, 10_000)
    ]
    card = card_of(*rates)
    began = time.process_time()
    for number in range(5_000, 10_000):
        assert rate_id_at(card, 4_321.5, feature=f"f{number}") == 4_321
        assert rate_id_at(card, 10_000.0, feature=f"f{number}") == number
    assert time.process_time() - began < 5


@given(st.integers(1, 10**15), st.integers(0, 10**9), st.integers(1, 10**9))
def test_rounds_half_even_once(quantity: int, credits: int, per: int) -> None:
    exact = Decimal(quantity * credits) / Decimal(per)
    expected = int(exact.quantize(Decimal(1), ROUND_HALF_EVEN)) if len(str(quantity * credits)) < 27 else None
    if expected is not None and quantity * credits % per * 2 in (per, 0):
        assert Rate(1, "", "", "", "", "", credits, per, 0, 0, 0).credits_of(quantity) == expected
    assert (
        abs(Rate(1, "", "", "", "", "", credits, per, 0, 0, 0).credits_of(quantity) * per - quantity * credits) * 2
        <= per
    )


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["", "org"]), st.sampled_from(["*", "gpt"]), st.sampled_from([NEVER, 5.0, 50.0, 500.0])
        )
    )
)
def test_rates_cover_usage_from_the_earliest_time_that_they_name(rates: list[tuple[str, str, float]]) -> None:
    """Held usage before that time is not tried: no rate would be found."""
    card = card_of(
        *(
            make_rate(at, organization=scope, feature=feature, effective=begin, received=100.0 + at)
            for at, (scope, feature, begin) in enumerate(rates)
        )
    )
    covered_from = card.stretches_of("org", "assistant", "model", "gpt", "tokens").covered_from
    assert covered_from == min((begin for _, _, begin in rates), default=float("inf"))
    for occurred in (0.0, 5.0, 49.0, 50.0, 100.0, 501.0):
        assert (rate_id_at(card, occurred) is not None) == (occurred >= covered_from)
