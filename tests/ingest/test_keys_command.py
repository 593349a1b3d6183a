"""`keys create|ls|revoke` against a real database."""

import asyncio
import json
from collections.abc import Callable

import pytest
from click.testing import Result
from flexcredits_cli.commands.operator import keys
from flexcredits_cli.terminal.problem import SetupProblem
from ingest.domain.keys import parse_key
from support.infra.stack import Database, execute
from typer.testing import CliRunner

Call = Callable[..., Result]


@pytest.fixture
def call(database: Database, monkeypatch: pytest.MonkeyPatch) -> Call:
    monkeypatch.setenv("POSTGRES_DSN", database.dsn)
    return lambda *arguments: CliRunner().invoke(keys.app, arguments)


def test_created_key_is_listed_without_its_secret_and_revoked_for_good(call: Call) -> None:
    created = call("create", "--organization", "org_acme", "--organization", "org_b", "--product", "agents")
    assert created.exit_code == 0, created.output
    key = created.stdout.strip()
    parsed = parse_key(key)
    assert parsed
    key_id, secret = parsed

    listed = call("ls").output
    assert listed.splitlines()[0].split() == ["KEY", "ID", "CREATED", "(UTC)", "STATE", "ORGANIZATIONS", "PRODUCTS"]
    assert key_id in listed
    assert secret not in listed
    assert listed.split()[-3:] == ["live", "org_acme,org_b", "agents"]

    assert "revoked" in call("revoke", key).output
    first = call("ls").output
    assert "revoked" in first
    assert call("revoke", key_id).exit_code == 0
    assert call("ls").output == first  # the first revocation's time stays


async def test_organizations_that_are_not_known_yet_are_named(call: Call, database: Database) -> None:
    """A key may come before its organization, but a misspelt one would let usage wait without limit."""
    await execute(
        database.dsn,
        "INSERT INTO organizations (organization, time_zone) VALUES ('org_acme', 'UTC'), ('org_used', NULL)",
    )
    arguments = [word for name in ("org_acme", "org_used", "org_amce", "*") for word in ("--organization", name)]
    created = await asyncio.to_thread(call, "create", *arguments)
    assert parse_key(created.stdout.strip())
    assert created.stderr.startswith("Not known yet: org_amce, org_used. ")
    created = await asyncio.to_thread(call, "create", "--organization", "org_acme", "--organization", "*")
    assert created.stderr == ""


def test_product_is_all_without_a_word_and_organization_must_be_said(call: Call) -> None:
    assert call("create").exit_code == 2
    assert call("create", "--organization", "*", "--expires-in-days", "3").exit_code == 0
    assert "expires" in call("ls").output
    (listed,) = json.loads(call("ls", "--json").stdout)["keys"]
    revoked = json.loads(call("revoke", listed["key_id"], "--json").stdout)
    assert revoked["key_id"] == listed["key_id"]
    made = json.loads(call("create", "--organization", "*", "--json").stdout)
    assert parse_key(made["key"])
    assert call("ls").output.split()[-2:] == ["*", "*"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["create", "--organization", "org acme"], "cannot be an organization"),
        (["create", "--organization", "a", "--product", "assistent"], "is not a product"),
        (["create", "--organization", "a", "--env", "My Laptop"], "cannot be an environment"),
        (["revoke", "missing"], "there is no key missing"),
    ],
)
def test_mistakes_are_explained(call: Call, arguments: list[str], message: str) -> None:
    result = call(*arguments)
    assert isinstance(result.exception, SetupProblem)
    assert message in str(result.exception)


def test_unreachable_database_is_explained(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTGRES_DSN", "postgresql://missing@127.0.0.1:1/nothing")
    assert isinstance(call("ls").exception, SetupProblem)
