"""Generated requests to an API, right and wrong, which must get only what its description says (schemathesis)."""

from collections.abc import Callable

from hypothesis import HealthCheck, Phase, assume, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import positive_data_acceptance
from schemathesis.specs.openapi.schemas import OpenApiSchema


def check_everything(
    schema: OpenApiSchema, url: str, token: str, examples: int, *, makes_sense: Callable[[Case], bool] = lambda _: True
) -> set[int]:
    """The statuses that came. Raises what schemathesis found first. A case that makes no sense is not sent."""
    statuses: set[int] = set()
    for result in schema.get_all_operations():
        operation = result.ok()
        for mode in GenerationMode.POSITIVE, GenerationMode.NEGATIVE:
            if mode is GenerationMode.NEGATIVE and not (operation.query or operation.body):
                continue  # nothing to get wrong

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
                    # That a product has its own views, or an instant lies in a window, OpenAPI cannot say.
                    excluded_checks=[positive_data_acceptance],
                )
                statuses.add(answer.status_code)

            check()
    return statuses
