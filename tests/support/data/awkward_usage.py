"""Usage whose ids and amounts other programs take for something else, and the files that have it."""

from pathlib import Path

from query_api.exports.domain.focus import FOCUS_COLUMNS
from query_api.exports.domain.kinds import Columns
from query_api.exports.domain.table import TABLE_COLUMNS
from query_api.exports.focus.domain.columns import COST_AND_USAGE, TABLES
from query_api.exports.people.routes import PEOPLE_COLUMNS
from query_api.exports.usage import USAGE_COLUMNS
from support.data.people_rows import actor, attribution, show, use_by
from support.data.table_rows import MICRO, TableRows
from support.services.query_api import Api

IDS = (
    "007", "1E5", "1/2", "2026-01-02", "true", "NA", "NULL", "+5", "1.10", "5.213", "12345678901234567890", "=SUM(A1)",
    'say "hi", ünïcode – 日本語',
)  # fmt: skip
"""Each is the only id on its surface: programs guess the type of a whole column."""
SMALL = (1_000_001, 2_000_002, -100)
LARGE = (4 * 10**18 + 1, 10**12 + 1, -(10**18) - 3)
"""Micro-credits; negative ones are corrections."""

CSV: dict[str, tuple[str, Columns]] = {
    "usage.csv": ("usage.csv?range=all", USAGE_COLUMNS),
    "people.csv": ("people.csv?range=all", PEOPLE_COLUMNS),
    "table.csv": ("table.csv?product=api&view=namespaces&range=all", TABLE_COLUMNS),
    "focus-1.2.csv": ("focus.csv?range=all", {column: COST_AND_USAGE.get(column, "text") for column in FOCUS_COLUMNS}),
    "focus-people.csv": ("focus.csv?version=1.4&range=all&split=people", COST_AND_USAGE),
    "empty.csv": ("usage.csv?from=2025-01&to=2025-01", USAGE_COLUMNS),
    **{
        f"{dataset}.csv": (f"focus.csv?version=1.4&range=all&dataset={dataset}", table.columns)
        for dataset, table in TABLES.items()
    },
}
PARQUET: dict[str, tuple[str, Columns]] = {
    name.replace(".csv", ".parquet"): (path.replace(".csv", ".parquet").replace("version=1.4&", ""), columns)
    for name, (path, columns) in CSV.items()
    if name != "focus-1.2.csv"
}


def amounts(columns: Columns) -> list[str]:
    return [name for name, kind in columns.items() if kind in ("credits", "cost", "sum", "share")]


async def fill(db: TableRows) -> None:
    acme = await db.organization()
    await db.contract(acme, "c1", "2026-01-01", "2027-01-01", credit_price=50_001, overage_price=75_001, currency="USD")
    await db.period(acme, "c1", "p1", "2026-01-01", "2027-01-01", total=20)
    await actor(db, acme, "007", "=Ada", groups={"2026-01-01": ["1E5"]})
    await show(db, acme, "named", label_keys=["cost"])
    ada = await attribution(db, acme, "007", labels={"cost": "007"})
    for number, text in enumerate(IDS):
        await db.feature(acme, "api", "namespace", text, "2026-01-01", text, text)
        await use_by(db, acme, ada, "api", "namespace", text, "2026-11-02", number * MICRO + 7, surface=f"id-{number}")
    for surface, (first, second, correction) in (("small", SMALL), ("large", LARGE)):
        await db.use(acme, "api", "namespace", "a", "2026-11-03", first, surface=surface)
        await db.use(acme, "api", "namespace", "b", "2026-11-03", second, surface=surface)
        await db.correct(acme, "api", "namespace", "b", "2026-11-03", correction, surface=surface)


async def download(api: Api, folder: Path) -> None:
    """The files of CSV and PARQUET, and usage of each surface as SURFACE.csv."""
    surfaces = [f"id-{number}" for number in range(len(IDS))] + ["small", "large"]
    paths = {name: path for name, (path, _) in (CSV | PARQUET).items()}
    for name, path in (paths | {f"{each}.csv": f"usage.csv?range=all&surface={each}" for each in surfaces}).items():
        answer = await api.ask(f"/api/v1/export/{path}")
        assert answer.status_code == 200, answer.text
        (folder / name).write_bytes(answer.content)
