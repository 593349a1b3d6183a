"""Sessions: consecutive uses of one person or service account with one agent, which are a run, or a run and its child. Pure."""

from bisect import bisect
from collections import defaultdict
from collections.abc import Mapping
from datetime import date
from functools import cache, lru_cache
from itertools import accumulate
from random import Random
from typing import Any, NamedTuple

from flexcredits_cli.generator.company.cast import Company
from flexcredits_cli.generator.company.events import entropy_of
from flexcredits_cli.generator.company.menu import Menu, Series, draw_series, menu_of
from flexcredits_cli.generator.company.vocabulary import PROJECTS, SERVICE_ACCOUNTS
from flexcredits_cli.generator.people.directory import groups_of, person_in, places_of

LENGTHS = (1, 1, 1, 2, 3, 4, 6, 10)
"""Uses of a session. They do not depend on the product, so sessions do not change the shares of series."""
RUNAWAY = 40
"""Uses of a session on a spike day."""
RUNAWAY_TIMES = 6
"""Weight of the series that such a session uses most, relative to all others of its agent."""
CHILD_FROM = 4
"""A workflow run with as many uses may have a child run."""
Fields = Mapping[str, Any]


class Step(NamedTuple):
    """A use of a session: the series it is drawn from, and the fields that say who, and in which run."""

    menu: Menu
    fields: Fields


def draw_session(seed: int, chance: Random, company: Company, day: date, spiking: Series | None = None) -> list[Step]:
    """The steps of a new session of a company with people. `spiking`: the series that a workflow out of control uses most."""
    first = spiking or draw_series(chance, menu_of(seed, company, day))
    who = _draw_who(chance, company, first, day)
    length = RUNAWAY if spiking else chance.choice(LENGTHS)
    menu = _menu_of_agent(seed, company, day, _key_of(first))
    if spiking:
        menu = Menu([*menu.series, spiking], [*menu.weights, menu.weights[-1] * RUNAWAY_TIMES])
    if first.product == "api":
        return [Step(menu, who)] * length
    run_id = f"{'wf' if first.agent else 'conv'}_{chance.getrandbits(56):014x}"
    steps = [Step(menu, who | {"run": {"id": run_id}})] * length
    if first.product == "agents" and length >= CHILD_FROM and chance.random() < 0.5:
        child = who | {"run": {"id": f"wf_{chance.getrandbits(56):014x}", "parent_id": run_id}}
        menu = _menu_of_agent(seed, company, day, _key_of(draw_series(chance, _menu_of_agents(seed, company, day))))
        steps[length // 2 : -1] = [Step(menu, child)] * (length - length // 2 - 1)
    return steps


def _draw_who(chance: Random, company: Company, series: Series, day: date) -> dict[str, Any]:
    """The fields `actor`, `group` and `labels`, if any; the schema's default kind is omitted."""
    share = chance.random()
    if series.product == "api" and share < 0.75:
        account = list(SERVICE_ACCOUNTS)[int(6 * chance.random() ** 2)]
        return {
            "actor": {"id": account, "kind": "service_account"}, "labels": {"project": _project_of(account, chance)},
        }  # fmt: skip
    if share >= 0.97:
        return {}
    if series.product == "agents" and series.agent and share < 0.12:  # on a schedule
        groups = groups_of(company)
        return {"group": groups[entropy_of(series.agent.id, "owner") % len(groups)].id}
    person = person_in(company, _draw_place(chance, places_of(company)), day)
    who: dict[str, Any] = {"actor": {"id": person.id}}
    group = person.group_on(day)
    if share > 0.9:
        who["group"] = group.id
    labels = {}
    if chance.random() < 0.5:
        labels["cost_center"] = group.cost_center
    if chance.random() < 0.3:
        labels["project"] = _project_of(person.id, chance)
    return who | ({"labels": labels} if labels else {})


def _draw_place(chance: Random, places: int) -> int:
    weights = _place_weights(places)
    return bisect(weights, chance.random() * weights[-1])


@cache
def _place_weights(places: int) -> list[float]:
    """Cumulated weights: the first places use more than a hundred times as much as the last of 1,600."""
    return list(accumulate(1 / (place + 12) for place in range(places)))


def _project_of(actor_id: str, chance: Random) -> str:
    """One of the two projects that an actor works for."""
    return PROJECTS[(entropy_of(actor_id, "project") + chance.getrandbits(1)) % len(PROJECTS)]


def _key_of(series: Series) -> tuple[str, str]:
    return series.product, series.agent.id if series.agent else ""


def _menu_of_agent(seed: int, company: Company, day: date, key: tuple[str, str]) -> Menu:
    return _menus(seed, company, day)[key]


def _menu_of_agents(seed: int, company: Company, day: date) -> Menu:
    return _menus(seed, company, day)["agents", "*"]


@lru_cache(maxsize=256)
def _menus(seed: int, company: Company, day: date) -> Mapping[tuple[str, str], Menu]:
    """The day's menu, divided by product and agent, and all series of product agents."""
    parts = defaultdict(list)
    for series in menu_of(seed, company, day).series:
        parts[_key_of(series)].append(series)
        if series.product == "agents":
            parts["agents", "*"].append(series)
    return {key: Menu(part, list(accumulate(each.weight for each in part))) for key, part in parts.items()}
