"""Live usage: steady, and for the demo with scripted events. Pure."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from itertools import chain, count
from random import Random
from statistics import median

from flexcredits_cli.generator.company.agents import build_agent, permanent_agents
from flexcredits_cli.generator.company.cast import ORBIT, Company
from flexcredits_cli.generator.company.contracts import build_contract, contracted_micro, current_period, used_in
from flexcredits_cli.generator.company.events import DAY_MS
from flexcredits_cli.generator.company.menu import Series, draw_series, menu_of
from flexcredits_cli.generator.company.rates import micro_credits
from flexcredits_cli.generator.company.shape import busyness, local_day
from flexcredits_cli.generator.people.sessions import Step, draw_session
from flexcredits_cli.generator.usage.disturbances import Kind, Sending, build_correction
from flexcredits_cli.generator.usage.history import Past
from flexcredits_cli.generator.usage.usage import USUAL, build_use

# Seconds after the start.
LATE_S, CORRECTION_S, RENAME_S, TOP_UP_S = 20, 35, 50, 90
CROSSES_90_S = 60
"""Approximate, because amounts are random."""
OPENING_S = 120
CALM = 10
"""After the opening, the rate of events is divided by this number."""
TOP_UP_PERCENT = 10
MAIN_OF_TEN = 8
"""Of ten live events, this many are of the first company."""
USUAL_DAYS = 28
WHOLE_UNITS = 10
"""Amounts of fewer units (images, requests) cannot be scaled down; fewer events of the usual size are sent instead."""


def steady(
    seed: int,
    cast: Sequence[Company],
    at: int,
    per_second: float,
    seconds: float | None,
    scale: Callable[[Company], int] = lambda _company: USUAL,
    *,
    thin: bool = False,
) -> Iterator[Sending]:
    """Evenly spaced usage of random companies of `cast`, from the instant `at` for `seconds`, or without end.

    Eight people of a company are active at a time. `scale(company)`: millionths of the usual amounts. `thin`: send fewer events
    where amounts cannot be scaled down.
    """
    chance = Random(f"{seed} live {at} {per_second:g} {len(cast)}")
    sessions: dict[tuple[str, int], list[Step]] = {}
    for number in count():
        second = number / per_second
        if seconds is not None and second >= seconds:
            return
        milliseconds = at + int(second * 1000)
        company = cast[int(chance.random() * len(cast))]
        day = local_day(milliseconds, company.time_zone)
        step = Step(menu_of(seed, company, day), {})
        if company.people:
            place = company.id, chance.getrandbits(3)
            step, *sessions[place] = sessions.get(place) or draw_session(seed, chance, company, day)
        series = draw_series(chance, step.menu)
        amount = scale(company)
        if thin and is_coarse(series, amount):
            if chance.random() * USUAL >= amount:
                continue
            amount = USUAL
        event = build_use(chance, company, series, milliseconds, day, amount, step.fields)
        yield Sending(milliseconds, number, Kind.USAGE, event, milliseconds)


def is_coarse(series: Series, scale: int) -> bool:
    """Whether the scaled amount would be rounded to one or two units."""
    return bool(series.unit) and scale < USUAL and series.median * scale < WHOLE_UNITS * USUAL


@dataclass(frozen=True)
class Opening:
    """The demo's live usage, after `pasts` were sent. The first of them is the company that the demo shows.

    For two minutes `rate` events a second are sent, then a tenth of them. The first company's usage is higher until its level
    reaches 90 %; all others use as much as on other days. It begins at `begins_at` (milliseconds), or at the end of the pasts.
    """

    seed: int
    pasts: Sequence[Past]
    rate: float
    begins_at: int | None = None

    @property
    def at(self) -> int:
        return self.pasts[0].at if self.begins_at is None else self.begins_at

    def sendings(self, seconds: float | None) -> Iterator[Sending]:
        """Steady usage, with the scripted events at their times."""
        main, others = self.pasts[0], [past.company for past in self.pasts[1:]]
        cast = [main.company] * (MAIN_OF_TEN * len(others)) + others * (10 - MAIN_OF_TEN)
        rates = {past.company: self.rate * cast.count(past.company) / len(cast) for past in self.pasts}
        usual = {past.company: usual_scale(past, rates[past.company]) for past in self.pasts}
        crossing, (used, contracted) = opening_scale(main, rates[main.company]), level(main)

        def opening(company: Company) -> int:
            return crossing if company is main.company and used < contracted * 9 // 10 else usual[company]

        calm = {company: amount * CALM for company, amount in usual.items()}

        first_s = OPENING_S if seconds is None else min(seconds, OPENING_S)
        then_s = None if seconds is None else max(0.0, seconds - OPENING_S)
        then_at = self.at + OPENING_S * 1000
        scripted = self.scripted_events()
        for sending in chain(
            steady(self.seed, cast, self.at, self.rate, first_s, opening, thin=True),
            steady(self.seed, cast, then_at, self.rate / CALM, then_s, calm.__getitem__, thin=True),
        ):
            if sending.event["subject"] == main.company.id:
                used += micro_credits(sending.event)
            while scripted and scripted[0].arrives_ms <= sending.arrives_ms:
                yield scripted.pop(0)
            yield sending

    def scripted_events(self) -> list[Sending]:
        """A late event, its correction, an agent's new name, and a top-up for the company in overage."""
        main, at, chance = self.pasts[0], self.at, Random(f"{self.seed} moments {self.at}")
        happened, day = at - 3 * DAY_MS, main.today - timedelta(days=3)
        series = draw_series(chance, menu_of(self.seed, main.company, day))
        late = build_use(chance, main.company, series, happened, day)
        corrected = at + CORRECTION_S * 1000
        correction = build_correction(late, corrected, -50, chance.getrandbits(74))
        agent = permanent_agents(main.company.agents)[0]
        name = f"{agent.versions[-1].name} and routing"
        renamed = build_agent(main.company.id, agent.id, "saved", name, at + RENAME_S * 1000)
        scripted = [
            Sending(at + LATE_S * 1000, 0, Kind.LATE, late, happened),
            Sending(corrected, 0, Kind.CORRECTION, correction, corrected),
            Sending(at + RENAME_S * 1000, 0, Kind.CATALOG, renamed, at + RENAME_S * 1000),
        ]
        for past in self.pasts:
            if past.company is ORBIT and ORBIT.terms is not None:
                bought = at + TOP_UP_S * 1000
                contract = build_contract(
                    ORBIT, ORBIT.terms, past.today, bought, past.used_by_day, added=TOP_UP_PERCENT
                )
                scripted.append(Sending(bought, 0, Kind.CATALOG, contract, bought))
        return scripted


def level(past: Past) -> tuple[int, int]:
    """Micro-credits used and contracted in the current credit period, after the past was sent."""
    assert past.company.terms is not None
    period = current_period(past.company.terms, past.today)
    used = sum(used_in(period, past.used_by_day).values())
    return used, contracted_micro(past.contracts[-1], period)


@cache
def usual_event(seed: int, company: Company, at: int) -> int:
    """Average micro-credits of a usage event."""
    day = local_day(at, company.time_zone)
    chance, menu = Random(f"{seed} usual"), menu_of(seed, company, day)
    draws = (build_use(chance, company, draw_series(chance, menu), at, day) for _ in range(2000))
    return sum(map(micro_credits, draws)) // 2000


def usual_day(past: Past) -> int:
    """Expected micro-credits of today, from the median of the last weeks; a median ignores spikes."""
    amounts = []
    for back in range(1, USUAL_DAYS + 1):
        day = past.today - timedelta(days=back)
        used = sum(micro for (at, _product), micro in past.used_by_day.items() if at == day)
        amounts.append(used / busyness(day))
    return int(median(amounts) * busyness(past.today))


def usual_scale(past: Past, events_per_second: float) -> int:
    """Scale in millionths with which this rate of events gives the usual credits per day."""
    usual = usual_event(past.seed, past.company, past.at)
    return max(1, int(usual_day(past) * USUAL / (usual * events_per_second * DAY_MS / 1000)))


def opening_scale(past: Past, events_per_second: float) -> int:
    """Scale in millionths with which live usage reaches a level of 90 % after CROSSES_90_S."""
    used, contracted = level(past)
    usual = usual_event(past.seed, past.company, past.at)
    return max(1, int((contracted * 9 // 10 - used) * USUAL / (usual * events_per_second * CROSSES_90_S)))
