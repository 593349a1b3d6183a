"""`mappings ready-made|set|show|try|rm`: which events of foreign clients become which usage, by API key."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import asyncpg
import typer
from flexcredits_schemas.codec import InvalidEvent, encode
from flexcredits_schemas.mapping.apply import Ignored, Mapping
from flexcredits_schemas.mapping.ready_made import ready_made
from flexcredits_schemas.mapping.trial import try_event
from ingest.domain.keys import Scope

from flexcredits_cli.stack.api_keys import compile_text, ready_made_text, select_key, store_mapping
from flexcredits_cli.stack.connection import run
from flexcredits_cli.terminal.output import DIFFERS, AsJson, print_json, print_table
from flexcredits_cli.terminal.problem import SetupProblem

app = typer.Typer(help="Mappings of API keys for clients that do not speak our format.", no_args_is_help=True)

KeyId = Annotated[str, typer.Argument(help="Key id as printed by `keys ls`.")]
FRESH = "It applies within five seconds."


@app.command("ready-made")
def print_ready_made(name: Annotated[str | None, typer.Argument(help="Prints this mapping.")] = None) -> None:
    """List the ready-made mappings, or print one to edit it."""
    if name is None:
        print_table([(made.name, made.title) for made in ready_made().values()], ("name", "for"))
    else:
        typer.echo(ready_made_text(name).decode(), nl=False)


@app.command("set")
def set_mapping(
    key_id: KeyId,
    mapping: Annotated[str, typer.Argument(help="A file, or the name of a ready-made mapping.")],
    as_json: AsJson = False,
) -> None:
    """Check a mapping and give it to a key. It replaces the key's earlier one."""
    text = read_mapping(mapping)
    compiled = run(lambda connection: store_mapping(connection, key_id, text))
    protocols = sorted(compiled.protocols)
    if as_json:
        print_json({"key_id": key_id, "organization": compiled.organization, "protocols": protocols})
    else:
        typer.echo(f"{key_id} maps {', '.join(protocols)} to usage of {compiled.organization}. {FRESH}")


@app.command("show")
def show(key_id: KeyId) -> None:
    """Print the mapping of a key."""
    typer.echo(json.dumps(json.loads(stored_document(key_id)["document"]), indent=2, ensure_ascii=False))


@app.command("try")
def try_mapping(
    mapping: Annotated[str, typer.Argument(help="A key id, a file, or the name of a ready-made mapping.")],
    event: Annotated[Path, typer.Argument(help="One event as the client sends it, in JSON.", exists=True)],
    protocol: Annotated[str, typer.Option(help="openmeter, otlp_traces, otlp_logs, otlp_metrics, litellm or lago.")],
    organization: Annotated[str, typer.Option(help="For a file that names none.")] = "org_acme",
) -> None:
    """Print the usage that an event would become, or the rule and field that failed. Nothing is sent.

    Exit code 0: it becomes usage, or a rule ignores it. 3: it would become a dead letter.
    """
    compiled = find_mapping(mapping, organization)
    try:
        placed = try_event(compiled, protocol, event.read_bytes(), datetime.now(UTC))
    except InvalidEvent as error:
        typer.echo(f"not placed: {error.detail}" + (f", at {error.pointer}" if error.pointer else ""))
        raise typer.Exit(DIFFERS) from None
    if isinstance(placed, Ignored):
        typer.echo(f"ignored by rule `{placed.rule}`")
    else:
        typer.echo(json.dumps(json.loads(encode(placed)), indent=2, ensure_ascii=False))


@app.command("rm")
def remove(key_id: KeyId) -> None:
    """Remove the mapping of a key. Its foreign clients are refused from then on; nothing that was counted changes."""
    removed = run(
        lambda connection: connection.fetchval(
            "DELETE FROM api_key_mappings WHERE key_id = $1 RETURNING key_id", key_id
        )
    )
    if removed is None:
        raise SetupProblem(f"the key {key_id} has no mapping.")
    typer.echo(f"{key_id} has no mapping any more. {FRESH}")


def stored_document(key_id: str) -> asyncpg.Record:
    row = run(lambda connection: select_key(connection, key_id))
    if row["document"] is None:
        raise SetupProblem(f"the key {key_id} has no mapping. `mappings set` gives it one.")
    return row


def find_mapping(name: str, organization: str) -> Mapping:
    if name in ready_made() or Path(name).exists():
        return compile_text(read_mapping(name), organization)
    row = stored_document(name)
    scope = Scope(frozenset(row["organizations"]), frozenset(row["products"]))
    return compile_text(row["document"].encode(), scope.only_organization)


def read_mapping(name: str) -> bytes:
    """The text of a file or of a ready-made mapping. Raises SetupProblem."""
    if name in ready_made():
        return ready_made_text(name)
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise SetupProblem(f"{name} is neither a ready-made mapping nor a readable file: {error.strerror}.") from None
