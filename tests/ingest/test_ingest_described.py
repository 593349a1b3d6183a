"""The description and the service agree: generated events, right and wrong, get only what is described (schemathesis)."""

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from ingest.api import build_app
from ingest.openapi import describe
from ingesting import Ingest
from schemathesis import Case, GenerationMode, openapi
from schemathesis.checks import positive_data_acceptance


def check_everything(ingest: Ingest, examples: int) -> set[int]:
    """The statuses that came. Raises what schemathesis found first."""
    schema = openapi.from_dict(describe(build_app(None)))  # type: ignore[arg-type]
    statuses: set[int] = set()
    for result in schema.get_all_operations():
        operation = result.ok()
        for mode in GenerationMode.POSITIVE, GenerationMode.NEGATIVE:
            if mode is GenerationMode.NEGATIVE and not operation.body:
                continue  # nothing to get wrong

            @settings(
                max_examples=examples, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )  # fmt: skip
            @given(case=operation.as_strategy(generation_mode=mode))
            def check(case: Case) -> None:
                # An empty list of codings is none (RFC 9110 5.6.1), which the description's enumeration cannot say.
                assume((case.headers or {}).get("Content-Encoding") != "")
                answer: Any = case.call_and_validate(
                    base_url=ingest.url,
                    headers={"Authorization": f"Bearer {ingest.key}"},
                    # That an instant lies in the window, and an id's day near it, OpenAPI cannot say.
                    excluded_checks=[positive_data_acceptance],
                )
                statuses.add(answer.status_code)

            check()
    return statuses


async def test_a_few_generated_requests_get_what_is_described(shared: Ingest) -> None:
    statuses = await asyncio.to_thread(check_everything, shared, 5)
    assert {202, 422} <= statuses, "some are taken, and some are refused one by one"


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_many_generated_requests_get_what_is_described(shared: Ingest) -> None:
    await asyncio.to_thread(check_everything, shared, 60)
