"""AI agents and their life cycles as dated versions: saved, renamed, deleted, restored, drafts, system workflows. Pure."""

from collections.abc import Iterator
from datetime import date
from functools import cache
from typing import Any, NamedTuple

from flexcredits_cli.generator.company.events import Event, build_catalog_event, midnight_of
from flexcredits_cli.generator.company.shape import SEASON_DAYS, day_of_season, season_of
from flexcredits_cli.generator.company.vocabulary import AGENT_NAMES, BEGINNING, SEASONAL_NAMES, SYSTEM_WORKFLOWS


class AgentVersion(NamedTuple):
    """What the registry says about an agent from a day on: saved | deleted | system."""

    day: date
    state: str
    name: str


class Agent(NamedTuple):
    """An agent or workflow with its registry versions, earliest first; a draft has none. Used on [used_from, used_until)."""

    id: str
    versions: tuple[AgentVersion, ...]
    used_from: date = date.min
    used_until: date = date.max
    paused: tuple[date, date] = (date.max, date.max)  # deleted, and later restored

    def is_used_on(self, day: date) -> bool:
        return self.used_from <= day < self.used_until and not self.paused[0] <= day < self.paused[1]

    def as_used_on(self, day: date) -> dict[str, Any]:
        """The `agent` field of a usage event of that day."""
        known = [version for version in self.versions if version.day < day and version.state != "deleted"]
        if not known:
            return {"id": self.id, "name": "Untitled workflow", "kind": "unsaved"}
        return {"id": self.id, "name": known[-1].name, "kind": known[-1].state}


@cache
def permanent_agents(number: int) -> tuple[Agent, ...]:
    """Two system workflows, and `number` saved agents that exist from BEGINNING on and are never deleted."""
    system = [Agent(id_, (AgentVersion(BEGINNING, "system", name),)) for id_, name in SYSTEM_WORKFLOWS.items()]
    saved = []
    for position in range(number):
        name = AGENT_NAMES[position % len(AGENT_NAMES)]
        if position >= len(AGENT_NAMES):
            name += f" {position // len(AGENT_NAMES) + 1}"
        saved.append(Agent(f"agt_{position + 1:03}", (AgentVersion(BEGINNING, "saved", name),)))
    return (*saved, *system)


@cache
def seasonal_agents(season: int) -> tuple[Agent, ...]:
    """One agent of each kind of life cycle. Usage ends with the next season, or at the agent's deletion."""
    suffix = f"{season % 1000:03}"
    names = {cycle: names[season % len(names)] for cycle, names in SEASONAL_NAMES.items()}

    def on(day: int) -> date:
        return day_of_season(season, day)

    def versions(cycle: str, *days_and_states: tuple[int, str]) -> tuple[AgentVersion, ...]:
        return tuple(AgentVersion(on(day), state, names[cycle]) for day, state in days_and_states)

    end = on(2 * SEASON_DAYS)
    deleted = versions("deleted", (0, "saved"), (60, "deleted"))
    restored = versions("restored", (0, "saved"), (30, "deleted"), (40, "saved"))
    saved_later = versions("saved_later", (50, "saved"))
    renamed = (*versions("renamed", (0, "saved")), AgentVersion(on(45), "saved", f"{names['renamed']} with forecast"))
    discarded = (AgentVersion(on(50), "deleted", "Untitled workflow"),)  # never saved, so it stays an unsaved workflow
    return (
        Agent(f"agt_deleted_{suffix}", deleted, on(1), on(60)),
        Agent(f"agt_restored_{suffix}", restored, on(1), end, (on(30), on(41))),
        Agent(f"agt_renamed_{suffix}", renamed, on(1), end),
        Agent(f"wf_draft_{suffix}", (), on(5), end),
        Agent(f"wf_discarded_{suffix}", discarded, on(5), on(50)),
        Agent(f"wf_saved_later_{suffix}", saved_later, on(10), end),
    )


def agents_between(number: int, first: date, last: date) -> Iterator[Agent]:
    """Every agent that may be used in these days, including those of the season before `first`."""
    yield from permanent_agents(number)
    for season in range(season_of(first) - 1, season_of(last) + 1):
        yield from seasonal_agents(season)


def build_agents(organization: str, number: int, first: date, last: date) -> Iterator[Event]:
    """The registry's versions of before `last`, each with the time of its day."""
    for agent in agents_between(number, first, last):
        for version in agent.versions:
            if version.day < last:
                yield build_agent(organization, agent.id, version.state, version.name, midnight_of(version.day))


def build_agent(organization: str, agent_id: str, state: str, name: str, milliseconds: int) -> Event:
    data = {"id": agent_id, "state": state, "name": name, "owner": "Ada"}
    return build_catalog_event("agent", organization, milliseconds, data)
