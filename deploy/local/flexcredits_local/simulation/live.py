"""Usage from now on: steady, and for the demo with a few moments in which something happens. Pure."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from random import Random

from flexcredits_local.simulation.agents import build_agent, permanent_agents
from flexcredits_local.simulation.cast import ORBIT, Company
from flexcredits_local.simulation.contracts import build_contract, contracted_micro, current_period, used_in
from flexcredits_local.simulation.disturbances import Fate, Sending, build_correction
from flexcredits_local.simulation.events import DAY_MS
from flexcredits_local.simulation.history import Past
from flexcredits_local.simulation.menu import menu_of
from flexcredits_local.simulation.rates import micro_credits
from flexcredits_local.simulation.shape import local_day
from flexcredits_local.simulation.usage import USUAL, build_use, draw_series

# Seconds after the start.
LATE_S, CORRECTION_S, RENAME_S, TOP_UP_S = 20, 35, 50, 90
CROSSES_90_S = 75
OPENING_S = 120
SETTLED = 20
"""After the opening amounts are a twentieth, so that a demo left running for hours stays within reason."""
TOP_UP_PERCENT = 10
MAIN_OF_TEN = 8
"""Of ten live events so many are the first company's."""


def steady(
    seed: int,
    cast: Sequence[Company],
    at: int,
    per_second: float,
    seconds: float | None,
    plenty: Callable[[Company, float], int] = lambda _company, _second: USUAL,
) -> Iterator[Sending]:
    """Evenly spaced usage, each of one of `cast` by chance, from the instant `at` for `seconds` or for ever.

    `plenty(company, second)` are thousandths of the usual amounts.
    """
    chance = Random(f"{seed} live {at} {per_second:g} {len(cast)}")
    for number in count():
        second = number / per_second
        if seconds is not None and second >= seconds:
            return
        milliseconds = at + int(second * 1000)
        company = cast[int(chance.random() * len(cast))]
        day = local_day(milliseconds, company.time_zone)
        series = draw_series(chance, menu_of(seed, company, day))
        event = build_use(chance, company, series, milliseconds, day, plenty(company, second))
        yield Sending(milliseconds, number, Fate.USAGE, event, milliseconds)


@dataclass(frozen=True)
class Opening:
    """The demo's live phase, after `pasts` have passed by. The first of them is the company that the demo shows."""

    seed: int
    pasts: Sequence[Past]
    rate: float

    def sendings(self, seconds: float | None) -> Iterator[Sending]:
        """Steady usage, and the moments at their seconds."""
        main, others = self.pasts[0], [past.company for past in self.pasts[1:]]
        cast = [main.company] * (MAIN_OF_TEN * len(others)) + others * (10 - MAIN_OF_TEN)
        opening = opening_plenty(main, self.rate * MAIN_OF_TEN / 10)

        def plenty(company: Company, second: float) -> int:
            amount = opening if company is main.company else USUAL
            return amount if second < OPENING_S else max(1, amount // SETTLED)

        moments = self.moments()
        for sending in steady(self.seed, cast, main.at, self.rate, seconds, plenty):
            while moments and moments[0].arrives_ms <= sending.arrives_ms:
                yield moments.pop(0)
            yield sending

    def moments(self) -> list[Sending]:
        """A late event, its correction, an agent's new name, and a top-up for the company in overage."""
        main, at, chance = self.pasts[0], self.pasts[0].at, Random(f"{self.seed} moments {self.pasts[0].at}")
        happened, day = at - 3 * DAY_MS, main.today - timedelta(days=3)
        series = draw_series(chance, menu_of(self.seed, main.company, day))
        late = build_use(chance, main.company, series, happened, day)
        corrected = at + CORRECTION_S * 1000
        correction = build_correction(late, corrected, -50, chance.getrandbits(74))
        agent = permanent_agents(main.company.agents)[0]
        name = f"{agent.facts[-1].name} and routing"
        renamed = build_agent(main.company.id, agent.id, "saved", name, at + RENAME_S * 1000)
        moments = [
            Sending(at + LATE_S * 1000, 0, Fate.LATE, late, happened),
            Sending(corrected, 0, Fate.CORRECTION, correction, corrected),
            Sending(at + RENAME_S * 1000, 0, Fate.FACT, renamed, at + RENAME_S * 1000),
        ]
        for past in self.pasts:
            if past.company is ORBIT and ORBIT.terms is not None:
                bought = at + TOP_UP_S * 1000
                contract = build_contract(
                    ORBIT, ORBIT.terms, past.today, bought, past.used_by_day, added=TOP_UP_PERCENT
                )
                moments.append(Sending(bought, 0, Fate.FACT, contract, bought))
        return moments


def level(past: Past) -> tuple[int, int]:
    """Micro-credits used and contracted in the current credit period of a past that has passed by."""
    assert past.company.terms is not None
    period = current_period(past.company.terms, past.today)
    used = sum(used_in(period, past.used_by_day).values())
    return used, contracted_micro(past.contracts[-1], period)


def opening_plenty(past: Past, events_per_second: float) -> int:
    """Thousandths of the usual amounts with which live usage takes the level to 90 % after CROSSES_90_S."""
    used, contracted = level(past)
    chance, menu = Random(f"{past.seed} usual"), menu_of(past.seed, past.company, past.today)
    draws = (build_use(chance, past.company, draw_series(chance, menu), past.at, past.today) for _ in range(2000))
    usual = sum(map(micro_credits, draws)) // 2000
    return max(1, int((contracted * 9 // 10 - used) * USUAL / (usual * events_per_second * CROSSES_90_S)))
