"""The list price of a feature in two ranges, and when it is not known."""

from fractions import Fraction

from flexcredits_schemas.events import FeatureKind, Product
from flexcredits_schemas.identity import OTHER
from flexcredits_schemas.rating.card import DEPLOYMENT, Rate, RateCard
from query_api.explain.domain.items import FeatureKey
from query_api.explain.domain.prices import (
    OWN,
    UNCHANGED,
    Piece,
    PriceChange,
    average_prices,
    compare_prices,
    find_instants,
)
from query_api.explain.list_prices import find_units

CHAT: tuple[Product, FeatureKind, str] = ("assistant", "model", "chat")
ALWAYS = float("-inf")


def rate(
    credits: int, received: float, *, feature: str = "*", unit: str = "tokens", organization: str = DEPLOYMENT, per: int = 1000,
    effective: float = ALWAYS,
) -> Rate:  # fmt: skip
    number = round(received)
    return Rate(number, organization, "assistant", "model", feature, unit, credits, per, effective, received, number)


def card_of(*rates: Rate) -> RateCard:
    card = RateCard()
    card.add(rates)
    return card


def piece(credits: int, seconds: int = 10, **prices: int) -> Piece:
    return Piece(seconds, credits, {unit: Fraction(price) for unit, price in prices.items()})


def test_a_price_changes_when_its_rate_is_in_force() -> None:
    card = card_of(rate(1, 0), rate(2, 100), rate(4, 200, per=2000), rate(5, 300, effective=350.0))
    assert find_instants(card, CHAT, ["tokens"], 50, 1000) == [100, 350]  # 4 per 2000 is 2 per 1000
    assert find_instants(card, CHAT, ["tokens"], 100, 350) == []
    assert find_instants(card, CHAT, ["images"], 0, 1000) == []


def test_the_organizations_own_rate_and_the_exact_feature_precede_the_others() -> None:
    card = card_of(rate(1, 0), rate(3, 10, feature="chat"), rate(2, 20, organization=OWN), rate(9, 30))
    assert find_instants(card, CHAT, ["tokens"], 0, 100) == [10, 20]


def test_prices_are_averaged_over_the_time_in_which_they_are_in_force() -> None:
    card = card_of(rate(1, 0), rate(4, 100))
    assert average_prices(card, CHAT, ["tokens", "images"], 75, 175) == {"tokens": Fraction(325, 100_000)}
    assert average_prices(card, CHAT, ["tokens"], 0, 50) == {"tokens": Fraction(1, 1000)}


def test_a_unit_without_a_price_at_some_time_is_left_out() -> None:
    assert average_prices(card_of(rate(1, 100, effective=100.0)), CHAT, ["tokens"], 0, 200) == {}


def test_within_a_range_the_price_is_what_a_quantity_cost() -> None:
    """100 units at 1 and 50 at 4: 300 for 150."""
    found = compare_prices([piece(100, tokens=1), piece(200, tokens=4)], [piece(40, tokens=4)])
    assert found == PriceChange(Fraction(2), Fraction(4))


def test_of_free_usage_prices_are_averaged_over_time() -> None:
    assert compare_prices([piece(0, 10, tokens=0), piece(9, 30, tokens=4)], [piece(0, tokens=0)]) == PriceChange(
        Fraction(3), Fraction(0)
    )


def test_units_whose_prices_change_by_one_factor_have_a_price() -> None:
    found = compare_prices([piece(10, input=1, output=5, cached=0)], [piece(10, input=3, output=15, cached=0)])
    assert found == PriceChange(Fraction(1), Fraction(3))


def test_units_whose_prices_change_by_several_factors_have_none() -> None:
    assert compare_prices([piece(10, input=1, output=5)], [piece(10, input=3, output=5)]) is None
    assert compare_prices([piece(10, input=1, output=0)], [piece(10, input=1, output=5)]) is None


def test_a_unit_with_a_price_in_one_range_only_changes_nothing() -> None:
    assert compare_prices([piece(10, input=2)], [piece(10, input=2, output=5)]) == PriceChange(Fraction(2), Fraction(2))
    assert compare_prices([piece(10)], [piece(10, input=2)]) == UNCHANGED


def test_units_are_those_with_a_rate_of_the_feature_or_of_any() -> None:
    rates = [rate(1, 0, unit="b"), rate(1, 0, feature="chat", unit="a"), rate(1, 0, feature="other", unit="c")]
    chat, tool = FeatureKey(*CHAT), FeatureKey("assistant", "tool", "chat")
    assert find_units([chat, tool], rates) == {chat: ["a", "b"]}


def test_features_beyond_the_limit_have_no_price() -> None:
    """Their rates are those of their own names, which may differ from the one of all features."""
    rates = [rate(1, 0), rate(2, 0, feature="chat", unit="images")]
    chat, others = FeatureKey(*CHAT), FeatureKey("assistant", "model", OTHER)
    assert find_units([chat, others], rates) == {chat: ["images", "tokens"]}
