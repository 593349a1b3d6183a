"""`keys create|ls|revoke`: API keys of the ingest API. What a key looks like is ingest's to say."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, TypeVar

import asyncpg
import typer
from flexcredits_schemas.events import PRODUCTS
from ingest.keys import ENVIRONMENT, EVERYTHING, mint_key

from flexcredits_local.addresses import postgres_dsn
from flexcredits_local.answers import AsJson, print_json, print_table
from flexcredits_local.problem import SetupProblem, reason_of

app = typer.Typer(help="API keys for sending events.", no_args_is_help=True)

SCOPES = (*PRODUCTS, EVERYTHING)
ORGANIZATION = re.compile(r"\*|[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")
TIMEOUT_S = 10
Answer = TypeVar("Answer")


async def create_key(dsn: str, organization: str, product: str, env: str = "local") -> str:
    """A new key for one organization and product, or `*` for all. Only its hash is stored: this is its only copy."""
    return await with_database(dsn, lambda connection: insert_key(connection, [organization], [product], env, None))


async def insert_key(
    connection: "asyncpg.Connection[asyncpg.Record]",
    organizations: Sequence[str],
    products: Sequence[str],
    environment: str,
    expires_at: datetime | None,
) -> str:
    if wrong := [name for name in organizations if not ORGANIZATION.fullmatch(name)]:
        raise SetupProblem(
            f"{wrong[0]!r} cannot be an organization: letters, digits and ._:- are allowed, or * for all."
        )
    if wrong := [name for name in products if name not in SCOPES]:
        raise SetupProblem(f"{wrong[0]!r} is not a product: choose from {', '.join(SCOPES)}.")
    if not ENVIRONMENT.fullmatch(environment):
        raise SetupProblem(f"{environment!r} cannot be an environment: 1 to 20 small letters and digits.")
    key, key_id, secret_sha256 = mint_key(environment)
    await connection.execute(
        "INSERT INTO api_keys (key_id, secret_sha256, organizations, products, expires_at) VALUES ($1, $2, $3, $4, $5)",
        key_id, secret_sha256, list(organizations), list(products), expires_at,
    )  # fmt: skip
    return key


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
    as_json: AsJson = False,
) -> None:
    """Create a key and print it. It cannot be shown again.

    To rotate a key, create a second one, switch the senders over, and revoke the first. Organizations, contracts, members
    and rates can only be sent with a key for all products; facts for the whole deployment need all organizations too.
    """
    expires_at = datetime.now(UTC) + timedelta(days=expires_in_days) if expires_in_days else None
    key = run(lambda connection: insert_key(connection, organization, product or [EVERYTHING], env, expires_at))
    if as_json:
        print_json({"key": key, "expires_at": expires_at})
    else:
        typer.echo(key)


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
    """Revoke a key for good. It stops working within five seconds."""
    named = key_id.split("_")[2] if key_id.startswith("fc_") and key_id.count("_") == 4 else key_id

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
        typer.echo(f"{named} is revoked; the ingest API notices within five seconds.")


def run(
    work: "Callable[[asyncpg.Connection[asyncpg.Record]], Awaitable[Answer]]", within_s: float = TIMEOUT_S
) -> Answer:
    """Do it in the database that POSTGRES_DSN names, or the running stack's; SetupProblem when Postgres refuses."""
    try:
        return asyncio.run(with_database(postgres_dsn(), work, within_s))
    except (asyncpg.PostgresError, TimeoutError) as error:
        raise SetupProblem(f"Postgres refused: {reason_of(error)}") from None


async def with_database(
    dsn: str, work: "Callable[[asyncpg.Connection[asyncpg.Record]], Awaitable[Answer]]", within_s: float = TIMEOUT_S
) -> Answer:
    try:
        connection = await asyncpg.connect(dsn, timeout=TIMEOUT_S)
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        raise SetupProblem(f"cannot connect to Postgres: {reason_of(error)}") from None
    try:
        return await asyncio.wait_for(work(connection), within_s)
    finally:
        await connection.close()
