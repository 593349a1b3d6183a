"""The statements that a request sends."""

from collections import Counter
from contextlib import AbstractAsyncContextManager

import pytest
from query_api.db.statements import SQL
from runtime.postgres.pool import Pool, open_pool
from support.data.table_rows import TableRows
from support.infra.stack import Database
from support.services.query_api import OpenApi


@pytest.mark.parametrize(
    "path",
    [
        "overview", "projection", "freshness", "credit-periods", "reconcile", "banner", "alerts", "alerts/settings", "proof", "trend",
        "breakdown?product=agents&view=agents", "deleted-agents", "export/usage.csv", "export/focus.csv", "export/focus.parquet",
        "export/table.csv?product=agents&view=agents",
    ],
)  # fmt: skip
async def test_credit_periods_and_watermark_are_read_once_a_request(
    open_api: OpenApi, db: TableRows, database: Database, path: str
) -> None:
    acme = await db.organization()
    await db.contract(acme, "c1", "2026-01-01", "2027-01-01")
    await db.period(acme, "c1", "p1", "2026-01-01", "2027-01-01", total=100)
    await db.use(acme, "agents", "tool", "search", "2026-11-01", 5, agent="a1")
    names = {text: name for name, text in SQL.items()}
    sent = Counter[str]()

    def open_one() -> AbstractAsyncContextManager[Pool]:
        return open_pool(
            database.roles["flexcredits_api"], application="test", size=1, at_least=0, statement_timeout_s=10,
            on_statement=lambda ended: sent.update([names.get(ended.query, "another")]),
        )  # fmt: skip

    async with open_one() as pool, open_one() as export_pool, open_api(pool, export_pool) as api:
        assert (await api.ask(f"/api/v1/{path}")).status_code == 200
    assert sent["select_organization"]
    most = 2 if path.startswith("export/") else 1  # a file's manifest reads them, too
    assert max(sent["select_credit_periods"], sent["select_watermark"]) <= most, sent
