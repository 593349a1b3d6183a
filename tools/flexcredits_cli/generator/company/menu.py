"""The series of a company (product, kind, feature, agent, surface) and their weights. Pure."""

from bisect import bisect
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from functools import lru_cache
from itertools import accumulate, chain
from random import Random
from typing import NamedTuple

from flexcredits_cli.generator.company.agents import Agent, permanent_agents, seasonal_agents
from flexcredits_cli.generator.company.cast import Company
from flexcredits_cli.generator.company.shape import SPIKE_EVERY_DAYS, day_of_season, season_of
from flexcredits_cli.generator.company.vocabulary import (
    API_SURFACES,
    FEATURES,
    LAUNCH_MEDIAN,
    LAUNCHES,
    MODELS,
    NAMESPACES,
    SEASONS_USED,
    SURFACES,
    TOOLS,
    UNITS,
)

FEATURES_OF: Mapping[str, Mapping[str, int]] = {"model": MODELS, "tool": TOOLS, "feature": FEATURES}


class Series(NamedTuple):
    """`median` of one use: in millionths of a credit, or in whole units if `unit` is not ""."""

    product: str
    feature_kind: str
    feature: str
    agent: Agent | None
    surface: str
    weight: float
    median: int
    unit: str
    since: date = date.min

    def is_used_on(self, day: date) -> bool:
        return self.since <= day and (self.agent is None or self.agent.is_used_on(day))


class Menu(NamedTuple):
    """The series in use on a day, and the cumulative sums of their weights."""

    series: Sequence[Series]
    weights: Sequence[float]


@lru_cache(maxsize=256)
def menu_of(seed: int, company: Company, day: date) -> Menu:
    """The series that may be used on `day`: the permanent ones, and those of this season and the seasons before it."""
    season = season_of(day)
    brought = [series for back in range(SEASONS_USED) for series in seasonal_series(seed, company, season - back)]
    lasting = lasting_series(seed, company)
    series = [*lasting, *(each for each in brought if each.is_used_on(day))]
    return Menu(series, list(accumulate(each.weight for each in series)))


def draw_series(chance: Random, menu: Menu) -> Series:
    return menu.series[bisect(menu.weights, chance.random() * menu.weights[-1])]


@lru_cache(maxsize=512)
def lasting_series(seed: int, company: Company) -> tuple[Series, ...]:
    """The company's permanent series, `company.series` in number. The first have greater weights than the last."""
    chance = Random(f"{seed} {company.id} menu")
    plain = [*_assistant_series(company), *_api_series()]
    agents = list(_agent_series(company))
    chance.shuffle(plain)
    chance.shuffle(agents)
    # Every product, kind and agent has a series, even in a short menu.
    first = list({(each.product, each.feature_kind): each for each in plain}.values())
    first += {each.agent: each for each in agents}.values()
    number = max(len(first), company.series - SEASONS_USED * 8)
    plain_again = (plain[position % len(plain)] for position in range(len(agents)))
    chosen = [*first, *chain.from_iterable(zip(plain_again, agents, strict=True))]
    unique = list(dict.fromkeys(chosen))[:number]
    return tuple(each._replace(weight=each.weight / (rank + 12)) for rank, each in enumerate(unique))


@lru_cache(maxsize=4096)
def seasonal_series(seed: int, company: Company, season: int) -> tuple[Series, ...]:
    """The series that begin in a season: agents with a life cycle, and a newly launched feature."""
    chance = Random(f"{seed} {company.id} {season}")
    brought = []
    for agent in seasonal_agents(season):
        kind = chance.choice(("model", "tool", "feature"))
        brought.append(_series("agents", kind, chance.choice(list(FEATURES_OF[kind])), agent, "web", 0.012))
    name = LAUNCHES[season % len(LAUNCHES)]
    return (
        *brought,
        Series("assistant", "feature", name, None, "web", 0.02, LAUNCH_MEDIAN, "", day_of_season(season, 10)),
    )


def spiking_series(company: Company, day: date) -> Series:
    """The series of the agent whose usage is extreme on a spike day."""
    agent = permanent_agents(company.agents)[day.toordinal() // SPIKE_EVERY_DAYS % company.agents]
    return _series("agents", "model", "claude-opus-5", agent, "slack", 0)


def _assistant_series(company: Company) -> Iterator[Series]:
    system = permanent_agents(company.agents)[-2:]
    for surface in SURFACES:
        for kind, features in FEATURES_OF.items():
            for feature in features:
                yield _series("assistant", kind, feature, None, surface, 1.0)
        for workflow in system:
            yield _series("assistant", "feature", "data_analysis", workflow, surface, 0.5)


def _agent_series(company: Company) -> Iterator[Series]:
    for agent in permanent_agents(company.agents):
        for kind, features in FEATURES_OF.items():
            for feature in features:
                for surface in SURFACES:
                    yield _series("agents", kind, feature, agent, surface, 0.7)


def _api_series() -> Iterator[Series]:
    for surface in API_SURFACES:
        for namespace, median in NAMESPACES.items():
            yield Series("api", "namespace", namespace, None, surface, 0.8, median, UNITS.get(namespace, ""))


def _series(product: str, kind: str, feature: str, agent: Agent | None, surface: str, weight: float) -> Series:
    unit = "tokens" if kind == "model" else UNITS.get(feature, "")
    return Series(product, kind, feature, agent, surface, weight, FEATURES_OF[kind][feature], unit)
