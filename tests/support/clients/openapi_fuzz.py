"""Sends generated requests, valid and invalid, to an API; the answers must conform to its description (schemathesis)."""

from collections.abc import Callable

import requests
from hypothesis import HealthCheck, Phase, assume, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import positive_data_acceptance
from schemathesis.specs.openapi.schemas import OpenApiSchema
from urllib3.util.retry import Retry


def check_everything(
    schema: OpenApiSchema, url: str, token: str, examples: int, *, makes_sense: Callable[[Case], bool] = lambda _: True
) -> set[int]:
    """Statuses of the answers. Raises schemathesis' first failure. Cases without a meaning are not sent."""
    statuses: set[int] = set()
    session = patient_session()
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
                    session=session,
                    headers={"Authorization": f"Bearer {token}"},
                    allow_redirects=False,
                    # OpenAPI cannot express that a product has its own views or that an instant lies in a window.
                    excluded_checks=[positive_data_acceptance],
                )
                statuses.add(answer.status_code)

            check()
    return statuses


def patient_session() -> requests.Session:
    """Sends a request again after a 503, as a client should: on a machine that does other work a service is busy at times."""
    session = requests.Session()
    retry = Retry(
        connect=0, read=False, redirect=0, other=0, status=8, status_forcelist=[503], allowed_methods=None,
        backoff_factor=0.2, backoff_max=2, raise_on_status=False,
        respect_retry_after_header=False,  # with it, a 429 would be sent again too, after its minute
    )  # fmt: skip
    for scheme in "http://", "https://":
        session.mount(scheme, requests.adapters.HTTPAdapter(max_retries=retry))
    return session
