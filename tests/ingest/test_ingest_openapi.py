"""The committed description equals the code's, and the code's answers conform to it."""

import json
from typing import Any

import jsonschema_rs
import pytest
from flexcredits_schemas import SCHEMAS
from ingest import openapi
from ingest.adapters.table import adapters
from ingest.api import build_app
from support.data.factories import correction, organization, rate, usage
from support.services.ingest import Ingest

DESCRIPTION = json.loads((SCHEMAS / "http" / "ingest-api.json").read_text())


def test_description_is_up_to_date() -> None:
    built = openapi.describe(build_app(None, adapters(1, 1)))  # type: ignore[arg-type]
    assert json.loads(json.dumps(built)) == DESCRIPTION, "run python -m ingest.openapi"


def test_every_reference_leads_somewhere() -> None:
    def references(value: Any) -> list[str]:
        if isinstance(value, dict):
            own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
            return own + [found for inner in value.values() for found in references(inner)]
        return [found for inner in value for found in references(inner)] if isinstance(value, list) else []

    names = {f"#/components/schemas/{name}" for name in DESCRIPTION["components"]["schemas"]}
    assert set(references(DESCRIPTION)) <= names
    assert DESCRIPTION["openapi"].startswith("3.1")


def validator(name: str) -> jsonschema_rs.Validator:
    schema = {"$ref": f"#/components/schemas/{name}", "components": DESCRIPTION["components"]}
    return jsonschema_rs.validator_for(schema)


@pytest.mark.parametrize("event", [usage(), usage(product="agents"), correction(usage(), "-1"), organization(), rate()])
def test_events_are_described(event: dict[str, Any]) -> None:
    validator("Event").validate(event)
    assert not validator("Event").is_valid({**event, "type": "flexcredits.nonsense.v1"})


async def test_answers_are_as_described(shared: Ingest) -> None:
    operation = DESCRIPTION["paths"]["/api/v1/events"]["post"]
    bad = usage(credits="0")
    for body, status in (([usage(), bad], 202), ([bad], 422), (b"{", 400)):
        answer = await shared.post(body)
        assert answer.status_code == status
        content = operation["responses"][str(status)]["content"]
        schema = content[answer.headers["content-type"]]["schema"]["$ref"].rpartition("/")[2]
        validator(schema).validate(answer.json())
