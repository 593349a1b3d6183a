"""Writes rows as the aggregator does, as the tables' owner."""

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from flexcredits_schemas.identity import bucket_of, identity_of
from runtime.postgres.pool import Connection

TOPIC = "usage.events.v1"
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
MICRO = 1_000_000


def local(zone: str, day: str, at: str = "00:00") -> datetime:
    """The instant of a local time."""
    return datetime.combine(date.fromisoformat(day), time.fromisoformat(at), ZoneInfo(zone)).astimezone(UTC)


class TableRows:
    """Writes rows as the aggregator does, as the tables' owner."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def execute(self, statement: str, *values: Any) -> None:
        await self._connection.execute(statement, *values)

    async def fetch(self, statement: str, *values: Any) -> list[Any]:
        return await self._connection.fetch(statement, *values)

    async def count(self, question: str, *values: Any) -> int:
        number: int = await self._connection.fetchval(question, *values)
        return number

    async def organization(
        self, name: str = "org_acme", time_zone: str | None = "UTC", *, billing_moderators: bool = False
    ) -> int:
        number: int = await self._connection.fetchval(
            "INSERT INTO organizations (organization, name, time_zone, billing_moderator_enabled)"
            " VALUES ($1, $1, $2, $3) RETURNING organization_id",
            name, time_zone, billing_moderators,
        )  # fmt: skip
        return number

    async def api_key(
        self, key_id: str, *organizations: str, products: Sequence[str] = ("*",), expires_at: datetime | None = None,
        revoked_at: datetime | None = None,
    ) -> str:  # fmt: skip
        """A key for org_acme, unless others are given."""
        await self.execute(
            "INSERT INTO api_keys (key_id, secret_sha256, organizations, products, expires_at, revoked_at, created_at)"
            " VALUES ($1, sha256('secret'), $2, $3, $4, $5, '2026-11-01T00:00:00Z')",
            key_id, list(organizations) or ["org_acme"], list(products), expires_at, revoked_at,
        )  # fmt: skip
        return key_id

    async def mapping(self, key_id: str, rule: str, updated_by: str) -> None:
        """A mapping with one rule, which ignores events of Lago."""
        document = {"type": "flexcredits.mapping.v1", "rules": [{"name": rule, "protocol": "lago", "ignore": True}]}
        await self.execute(
            "INSERT INTO api_key_mappings (key_id, document, updated_at, updated_by) VALUES ($1, $2, now(), $3)",
            key_id, json.dumps(document), updated_by,
        )  # fmt: skip

    async def contract(
        self, organization: int, contract: str, starts_on: str, ends_on: str, *, minimum_commitment: int | None = None,
        overage_price: int | None = None, credit_price: int | None = None, currency: str | None = None,
        account_team: tuple[str | None, str | None, str | None] = (None, None, None),
    ) -> None:  # fmt: skip
        """Micro-credits, and prices in millionths; the account team's name, email and url."""
        await self.execute(
            "INSERT INTO contracts (organization_id, contract_id, starts_on, ends_on, minimum_commitment, overage_price, credit_price,"
            " currency, account_team_name, account_team_email, account_team_url, event_at, event_offset)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, now(), 0)",
            organization, contract, date.fromisoformat(starts_on), date.fromisoformat(ends_on), minimum_commitment, overage_price,
            credit_price, currency, *account_team,
        )  # fmt: skip

    async def period(
        self, organization: int, contract: str, period: str, starts_on: str, ends_on: str, *, total: int | None = None,
        assistant: int | None = None, agents: int | None = None, api: int | None = None, add_ons: list[tuple[int, bool]] | None = None,
    ) -> None:  # fmt: skip
        """Amounts in whole credits."""
        amounts = [None if amount is None else amount * MICRO for amount in (total, assistant, agents, api)]
        await self.execute(
            "INSERT INTO credit_periods VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            organization, contract, period, date.fromisoformat(starts_on), date.fromisoformat(ends_on), *amounts,
        )  # fmt: skip
        for position, (credits, included) in enumerate(add_ons or []):
            await self.execute(
                "INSERT INTO add_ons VALUES ($1, $2, $3, $4, 'Add-on', $5, $6)",
                organization, contract, period, position, credits * MICRO, included,
            )  # fmt: skip

    async def feature(
        self, organization: int, product: str, kind: str, feature: str, since: str, category: str | None = None, name: str | None = None
    ) -> None:  # fmt: skip
        await self.execute(
            "INSERT INTO features VALUES ($1, $2, $3, $4, $5, $6, $7, now(), 0)",
            organization, product, kind, feature, date.fromisoformat(since), name, category,
        )  # fmt: skip

    async def agent(
        self, organization: int, agent: str, state: str, name: str | None, *, ever_saved: bool = True
    ) -> None:
        await self.execute(
            "INSERT INTO agents VALUES ($1, $2, $3, $4, NULL, $5, now(), 0)",
            organization,
            agent,
            state,
            name,
            ever_saved,
        )

    async def sighting(self, organization: int, agent: str, kind: str, name: str, *, ever_saved: bool = False) -> None:
        await self.execute(
            "INSERT INTO agent_sightings VALUES ($1, $2, $3, $4, $5, now())",
            organization,
            agent,
            kind,
            name,
            ever_saved,
        )

    async def series(
        self, organization: int, product: str, kind: str, feature: str, agent: str = "", surface: str = "web"
    ) -> int:
        number: int = await self._connection.fetchval(
            "INSERT INTO usage_series (organization_id, product, feature_kind, feature, agent_id, surface)"
            " VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (organization_id, product, feature_kind, feature, agent_id, surface)"
            " DO UPDATE SET surface = excluded.surface RETURNING series_id",
            organization, product, kind, feature, agent, surface,
        )  # fmt: skip
        return number

    async def use(
        self, organization: int, product: str, kind: str, feature: str, day: str, micro_credits: int,
        *, agent: str = "", surface: str = "web", events: int = 1, partition: int = 0,
    ) -> int:  # fmt: skip
        """Usage of a day in both daily and both monthly tables; returns its series."""
        series = await self.series(organization, product, kind, feature, agent, surface)
        on = date.fromisoformat(day)
        for table, column, begins_on in (("usage_daily", "day", on), ("usage_monthly", "month", on.replace(day=1))):
            await self.execute(
                f"INSERT INTO {table} AS t VALUES ($1, $2, $3, $4, $5) ON CONFLICT (organization_id, {column}, series_id)"
                " DO UPDATE SET credits = t.credits + excluded.credits, events = t.events + excluded.events",
                organization, begins_on, series, micro_credits, events,
            )  # fmt: skip
            table = table.replace("usage", "usage_organization")
            await self.execute(
                f"INSERT INTO {table} AS t VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (organization_id, {column}, product, kafka_partition)"
                " DO UPDATE SET credits = t.credits + excluded.credits, events = t.events + excluded.events",
                organization, begins_on, product, partition, micro_credits, events,
            )  # fmt: skip
        return series

    async def correct(
        self, organization: int, product: str, kind: str, feature: str, day: str, micro_credits: int,
        *, agent: str = "", surface: str = "web", corrections: int = 1,
    ) -> int:  # fmt: skip
        """Add corrections of a day: they change both daily tables' credits and no table's events."""
        series = await self.use(
            organization, product, kind, feature, day, micro_credits, agent=agent, surface=surface, events=0
        )
        await self.execute(
            "INSERT INTO usage_corrections AS t VALUES ($1, $2, $3, $4, $5) ON CONFLICT (organization_id, day, series_id)"
            " DO UPDATE SET credits = t.credits + excluded.credits, corrections = t.corrections + excluded.corrections",
            organization, date.fromisoformat(day), series, micro_credits, corrections,
        )  # fmt: skip
        return series

    async def firing(
        self, organization: int, threshold: int, notification: str = "sent", *, period: str = "p1", contract: str = "c1", episode: int = 1,
        starts_on: str = "2026-01-01", ends_on: str = "2027-01-01", fired_at: datetime = NOW, used: int = 75 * MICRO,
        available: int = 100 * MICRO, resolution: str | None = None, resolved_at: datetime | None = None, rule: str = "usage",
    ) -> int:  # fmt: skip
        """Insert a firing as the alerter does; amounts in micro-credits."""
        number: int = await self._connection.fetchval(
            "INSERT INTO alert_firings (organization_id, rule, contract_id, period_id, threshold, episode, starts_on, ends_on,"
            " fired_at, used, available, notification, mail_context, resolved_at, resolution)"
            " VALUES ($1, $15, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) RETURNING firing_id",
            organization, contract, period, threshold, episode, date.fromisoformat(starts_on), date.fromisoformat(ends_on), fired_at,
            used, available, notification, "{}" if notification == "sent" else None, resolved_at, resolution, rule,
        )  # fmt: skip
        return number

    async def banner(
        self, organization: int, threshold: int, *, period: str = "p1", contract: str = "c1", fired_at: datetime = NOW, episode: int = 1,
    ) -> None:  # fmt: skip
        await self.execute(
            "INSERT INTO banners VALUES ($1, $2, $3, $4, $6, $5) ON CONFLICT (organization_id) DO UPDATE"
            " SET contract_id = $2, period_id = $3, threshold = $4, episode = $6, fired_at = $5",
            organization, contract, period, threshold, fired_at, episode,
        )  # fmt: skip

    async def member(self, organization: int, email: str, role: str = "admin", *, removed: bool = False) -> None:
        await self.execute(
            "INSERT INTO members VALUES ($1, $2, NULL, $3, $4, now(), 0)", organization, email, role, removed
        )

    async def email(
        self, organization: int, firing: int | None, recipient: str, state: str = "pending", *, attempts: int = 0, finished_at: datetime | None = None,
    ) -> int:  # fmt: skip
        """Insert a mail of NOW; a pending one is due a minute later. Without a firing it is a test mail."""
        number: int = await self._connection.fetchval(
            "INSERT INTO email_outbox (organization_id, firing_id, message_id, recipient, created_at, state, attempts, due_at, finished_at, mail_context)"
            " VALUES ($1, $2, gen_random_uuid()::text, $3, $4, $5, $6, $7, $8, CASE WHEN $2::bigint IS NULL THEN '{}'::json END)"
            " RETURNING email_id",
            organization, firing, recipient, NOW, state, attempts, NOW + timedelta(minutes=1), finished_at,
        )  # fmt: skip
        return number

    async def attempt(self, organization: int, email: int, attempt: int, outcome: str, detail: str) -> None:
        await self.execute(
            "INSERT INTO email_attempts VALUES ($1, $2, $3, $4, $5, $6)",
            email, organization, attempt, NOW, outcome, detail,
        )  # fmt: skip

    async def notice(
        self, organization: int, channel: int, event_id: str, kind: str, firing: int | None, state: str, tries: Sequence[tuple[str, str]],
    ) -> None:  # fmt: skip
        """Insert a delivery to a channel with the results of its attempts; completed at NOW unless pending."""
        delivery: int = await self._connection.fetchval(
            "WITH notice AS (INSERT INTO alert_events (organization_id, firing_id, event_id, kind, body, created_at, published_at)"
            " VALUES ($1, $4, $3, $5, '{}', $8, $8) RETURNING alert_event_id)"
            " INSERT INTO alert_deliveries (organization_id, channel_id, alert_event_id, created_at, state, attempts, finished_at)"
            " SELECT $1, $2, alert_event_id, $8, $6, $7, CASE WHEN $6 <> 'pending' THEN $8::timestamptz END FROM notice RETURNING delivery_id",
            organization, channel, event_id, firing, kind, state, len(tries), NOW,
        )  # fmt: skip
        for attempt, (outcome, detail) in enumerate(tries, 1):
            await self.execute(
                "INSERT INTO alert_delivery_attempts VALUES ($1, $2, $3, $4, $5, $6)",
                delivery, organization, attempt, NOW, outcome, detail,
            )  # fmt: skip

    async def audit_entry(self, organization: int, subject: str, action: str = "session.begin") -> None:
        await self.execute(
            "INSERT INTO audit_log (organization_id, subject, email, role, action, details, request_id)"
            " VALUES ($1, $2, '', 'admin', $3, '{}', 'request')",
            organization, subject, action,
        )  # fmt: skip

    async def progress(self, partition: int, caught_up_at: datetime | None, **dispositions: int) -> None:
        dispositions = {"counted": 0, "duplicate": 0, "rejected": 0, "held": 0} | dispositions
        await self.execute(
            "INSERT INTO partition_progress (topic, partition, next_offset, counted, duplicate, rejected, held, updated_at, caught_up_at)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            TOPIC, partition, sum(dispositions.values()), *dispositions.values(), NOW, caught_up_at,
        )  # fmt: skip

    async def log_end(self, partition: int, end_offset: int, complete_to: datetime | None = None) -> None:
        await self.execute(
            "INSERT INTO partition_ends VALUES ($1, $2, $3, $4, $5) ON CONFLICT (topic, partition) DO UPDATE"
            " SET end_offset = excluded.end_offset, end_seen_at = excluded.end_seen_at, complete_to = excluded.complete_to",
            TOPIC, partition, end_offset, NOW, complete_to,
        )  # fmt: skip

    async def ledger(
        self, organization: int, series: int, occurred_at: datetime, micro_credits: int, *, held: bool = False
    ) -> None:
        """Insert a ledger row, and its quarter of an hour if it is counted."""
        await self.execute(
            "INSERT INTO usage_ledger (ledger_bucket, identity, organization_id, series_id, occurred_at, credits,"
            " received_at, kafka_offset, kafka_partition, held)"
            " VALUES (-1, gen_random_uuid(), $1, $2, $3, $4, $3, 0, 0, $5)",
            organization, series, occurred_at, micro_credits, held,
        )  # fmt: skip
        if not held:
            await self.execute(
                "INSERT INTO usage_15m AS t VALUES ($1, date_bin('15 minutes', $3, '2000-01-01Z'), $2, $4, 1)"
                " ON CONFLICT (organization_id, bucket_at, series_id)"
                " DO UPDATE SET credits = t.credits + excluded.credits, events = t.events + excluded.events",
                organization, series, occurred_at, micro_credits,
            )  # fmt: skip

    async def event(
        self, name: str, organization: int, series: int, source: str, event_id: str, micro_credits: int
    ) -> None:
        """Insert a ledger row that `receipt` finds; `name` is the organization's."""
        identity = identity_of(name, source, event_id)
        await self.execute(
            "INSERT INTO usage_ledger (ledger_bucket, identity, organization_id, series_id, occurred_at, credits,"
            " received_at, kafka_offset, kafka_partition, held) VALUES ($1, $2, $3, $4, $5, $6, $5, 0, 0, false)",
            bucket_of(event_id, identity), UUID(bytes=identity), organization, series, NOW, micro_credits,
        )  # fmt: skip

    async def hold(self, organization: int, series: int) -> None:
        await self.execute(
            "INSERT INTO usage_held (ledger_bucket, identity, organization_id, series_id, occurred_at, kafka_partition,"
            " kafka_offset, waits_for, received_at) VALUES (-1, gen_random_uuid(), $1, $2, now(), 0, 0, 'rate', now())",
            organization, series,
        )  # fmt: skip
