"""All events of one company up to an instant, in the order of arrival. Pure."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from heapq import heappop, heappush
from itertools import count
from random import Random

from flexcredits_cli.generator.company.agents import build_agents
from flexcredits_cli.generator.company.cast import Company, build_members
from flexcredits_cli.generator.company.contracts import build_contracts
from flexcredits_cli.generator.company.events import Event
from flexcredits_cli.generator.company.features import build_features
from flexcredits_cli.generator.company.rates import build_rates, micro_credits
from flexcredits_cli.generator.company.shape import bounds, local_day
from flexcredits_cli.generator.people.directory import build_directory
from flexcredits_cli.generator.usage.disturbances import COUNTED, Kind, Sending, disturb
from flexcredits_cli.generator.usage.usage import uses_of_day


@dataclass
class Past:
    """A company's history from `first`, a local day, until the instant `at` in milliseconds.

    `sendings` fills `used_by_day`: counted micro-credits by local day and product. Contracts come last, because their
    amounts are computed from it; `contracts` has the sent ones.
    """

    seed: int
    company: Company
    first: date
    at: int
    used_by_day: Counter[tuple[date, str]] = field(default_factory=Counter)
    contracts: list[Event] = field(default_factory=list)

    @property
    def today(self) -> date:
        return local_day(self.at, self.company.time_zone)

    def sendings(self) -> Iterator[Sending]:
        """Organization, members, people and agents, then usage, then contracts."""
        directory = build_directory(self.company, self.first, self.today)
        for event in (*build_members(self.company), *directory, *self.agents()):
            yield Sending(self.at, 0, Kind.CATALOG, event, self.at)
        for sending in self.usage():
            if sending.kind in COUNTED:
                day = local_day(sending.happened_ms, self.company.time_zone)
                self.used_by_day[day, sending.event["data"]["product"]] += micro_credits(sending.event)
            yield sending
        self.contracts = list(build_contracts(self.company, self.today, self.at, self.used_by_day))
        for event in self.contracts:
            yield Sending(self.at, 0, Kind.CATALOG, event, self.at)

    def agents(self) -> Iterator[Event]:
        return build_agents(self.company.id, self.company.agents, self.first, self.today)

    def usage(self) -> Iterator[Sending]:
        """Usage and its disturbances in the order of arrival. Events that arrive after `at` are left for a later run."""
        pending: list[Sending] = []
        numbers = count()
        day = self.first
        while day <= self.today:
            # A different number of series gives different events, so their ids must differ too.
            chance = Random(f"{self.seed} {self.company.id} {self.company.series} {day}")
            for milliseconds, event in uses_of_day(self.seed, self.company, day, chance):
                for sending in disturb(chance, event, milliseconds, numbers):
                    heappush(pending, sending)
            day += timedelta(days=1)
            until = min(bounds(day, self.company.time_zone)[0], self.at + 1)
            while pending and pending[0].arrives_ms < until:
                yield heappop(pending)


def deployment_catalog(pasts: Sequence[Past]) -> Iterator[Sending]:
    """Catalog events of the whole deployment: rates, and the features' names and categories."""
    first, last = min(past.first for past in pasts), max(past.today for past in pasts)
    for event in (*build_rates(), *build_features(first, last)):
        yield Sending(pasts[0].at, 0, Kind.CATALOG, event, pasts[0].at)
