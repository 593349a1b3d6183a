"""Queries for quarantined organizations, by the step that fails for them."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from runtime.postgres.pool import Pool
from runtime.postgres.statements import from_record

from alerter.db.statements import SQL

Step = Literal["evaluate", "wakeup", "project", "mail", "channel", "request", "publish"]
"""evaluate: current periods and those that ended recently. wakeup: all periods, after a change and at every
rollover. project: projections of current periods."""

ITEMS_MAX = 20_000
"""The largest number of mails, or deliveries of a channel, to read at a time, because one organization may have a
million."""


class Quarantined(NamedTuple):
    organization_id: int
    organization: str
    step: Step
    reason: str


class Added(NamedTuple):
    """A quarantined organization. `is_news`: it was not quarantined before, or for another reason."""

    organization: str
    is_news: bool


class Due(NamedTuple):
    organization_id: int
    step: Step


class Released(NamedTuple):
    organization: str
    step: Step


async def select_quarantined(pool: Pool) -> list[Quarantined]:
    return [from_record(Quarantined, row) for row in await pool.fetch(SQL["select_quarantined"])]


async def quarantine_organization(
    pool: Pool, organization_id: int, step: Step, reason: str, retry_s: float, retry_max_s: float
) -> Added:
    """The wait of `retry_s` seconds doubles with every further failure, up to `retry_max_s`."""
    row = await pool.fetchrow(SQL["quarantine_organization"], organization_id, step, reason, retry_s, retry_max_s)
    assert row is not None
    return from_record(Added, row)


async def claim_quarantined(pool: Pool, limit: int, lease_s: float) -> list[Due]:
    """Claim up to `limit` due organizations and steps; no other process retries them for `lease_s` seconds."""
    return [from_record(Due, row) for row in await pool.fetch(SQL["claim_quarantined"], limit, lease_s)]


async def release_organizations(pool: Pool, organization_ids: Sequence[int], steps: Sequence[Step]) -> list[Released]:
    rows = await pool.fetch(SQL["release_organizations"], organization_ids, steps)
    return [from_record(Released, row) for row in rows]


async def release_finished(pool: Pool, unwritable: str) -> list[Released]:
    """Release the organizations whose outbox has no item left that could not be written (detail `unwritable`) or
    recorded."""
    return [from_record(Released, row) for row in await pool.fetch(SQL["release_finished"], unwritable, ITEMS_MAX)]


async def retry_all(pool: Pool) -> None:
    """Make all quarantined organizations due."""
    await pool.execute(SQL["retry_all"])


async def retry_emails(pool: Pool, organization_ids: Sequence[int], unwritable: str) -> None:
    """Make mails due that could not be written (detail `unwritable`)."""
    await pool.execute(SQL["retry_emails"], organization_ids, unwritable, ITEMS_MAX // len(organization_ids))


async def retry_deliveries(pool: Pool, organization_ids: Sequence[int], unwritable: str) -> None:
    """Make deliveries to channels due that could not be written (detail `unwritable`)."""
    await pool.execute(SQL["retry_deliveries"], organization_ids, unwritable, ITEMS_MAX // len(organization_ids))


async def count_organizations(pool: Pool) -> int:
    """Number of known organizations."""
    count: int = await pool.fetchval(SQL["count_organizations"])
    return count
