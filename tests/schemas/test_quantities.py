"""Credits of several quantities: rounded once, and nothing is charged twice."""

from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from typing import Any

import pytest
from flexcredits_schemas.quantities import PartAboveWhole, Price, charged_quantities, credits_of_quantities
from hypothesis import assume, given
from hypothesis import strategies as st

UNITS = ["audio_tokens", "cached_input_tokens", "input_tokens", "output_tokens", "reasoning_tokens"]


@st.composite
def priced_quantities(draw: st.DrawFn) -> tuple[dict[str, int], dict[str, Price]]:
    """Quantities of one event and the prices of their units, of which each may be part of a later unit."""
    units = draw(st.lists(st.sampled_from(UNITS), min_size=1, unique=True))
    quantities, prices = {}, {}
    for unit in units:
        quantities[unit] = draw(st.integers(1, 10**15 - 1) | st.integers(1, 9))
        wholes = [None, *(other for other in UNITS if other > unit)]
        prices[unit] = Price(
            draw(st.integers(0, 10**15) | st.integers(0, 9)), draw(st.integers(1, 10**12) | st.integers(1, 9)), draw(st.sampled_from(wholes))
        )  # fmt: skip
    return quantities, prices


def has_part_above_whole(quantities: dict[str, int], prices: dict[str, Price]) -> bool:
    return any(
        sum(quantities[part] for part in quantities if prices[part].part_of == whole) > amount
        for whole, amount in quantities.items()
    )


def exact(quantities: dict[str, int], prices: dict[str, Price]) -> Fraction:
    """The unrounded sum, computed unit by unit from the definition."""
    total = Fraction(0)
    for unit, price in prices.items():
        inside = sum(quantities[other] for other in quantities if prices[other].part_of == unit)
        total += Fraction((quantities[unit] - inside) * price.credits, price.per)
    return total


@given(priced_quantities(), st.randoms())
def test_the_sum_is_rounded_once_in_any_order_of_the_units(
    event: tuple[dict[str, int], dict[str, Price]], chance: Any
) -> None:
    quantities, prices = event
    if has_part_above_whole(quantities, prices):
        with pytest.raises(PartAboveWhole):
            credits_of_quantities(quantities, prices)
        return
    credits = credits_of_quantities(quantities, prices)
    wanted = exact(quantities, prices)
    assert abs(credits - wanted) <= Fraction(1, 2)
    assert abs(credits - wanted) < Fraction(1, 2) or credits % 2 == 0
    units = list(quantities)
    chance.shuffle(units)
    assert credits_of_quantities({unit: quantities[unit] for unit in units}, prices) == credits


@given(priced_quantities())
def test_with_one_price_for_all_units_the_outermost_units_are_charged_once(
    event: tuple[dict[str, int], dict[str, Price]],
) -> None:
    quantities, prices = event
    prices = {unit: Price(7, 1, price.part_of) for unit, price in prices.items()}
    assume(not has_part_above_whole(quantities, prices))
    charged = charged_quantities(quantities, prices)
    assert min(charged.values()) >= 0
    outermost = sum(amount for unit, amount in quantities.items() if prices[unit].part_of not in quantities)
    assert sum(charged.values()) == outermost
    assert credits_of_quantities(quantities, prices) == 7 * outermost


@given(st.integers(1, 10**15 - 1), st.integers(0, 10**9), st.integers(1, 10**9))
def test_one_unit_costs_what_a_single_quantity_costs(quantity: int, credits: int, per: int) -> None:
    number = Decimal(quantity * credits) / Decimal(per)
    if len(str(quantity * credits)) < 20:
        rounded = int(number.quantize(Decimal(1), ROUND_HALF_EVEN))
        assert credits_of_quantities({"tokens": quantity}, {"tokens": Price(credits, per, None)}) == rounded


def test_cached_tokens_inside_the_total_are_charged_at_their_own_price() -> None:
    quantities = {"cached_input_tokens": 512, "input_tokens": 812, "output_tokens": 96}
    prices = {"cached_input_tokens": Price(1, 1, "input_tokens"), "input_tokens": Price(10, 1, None)}
    prices["output_tokens"] = Price(30, 1, None)
    assert credits_of_quantities(quantities, prices) == 512 * 1 + 300 * 10 + 96 * 30
    beside = prices | {"cached_input_tokens": Price(1, 1, None)}
    assert credits_of_quantities(quantities, beside) == 512 * 1 + 812 * 10 + 96 * 30


def test_a_part_whose_whole_is_not_in_the_event_is_charged() -> None:
    prices = {"cached_input_tokens": Price(2, 1, "input_tokens")}
    assert credits_of_quantities({"cached_input_tokens": 5}, prices) == 10


def test_parts_of_parts_reduce_the_unit_next_to_them() -> None:
    prices = {"a": Price(1, 1, "b"), "b": Price(1, 1, "c"), "c": Price(1, 1, None)}
    assert charged_quantities({"a": 2, "b": 5, "c": 9}, prices) == {"a": 2, "b": 3, "c": 4}


def test_a_part_above_its_whole_is_refused() -> None:
    prices = {"a": Price(1, 1, "c"), "b": Price(1, 1, "c"), "c": Price(1, 1, None)}
    assert charged_quantities({"a": 2, "b": 5, "c": 7}, prices)["c"] == 0
    with pytest.raises(PartAboveWhole, match="'a' \\+ 'b', which 'c' includes, is more than 'c' itself"):
        charged_quantities({"a": 2, "b": 6, "c": 7}, prices)
