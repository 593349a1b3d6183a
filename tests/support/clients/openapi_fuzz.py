"""Sends generated requests, valid and invalid, to an API; the answers must conform to its description (schemathesis)."""

from collections.abc import Callable

from hypothesis import HealthCheck, Phase, assume, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import positive_data_acceptance
from schemathesis.specs.openapi.schemas import OpenApiSchema


def check_everything(
    schema: OpenApiSchema, url: str, token: str, examples: int, *, makes_sense: Callable[[Case], bool] = lambda _: True
) -> set[int]:
    """Statuses of the answers. Raises schemathesis' first failure. Cases without a meaning are not sent."""
    statuses: set[int] = set()
    for result in schema.get_all_operations():
        operation = result.ok()
        for mode in GenerationMode.POSITIVE, GenerationMode.NEGATIVE:
            if mode is GenerationMode.NEGATIVE and not (operation.query or operation.body):
                continue  # nothing to vary

            @settings(
                max_examples=examples, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )  # fmt: skip
            @given(case=operation.as_strategy(generation_mode=mode))
            def check(case: Case) -> None:
                assume(makes_sense(case))
                answer = case.call_and_validate(
                    base_url=url,
                    headers={"Authorization": f"Bearer {token}"},
                    allow_redirects=False,
                    # OpenAPI cannot express that a product has its own views or that an instant lies in a window.
                    excluded_checks=[positive_data_acceptance],
                )
                statuses.add(answer.status_code)

            check()
    return statuses
