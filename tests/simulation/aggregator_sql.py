"""The aggregator's statements, as the simulated Postgres runs them: one function for each statement of the service."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from itertools import repeat
from math import ceil
from typing import Any, NamedTuple

import asyncpg
from aggregator.domain.people.runs import RunSum, join_runs
from aggregator.domain.sum_limit import SUM_LIMIT
from asyncpg.pgproto.pgproto import UUID

from simulation.postgres import Postgres, Transaction, functions_of

Rows = Iterable[tuple[Any, ...]]
EPOCH = date(1970, 1, 1)
POSTGRES_EPOCH_S = 946_684_800


class Progress(NamedTuple):
    """`partition_progress`, keyed by topic and partition."""

    next_offset: int = 0
    counted: int = 0
    duplicate: int = 0
    rejected: int = 0
    held: int = 0
    skipped: int = 0
    records_end: int | None = None
    received: float = 0


class Organization(NamedTuple):
    """`organizations`, keyed by name."""

    organization_id: int
    time_zone: str | None = None
    ordering: tuple[datetime, int] | None = None


class Entry(NamedTuple):
    """`usage_ledger`, keyed by bucket and identity."""

    organization_id: int
    series_id: int
    occurred: float
    credits: int
    held: bool
    received: float
    partition: int
    offset: int
    rate_id: int | None
    quantity: int | None
    corrects_bucket: int | None
    corrects: Any
    attribution_id: int | None = None
    run: Any = None
    quantities: str | None = None
    corrected: int = 0


class Held(NamedTuple):
    """`usage_held`, keyed by bucket and identity."""

    organization_id: int
    series_id: int
    occurred: float
    credits: int | None
    quantity: int | None
    unit: str | None
    partition: int
    offset: int
    waits_for: str
    corrects_bucket: int | None
    corrects: Any
    value: bytes | None
    received: float
    attribution_id: int | None
    run: Any
    run_id: str | None
    parent_id: str | None
    quantities: str | None
    feature: str | None


def each(*columns: Sequence[Any] | None) -> Rows:
    """unnest: a column that is null itself is filled with nulls."""
    length = max(len(column) for column in columns if column is not None)
    return zip(*(repeat(None, length) if column is None else column for column in columns), strict=True)


def create_progress(t: Transaction, topic: str, partitions: Sequence[int]) -> None:
    missing = [(topic, at) for at in partitions if not t.meets("progress", (topic, at))]
    for key in missing:
        t.put("progress", key, Progress())


def select_progress(t: Transaction, topic: str) -> Rows:
    return [(at, row.next_offset) for (name, at), row in t.rows("progress").items() if name == topic]


def select_received(t: Transaction, topic: str) -> Rows:
    return [
        (at, ceil(round(row.received * 1000, 3)), row.next_offset if row.records_end is None else row.records_end)
        for (name, at), row in t.rows("progress").items()
        if name == topic and row.next_offset
    ]


def lock_progress(t: Transaction, topic: str, partitions: Sequence[int]) -> Rows:
    keys = sorted((topic, at) for at in set(partitions) if t.get("progress", (topic, at)) is not None)
    t.lock("progress", *keys)
    return [(key[1], t.get("progress", key).next_offset) for key in keys]


def change_progress(t: Transaction, topic: str, changes: dict[int, dict[str, int]]) -> None:
    """Raises CheckViolationError if the dispositions do not add up."""
    t.lock("progress", *((topic, at) for at in changes))
    for at, change in changes.items():
        row = Progress(**change)
        if row.held < 0 or row.next_offset != row.counted + row.duplicate + row.rejected + row.held + row.skipped:
            raise asyncpg.CheckViolationError(f"every_offset_has_one_result: {row}")
        t.put("progress", (topic, at), row)


def advance_progress(t: Transaction, topic: str, *columns: Sequence[Any]) -> None:
    changes = {}
    t.lock("progress", *((topic, at) for at in columns[0]))
    for at, next_offset, *dispositions, end, received in each(*columns):
        before = t.get("progress", (topic, at))
        summed = map(sum, zip(before[1:-2], dispositions, strict=True))
        if end is None:
            end = before.next_offset if before.records_end is None else before.records_end
        changes[at] = Progress(next_offset, *summed, end, max(before.received, received or 0))._asdict()
    change_progress(t, topic, changes)


def resolve_progress(t: Transaction, topic: str, *columns: Sequence[int]) -> None:
    changes = {}
    t.lock("progress", *((topic, at) for at in columns[0]))
    for at, counted, duplicate, rejected in each(*columns):
        row = t.get("progress", (topic, at))
        changes[at] = row._replace(
            held=row.held - counted - duplicate - rejected,
            counted=row.counted + counted,
            duplicate=row.duplicate + duplicate,
            rejected=row.rejected + rejected,
        )._asdict()
    change_progress(t, topic, changes)


def add_hours(t: Transaction, topic: str, *columns: Sequence[Any]) -> None:
    t.add_all({"hours": ((topic, *row) for row in each(*columns))}, sums=4)


def resolve_hours(t: Transaction, topic: str, *columns: Sequence[Any]) -> None:
    rows = (
        (topic, at, hour, counted, duplicate, rejected, -counted - duplicate - rejected)
        for at, hour, counted, duplicate, rejected in each(*columns)
    )
    t.add_all({"hours": rows}, sums=4)


def ensure_organizations(t: Transaction, names: Sequence[str]) -> None:
    numbers = t.numbers("organizations", len(names))
    missing = [name for name in names if not t.meets("organizations", name)]
    for name, number in zip(names, numbers, strict=True):
        if name in missing:
            t.put("organizations", name, Organization(number))


def select_organizations(t: Transaction, names: Sequence[str]) -> Rows:
    found = t.rows("organizations")
    return [(name, found[name].organization_id, found[name].time_zone) for name in names if name in found]


def insert_zone_rules(*_: Any) -> Rows:
    """Counted usage does not depend on the rules."""
    return []


def upsert_organization(t: Transaction, name: str, _: str, zone: str, *rest: Any) -> Rows:
    at, offset = rest[-2:]
    [number] = t.numbers("organizations", 1)
    t.lock("organizations", name)
    row = t.get("organizations", name) or Organization(number)
    if row.ordering is not None and row.ordering >= (at, offset):
        return []
    if any(key[0] == row.organization_id for key in t.rows("organization_days")):
        row = row._replace(ordering=(at, offset))
    else:
        row = row._replace(time_zone=zone, ordering=(at, offset))
    t.put("organizations", name, row)
    return [(row.time_zone,)]


def select_changed_organizations(t: Transaction, version: int) -> Rows:
    return [
        (name, row.organization_id, row.time_zone)
        for name, row in t.rows("organizations").items()
        if row.ordering is not None and row.ordering[1] >= version
    ]


def has_rate(t: Transaction, organization_id: int, source: str, event_id: str) -> Rows:
    return [(t.get("rates", (organization_id, source, event_id)) is not None,)]


def has_rates(_: Transaction, __: int, ___: datetime, ____: int) -> Rows:
    return [(False,)]


def insert_rate(t: Transaction, organization_id: int, *row: Any) -> None:
    [number] = t.numbers("rates", 1)
    key = (organization_id, *row[-2:])
    if not t.meets("rates", key):
        t.put("rates", key, (number, organization_id, *row))


def is_in_its_part(t: Transaction, organization_id: int, *of: str) -> Rows:
    product, feature_kind, feature, unit, whole = of
    newest: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    for row in sorted(t.rows("rates").values(), key=lambda row: row[-3]):
        if (
            row[1] in (organization_id, 0)
            and row[2:4] == (product, feature_kind)
            and (feature == "*" or row[4] in (feature, "*"))
        ):
            newest[row[1], row[4], row[5]] = row
    wholes, found = [whole], {whole}
    while wholes:
        at = wholes.pop()
        more = {row[6] for row in newest.values() if row[5] == at and row[6] is not None} - found
        found |= more
        wholes += more
    return [(unit in found,)]


def select_changed_rates(t: Transaction, version: int) -> Rows:
    names = {row.organization_id: name for name, row in t.rows("organizations").items()}
    rates = [
        (number, names[organization_id], *dimensions, credits, per, begins.timestamp() if begins else float("-inf"), received.timestamp(), offset, part_of)
        for number, organization_id, *dimensions, part_of, credits, per, begins, received, offset, _, _ in t.rows("rates").values()
        if offset >= version or version <= 0
    ]  # fmt: skip
    return sorted(rates, key=lambda rate: rate[-2])


def select_catalog_version(t: Transaction, topic: str) -> Rows:
    row = t.get("progress", (topic, 0))
    return [(row and row.next_offset, 0)]


def lock_catalog(t: Transaction, number: int) -> Rows:
    t.lock("advisory", number)
    return [(None,)]


def lock_catalog_shared(t: Transaction, number: int, statement_timeout: str) -> Rows:
    t.lock("advisory", number, shared=True)
    return [(statement_timeout, f"{float(statement_timeout.removesuffix('s')) * 0.75:g}s", None)]


def ensure_series(t: Transaction, *columns: Sequence[Any]) -> Rows:
    keys = [*each(*columns)]
    numbers = t.numbers("series", len(keys))
    missing = [key for key in keys if not t.meets("series", key)]
    new = [(key, number) for key, number in zip(keys, numbers, strict=True) if key in missing]
    for key, number in new:
        t.put("series", key, number)
    return [(key[0], number) for key, number in new]


def select_series(t: Transaction, *columns: Sequence[Any]) -> Rows:
    found = [t.get("series", key) for key in each(*columns)]
    return [(position, number) for position, number in enumerate(found, 1) if number is not None]


def select_series_parts(t: Transaction, numbers: Sequence[int]) -> Rows:
    return [(number, *key[1:]) for key, number in t.rows("series").items() if number in numbers]


def select_series_months(t: Transaction, organization_ids: Sequence[int], month: date) -> Rows:
    found = [(number, t.get("series_months", (number, month))) for number in organization_ids]
    return [(number, row[0]) for number, row in found if row is not None]


def count_series(t: Transaction, *columns: Sequence[Any]) -> None:
    add_months_of(t, "series_months", *columns)


def ensure_attributions(t: Transaction, *columns: Sequence[Any]) -> Rows:
    if "attributions" not in t.absent:
        t.absent["attributions"] = {row[:2] for row in each(*columns) if t.get("attributions", row[:2]) is None}
    rows = sorted(row for row in each(*columns) if row[:2] in t.absent["attributions"])
    numbers = t.numbers("attributions", len(rows))
    missing = [row for row in rows if not t.meets("attributions", row[:2])]
    new = []
    for row, number in zip(rows, numbers, strict=True):
        if row in missing:
            t.put("attributions", row[:2], (number, *row[2:]))
            new.append((*row[:2], number))
    return new


def select_attributions(t: Transaction, *columns: Sequence[Any]) -> Rows:
    found = [(key, t.get("attributions", key)) for key in each(*columns)]
    return [(*key, row[0]) for key, row in found if row is not None]


def select_attribution_months(t: Transaction, *columns: Sequence[Any]) -> Rows:
    found = [(key, t.get("attribution_months", key)) for key in each(*columns)]
    return [(*key, row[0]) for key, row in found if row is not None]


def count_attributions(t: Transaction, *columns: Sequence[Any]) -> None:
    add_months_of(t, "attribution_months", *columns)


def add_months_of(t: Transaction, table: str, *columns: Sequence[Any]) -> None:
    for organization_id, month, created, folded in sorted(each(*columns)):
        key = organization_id, month
        t.lock(table, key)
        before = t.get(table, key) or (0, 0)
        t.put(table, key, (before[0] + created, before[1] + folded))


def select_attribution_parts(t: Transaction, numbers: Sequence[int]) -> Rows:
    """Labels as jsonb prints them: shorter keys first."""
    found = [row for row in t.rows("attributions").values() if row[0] in numbers]
    labels = [sorted(json.loads(row[4]).items(), key=lambda item: (len(item[0].encode()), item[0])) for row in found]
    return [(*row[:4], json.dumps(dict(items), ensure_ascii=False)) for row, items in zip(found, labels, strict=True)]


def lock_ledger(t: Transaction) -> None:
    t.lock("whole_ledger", 0, shared=True)


def select_ledger_days(t: Transaction, days: Sequence[int]) -> Rows:
    return [(day,) for day in days if day in t.postgres.table("ledger_days")]


def insert_strays(t: Transaction, *columns: Sequence[Any]) -> None:
    missing = [row for row in each(*columns) if not t.meets("strays", row[:3])]
    for row in missing:
        t.put("strays", row[:3], row[3:])


def make_ledger_day(postgres: Postgres, day: int) -> None:
    """ensure_ledger_partition(): it locks the whole ledger, so no other transaction may be open on it."""
    tables = {name: postgres.table(name) for name in ("ledger", "held", "reasons")}
    postgres.table("ledger_days")[day] = True
    for _, bucket, identity in [key for key in postgres.table("strays") if key[0] == day]:
        del postgres.table("strays")[day, bucket, identity]
        for rows in tables.values():
            if (row := rows.pop((bucket, identity), None)) is not None:
                rows[day, identity] = row
        for rows in (tables["ledger"], tables["held"]):
            for key, row in rows.items():
                if (row.corrects_bucket, row.corrects) == (bucket, identity):
                    rows[key] = row._replace(corrects_bucket=day)


def insert_ledger(t: Transaction, *columns: Sequence[Any] | None) -> Rows:
    rows = sorted(each(*columns), key=lambda row: (*row[:2], *row[7:9]))
    lock_ledger(t)
    for bucket in {row[0] for row in rows if row[0] >= 0} - t.postgres.table("ledger_days").keys():
        raise asyncpg.CheckViolationError(f"no partition of relation usage_ledger found for {bucket}")
    for key in dict.fromkeys(row[:2] for row in rows):
        t.meets("ledger", key)
    new = []
    for bucket, identity, organization_id, series_id, occurred, credits, received, *rest in rows:
        if t.get("ledger", (bucket, identity)) is None:
            held = credits is None
            entry = Entry(organization_id, series_id, occurred, credits or 0, held, received, *rest)
            t.put("ledger", (bucket, identity), entry)
            new.append((entry.partition, entry.offset))
    return new


def copy_to_table(t: Transaction, table: str, body: bytes, columns: Sequence[str]) -> None:
    """COPY into a partition of the ledger, or into incoming_sums."""
    if table == "incoming_attributed":
        t.attributed += copied_rows(body)
        return
    if table == "incoming_sums":
        t.incoming += copied_rows(body)
        return
    rows = [dict(zip(columns, fields, strict=True)) for fields in copied_rows(body)]
    lock_ledger(t)
    for row in rows:
        key = row["ledger_bucket"], UUID(row["identity"])
        assert table.endswith(f"{EPOCH + timedelta(days=key[0]):%Y%m%d}" if key[0] >= 0 else f"hash_{-key[0]}"), table
        if t.meets("ledger", key):
            raise asyncpg.UniqueViolationError(f"{table} {key}")
    for row in rows:
        occurred, received = (POSTGRES_EPOCH_S + row[name] / 1e6 for name in ("occurred_at", "received_at"))
        entry = Entry(
            row["organization_id"], row["series_id"], occurred, row["credits"], False, received, row["kafka_partition"],
            row["kafka_offset"], row.get("rate_id"), row.get("quantity"), None, None,
            attribution_id=row.get("attribution_id"), run=UUID(row["run"]) if "run" in row else None,
        )  # fmt: skip
        t.put("ledger", (row["ledger_bucket"], UUID(row["identity"])), entry)


def copied_rows(body: bytes) -> Iterable[list[Any]]:
    """The fields of binary COPY: integers, and 16 bytes as they are."""
    assert body.startswith(b"PGCOPY\n\xff\r\n\0")
    at = 19
    while (number := int.from_bytes(body[at : at + 2], signed=True)) >= 0:
        at += 2
        fields: list[Any] = []
        for _ in range(number):
            size = int.from_bytes(body[at : at + 4])
            value = body[at + 4 : at + 4 + size]
            fields.append(value if size == 16 else int.from_bytes(value, signed=True))
            at += 4 + size
        yield fields
    assert body[at:] == b"\xff\xff"


def select_ledger(t: Transaction, bucket: int, identities: Sequence[Any]) -> Rows:
    found = [(identity, t.get("ledger", (bucket, identity))) for identity in identities]
    units = {row[0]: row[5] for row in t.rows("rates").values()}
    rows = []
    for identity, row in found:
        if row is not None:
            held = t.get("held", (bucket, identity)) if row.held else None
            credits = held and held.credits if row.held else row.credits if row.quantity is None else None
            unit = held and held.unit if row.held else units.get(row.rate_id)
            credits, unit = (credits, unit) if row.quantities is None else (None, None)
            milliseconds = round(row.occurred * 1e6) // 1000
            rows.append((identity, row.series_id, milliseconds, row.quantity, row.corrects, *row[12:15], credits, unit))
    return rows


def lock_originals(t: Transaction, bucket: int, identities: Sequence[Any]) -> Rows:
    keys = [(bucket, identity) for identity in sorted(identities) if t.get("ledger", (bucket, identity)) is not None]
    t.lock("ledger", *keys)
    found = [(key[1], t.get("ledger", key)) for key in keys]
    return [
        (identity, row.series_id, row.credits, row.corrected, row.held, row.corrects is not None, *row[12:14])
        for identity, row in found
    ]


def add_corrected(t: Transaction, bucket: int, identities: Sequence[Any], credits: Sequence[int]) -> None:
    t.lock("ledger", *((bucket, identity) for identity in sorted(set(identities))))
    for identity, amount in each(identities, credits):
        row = t.get("ledger", (bucket, identity))
        t.put("ledger", (bucket, identity), row._replace(corrected=row.corrected + amount))


def count_held_ledger(t: Transaction, bucket: int, *columns: Sequence[Any] | None) -> None:
    t.lock("ledger", *((bucket, identity) for identity, *_ in each(*columns)))
    for identity, credits, rate_id, attribution_id, run, quantities, series_id in each(*columns):
        row = t.get("ledger", (bucket, identity))._replace(
            held=False, credits=credits, rate_id=rate_id, series_id=series_id
        )
        t.put("ledger", (bucket, identity), row._replace(attribution_id=attribution_id, run=run, quantities=quantities))


def insert_reasons(t: Transaction, *columns: Sequence[Any]) -> None:
    rows = [*each(*columns)]
    t.lock("reasons", *(row[:2] for row in rows))
    for row in rows:
        t.put("reasons", row[:2], row[2:])


def insert_held(t: Transaction, *columns: Sequence[Any] | None) -> None:
    rows = [*each(*columns)]
    t.lock("held", *(row[:2] for row in rows))
    for row in rows:
        t.put("held", row[:2], Held(*row[2:]))


def select_releasable(t: Transaction) -> Rows:
    names = {row.organization_id: (name, row.time_zone) for name, row in t.rows("organizations").items()}
    series = {number: [*key[1:]] for key, number in t.rows("series").items()}
    rows = [row for row in t.rows("held").values() if row.waits_for != SUM_LIMIT]
    kinds = {(row.organization_id, row.series_id, row.unit) for row in rows}
    return [(number, *names[number], series_id, unit, *series[series_id]) for number, series_id, unit in kinds]


def has_held_feature(t: Transaction, *place: Any) -> Rows:
    *of_series, features = place
    rows = (row for row in t.rows("held").values() if row.waits_for != SUM_LIMIT and row.feature in features)
    return [(any([row.organization_id, row.series_id, row.unit] == of_series for row in rows),)]


def select_held_partitions(t: Transaction, organization_id: int, series_id: int) -> Rows:
    of_series = (row for row in t.rows("held").values() if row[:2] == (organization_id, series_id))
    return [(at,) for at in sorted({row.partition for row in of_series if row.waits_for != SUM_LIMIT})]


def lock_held(
    t: Transaction,
    organization_id: int,
    series_id: int,
    partitions: Sequence[int],
    partition: int,
    offset: int,
    limit: int,
) -> Rows:
    found = sorted(
        ((row.partition, row.offset), key, row)
        for key, row in t.rows("held").items()
        if row[:2] == (organization_id, series_id)
        and row.waits_for != SUM_LIMIT
        and row.partition in partitions
        and (row.partition, row.offset) > (partition, offset)
    )
    free = [(key, row) for _, key, row in found if t.postgres.is_free(t, ("held", key))][:limit]
    t.lock("held", *(key for key, _ in free))
    return [(*key, *row) for key, row in free]


def await_unit(t: Transaction, *columns: Sequence[Any]) -> None:
    t.lock("held", *(row[:2] for row in each(*columns)))
    for *key, unit in each(*columns):
        row = t.get("held", tuple(key))
        t.put("held", tuple(key), row._replace(waits_for="rate", unit=unit))


def delete_held(t: Transaction, *columns: Sequence[Any]) -> None:
    t.lock("held", *each(*columns))
    for key in each(*columns):
        t.put("held", key, None)


def make_incoming(_: Transaction) -> None: ...


def make_attributed(_: Transaction) -> None: ...


def clear_incoming(t: Transaction) -> None:
    t.incoming.clear()


def incoming(t: Transaction, part: int) -> list[Sequence[Any]]:
    return [row[1:] for row in t.incoming if row[0] == part]


def add_days(t: Transaction, part: int) -> None:
    t.merge("days", incoming(t, part))


def add_months(t: Transaction, part: int) -> None:
    t.merge("months", ((row[0], EPOCH + timedelta(days=row[1]), *row[2:]) for row in incoming(t, part)))


def select_quarter_partitions(_: Transaction, months: Sequence[date]) -> Rows:
    return [(month,) for month in months]


def add_organization_days(t: Transaction, *columns: Sequence[Any]) -> Rows:
    rows = [*each(*columns)]
    months = [(row[0], month_of(row[1]), *row[2:]) for row in rows]
    t.add_all({"organization_days": rows, "organization_months": months})
    return []  # no history reaches the limit of sums


def month_of(day: int) -> date:
    return (EPOCH + timedelta(days=day)).replace(day=1)


def add_quarters(t: Transaction, part: int) -> None:
    rows, organizations = incoming(t, part), t.rows("organizations")
    broken = {organizations[name].organization_id for name in t.postgres.defects if name in organizations}
    if broken & {row[0] for row in rows}:
        raise asyncpg.RaiseError("a defect")
    t.merge("quarters", rows)


def add_corrections(t: Transaction, *columns: Sequence[Any]) -> None:
    t.add_all({"corrections": each(*columns)})


def add_late(t: Transaction, *columns: Sequence[Any]) -> None:
    t.add_all({"late": each(*columns)})


def clear_attributed(t: Transaction) -> None:
    t.attributed.clear()


def add_attributed_days(t: Transaction) -> None:
    t.merge("attributed_days", (row for row in t.attributed if row[3]))


def months_of_attributions(t: Transaction) -> list[tuple[Any, ...]]:
    return [(row[0], EPOCH + timedelta(days=row[1]), row[2], *row[4:]) for row in t.attributed if not row[3]]


def merge_attributed_months(t: Transaction) -> None:
    t.merge("attributed_months", months_of_attributions(t))


def add_attributed_months(t: Transaction) -> None:
    t.add_all({"attributed_months": months_of_attributions(t)})


def add_runs(t: Transaction, *columns: Sequence[Any]) -> None:
    rows = sorted(each(*columns), key=lambda row: row[:2])
    rows = [row for row in rows if row[3] or t.get("runs", row[:2]) is not None]
    t.lock("runs", *(row[:2] for row in rows))
    for *key, credits, events, first_us, agent_id, attribution_id, last_us, run_id, parent_id in rows:
        part = RunSum(credits, events, (first_us, agent_id, attribution_id), last_us, run_id, parent_id)
        known = t.get("runs", tuple(key))
        t.put("runs", tuple(key), part if known is None else join_runs(known, part))


def upsert_agent_sightings(t: Transaction, *columns: Sequence[Any]) -> None:
    rows = [*each(*columns)]
    t.lock("sightings", *(row[:2] for row in rows))
    for organization_id, agent_id, kind, name, saved, seen, named in rows:
        before = t.get("sightings", (organization_id, agent_id))
        if before is not None:
            saved = saved or before[2]
            kind = kind if seen > before[3] else before[0]
            seen = max(seen, before[3])
            if named is None or (before[4] is not None and named <= before[4]):
                name, named = before[1], before[4]
        t.put("sightings", (organization_id, agent_id), (kind, name, saved, seen, named))


def insert_dead_letters(t: Transaction, topic: str, *columns: Sequence[Any] | None) -> None:
    rows = [*each(*columns)]
    keys = [(topic, row[0], row[1]) for row in rows]
    t.lock("dead_letters", *keys)
    for key, number, row in zip(keys, t.numbers("dead_letters", len(rows)), rows, strict=True):
        if t.get("dead_letters", key) is not None:
            raise asyncpg.UniqueViolationError(f"dead letter {key}")
        sender = "?" if row[8] is None else f"/{row[8][:100]}"
        t.put("dead_letters", key, (number, False, *row[2:8], sender))


def claim_dead_letters(t: Transaction, limit: int, _bytes: int, value_bytes: int, after: str) -> Rows:
    waiting = defaultdict(list)
    for key, row in sorted(t.rows("dead_letters").items(), key=lambda item: item[1][0]):
        if not row[1] and row[-1] > after:
            waiting[row[-1]].append((key, row))
    turns = sorted(waiting)[:limit]
    claimed = []
    for sender in turns:
        free = [each for each in waiting[sender] if t.postgres.is_free(t, ("dead_letters", each[0]))]
        claimed += [(place, sender, each) for place, each in enumerate(free[: ceil(limit / len(turns))])]
    t.lock("dead_letters", *(key for _, _, (key, _) in claimed))
    portion = sorted((row[0], key, row) for _, _, (key, row) in sorted(claimed)[:limit])
    return [
        (row[0], *key, row[3] and row[3][:value_bytes], row[3] and len(row[3]), *row[4:]) for _, key, row in portion
    ]


def mark_dead_letters_published(t: Transaction, numbers: Sequence[int]) -> None:
    for key, row in t.rows("dead_letters").items():
        if row[0] in numbers:
            t.put("dead_letters", key, (row[0], True, *row[2:]))


def insert_totals(t: Transaction, organization_ids: Sequence[int]) -> None:
    for organization_id in organization_ids:
        t.append("totals", organization_id)


def try_relay_lock(t: Transaction, number: int) -> Rows:
    free = t.postgres.is_free(t, ("advisory", number))
    if free:
        t.lock("advisory", number)
    return [(free,)]


def claim_totals(t: Transaction, limit: int) -> Rows:
    claimed = sorted(t.rows("totals").items())[:limit]
    t.lock("totals", *(number for number, _ in claimed))
    for number, _ in claimed:
        t.put("totals", number, None)
    return [(organization_id, number) for number, organization_id in claimed]


def select_totals(t: Transaction, organization_ids: Sequence[int]) -> Rows:
    names = {row.organization_id: name for name, row in t.rows("organizations").items()}
    levels: dict[tuple[int, str, str], int] = defaultdict(int)
    for (organization_id, _, product, _), (credits, _) in t.rows("organization_months").items():
        if organization_id in organization_ids:
            levels[organization_id, names[organization_id], product] += credits
    return [(*key, credits) for key, credits in levels.items()]


def insert_wakeup(t: Transaction, organization_id: int) -> None:
    t.append("wakeups", organization_id)


def select_changes(_: Transaction) -> Rows:
    return [(0,)]


def lock_quarantined(t: Transaction, names: Sequence[str]) -> Rows:
    organizations = t.rows("organizations")
    keys = sorted((organizations[name].organization_id, "counting") for name in names if name in organizations)
    t.lock("quarantine", *(key for key in keys if t.get("quarantine", key) is not None), shared=True)
    held = {key[0] for key in keys if t.get("quarantine", key) is not None}
    return [(name,) for name in names if name in organizations and organizations[name].organization_id in held]


def select_due(t: Transaction, steps: Sequence[str]) -> Rows:
    """All rows. Tests on a real Postgres check the waits."""
    names = {row.organization_id: name for name, row in t.rows("organizations").items()}
    found = sorted((key, attempts) for key, attempts in t.rows("quarantine").items() if key[1] in steps)
    return [(key[0], names[key[0]], key[1], attempts) for key, attempts in found]


def count_failing(t: Transaction) -> Rows:
    known = len([name for name in t.rows("organizations") if name])
    steps = Counter(key[1] for key in t.rows("quarantine") if key[1] != "sums")
    return [(step, failing, known) for step, failing in sorted(steps.items())]


def upsert_quarantine(t: Transaction, step: str, organization_ids: Sequence[int], _: Sequence[str]) -> None:
    keys = [(number, step) for number in sorted(organization_ids)]
    t.lock("quarantine", *keys)
    for key in keys:
        t.put("quarantine", key, (t.get("quarantine", key) or 0) + 1)


def delete_quarantine(t: Transaction, step: str, organization_ids: Sequence[int]) -> None:
    keys = [(number, step) for number in organization_ids if t.get("quarantine", (number, step)) is not None]
    t.lock("quarantine", *keys)
    for key in keys:
        t.put("quarantine", key, None)


def lock_due(t: Transaction, organization_id: int, step: str) -> Rows:
    key = (organization_id, step)
    if t.get("quarantine", key) is not None:
        t.lock("quarantine", key)
    attempts = t.get("quarantine", key)
    return [] if attempts is None else [(attempts,)]


def insert_quarantined_records(t: Transaction, topic: str, *columns: Sequence[Any] | None) -> None:
    rows = [*each(*columns)]
    keys = [(topic, *row[1:3]) for row in rows]
    t.lock("aside", *keys)
    for key, row in zip(keys, rows, strict=True):
        if t.get("aside", key) is not None:
            raise asyncpg.UniqueViolationError(f"quarantined record {key}")
        t.put("aside", key, (row[0], *row[3:]))


def select_quarantined_records(t: Transaction, organization_id: int, topic: str, limit: int) -> Rows:
    found = sorted((key, row) for key, row in t.rows("aside").items() if row[0] == organization_id and key[0] == topic)
    return [(*key, *row[1:]) for key, row in found[:limit]]


def select_quarantined_catalog_events(t: Transaction, organization_id: int, topic: str, after: int, limit: int) -> Rows:
    found = sorted((key, row) for key, row in t.rows("aside").items() if row[0] == organization_id and key[0] == topic)
    return [(*key, *row[1:]) for key, row in found if key[2] > after][:limit]


def delete_quarantined_records(t: Transaction, topic: str, partitions: Sequence[int], offsets: Sequence[int]) -> Rows:
    keys = [(topic, *place) for place in each(partitions, offsets) if t.get("aside", (topic, *place)) is not None]
    t.lock("aside", *keys)
    found = [key for key in keys if t.get("aside", key) is not None]
    for key in found:
        t.put("aside", key, None)
    return [(key[1],) for key in found]


def release_quarantine(t: Transaction, organization_id: int, step: str, topic: str) -> Rows:
    key = (organization_id, step)
    if any(row[0] == organization_id and at[0] == topic for at, row in t.rows("aside").items()):
        return []
    t.lock("quarantine", key)
    if t.get("quarantine", key) is None:
        return []
    t.put("quarantine", key, None)
    return [(organization_id,)]


def wait_shortly(_: Transaction) -> None:
    """Tests on a real Postgres check the lock timeout."""


def wait_as_usual(_: Transaction) -> None: ...


def plan_each_time(_: Transaction) -> None: ...


def plan_by_index(_: Transaction) -> Rows:
    """Tests on a real Postgres check the plans."""
    return [(False, "off", "off", "off")]


def plan_as_usual(_: Transaction) -> Rows:
    return [("on", "on", "on")]


def retry_now(_: Transaction, __: Sequence[int]) -> None: ...


NAMES = {
    "select_progress": "partition next_offset", "select_received": "partition received_ms records_end", "lock_progress": "partition next_offset",
    "select_organizations": "organization organization_id time_zone",
    "select_changed_organizations": "organization organization_id time_zone", "upsert_organization": "time_zone",
    "select_changed_rates": "rate_id organization product feature_kind feature unit credits per effective_from received offset part_of",
    "select_catalog_version": "next_offset changes", "ensure_series": "organization_id series_id", "select_series": "position series_id", "select_series_parts": "series_id product feature_kind feature agent_id surface", "select_series_months": "organization_id created", "insert_ledger": "kafka_partition kafka_offset",
    "select_ledger": "identity series_id occurred_ms quantity corrects attribution_id run quantities credits unit", "select_ledger_days": "day", "lock_originals": "identity series_id credits corrected held is_correction attribution_id run",
    "select_releasable": "organization_id organization time_zone series_id unit product feature_kind feature agent_id surface", "select_held_partitions": "kafka_partition", "has_held_feature": "has_feature",
    "lock_held": "ledger_bucket identity organization_id series_id occurred credits quantity unit kafka_partition kafka_offset waits_for"
    " corrects_bucket corrects value received attribution_id run run_id parent_id quantities feature", "select_attributions": "organization_id identity attribution_id", "ensure_attributions": "organization_id identity attribution_id", "select_attribution_months": "organization_id month created", "select_attribution_parts": "attribution_id actor_kind actor_id group_id labels",
    "claim_dead_letters": "dead_letter_id topic partition kafka_offset value value_bytes headers reason pointer received sender",
    "try_relay_lock": "locked", "claim_totals": "organization_id totals_id",
    "select_totals": "organization_id organization product credits", "select_changes": "changes", "is_in_its_part": "is_in_its_part", "has_rate": "has_rate", "has_rates": "has_rates",
    "count_failing": "step failing known", "add_organization_days": "organization_id", "lock_quarantined": "organization", "select_due": "organization_id organization step attempts",
    "lock_due": "attempts", "delete_quarantined_records": "partition", "release_quarantine": "organization_id",
    "select_quarantined_records": "topic partition kafka_offset key value headers received",
    "select_quarantined_catalog_events": "topic partition kafka_offset key value headers received", "lock_catalog": "locked", "lock_catalog_shared": "set_config set_config pg_advisory_xact_lock_shared", "plan_by_index": "has_incoming set_config set_config set_config", "plan_as_usual": "set_config set_config set_config", "select_quarter_partitions": "month",
}  # fmt: skip
"""Columns of each statement's rows."""

STATEMENTS = functions_of(globals())
