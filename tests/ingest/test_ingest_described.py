"""Generated events, valid and invalid, get only answers that the OpenAPI description contains (schemathesis)."""

import asyncio

import pytest
from ingest.adapters.table import adapters
from ingest.api import build_app
from ingest.openapi import describe
from schemathesis import Case, openapi
from support.clients.openapi_fuzz import check_everything
from support.services.ingest import Ingest

pytestmark = pytest.mark.timeout(600)  # hundreds of requests, on a machine that may do other work


def names_a_coding(case: Case) -> bool:
    """An empty list of codings means none (RFC 9110 5.6.1), which the description's enumeration cannot express."""
    return (case.headers or {}).get("Content-Encoding") != ""


async def check(ingest: Ingest, examples: int) -> set[int]:
    schema = openapi.from_dict(describe(build_app(None, adapters(1, 1))))  # type: ignore[arg-type]
    return await asyncio.to_thread(
        check_everything, schema, ingest.url, ingest.key, examples, makes_sense=names_a_coding
    )


async def test_a_few_generated_requests_get_what_is_described(shared: Ingest) -> None:
    assert {202, 422} <= await check(shared, 20), "some events are accepted, and some are refused"


@pytest.mark.slow
async def test_many_generated_requests_get_what_is_described(shared: Ingest) -> None:
    await check(shared, 60)
