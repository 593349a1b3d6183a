"""The ledger, its partitions, and COPY."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

import asyncpg
from asyncpg.pgproto.pgproto import UUID

from simulation.aggregator_sql.rows import EPOCH, Entry, Rows, each
from simulation.postgres import Postgres, Transaction

POSTGRES_EPOCH_S = 946_684_800


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


def insert_reasons(t: Transaction, *columns: Sequence[Any]) -> None:
    rows = [*each(*columns)]
    t.lock("reasons", *(row[:2] for row in rows))
    for row in rows:
        t.put("reasons", row[:2], row[2:])


NAMES = {
    "select_ledger_days": "day",
    "insert_ledger": "kafka_partition kafka_offset",
    "select_ledger": "identity series_id occurred_ms quantity corrects attribution_id run quantities credits unit",
    "lock_originals": "identity series_id credits corrected held is_correction attribution_id run",
}
"""Columns of each statement's rows."""
