"""What we read about alerts: what admins have set, what the alerter announced, and what became of its mails."""

from collections.abc import Sequence

from runtime.postgres import Connection, load_sql

from query_api.alerts.channels.domain import Channel, SentToChannel
from query_api.alerts.domain.firings import Firing, RaisedBanner, SentTo, Tried
from query_api.alerts.settings.domain.rules import AlertSettings, Recipients, Rule

SQL = load_sql("query_api")


class AlertReads:
    """The part of `store.Reading` that knows alerts. Credits are micro-credits."""

    _connection: Connection
    _id: int | None

    async def select_banner(self) -> RaisedBanner | None:
        row = await self._connection.fetchrow(SQL["select_banner"], self._id)
        return RaisedBanner(*row) if row else None

    async def select_firings(self, before: int | None, limit: int) -> list[Firing]:
        """The newest first, those before the firing `before` or from the newest on."""
        return [Firing(*row) for row in await self._connection.fetch(SQL["select_firings"], self._id, before, limit)]

    async def select_deliveries(self, firing_ids: Sequence[int]) -> dict[int, list[SentTo]]:
        """Mails by firing, sorted by recipient; nothing for a firing without any."""
        by_firing: dict[int, list[SentTo]] = {}
        for firing_id, *delivery in await self._connection.fetch(SQL["select_deliveries"], self._id, firing_ids):
            by_firing.setdefault(firing_id, []).append(SentTo(*delivery))
        return by_firing

    async def select_firing(self, firing_id: int) -> Firing | None:
        row = await self._connection.fetchrow(SQL["select_firing"], self._id, firing_id)
        return Firing(*row) if row else None

    async def select_tries(self, firing_id: int) -> dict[int, list[Tried]]:
        """Attempts by mail, in order; nothing for a mail without any."""
        by_email: dict[int, list[Tried]] = {}
        for email_id, *tried in await self._connection.fetch(SQL["select_tries"], self._id, firing_id):
            by_email.setdefault(email_id, []).append(Tried(*tried))
        return by_email

    async def select_test_mails(self, recipient: str, limit: int) -> list[SentTo]:
        """The newest first."""
        rows = await self._connection.fetch(SQL["select_test_mails"], self._id, recipient, limit)
        return [SentTo(*row) for row in rows]

    async def select_dismissals(self, firing_id: int) -> set[str]:
        """Subjects of those who do not want to see the banner of a firing any more."""
        return {row["subject"] for row in await self._connection.fetch(SQL["select_dismissals"], self._id, firing_id)}

    async def select_alert_settings(self) -> AlertSettings:
        """What the organization has saved or, as version 0, what holds without."""
        row = await self._connection.fetchrow(SQL["select_alert_settings"], self._id)
        if row is None:
            return AlertSettings()  # nothing is known of the organization
        return AlertSettings(
            row["version"], row["updated_at"], row["updated_by"],
            Rule(row["usage_thresholds"], Recipients(row["usage_recipients_on"], row["usage_recipients"])),
            Rule(row["budget_thresholds"], Recipients(row["budget_recipients_on"], row["budget_recipients"])),
            *row[9:],
        )  # fmt: skip

    async def select_role_recipients(self, billing_moderators: bool) -> list[str]:
        """Who is mailed for a role; `billing_moderators`: whether those of this deployment may be."""
        rows = await self._connection.fetch(SQL["select_role_recipients"], self._id, billing_moderators)
        return [row["recipient"] for row in rows]

    async def select_channels(self) -> list[Channel]:
        """The oldest first; none that was removed."""
        return [Channel(*row) for row in await self._connection.fetch(SQL["select_channels"], self._id)]

    async def select_channel_deliveries(self, channel_id: int, before: int | None, limit: int) -> list[SentToChannel]:
        """The newest first, those before the delivery `before` or from the newest on."""
        rows = await self._connection.fetch(SQL["select_channel_deliveries"], self._id, channel_id, before, limit)
        return [SentToChannel(*row) for row in rows]

    async def select_channel_tries(self, delivery_ids: Sequence[int]) -> dict[int, list[Tried]]:
        """Attempts by delivery, in order; nothing for one without any."""
        by_delivery: dict[int, list[Tried]] = {}
        for delivery_id, *tried in await self._connection.fetch(SQL["select_channel_tries"], self._id, delivery_ids):
            by_delivery.setdefault(delivery_id, []).append(Tried(*tried))
        return by_delivery
