"""Bodies of responses about runs, from rows."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from flexcredits_schemas.identity import run_identity_of

from query_api.actors.queries import Who
from query_api.runs.domain.model import AgentSums, RunRecord, Use
from query_api.runs.schemas import AgentRef, AgentRuns, RunLink, RunRow, RunUse
from query_api.usage.domain.catalog import Agent, Feature, Features, agent_as_now, id_of

_MILLISECOND = timedelta(milliseconds=1)


def answer_agent(agent_id: str, agents: Mapping[str, Agent]) -> AgentRef | None:
    if not agent_id:
        return None
    agent = agent_as_now(agent_id, agents)
    return AgentRef(id=id_of(agent_id), name=agent.name, status=agent.status)


def answer_row(row: RunRecord, who: Who, agents: Mapping[str, Agent]) -> RunRow:
    return RunRow(
        id=row.run_id,
        key=row.run.hex(),
        parent_id=row.parent_id or None,
        agent=answer_agent(row.agent_id, agents),
        actor=who.actor,
        group=who.group,
        labels=who.labels,
        first_at=row.first_at,
        last_at=row.last_at,
        credits=row.credits,
        events=row.events,
    )


def answer_agents(sums: Sequence[AgentSums], agents: Mapping[str, Agent]) -> list[AgentRuns]:
    return [
        AgentRuns(
            agent=answer_agent(each.agent_id, agents), runs=each.runs, credits=each.credits, p50=each.p50, p95=each.p95
        )
        for each in sums
    ]


def answer_link(row: RunRecord) -> RunLink:
    return RunLink(id=row.run_id, key=row.run.hex(), credits=row.credits, events=row.events, first_at=row.first_at)


def answer_parent(parent_id: str, parent: RunRecord | None) -> RunLink:
    """A parent without counted usage has only an id."""
    if parent is not None:
        return answer_link(parent)
    return RunLink(id=parent_id, key=run_identity_of(parent_id).hex(), credits=None, events=0, first_at=None)


def answer_use(use: Use, run: RunRecord, agents: Mapping[str, Agent], features: Mapping[str, Features]) -> RunUse:
    return RunUse(
        at=use.occurred_at,
        offset_ms=(use.occurred_at - run.first_at) // _MILLISECOND,
        state="held" if use.held else "counted",
        product=use.product,
        feature_kind=use.feature_kind,
        feature=id_of(use.feature),
        feature_name=features[use.product].name(Feature(use.feature_kind, use.feature)),
        agent=answer_agent(use.agent_id, agents),
        surface=id_of(use.surface) or None,
        credits=None if use.held else use.credits,
        corrections=use.corrected or 0,
        receipt=f"{use.ledger_bucket}-{use.identity.hex()}",
    )
