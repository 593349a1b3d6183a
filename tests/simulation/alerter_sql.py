"""The alerter's statements, as the simulated Postgres runs them: one function for each statement of the service.

The rows of aggregator and query API are two tables by organization: `levels`, and `days` with what projections read. There
are no budgets and no channels.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from math import ceil
from typing import Any, NamedTuple

import asyncpg

from simulation.postgres import Transaction, functions_of

Rows = Iterable[tuple[Any, ...]]
BEGINS, ENDS = date(2026, 11, 1), date(2026, 12, 1)
RECIPIENTS = ("one@acme.example", "two@acme.example")


class LevelRow(NamedTuple):
    """`levels`: micro-credits available and used, and the thresholds, as aggregator and query API store them."""

    available: int
    used: int
    thresholds: tuple[int, ...]
    projected: tuple[int, ...] = ()
    contracts: tuple[str, ...] = ("c1",)
    """Each has one credit period, with the same level."""


class Days(NamedTuple):
    """`days`: micro-credits by day, and the instant up to which they are complete."""

    by_day: Mapping[date, int]
    complete_to: datetime


class Firing(NamedTuple):
    """`firings`, keyed by organization, rule, contract, period, kind, threshold and episode."""

    firing_id: int
    starts_on: date
    ends_on: date
    fired_at: datetime
    used: int
    available: int
    notification: str
    mail_context: str | None
    p10: date | None
    p50: date | None
    p90: date | None
    resolution: str | None = None


class Email(NamedTuple):
    """`emails`, keyed by number; `due` is in seconds of simulated time."""

    organization_id: int
    firing_id: int
    message_id: str
    recipient: str
    created_at: datetime
    due: float
    state: str = "pending"
    attempts: int = 0


def by_organization(rows: Mapping[int, Any], organization_of: Callable[[Any], int]) -> dict[int, list[int]]:
    """Numbers of the rows of each organization, in order."""
    numbers: dict[int, list[int]] = defaultdict(list)
    for number, row in sorted(rows.items()):
        numbers[organization_of(row)].append(number)
    return numbers


def of(organization_ids: Sequence[int] | None, number: int) -> bool:
    return organization_ids is None or number in organization_ids


def select_levels(t: Transaction, organization_ids: Sequence[int] | None, *_: date) -> Rows:
    return [
        (number, "UTC", [*at.thresholds], [*at.projected], contract, "p1", BEGINS, ENDS, at.available, at.used)
        for number, at in t.rows("levels").items()
        if of(organization_ids, number)
        for contract in at.contracts
    ]


def select_budgets(*_: Any) -> Rows:
    return []


def select_firings(t: Transaction, organization_ids: Sequence[int] | None, _: date) -> Rows:
    every = [(key, at) for key, at in sorted(t.rows("firings").items()) if of(organization_ids, key[0])]
    latest = {key[:6]: (key, at) for key, at in every}
    mailed = {key[:6]: at.fired_at for key, at in every if at.notification == "sent"}
    return [(*key, at.resolution is None, at.fired_at, mailed.get(key[:6])) for key, at in latest.values()]


def select_crowded(*_: Any) -> Rows:
    """Every organization has few credit periods."""
    return []


def select_banners(t: Transaction, organization_ids: Sequence[int] | None) -> Rows:
    return [(number, *row) for number, row in t.rows("banners").items() if of(organization_ids, number)]


def lock_state(t: Transaction, organization_id: int) -> Rows:
    if t.get("state", organization_id) is None:
        return []
    t.lock("state", organization_id)
    return [(True,)]


def create_state(t: Transaction, organization_id: int, now: datetime) -> None:
    if not t.meets("state", organization_id):
        t.put("state", organization_id, now)


def adopt_firings(t: Transaction, organization_id: int) -> None:
    """Credit periods keep their ids in the simulation."""


def displace_firings(t: Transaction, organization_id: int) -> None:
    """Credit periods keep their ids in the simulation."""


def find_notice(t: Transaction, event_id: str) -> Rows:
    return [(True,) for row in t.rows("notices").values() if row[2] == event_id]


def mark_evaluated(t: Transaction, organization_id: int, now: datetime) -> None:
    t.lock("state", organization_id)
    t.put("state", organization_id, now)


def insert_firing(t: Transaction, *row: Any) -> Rows:
    key, rest = row[:7], row[7:]
    [number] = t.numbers("firings", 1)
    t.lock("open firings", key[:6])
    t.lock("firings", key)
    if t.get("firings", key) is not None or any(
        other[:6] == key[:6] and at.resolution is None for other, at in t.rows("firings").items()
    ):
        raise asyncpg.UniqueViolationError(f"fired twice: {key}")
    t.put("firings", key, Firing(number, *rest))
    return [(number,)]


def resolve_firing(t: Transaction, *row: Any) -> Rows:
    *about, _, resolution = row
    found = [(key, at) for key, at in t.rows("firings").items() if key[:6] == (*about,) and at.resolution is None]
    t.lock("firings", *(key for key, _ in found))
    for key, at in found:
        t.put("firings", key, at._replace(resolution=resolution))
    return [
        (at.firing_id, key[6], at.notification, at.starts_on, at.ends_on, at.fired_at, at.p10, at.p50, at.p90)
        for key, at in found
    ]


def raise_banner(t: Transaction, organization_id: int, *row: Any) -> None:
    t.lock("banners", organization_id)
    t.put("banners", organization_id, row)


def lower_banner(t: Transaction, organization_id: int) -> None:
    if t.get("banners", organization_id) is not None:
        t.lock("banners", organization_id)
        t.put("banners", organization_id, None)


def select_projections(t: Transaction, organization_ids: Sequence[int] | None) -> Rows:
    return [(*key, *row) for key, row in t.rows("projections").items() if of(organization_ids, key[0])]


def save_projection(t: Transaction, organization_id: int, rule: str, *row: Any) -> None:
    t.lock("projections", (organization_id, rule))
    t.put("projections", (organization_id, rule), row)


def select_counted_to(t: Transaction, organization_id: int, *_: Any) -> Rows:
    return [(t.get("days", organization_id).complete_to, False, 0, 1000)]


def sum_days(t: Transaction, organization_id: int, first: date, last: date) -> Rows:
    return [(day, credits) for day, credits in t.get("days", organization_id).by_day.items() if first <= day <= last]


def sum_quarters(*_: Any) -> Rows:
    return []


def select_mail_context(t: Transaction, organization_id: int, *_: Any) -> Rows:
    used = t.get("levels", organization_id).used
    return [(None, None, None, used, 0, 0)]


def select_drivers(t: Transaction, organization_id: int, *_: Any) -> Rows:
    used = t.get("levels", organization_id).used
    return [("assistant", used, "search")] if used > 0 else []


def select_name(_: Transaction, organization_id: int) -> Rows:
    return [(name_of(organization_id), "Acme")]


def name_of(organization_id: int) -> str:
    return f"org_{organization_id}"


def select_recipients(*_: Any) -> Rows:
    return [(address, False) for address in RECIPIENTS]


def insert_notice(t: Transaction, organization_id: int, firing_id: int, event_id: str, kind: str, body: str, *_: Any) -> None:  # fmt: skip
    t.append("notices", (organization_id, firing_id, event_id, kind, body, False))


def claim_notices(t: Transaction, limit: int, after: int, last: int) -> Rows:
    waiting = by_organization(
        {number: row for number, row in t.rows("notices").items() if not row[5]}, lambda row: row[0]
    )
    turns = [at for at in sorted(waiting) if after < at <= last and t.postgres.is_free(t, ("publishing", at))][:limit]
    t.lock("publishing", *turns)
    claimed = []
    for at in turns:
        free = [number for number in waiting[at] if t.postgres.is_free(t, ("notices", number))]
        claimed += free[: ceil(limit / len(turns))]
    t.lock("notices", *claimed)
    rows = [(number, t.get("notices", number)) for number in sorted(claimed)]
    return [(number, row[0], name_of(row[0]), row[4]) for number, row in rows]


def mark_notices_published(t: Transaction, numbers: Sequence[int]) -> None:
    t.lock("notices", *numbers)
    for number in numbers:
        t.put("notices", number, (*t.get("notices", number)[:5], True))


def insert_email(t: Transaction, organization_id: int, firing_id: int, message_id: str, recipient: str, _: bool, at: datetime, __: None) -> None:  # fmt: skip
    t.lock("message ids", message_id)
    if t.get("message ids", message_id) is not None:
        raise asyncpg.UniqueViolationError(f"mailed twice: {message_id}")
    t.put("message ids", message_id, recipient)
    t.append("emails", Email(organization_id, firing_id, message_id, recipient, at, t.postgres.world.now))


def claim_emails(t: Transaction, limit: int, lease_s: float, running: Sequence[int], share: int, after: int) -> Rows:
    now = t.postgres.world.now
    due = {number: at for number, at in t.rows("emails").items() if at.state == "pending" and at.due <= now}
    waiting = by_organization(due, lambda at: at.organization_id)
    rooms = {at: share - running.count(at) for at in sorted(waiting) if at > after and running.count(at) < share}
    turns = [*rooms][:limit]
    free = []
    for organization_id in turns:
        mails = sorted(waiting[organization_id], key=lambda number: (due[number].due, number))
        mails = [number for number in mails if t.postgres.is_free(t, ("emails", number))]
        free += mails[: min(rooms[organization_id], ceil(limit / len(turns)))]
    free = free[:limit]
    t.lock("emails", *free)
    mail_context = {at.firing_id: at.mail_context for at in t.rows("firings").values()}
    claimed = []
    for number in free:
        at = t.get("emails", number)
        at = at._replace(attempts=at.attempts + 1, due=now + lease_s)
        t.put("emails", number, at)
        waited = now - (at.created_at - datetime(2026, 11, 20, 12, tzinfo=UTC)).total_seconds()
        claimed.append((number, at.message_id, at.recipient, False, at.created_at, at.attempts, waited, mail_context[at.firing_id], at.organization_id))  # fmt: skip
    return claimed


def record_email_attempt(t: Transaction, number: int, attempt: int, outcome: str, _: str, retry_s: float) -> None:
    t.lock("emails", number)
    at = t.get("emails", number)
    if at.state == "pending" and (outcome == "sent" or at.attempts == attempt):
        due = t.postgres.world.now + retry_s if outcome == "deferred" else at.due
        state = {"sent": "sent", "refused": "failed", "deferred": "pending"}[outcome]
        t.put("emails", number, at._replace(state=state, due=due))


def claim_wakeups(t: Transaction, limit: int) -> Rows:
    waiting = by_organization(t.rows("wakeups"), lambda number: number)
    free = []
    for _, numbers in sorted(waiting.items()):
        unlocked = [number for number in numbers if t.postgres.is_free(t, ("wakeups", number))]
        free += unlocked[: ceil(limit / len(waiting))]
    t.lock("wakeups", *free)
    woken = [(t.get("wakeups", number),) for number in free]
    for number in free:
        t.put("wakeups", number, None)
    return woken


def limit_statements(_: Transaction, statement_timeout: str) -> Rows:
    return [(statement_timeout,)]


def select_quarantined(_: Transaction) -> Rows:
    """No rows: quarantine is not simulated."""
    return []


NAMES = {
    "select_levels": "organization_id time_zone thresholds projected_thresholds contract_id period_id starts_on ends_on available used", "select_budgets": "", "select_crowded": "organization_id",
    "select_firings": "organization_id rule contract_id period_id kind threshold episode is_open fired_at mailed_at",
    "select_banners": "organization_id contract_id period_id kind threshold episode fired_at", "lock_state": "locked",
    "insert_firing": "firing_id", "resolve_firing": "firing_id episode notification starts_on ends_on fired_at p10 p50 p90",
    "select_projections": "organization_id rule contract_id period_id starts_on ends_on day available thresholds permilles p10 p50 p90 refusal detail projected_at",
    "select_counted_to": "complete_to is_quarantined held counted", "sum_days": "day credits", "sum_quarters": "bucket_at credits",
    "select_mail_context": "assistant agents api assistant_used agents_used api_used",
    "select_drivers": "product credits name", "select_name": "organization name", "select_recipients": "address is_additional",
    "find_notice": "found", "claim_notices": "alert_event_id organization_id organization body", "claim_wakeups": "organization_id",
    "limit_statements": "set_config", "select_quarantined": "organization_id organization step reason",
    "claim_emails": "email_id message_id recipient is_additional created_at attempt waited_s context organization_id",
}  # fmt: skip
STATEMENTS = functions_of(globals())
