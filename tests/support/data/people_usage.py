"""Writes usage with actors, groups and labels as the aggregator does, as the tables' owner."""

import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime

from support.data.table_rows import TableRows

NOTHING: Mapping[str, str] = {}


class PeopleRows:
    """Rows of one organization."""

    def __init__(self, db: TableRows, organization: int) -> None:
        self.db = db
        self.organization = organization

    async def configure(self, people: str = "named", label_keys: Sequence[str] = ()) -> None:
        await self.db.execute(
            "UPDATE organizations SET people = $2, label_keys = $3, event_offset = coalesce(event_offset, 0) + 1 WHERE organization_id = $1",
            self.organization, people, list(label_keys),
        )  # fmt: skip

    async def actor(self, actor: str, name: str | None = None, email: str | None = None, *, removed: bool = False, erased: bool = False) -> None:  # fmt: skip
        await self.db.execute(
            "INSERT INTO actors VALUES ($1, $2, $3, $4, $5, $6, now(), 1) ON CONFLICT (organization_id, actor_id) DO UPDATE"
            " SET display_name = $3, email = $4, removed = $5, erased = $6, event_offset = actors.event_offset + 1",
            self.organization, actor, name, email, removed, erased,
        )  # fmt: skip

    async def member(self, actor: str, since: str, *groups: str) -> None:
        await self.db.execute(
            "INSERT INTO actor_groups VALUES ($1, $2, $3, $4, now(), 1)", self.organization, actor, date.fromisoformat(since), list(groups)
        )  # fmt: skip

    async def group(self, group: str, name: str | None = None, parent: str | None = None) -> None:
        await self.db.execute(
            "INSERT INTO people_groups VALUES ($1, $2, $3, $4, '{}', now(), 1)", self.organization, group, name or group, parent
        )  # fmt: skip

    async def attribution(
        self, actor: str, group: str = "", labels: Mapping[str, str] = NOTHING, kind: str = "user"
    ) -> int:
        return await self.db.count(
            "INSERT INTO usage_attributions (organization_id, identity, actor_kind, actor_id, group_id, labels)"
            " VALUES ($1, md5(concat_ws('/', $2::text, $3::text, $4::text, $5::jsonb))::uuid, $2, $3, $4, $5)"
            " ON CONFLICT (organization_id, identity) DO UPDATE SET labels = excluded.labels"
            " RETURNING attribution_id",
            self.organization, kind if actor or kind == "other" else "", actor, group, json.dumps(dict(labels)),
        )  # fmt: skip

    async def use(
        self, actor: str, day: str, micro_credits: int, *, group: str = "", labels: Mapping[str, str] = NOTHING, kind: str = "user",
        product: str = "agents", feature: str = "search", agent: str = "", surface: str = "web", events: int = 1, at: str = "12:00",
        bucket: int = -1,
    ) -> None:  # fmt: skip
        """Usage in all tables of a day, and in the partition `bucket` of the ledger. Without actor, group and labels it has no
        attribution. No event is a correction; several are not in the ledger, as if they were older than it."""
        series = await self.db.use(
            self.organization, product, "namespace" if product == "api" else "tool", feature, day, micro_credits, agent=agent,
            surface=surface, events=events,
        )  # fmt: skip
        if not (actor or group or labels or kind == "other"):
            return
        attribution, on = await self.attribution(actor, group, labels, kind), date.fromisoformat(day)
        await self.db.execute(
            "INSERT INTO usage_attributed_daily AS t VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (organization_id, day, attribution_id, series_id)"
            " DO UPDATE SET credits = t.credits + excluded.credits, events = t.events + excluded.events",
            self.organization, on, attribution, series, micro_credits, events,
        )  # fmt: skip
        await self.db.execute(
            "INSERT INTO usage_attributed_monthly AS t VALUES ($1, $2, $3, $4, $5) ON CONFLICT (organization_id, month, attribution_id)"
            " DO UPDATE SET credits = t.credits + excluded.credits, events = t.events + excluded.events",
            self.organization, on.replace(day=1), attribution, micro_credits, events,
        )  # fmt: skip
        if events < 2:
            await self.db.execute(
                "INSERT INTO usage_ledger (ledger_bucket, identity, organization_id, series_id, occurred_at, credits, received_at,"
                " kafka_offset, kafka_partition, held, attribution_id, corrects)"
                " VALUES ($1, gen_random_uuid(), $2, $3, $4, $5, $4, 0, 0, false, $6, CASE WHEN $7 THEN gen_random_uuid() END)",
                bucket, self.organization, series, datetime.fromisoformat(f"{day}T{at}Z"), micro_credits, attribution, events == 0,
            )  # fmt: skip
