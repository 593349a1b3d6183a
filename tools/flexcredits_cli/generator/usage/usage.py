"""Random usage events of a company's series. Pure."""

from bisect import bisect
from collections.abc import Iterator
from datetime import date
from random import Random
from typing import Any

from flexcredits_schemas.credits import decimal_text

from flexcredits_cli.generator.company.cast import Company
from flexcredits_cli.generator.company.events import Event, build_event, uuid7
from flexcredits_cli.generator.company.menu import Menu, Series, menu_of, spiking_series
from flexcredits_cli.generator.company.shape import AMOUNTS, bounds, busyness, draw_time, is_spike

USUAL = 1_000_000
"""Scale of the usual amount, in millionths."""
SPIKE_SCALE = 2_500_000


def uses_of_day(seed: int, company: Company, day: date, chance: Random) -> Iterator[tuple[int, Event]]:
    """Usage events of a local day with their milliseconds, unordered. `chance` is seeded for this company and day."""
    menu = menu_of(seed, company, day)
    begin, end = bounds(day, company.time_zone)
    usual = company.per_day * busyness(day) * (0.85 + 0.3 * chance.random())
    for _ in range(int(usual + chance.random())):
        milliseconds = draw_time(chance, begin, end)
        yield milliseconds, build_use(chance, company, draw_series(chance, menu), milliseconds, day)
    if is_spike(seed, company.id, day):
        wild = spiking_series(company, day)
        for _ in range(int(usual)):
            milliseconds = draw_time(chance, begin, end)
            yield milliseconds, build_use(chance, company, wild, milliseconds, day, SPIKE_SCALE)


def draw_series(chance: Random, menu: Menu) -> Series:
    return menu.series[bisect(menu.weights, chance.random() * menu.weights[-1])]


def build_use(
    chance: Random, company: Company, series: Series, milliseconds: int, day: date, scale: int = USUAL
) -> Event:
    """A usage event with a random amount around `scale` millionths of the series' median."""
    data: dict[str, Any] = {"product": series.product, "feature_kind": series.feature_kind, "feature": series.feature}
    data["surface"] = series.surface
    if series.agent is not None:
        data["agent"] = series.agent.as_used_on(day)
    amount = series.median * AMOUNTS[chance.getrandbits(10)] * scale // (1000 * USUAL)
    if series.unit:
        data["quantity"], data["unit"] = str(max(1, amount)), series.unit
    else:
        data["credits"] = decimal_text(amount + 1 + chance.getrandbits(9))
    event_id = uuid7(milliseconds, chance.getrandbits(74))
    return build_event("usage", company.id, event_id, f"/products/{series.product}", milliseconds, data)
