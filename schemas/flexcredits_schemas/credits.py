"""Rounding and formatting of credits, money and shares, for API, files, mails, Slack and webhooks. Pure.

Amounts are integer micro-credits. The dashboard's `src/format/format.ts` applies the same rules; `schemas/texts/credits.json`
has inputs and expected texts for the tests of both.

Amounts are rounded half to even. Percentages are rounded half away from zero to one place, so that the result is the same if
the percentage was cut to two places before.
"""

from decimal import Decimal
from typing import NamedTuple

MICRO = 1_000_000
"""Micro-credits in a credit. A micro-credit is the smallest counted amount. Prices and shares are in millionths too."""
PLACES_MAX = 6
_TENTHS_MAX = 9990
"""In tenths of a percent. A larger share is formatted as ">999%"."""


class LevelText(NamedTuple):
    """Consistent numbers for one sentence: they add up and agree with the percentage.

    `used` never exceeds the true usage. Exactly one of `left` and `over` is a text.
    """

    used: str
    available: str
    left: str | None
    over: str | None
    percent: str | None
    """None if nothing is available."""


def round_half_even(numerator: int, denominator: int) -> int:
    """numerator / denominator, rounded half to even, exact at any size. `denominator` is more than 0."""
    whole, rest = divmod(numerator, denominator)
    return whole + (2 * rest > denominator or (2 * rest == denominator and whole % 2 == 1))


def micro_of(text: str) -> int:
    """Micro-credits of a decimal string with at most six places."""
    return int(Decimal(text) * MICRO)


def decimal_text(micro: int) -> str:
    """A decimal with six places, for programs: 12.500000."""
    if micro >= MICRO:  # half the time of a division and two numbers to format: a large answer has thousands
        digits = str(micro)
        return f"{digits[:-PLACES_MAX]}.{digits[-PLACES_MAX:]}"
    return f"0.{micro:06}" if micro >= 0 else f"-{decimal_text(-micro)}"


def scaled_text(scaled: int, places: int) -> str:
    """An integer times 10^-places as an exact decimal with at least six places.

    With three places, as in 5.213, a spreadsheet whose locale groups thousands with points reads 5213. Without places, tools
    that infer a column's type from its first rows infer integers.
    """
    whole, fraction = divmod(abs(scaled), 10**places)
    digits = f"{fraction:0{places}}".rstrip("0").ljust(PLACES_MAX, "0")
    return f"{'-' if scaled < 0 else ''}{whole}.{digits}"


def amount_text(micro: int) -> str:
    """One amount, for users: 12,093; under a hundred 89.5; under ten 9.25; under a hundredth all places, 0.004."""
    places = _places(micro)
    return _text(_round(micro, places), places, fixed=places == 2)


def part_text(micro: int, places: int) -> str:
    """A part of the usage, shown beside a level with `places` places; rounded down."""
    places = max(places, _places(micro) if abs(micro) < 10 * MICRO else 0)
    return _text(_cut(micro, places), places)


def level_text(used: int, available: int) -> LevelText:
    """Texts for `used` of `available`, with as many places as the percentage needs: 99.7 of 100, 35,999 of 40,000."""
    places = level_places(used, available)
    shown, limit = _cut(used, places), _round(available, places)
    over = shown - limit
    return LevelText(
        _text(shown, places),
        _text(limit, places),
        None if over > 0 else _text(min(limit, -over), places),
        _text(over, places) if over > 0 else None,
        percent_text(used, available),
    )


def level_places(used: int, available: int) -> int:
    """The fewest decimal places for which the last place's unit is at most a thousandth of `available`, and the rounded
    numbers have the same order and percentage as the exact ones."""
    for places in range(PLACES_MAX):
        shown, limit = _cut(used, places), _round(available, places)
        if (
            10 ** (PLACES_MAX - places) * 1000 <= available
            and percent_text(shown, limit) == percent_text(used, available)
            and (shown > limit, shown < limit) == (used > available, used < available)
        ):
            return places
    return PLACES_MAX


def percent_text(part: int, whole: int) -> str | None:
    """A level's percentage, never rounded up to a whole percent: 89.96% gives 89.9%. None if `whole` is 0."""
    return _percent(part, whole, 10) if whole > 0 else None


def share_text(part: int, whole: int) -> str:
    """A part's percentage, never rounded up to 100%. 0.0% if `whole` is 0."""
    return _percent(part, whole, 1000) if whole > 0 else "0.0%"


def change_text(part: int, whole: int) -> str:
    """A share with sign: +0.3%."""
    text = share_text(part, whole)
    return f"+{text}" if part > 0 and text[0].isdigit() else text


def _percent(part: int, whole: int, step: int) -> str:
    """Rounded, but never up to a multiple of `step` tenths of a percent."""
    size = abs(part) * 1000
    tenths = (2 * size + whole) // (2 * whole)
    if tenths % step == 0 and tenths * whole > size:
        tenths -= 1
    if size > _TENTHS_MAX * whole:
        return "<-999%" if part < 0 else ">999%"
    if tenths == 0 and size:
        return ">-0.1%" if part < 0 else "<0.1%"
    return f"{'-' if part < 0 else ''}{tenths // 10}.{tenths % 10}%"


def _places(micro: int) -> int:
    """Decimal places of a single amount."""
    size = abs(micro)
    if size >= 100 * MICRO or not size:
        return 0
    if size >= 10 * MICRO:
        return 1
    return 2 if size >= MICRO // 100 else PLACES_MAX


def _round(micro: int, places: int) -> int:
    """Round half to even to `places`."""
    unit = int(10 ** (PLACES_MAX - places))
    return round_half_even(micro, unit) * unit


def _cut(micro: int, places: int) -> int:
    """Round towards zero to `places`."""
    unit = int(10 ** (PLACES_MAX - places))
    return abs(micro) // unit * unit * (-1 if micro < 0 else 1)


def _text(micro: int, places: int, *, fixed: bool = False) -> str:
    """With thousands separators; `fixed` keeps trailing zeros."""
    whole, fraction = divmod(abs(micro), MICRO)
    decimals = f"{fraction:06}"[:places]
    if not fixed:
        decimals = decimals.rstrip("0")
    return f"{'-' if micro < 0 else ''}{whole:,}{'.' if decimals else ''}{decimals}"
