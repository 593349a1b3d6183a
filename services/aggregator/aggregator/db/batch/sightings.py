"""Agent sightings: the kind and name that usage gives for an agent. Finds new ones in a batch and writes their rows."""

from collections.abc import Iterable, Iterator, Mapping

from flexcredits_schemas.events import UsageAgent
from runtime.postgres.pool import Connection

from aggregator.db.catalog_cache import SIGHTING_S, Sighting
from aggregator.db.statements import SQL
from aggregator.db.unnest import columns_of
from aggregator.domain.rollup import Decision, agent_of


def agents_of(decisions: Iterable[Decision]) -> Iterator[tuple[int, UsageAgent, float]]:
    """Number of the organization, agent, and time of each use that has an agent within the limit of series."""
    for at in decisions:
        if at.use.agent is not None and at.use.corrects is None and agent_of(at) == at.use.agent.id:
            yield at.organization_id, at.use.agent, at.use.occurred


def find_new_sightings(
    agents: Iterable[tuple[int, UsageAgent, float]], known: Mapping[tuple[int, str, str], Sighting]
) -> dict[tuple[int, str, str], Sighting]:
    """The sightings of this batch, per agent and kind, that are newer than the known ones and worth a write."""
    latest: dict[tuple[int, str, str], Sighting] = {}
    for organization_id, agent, occurred in agents:
        key = (organization_id, agent.id, agent.kind)
        before = latest.get(key) or known.get(key)
        name = agent.name or ""
        named = occurred if name else None
        if before is None:
            latest[key] = Sighting(occurred, name, named)
            continue
        # Usage without a name does not erase a known name, because the name is optional.
        is_renamed = bool(name) and name != before.name and (occurred, name) > (before.named or 0.0, before.name)
        if is_renamed or occurred >= before.seen + SIGHTING_S:
            seen = max(occurred, before.seen)
            latest[key] = Sighting(seen, name, named) if is_renamed else before._replace(seen=seen)
    return latest


async def write_sightings(connection: Connection, sightings: Mapping[tuple[int, str, str], Sighting]) -> None:
    kinds: dict[tuple[int, str], tuple[float, str]] = {}
    names: dict[tuple[int, str], tuple[float, str]] = {}
    saved = {(organization_id, agent_id) for organization_id, agent_id, kind in sightings if kind == "saved"}
    for (organization_id, agent_id, kind), at in sightings.items():
        agent = (organization_id, agent_id)
        kinds[agent] = max(kinds.get(agent, (at.seen, kind)), (at.seen, kind))
        if at.named is not None:
            names[agent] = max(names.get(agent, (at.named, at.name)), (at.named, at.name))
    if kinds:
        rows = []
        for agent, (seen, kind) in sorted(kinds.items()):
            named, name = names.get(agent, (None, ""))
            rows.append((*agent, kind, name, agent in saved, seen, named))
        await connection.execute(SQL["upsert_agent_sightings"], *columns_of(rows))
