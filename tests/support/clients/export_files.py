"""Shared by the tests of exports: reading a file, and a year of usage with every special case."""

import csv
import io
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import pyarrow.parquet as pq
from support.data.table_rows import TableRows
from support.services.query_api import Api


def read_csv(text: str) -> list[dict[str, str]]:
    """Lines by column. Each must end with CRLF (RFC 4180)."""
    assert text.endswith("\r\n")
    assert text.count("\n") == text.count("\r\n")
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    lines = list(reader)
    assert all(None not in line and None not in line.values() for line in lines)
    return lines


def header_of(columns: Iterable[str]) -> str:
    """Each name is in quotation marks."""
    return ",".join(f'"{column}"' for column in columns) + "\r\n"


async def read_file(api: Api, path: str, **claims: Any) -> list[dict[str, str]]:
    answer = await api.ask(path, **claims)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    assert answer.headers["x-content-type-options"] == "nosniff"
    return read_csv(answer.content.decode())


async def read_parquet(api: Api, path: str, **claims: Any) -> Any:
    """The file as a table of pyarrow."""
    answer = await api.ask(path, **claims)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/vnd.apache.parquet"
    return pq.read_table(io.BytesIO(answer.content))


def total(lines: list[dict[str, str]]) -> Decimal:
    return sum((Decimal(line["credits"]) for line in lines), Decimal())


async def special(db: TableRows, zone: str, name: str) -> int:
    """A year of usage with every special case: agents are created and deleted, categories change, usage is late, corrected and reversed."""
    acme = await db.organization(name, zone)
    await db.contract(acme, "c1", "2026-01-01", "2027-01-01")
    await db.period(acme, "c1", "p1", "2026-01-01", "2027-01-01", total=20)
    await db.feature(0, "assistant", "tool", f"t-{name}", "2026-01-01", "Wide")
    for since, category in (("2026-03-29", "Before"), ("2026-03-30", None), ("2026-10-25", "After")):
        await db.feature(acme, "assistant", "tool", f"t-{name}", since, category)
    await db.agent(acme, "gone", "deleted", "Gone")
    await db.agent(acme, "renamed", "saved", "New name")
    await db.sighting(acme, "renamed", "saved", "Old name", ever_saved=True)
    await db.sighting(acme, "draft", "unsaved", "A draft")
    await db.agent(acme, "chat", "system", "Chat")
    amount = 1_000_001
    for day in ("2026-01-01", "2026-03-28", "2026-03-29", "2026-03-30", "2026-10-24", "2026-10-25", "2026-10-26", "2026-11-22", "2026-12-31"):  # fmt: skip
        for product, kind, feature in (("assistant", "tool", f"t-{name}"), ("assistant", "model", "opus"), ("assistant", "feature", "image"), ("api", "namespace", "search")):  # fmt: skip
            await db.use(acme, product, kind, feature, day, amount, surface="web" if amount % 2 else "slack")
            amount *= 3
        for agent in ("gone", "renamed", "draft", "chat", "unheard", ""):
            await db.use(acme, "agents", "tool", f"t-{name}", day, amount, agent=agent)
            amount = amount * 2 % 1_000_003 + 5
        await db.correct(acme, "agents", "tool", f"t-{name}", day, -amount, agent="gone")
        await db.correct(acme, "assistant", "tool", f"t-{name}", day, 17)
    return acme
