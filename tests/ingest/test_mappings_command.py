"""`mappings ready-made|set|show|try|rm` and `keys create --mapping` against a real database; the examples of docs/clients.md."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from flexcredits_cli.cli import app
from flexcredits_cli.terminal.problem import SetupProblem
from flexcredits_schemas import SCHEMAS
from flexcredits_schemas.mapping.ready_made import ready_made
from support.data.mappings import document, rule
from support.infra.stack import Database
from typer.testing import CliRunner

Call = Callable[..., Result]
DOCUMENT = (SCHEMAS.parent / "docs" / "clients.md").read_text()
EVENT = {
    "specversion": "1.0", "id": "e-1", "source": "api-gateway", "type": "prompt", "subject": "ada", "time": "2026-11-30T10:00:00Z",
    "data": {"model": "gpt", "prompt_tokens": 12, "completion_tokens": 8, "conversation": "c-1", "project": None, "channel": "slack"},
}  # fmt: skip


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Call:
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


def write(path: Path, document: Any) -> Path:
    path.write_text(json.dumps(document))
    return path


def test_a_key_gets_its_mapping_and_loses_it(
    call: Call, database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("POSTGRES_DSN", database.dsn)
    assert isinstance(
        call("keys", "create", "--organization", "org_acme", "--mapping", "no such").exception, SetupProblem
    )
    assert "org_acme" not in call("keys", "ls").output
    key = call("keys", "create", "--organization", "org_acme", "--mapping", "openmeter").stdout.strip()
    key_id = key.split("_")[2]
    assert json.loads(call("mappings", "show", key_id).output) == json.loads(ready_made()["openmeter"].text)

    event = write(tmp_path / "event.json", EVENT)
    usage = json.loads(call("mappings", "try", key_id, event, "--protocol", "openmeter").output)
    assert (usage["subject"], usage["data"]["feature"], usage["data"]["quantities"]["input_tokens"]) == (
        "org_acme",
        "gpt",
        "12",
    )

    own = write(tmp_path / "own.json", document(rule(protocol="lago"), rule("b"), organization=None))
    done = json.loads(call("mappings", "set", key_id, own, "--json").output)
    assert done == {"key_id": key_id, "organization": "org_acme", "protocols": ["lago", "openmeter"]}
    assert json.loads(call("mappings", "show", key_id).output) == json.loads(own.read_text())
    other = write(tmp_path / "other.json", document(organization="org_b"))
    invalid = write(tmp_path / "invalid.json", document(rule(protocol="kafka")))
    for refused, message in (
        (other, "does not cover"),
        (invalid, "Invalid enum value 'kafka', at /rules/0/protocol"),
        ("none", "neither"),
    ):
        failed = call("mappings", "set", key_id, refused).exception
        assert isinstance(failed, SetupProblem)
        assert message in str(failed)
    of_all = call("keys", "create", "--organization", "*").output.strip().split("_")[2]
    assert "name the organization" in str(call("mappings", "set", of_all, own).exception)
    assert json.loads(call("mappings", "show", key_id).output) == json.loads(own.read_text())

    assert "has no mapping any more" in call("mappings", "rm", key_id).output
    for command in (
        ["show", key_id],
        ["rm", key_id],
        ["try", key_id, event, "--protocol", "openmeter"],
        ["show", "nothing"],
    ):
        assert isinstance(call("mappings", *command).exception, SetupProblem), command


def test_trying_needs_no_server_and_says_what_failed(call: Call, tmp_path: Path) -> None:
    made = write(
        tmp_path / "made.json", document(rule("skipped", when=[{"at": "/type", "is": "test"}], ignore=True), rule())
    )

    def attempt(sent: Any, protocol: str = "openmeter") -> tuple[int, str]:
        event = write(tmp_path / "event.json", sent)
        done = call("mappings", "try", made, event, "--protocol", protocol)
        return done.exit_code, done.output.strip()

    assert attempt(EVENT | {"type": "test"}) == (0, "ignored by rule `skipped`")
    failures = {
        "not placed: rule `model calls`: /data/model is missing (feature), at /data/model": EVENT | {"data": {}},
        "not placed: expected a text that is not empty, at /id": EVENT | {"id": ""},
        "not placed: an event is a JSON object": [EVENT],
    }
    for message, sent in failures.items():
        assert attempt(sent) == (3, message)
    assert attempt(EVENT, "lago")[0] == 3
    assert "cannot be tried" in attempt(EVENT, "kafka")[1]


def test_ready_made_mappings_are_listed_and_printed(call: Call) -> None:
    listed = call("mappings", "ready-made").output
    for name, made in ready_made().items():
        assert name in listed
        assert made.title in listed
        assert call("mappings", "ready-made", name).output.encode() == made.text
        assert f"`{name}`" in DOCUMENT, f"docs/clients.md does not name {name}"


def test_the_example_of_the_documents_works(call: Call, tmp_path: Path) -> None:
    examples = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", DOCUMENT, re.DOTALL)]
    (example,) = [at for at in examples if at.get("type") == "flexcredits.mapping.v1" and len(at["rules"]) == 2]
    made, event = write(tmp_path / "mapping.json", example), write(tmp_path / "event.json", EVENT)
    usage = json.loads(call("mappings", "try", made, event, "--protocol", "openmeter").output)
    assert usage["data"] == {
        "product": "assistant", "feature_kind": "model", "feature": "gpt", "surface": "slack", "actor": {"id": "ada"}, "run": {"id": "c-1"},
        "quantities": {"input_tokens": "12", "output_tokens": "8"},
    }  # fmt: skip


def test_the_view_of_the_documents_can_be_tried(call: Call, tmp_path: Path) -> None:
    [view] = [text for text in re.findall(r"```json\n(.*?)```", DOCUMENT, re.DOTALL) if '"trace_id"' in text]
    made = tmp_path / "mapping.json"
    made.write_text(call("mappings", "ready-made", "otlp-genai").output)
    (tmp_path / "span.json").write_text(view)
    usage = json.loads(call("mappings", "try", made, tmp_path / "span.json", "--protocol", "otlp_traces").output)
    assert usage["id"] == "5b8efff798038103d269b633813fc60c/eee19b7ec3c1b174"
    assert usage["data"]["feature"] == "gpt-5"
    assert usage["data"]["quantities"] == {"input_tokens": "812", "output_tokens": "96"}
