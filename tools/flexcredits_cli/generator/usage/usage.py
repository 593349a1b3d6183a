"""Random usage events of a company's series. Pure."""

from collections.abc import Iterator
from datetime import date
from random import Random
from types import MappingProxyType
from typing import Any

from flexcredits_schemas.credits import decimal_text

from flexcredits_cli.generator.company.cast import Company
from flexcredits_cli.generator.company.events import Event, build_event, uuid7
from flexcredits_cli.generator.company.menu import Series, draw_series, menu_of, spiking_series
from flexcredits_cli.generator.company.shape import AMOUNTS, bounds, busyness, draw_time, is_spike
from flexcredits_cli.generator.people.sessions import Fields, draw_session

USUAL = 1_000_000
"""Scale of the usual amount, in millionths."""
SPIKE_SCALE = 2_500_000


def uses_of_day(seed: int, company: Company, day: date, chance: Random) -> Iterator[tuple[int, Event]]:
    """Usage events of a local day with their milliseconds, unordered. `chance` is seeded for this company and day."""
    menu = menu_of(seed, company, day)
    begin, end = bounds(day, company.time_zone)
    usual = company.per_day * busyness(day) * (0.85 + 0.3 * chance.random())
    number = int(usual + chance.random())
    wild = spiking_series(company, day) if is_spike(seed, company.id, day) else None
    if company.people:
        yield from _sessions_of_day(seed, company, day, chance, number)
        if wild is not None:
            yield from _sessions_of_day(seed, company, day, chance, int(usual), wild)
        return
    for _ in range(number):
        milliseconds = draw_time(chance, begin, end)
        yield milliseconds, build_use(chance, company, draw_series(chance, menu), milliseconds, day)
    if wild is not None:
        for _ in range(int(usual)):
            milliseconds = draw_time(chance, begin, end)
            yield milliseconds, build_use(chance, company, wild, milliseconds, day, SPIKE_SCALE)


def _sessions_of_day(
    seed: int, company: Company, day: date, chance: Random, number: int, spiking: Series | None = None
) -> Iterator[tuple[int, Event]]:
    """`number` uses in sessions; the day's end may cut the last one short."""
    begin, end = bounds(day, company.time_zone)
    scale = SPIKE_SCALE if spiking else USUAL
    while number > 0:
        milliseconds = draw_time(chance, begin, end)
        for step in draw_session(seed, chance, company, day, spiking)[:number]:
            series = draw_series(chance, step.menu)
            yield milliseconds, build_use(chance, company, series, milliseconds, day, scale, step.fields)
            milliseconds = min(end - 1, milliseconds + 500 + int(60_000 * chance.random() ** 3))
            number -= 1


def build_use(
    chance: Random,
    company: Company,
    series: Series,
    milliseconds: int,
    day: date,
    scale: int = USUAL,
    fields: Fields = MappingProxyType({}),
) -> Event:
    """A usage event with a random amount around `scale` millionths of the series' median. `fields`: who, and which run."""
    data: dict[str, Any] = {"product": series.product, "feature_kind": series.feature_kind, "feature": series.feature}
    data["surface"] = series.surface
    if series.agent is not None:
        data["agent"] = series.agent.as_used_on(day)
    data |= fields
    amount = series.median * AMOUNTS[chance.getrandbits(10)] * scale // (1000 * USUAL)
    if series.unit == "tokens" and company.people and chance.getrandbits(1):
        data["quantities"] = split_tokens(chance, max(10, amount))
    elif series.unit:
        data["quantity"], data["unit"] = str(max(1, amount)), series.unit
    else:
        data["credits"] = decimal_text(amount + 1 + chance.getrandbits(9))
    event_id = uuid7(milliseconds, chance.getrandbits(74))
    return build_event("usage", company.id, event_id, f"/products/{series.product}", milliseconds, data)


def split_tokens(chance: Random, tokens: int) -> dict[str, str]:
    """Quantities of one model call: about a fifth of the tokens is output, and a part of the input was cached."""
    output = 1 + tokens * (100 + chance.getrandbits(7)) // 1000
    cached = (tokens - output) * chance.getrandbits(6) // 100
    quantities = {"input_tokens": tokens - output, "cached_input_tokens": cached, "output_tokens": output}
    return {unit: str(quantity) for unit, quantity in quantities.items()}
