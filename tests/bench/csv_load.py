"""Measures files of a year of a large organization, and the memory of the process that sends them."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import httpx
from support.infra.service_process import ServiceProcess

ORGANIZATION = "org_acme"
SERIES, DAYS = 1_500, 396
"""13 months; one in seventeen combinations of day and series has a correction."""
PATH = "/api/v1/export/usage.csv"
FILES = ("usage.csv", "usage.parquet", "focus.csv?version=1.4", "focus.parquet")
MICRO = 1_000_000

COPY_OF_THE_SAME = """
    SELECT used.day AS date, s.product, s.feature_kind, f.category, f.category AS category_now, s.feature, f.display_name, s.agent_id, a.name,
        a.state, s.surface, line.line, line.credits * 0.000001 AS credits, line.events, 'org_acme' AS organization_id, 'Asia/Kathmandu'
    FROM usage_series AS s
    JOIN features AS f USING (organization_id, product, feature_kind, feature)
    JOIN agents AS a USING (organization_id, agent_id)
    JOIN usage_daily AS used USING (organization_id, series_id)
    LEFT JOIN usage_corrections AS corrected
        ON (corrected.organization_id, corrected.day, corrected.series_id) = (used.organization_id, used.day, used.series_id)
    CROSS JOIN LATERAL (VALUES ('usage', used.credits - coalesce(corrected.credits, 0), used.events), ('correction', corrected.credits, 0))
        AS line(line, credits, events)
    WHERE line.credits <> 0
"""
"""The lines of usage.csv, not sorted: what Postgres itself can send to a client that does nothing with it."""


@dataclass(frozen=True)
class CsvResult:
    """Result of a run through HTTP; megabytes are the process's maximum resident memory since its start."""

    lines_per_second: float
    lines: int
    megabytes_sent: float
    first_line_ms: float
    peak_of_a_month_mb: float
    peak_of_all_mb: float


async def fill(dsn: str) -> None:
    """Insert rows of the 13 months until today, as the aggregator does."""
    connection = await asyncpg.connect(dsn)
    await connection.execute(
        """
        INSERT INTO organizations (organization, name, time_zone) VALUES ('org_acme', 'Acme', 'Asia/Kathmandu');
        INSERT INTO usage_series (organization_id, product, feature_kind, feature, agent_id, surface)
        SELECT o.organization_id, 'agents', (ARRAY['model', 'tool', 'feature'])[n % 3 + 1], 'feature_' || n % 97, 'agt_' || n,
            (ARRAY['web', 'slack'])[n % 2 + 1] FROM organizations o, generate_series(1, 1500) AS n WHERE o.organization = 'org_acme';
        INSERT INTO features SELECT DISTINCT organization_id, product, feature_kind, feature, current_date - 30 * (hashtext(feature) & 7),
            'The feature ' || feature, 'Category ' || (hashtext(feature) & 3), now(), 0 FROM usage_series;
        INSERT INTO agents SELECT organization_id, agent_id, (ARRAY['saved', 'deleted'])[series_id % 2 + 1], 'Agent ' || agent_id, NULL,
            true, now(), 0 FROM usage_series;
        INSERT INTO usage_daily SELECT organization_id, current_date - day, series_id, 1000001 + series_id * day, 1 + day
        FROM usage_series, generate_series(0, 395) AS day;
        INSERT INTO usage_corrections SELECT organization_id, day, series_id, -17, 1 FROM usage_daily WHERE (series_id + extract(day FROM day)) % 17 = 0;
        INSERT INTO usage_organization_daily SELECT organization_id, day, 'agents', 0, sum(credits), sum(events) FROM usage_daily GROUP BY 1, 2;
        INSERT INTO usage_organization_monthly SELECT organization_id, date_trunc('month', day)::date, 'agents', 0, sum(credits), sum(events) FROM usage_daily GROUP BY 1, 2;
        """
    )
    await connection.execute("VACUUM ANALYZE")
    await connection.close()


async def sum_of_days(dsn: str) -> int:
    connection = await asyncpg.connect(dsn)
    try:
        return int(await connection.fetchval("SELECT sum(credits) FROM usage_daily"))
    finally:
        await connection.close()


async def measure_csv(url: str, token: str, process: ServiceProcess, expected_micro_credits: int) -> CsvResult:
    """Export the last month, then all; the sum of its credits must be `expected_micro_credits`."""
    headers = {"Authorization": f"Bearer {token}"}
    today = datetime.now(UTC).date()
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=120) as client:
        await take(client, {"from": f"{today:%Y-%m-01}", "to": f"{today}"})
        month_mb = peak_mb(process)
        seconds, first_s, body = await take(client, {"range": "all"})
    lines = body.count(b"\n") - 1
    if (total := sum_of_credits(body)) != expected_micro_credits:
        raise SystemExit(f"the file's credits add up to {total}, not to {expected_micro_credits}")
    return CsvResult(lines / seconds, lines, len(body) / 1e6, 1000 * first_s, month_mb, peak_mb(process))


async def measure_files(url: str, token: str) -> dict[str, float]:
    """Seconds for each of FILES, of all days."""
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=120) as client:
        return {file: (await take(client, {"range": "all"}, f"/api/v1/export/{file}"))[0] for file in FILES}


async def measure_copy(dsn: str) -> float:
    """Lines per second of a COPY of the same lines by Postgres alone."""
    lines = 0

    async def count(data: bytes) -> None:
        nonlocal lines
        lines += data.count(b"\n")

    connection = await asyncpg.connect(dsn)
    try:
        began = time.monotonic()
        await connection.copy_from_query(COPY_OF_THE_SAME, output=count, format="csv")
        return lines / (time.monotonic() - began)
    finally:
        await connection.close()


async def take(client: httpx.AsyncClient, parameters: dict[str, str], path: str = PATH) -> tuple[float, float, bytes]:
    """Seconds to the end, seconds to the first line, and the body."""
    began, first_s, pieces = time.monotonic(), 0.0, []
    async with client.stream("GET", httpx.URL(path).copy_merge_params(parameters)) as answer:
        answer.raise_for_status()
        async for piece in answer.aiter_raw():
            pieces.append(piece)
            if not first_s and len(pieces) > 1:  # the first chunk is the header
                first_s = time.monotonic() - began
    return time.monotonic() - began, first_s, b"".join(pieces)


def sum_of_credits(body: bytes) -> int:
    lines = body.decode().splitlines()
    at = lines[0].split(",").index('"credits"')  # no text of this load holds a comma
    return sum(int(line.split(",")[at].replace(".", "")) for line in lines[1:])


def peak_mb(process: ServiceProcess) -> float:
    status = Path(f"/proc/{process.pid}/status").read_text()
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))


def describe(result: CsvResult) -> str:
    return (
        f"{result.lines_per_second:,.0f} lines/s, {result.lines:,} lines, {result.megabytes_sent:.0f} MB, the first after"
        f" {result.first_line_ms:.0f} ms; peak {result.peak_of_a_month_mb:.0f} MB after a month, {result.peak_of_all_mb:.0f} MB after all"
    )
