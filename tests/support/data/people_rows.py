"""Rows of people, attributions and runs, as the aggregator writes them."""

import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from uuid import UUID

from flexcredits_schemas.calendar import local_date
from flexcredits_schemas.identity import bucket_of, identity_of, run_identity_of
from support.data.table_rows import TableRows

SOURCE = "/products/agents"


async def show(db: TableRows, organization: int, people: str, *, label_keys: Sequence[str] = ()) -> None:
    """What the organization shows of people."""
    await db.execute(
        "UPDATE organizations SET people = $2, label_keys = $3, alias_key = '00000000-0000-4000-8000-000000000001' WHERE organization_id = $1",
        organization, people, label_keys,
    )  # fmt: skip


async def actor(
    db: TableRows, organization: int, actor_id: str, name: str | None = None, *, email: str | None = None, removed: bool = False,
    groups: Mapping[str, Sequence[str]] | None = None,
) -> None:  # fmt: skip
    """A person of the directory; `groups` from a day on."""
    await db.execute(
        "INSERT INTO actors VALUES ($1, $2, $3, $4, $5, false, now(), 0)", organization, actor_id, name, email, removed
    )
    for since, its_groups in (groups or {}).items():
        await db.execute(
            "INSERT INTO actor_groups VALUES ($1, $2, $3, $4, now(), 0)",
            organization, actor_id, date.fromisoformat(since), its_groups,
        )  # fmt: skip


async def group(db: TableRows, organization: int, group_id: str, name: str, parent: str | None = None) -> None:
    await db.execute(
        "INSERT INTO people_groups VALUES ($1, $2, $3, $4, '{}', now(), 0)", organization, group_id, name, parent
    )


async def attribution(
    db: TableRows, organization: int, actor_id: str = "", *, kind: str = "user", group: str = "", labels: Mapping[str, str] | None = None,
) -> int:  # fmt: skip
    """The number of an attribution; it is inserted if it is missing."""
    values = (organization, kind if actor_id else "", actor_id, group, json.dumps(dict(labels or {})))
    found = await db.fetch(
        "SELECT attribution_id FROM usage_attributions WHERE (organization_id, actor_kind, actor_id, group_id, labels) = ($1, $2, $3, $4, $5::jsonb)",
        *values,
    )
    if found:
        return int(found[0][0])
    return await db.count(
        "INSERT INTO usage_attributions (organization_id, identity, actor_kind, actor_id, group_id, labels) VALUES ($1, gen_random_uuid(), $2, $3, $4, $5::jsonb)"
        " RETURNING attribution_id", *values,
    )  # fmt: skip


async def use_by(
    db: TableRows, organization: int, attribution: int, product: str, kind: str, feature: str, day: str, micro_credits: int, *,
    agent: str = "", surface: str = "web", events: int = 1,
) -> int:  # fmt: skip
    """Usage of a day with an attribution, in all rollups; returns its series."""
    series = await db.use(
        organization, product, kind, feature, day, micro_credits, agent=agent, surface=surface, events=events
    )
    on = date.fromisoformat(day)
    await db.execute(
        "INSERT INTO usage_attributed_daily AS t VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (organization_id, day, attribution_id, series_id)"
        " DO UPDATE SET credits = t.credits + excluded.credits, events = t.events + excluded.events",
        organization, on, attribution, series, micro_credits, events,
    )  # fmt: skip
    await db.execute(
        "INSERT INTO usage_attributed_monthly AS t VALUES ($1, $2, $3, $4, $5) ON CONFLICT (organization_id, month, attribution_id)"
        " DO UPDATE SET credits = t.credits + excluded.credits, events = t.events + excluded.events",
        organization, on.replace(day=1), attribution, micro_credits, events,
    )  # fmt: skip
    return series


async def run_use(
    db: TableRows, organization: int, name: str, run_id: str, event_id: str, at: datetime, micro_credits: int, *, attribution: int | None = None,
    product: str = "agents", kind: str = "model", feature: str = "gpt", agent: str = "agt_42", zone: str | None = "UTC",
    parent: str = "", corrected: int | None = None, held: bool = False,
) -> None:  # fmt: skip
    """A use of a run: its ledger row and, if it is counted, all rollups. `name` is the organization's; `corrected` are its corrections."""
    identity, run = identity_of(name, SOURCE, event_id), UUID(bytes=run_identity_of(run_id))
    credits, day = micro_credits + (corrected or 0), str(local_date(at, zone))
    if held:
        series = await db.series(organization, product, kind, feature, agent)
    elif attribution is None:
        series = await db.use(organization, product, kind, feature, day, credits, agent=agent)
    else:
        series = await use_by(db, organization, attribution, product, kind, feature, day, credits, agent=agent)
    await db.execute(
        "INSERT INTO usage_ledger (ledger_bucket, identity, organization_id, series_id, occurred_at, credits, received_at, kafka_offset,"
        " kafka_partition, held, corrected, attribution_id, run) VALUES ($1, $2, $3, $4, $5, $6, $5, 0, 0, $7, $8, $9, $10)",
        bucket_of(event_id, identity), UUID(bytes=identity), organization, series, at, 0 if held else micro_credits, held, corrected,
        attribution, run,
    )  # fmt: skip
    if held:
        await db.execute(
            "INSERT INTO usage_held (ledger_bucket, identity, organization_id, series_id, occurred_at, kafka_partition, kafka_offset,"
            " waits_for, received_at, attribution_id, run, run_id, parent_id) VALUES ($1, $2, $3, $4, $5, 0, 0, 'rate', $5, $6, $7, $8, $9)",
            bucket_of(event_id, identity), UUID(bytes=identity), organization, series, at, attribution, run, run_id, parent,
        )  # fmt: skip
        return
    await db.execute(
        "INSERT INTO usage_runs AS t VALUES ($1, $2, $3, $4, $5, 1, $6, $6, $7, $8) ON CONFLICT (organization_id, run) DO UPDATE SET"
        " credits = t.credits + excluded.credits, events = t.events + 1, first_at = least(t.first_at, excluded.first_at),"
        " last_at = greatest(t.last_at, excluded.last_at),"
        " agent_id = CASE WHEN excluded.first_at < t.first_at THEN excluded.agent_id ELSE t.agent_id END,"
        " attribution_id = CASE WHEN excluded.first_at < t.first_at THEN excluded.attribution_id ELSE t.attribution_id END,"
        " parent_id = greatest(t.parent_id, excluded.parent_id)",
        organization, run, run_id, parent, credits, at, agent, attribution or 0,
    )  # fmt: skip
