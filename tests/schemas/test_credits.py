"""Credits and percentages as text: by the vectors that the dashboard's tests use too, and by properties."""

import json
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any

import pytest
from flexcredits_schemas import SCHEMAS
from flexcredits_schemas.credits import (
    MICRO,
    amount_text,
    change_text,
    decimal_text,
    level_text,
    micro_of,
    part_text,
    percent_text,
    round_half_even,
    share_text,
)
from hypothesis import given
from hypothesis import strategies as st

VECTORS: dict[str, list[dict[str, Any]]] = json.loads((SCHEMAS / "texts" / "credits.json").read_text())
AMOUNTS = st.one_of(st.integers(-(10**18), 10**18), st.integers(-(10**8), 10**8), st.integers(-(10**4), 10**4))
AVAILABLE = st.one_of(
    st.integers(1, 10**18), st.integers(1, 10**9), st.sampled_from([MICRO, 100 * MICRO, 40_000 * MICRO])
)


def micro(text: str) -> int:
    return int(Decimal(text.replace(",", "")) * MICRO)


@pytest.mark.parametrize("vector", VECTORS["amount"], ids=lambda vector: vector["credits"])
def test_amounts(vector: dict[str, Any]) -> None:
    assert amount_text(micro(vector["credits"])) == vector["text"]


@pytest.mark.parametrize("vector", VECTORS["level"], ids=lambda vector: f"{vector['used']} of {vector['available']}")
def test_levels(vector: dict[str, Any]) -> None:
    assert level_text(micro(vector["given"]["used"]), micro(vector["given"]["available"]))._asdict() == {
        name: text for name, text in vector.items() if name != "given"
    }


@pytest.mark.parametrize("vector", VECTORS["percent"], ids=lambda vector: vector["percent"])
def test_percentages(vector: dict[str, Any]) -> None:
    assert percent_text(micro(vector["percent"]), 100 * MICRO) == vector["text"]


@pytest.mark.parametrize("vector", VECTORS["share"], ids=lambda vector: vector["fraction"])
def test_shares(vector: dict[str, Any]) -> None:
    assert share_text(micro(vector["fraction"]), MICRO) == vector["text"]


@pytest.mark.parametrize("vector", VECTORS["change"], ids=lambda vector: vector["fraction"])
def test_changes(vector: dict[str, Any]) -> None:
    assert change_text(micro(vector["fraction"]), MICRO) == vector["text"]


@given(AMOUNTS)
def test_an_amount_is_the_nearest_with_its_places_ties_to_even_and_keeps_its_sign(amount: int) -> None:
    text, exact = amount_text(amount), Decimal(amount).scaleb(-6)
    places = len(text.partition(".")[2])
    assert Decimal(text.replace(",", "")) == exact.quantize(Decimal(1).scaleb(-places), ROUND_HALF_EVEN)
    assert amount_text(-amount) == (f"-{text}" if amount > 0 else text.removeprefix("-"))
    assert (text == "0") == (amount == 0)
    assert micro(decimal_text(amount)) == amount


@given(AMOUNTS)
def test_a_decimal_text_has_six_places_and_is_read_back(amount: int) -> None:
    assert len(decimal_text(amount).partition(".")[2]) == 6
    assert micro_of(decimal_text(amount)) == amount


@given(st.one_of(AMOUNTS, st.integers(-(10**40), 10**40)), st.one_of(st.integers(1, 20), st.integers(1, 10**30)))
def test_a_quotient_is_rounded_half_to_even_at_any_size(numerator: int, denominator: int) -> None:
    assert round_half_even(numerator, denominator) == round(Fraction(numerator, denominator))


@given(AMOUNTS, AVAILABLE)
def test_the_numbers_of_a_level_agree_with_each_other_and_with_the_percentage(used: int, available: int) -> None:
    text = level_text(used, available)
    shown, limit = micro(text.used), micro(text.available)
    assert abs(shown) <= abs(used)
    assert abs(used - shown) * 1000 <= max(available, 1000)
    assert (shown > limit, shown < limit) == (used > available, used < available)
    assert percent_text(shown, limit) == text.percent == percent_text(used, available)
    assert (text.left is None) != (text.over is None)
    if text.over is not None:
        assert shown - limit == micro(text.over) > 0
    if text.left is not None:
        assert micro(text.left) == min(limit, limit - shown) <= limit


@given(AMOUNTS, AVAILABLE, st.integers(1, 200))
def test_a_percentage_reaches_a_threshold_when_the_level_does(used: int, available: int, threshold: int) -> None:
    text = percent_text(used, available)
    assert text is not None
    number = {"<0.1%": "0.05", ">-0.1%": "-0.05", ">999%": "1000", "<-999%": "-1000"}.get(text, text.removesuffix("%"))
    assert (Decimal(number) >= threshold) == (used * 100 >= available * threshold)


@given(st.integers(0, 9_990_000), st.sampled_from([1, -1]))
def test_a_share_is_the_same_from_a_percentage_that_was_cut_to_two_places(ten_thousandths: int, sign: int) -> None:
    """The API sends percentages cut to two places."""
    cut = ten_thousandths // 100
    if cut:
        assert percent_text(sign * ten_thousandths, 10**6) == percent_text(sign * cut, 10**4)


@given(st.integers(1, 998_000_000), st.sampled_from([1, -1]))
def test_a_share_is_the_nearest_but_neither_nothing_nor_all_unless_it_is(millionths: int, sign: int) -> None:
    text = share_text(sign * millionths, 10**8)
    nearest = (Decimal(sign * millionths) / 10**6).quantize(Decimal("0.1"), ROUND_HALF_UP)
    expected = ("<0.1%" if sign > 0 else ">-0.1%") if nearest == 0 else f"{nearest}%"
    if abs(nearest) == 100 and millionths < 10**8:
        expected = "99.9%" if sign > 0 else "-99.9%"
    assert text == expected


@given(AMOUNTS, st.integers(0, 6))
def test_a_part_is_never_more_than_it_is(amount: int, places: int) -> None:
    shown = micro(part_text(amount, places))
    assert abs(shown) <= abs(amount)
    assert (shown == 0) == (amount == 0)
