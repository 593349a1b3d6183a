"""`keys create|ls|revoke`: API keys of the ingest API. The ingest service defines their format."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated

import asyncpg
import typer
from ingest.domain.keys import EVERYTHING

from flexcredits_cli.stack.api_keys import insert_key, ready_made_text, store_mapping
from flexcredits_cli.stack.connection import run
from flexcredits_cli.terminal.output import AsJson, print_json, print_table
from flexcredits_cli.terminal.problem import SetupProblem

app = typer.Typer(help="API keys for sending events.", no_args_is_help=True)


@app.command("create")
def create(
    organization: Annotated[
        list[str], typer.Option(help="Organization whose events it may send. Repeat it for several; * is all.")
    ],
    product: Annotated[
        list[str] | None, typer.Option(help="assistant, agents or api. Repeat it for several. Default: all.")
    ] = None,
    expires_in_days: Annotated[int | None, typer.Option(min=1, help="Default: it does not expire.")] = None,
    env: Annotated[str, typer.Option(help="Environment, written into the key.")] = "local",
    mapping: Annotated[
        str | None, typer.Option(help="Ready-made mapping for a foreign client, see `mappings ready-made`.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Create a key and print it. It cannot be shown again.

    To rotate a key, create a second one, switch the senders over, and revoke the first. Organizations, contracts, members
    and rates need a key for all products; catalog events for the whole deployment need a key for all organizations too.
    """
    expires_at = datetime.now(UTC) + timedelta(days=expires_in_days) if expires_in_days else None
    text = ready_made_text(mapping) if mapping else None

    async def insert(connection: "asyncpg.Connection[asyncpg.Record]") -> tuple[str, list[str]]:
        async with connection.transaction():
            key = await insert_key(connection, organization, product or [EVERYTHING], env, expires_at)
            if text:
                await store_mapping(connection, key_id_of(key), text)
            return key, await unknown_organizations(connection, organization)

    key, unknown = run(insert)
    if unknown:
        names = ", ".join(unknown)
        typer.echo(f"Not known yet: {names}. Usage waits for the organization's event; check the spelling.", err=True)
    if as_json:
        print_json({"key": key, "expires_at": expires_at})
    else:
        typer.echo(key)


def key_id_of(text: str) -> str:
    """The id in a whole key, or the text itself."""
    return text.split("_")[2] if text.startswith("fc_") and text.count("_") == 4 else text


async def unknown_organizations(
    connection: "asyncpg.Connection[asyncpg.Record]", organizations: Sequence[str]
) -> list[str]:
    """Those without an organization event so far. A key may be created before it."""
    known = await connection.fetch(
        "SELECT organization FROM organizations WHERE organization = ANY($1::text[]) AND time_zone IS NOT NULL",
        organizations,
    )
    return sorted({*organizations} - {row["organization"] for row in known} - {EVERYTHING})


@app.command("ls")
def list_keys(as_json: AsJson = False) -> None:
    """Print all keys, without their secrets."""

    async def fetch(connection: "asyncpg.Connection[asyncpg.Record]") -> list[asyncpg.Record]:
        return await connection.fetch(
            "SELECT key_id, organizations, products, created_at, expires_at, revoked_at FROM api_keys ORDER BY created_at"
        )

    rows = run(fetch)
    if as_json:
        print_json({"keys": [dict(row) for row in rows]})
        return
    lines = []
    for row in rows:
        state = "live"
        if row["revoked_at"]:
            state = f"revoked {row['revoked_at']:%Y-%m-%d %H:%M}"
        elif row["expires_at"]:
            word = "expires" if row["expires_at"] > datetime.now(UTC) else "expired"
            state = f"{word} {row['expires_at']:%Y-%m-%d %H:%M}"
        organizations, products = ",".join(row["organizations"]), ",".join(row["products"])
        lines.append((row["key_id"], f"{row['created_at']:%Y-%m-%d %H:%M}", state, organizations, products))
    print_table(lines, ("key id", "created (UTC)", "state", "organizations", "products"))


@app.command("revoke")
def revoke(
    key_id: Annotated[str, typer.Argument(help="Key id as printed by `keys ls`, or the whole key.")],
    as_json: AsJson = False,
) -> None:
    """Revoke a key permanently. It stops working within five seconds."""
    named = key_id_of(key_id)

    async def end(connection: "asyncpg.Connection[asyncpg.Record]") -> datetime | None:
        revoked_at: datetime | None = await connection.fetchval(
            "UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE key_id = $1 RETURNING revoked_at", named
        )
        return revoked_at

    revoked_at = run(end)
    if revoked_at is None:
        raise SetupProblem(f"there is no key {named}. `keys ls` prints all.")
    if as_json:
        print_json({"key_id": named, "revoked_at": revoked_at})
    else:
        typer.echo(f"{named} is revoked; the ingest API refuses it within five seconds.")
