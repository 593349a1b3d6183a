"""Measures what it costs to record usage.csv: its lines, its hash and its manifest."""

import time
from datetime import UTC, datetime
from typing import Any, cast

from csv_load import ORGANIZATION
from fastapi import FastAPI, Request
from query_api.access.state import AppState, ExportLimits
from query_api.auth.principal import Principal
from query_api.db.session import read_as
from query_api.exports.formats.files import CsvWriter, write_file
from query_api.exports.manifests.recording import begin_recording
from query_api.exports.planned import asked_by, record_planned
from query_api.exports.usage import USAGE_COLUMNS, UsageCsvQuery, plan_usage
from runtime.postgres.pool import Pool, open_pool

LIMITS = ExportLimits(file_bytes=1 << 30, organization_bytes=1 << 31)
"""All lines of every file are kept, so that nothing is left out of the cost."""


async def measure_recording(dsn: str, turns: int) -> list[tuple[float, float]]:
    """CPU of this process in microseconds for each line of usage.csv of all days, not recorded and recorded, by turns."""
    async with open_pool(dsn, application="bench", size=4, at_least=0, statement_timeout_s=300) as pool:
        app = FastAPI()
        verifier = cast(Any, None)  # no request is identified
        app.state.query_api = AppState(
            pool, pool, verifier, True, "usage.events.v1", lambda: datetime.now(UTC), pool, export_limits=LIMITS
        )
        request = Request(
            {"type": "http", "app": app, "method": "GET", "path": "/", "headers": [], "query_string": b""}
        )
        await _write(request, pool, records=True)  # the first one loads libraries
        return [
            (await _write(request, pool, records=False), await _write(request, pool, records=True))
            for _ in range(turns)
        ]


async def _write(request: Request, pool: Pool, *, records: bool) -> float:
    principal = Principal("bench", ORGANIZATION, "super_admin", "bench@acme.example")
    query, writer = UsageCsvQuery(range="all"), CsvWriter(USAGE_COLUMNS)
    began, lines = time.process_time(), -1  # without the header
    async with read_as(pool, ORGANIZATION, "", wait_s=60) as session:
        planned = await plan_usage(request, session, principal, query, writer)
        if records:
            asked = asked_by(query, "usage", planned.days)
            recording = await begin_recording(request, session, principal, asked, "usage.csv", writer)
            assert recording is not None
            pieces = record_planned(planned, recording, session)
        else:
            pieces = write_file(writer, planned.parts(None))
        async for piece in pieces:
            lines += piece.count(b"\n")
    return (time.process_time() - began) / lines * 1e6
