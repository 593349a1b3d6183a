"""Rates several quantities of one use, a pure function of event time and rates."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec
from flexcredits_schemas.codec import InvalidEvent
from flexcredits_schemas.decoding.decimals import micro
from flexcredits_schemas.decoding.pointers import point_to
from flexcredits_schemas.events import UsageData
from flexcredits_schemas.quantities import PartAboveWhole, credits_of_quantities
from flexcredits_schemas.rating.card import Rate, RateCard

Quantities = tuple[tuple[str, int], ...]
"""By unit, in the order of the units: the quantity in millionths, above 0."""


class UnitRates(NamedTuple):
    """The rates of all units, in their order, or the first unit without a rate."""

    rate_ids: tuple[int, ...]
    missing: str | None


def quantities_of(data: UsageData) -> Quantities:
    return tuple((unit, micro(amount)) for unit, amount in (data.quantities or {}).items())


def rate_quantities(
    card: RateCard, series: tuple[str, ...], quantities: Quantities, occurred: float
) -> tuple[int, UnitRates]:
    """The micro-credits and the rates of usage at `occurred`; 0 while a unit has no rate. Raises InvalidEvent."""
    organization, product, feature_kind, feature = series[:4]
    rates: dict[str, Rate] = {}
    for unit, _ in quantities:
        rate = card.rate_at(organization, product, feature_kind, feature, unit, occurred)
        if rate is None:
            return 0, UnitRates((), unit)
        rates[unit] = rate
    return credits_at(quantities, rates), UnitRates(tuple(rate.rate_id for rate in rates.values()), None)


def credits_at(quantities: Quantities, rates: Mapping[str, Rate]) -> int:
    """The micro-credits at these rates. Raises InvalidEvent if a unit includes more than itself."""
    try:
        return credits_of_quantities(dict(quantities), {unit: rate.price for unit, rate in rates.items()})
    except PartAboveWhole as error:
        raise InvalidEvent(str(error), point_to("/data/quantities", error.whole)) from None


def quantities_text(quantities: Quantities | None, rates: UnitRates | None) -> str | None:
    """The JSON of the ledger: by unit, the quantity and the rate_id, which is null while the usage is held."""
    if quantities is None:
        return None
    rate_ids: Iterable[int | None] = rates.rate_ids if rates and rates.rate_ids else (None,) * len(quantities)
    return msgspec.json.encode(
        {unit: (quantity, rate_id) for (unit, quantity), rate_id in zip(quantities, rate_ids, strict=True)}
    ).decode()


def read_quantities(text: str | None) -> Quantities | None:
    """The quantities in the JSON of the ledger, which has no order."""
    return None if text is None else tuple(sorted((unit, at[0]) for unit, at in msgspec.json.decode(text).items()))


def read_rate_ids(text: str) -> dict[str, int | None]:
    """The rates in the JSON of the ledger, by unit."""
    return {unit: at[1] for unit, at in msgspec.json.decode(text).items()}
