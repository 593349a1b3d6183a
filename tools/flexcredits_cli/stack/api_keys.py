"""API keys as rows. The ingest service defines their format."""

import re
from collections.abc import Sequence
from datetime import datetime

import asyncpg
from flexcredits_schemas.events import PRODUCTS
from ingest.domain.keys import ENVIRONMENT, EVERYTHING, mint_key

from flexcredits_cli.stack.connection import with_database
from flexcredits_cli.terminal.problem import SetupProblem

SCOPES = (*PRODUCTS, EVERYTHING)
ORGANIZATION = re.compile(r"\*|[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")


async def create_key(dsn: str, organization: str, product: str, env: str = "local") -> str:
    """A new key for one organization and product, or `*` for all. Only its hash is stored; the key cannot be read again."""
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
        raise SetupProblem(f"{environment!r} cannot be an environment: use 1 to 20 lower-case letters and digits.")
    key, key_id, secret_sha256 = mint_key(environment)
    await connection.execute(
        "INSERT INTO api_keys (key_id, secret_sha256, organizations, products, expires_at) VALUES ($1, $2, $3, $4, $5)",
        key_id, secret_sha256, list(organizations), list(products), expires_at,
    )  # fmt: skip
    return key
