"""API keys and their mappings as rows. The ingest service defines the format of keys."""

import getpass
import re
from collections.abc import Sequence
from datetime import datetime

import asyncpg
from flexcredits_schemas.events import PRODUCTS
from flexcredits_schemas.mapping.apply import Mapping, compile_mapping
from flexcredits_schemas.mapping.document import InvalidMapping, decode_document
from flexcredits_schemas.mapping.ready_made import ready_made
from ingest.domain.keys import ENVIRONMENT, EVERYTHING, Scope, mint_key

from flexcredits_cli.stack.connection import with_database
from flexcredits_cli.terminal.problem import SetupProblem

SCOPES = (*PRODUCTS, EVERYTHING)
SELECT_KEY = """
SELECT k.organizations, k.products, m.document::text AS document, m.updated_at, m.updated_by
FROM api_keys k LEFT JOIN api_key_mappings m USING (key_id)
WHERE k.key_id = $1
"""
STORE = """
INSERT INTO api_key_mappings AS m (key_id, document, updated_by) VALUES ($1, $2, $3)
ON CONFLICT (key_id) DO UPDATE SET document = excluded.document, updated_at = now(), updated_by = excluded.updated_by
"""
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


async def select_key(connection: "asyncpg.Connection[asyncpg.Record]", key_id: str) -> asyncpg.Record:
    """The key's scope and mapping. Raises SetupProblem for an unknown key."""
    row = await connection.fetchrow(SELECT_KEY, key_id)
    if row is None:
        raise SetupProblem(f"there is no key {key_id}. `keys ls` prints all.")
    return row


async def store_mapping(connection: "asyncpg.Connection[asyncpg.Record]", key_id: str, text: bytes) -> Mapping:
    """Check a mapping against its key and store it. Raises SetupProblem."""
    key = await select_key(connection, key_id)
    scope = Scope(frozenset(key["organizations"]), frozenset(key["products"]))
    mapping = compile_text(text, scope.only_organization)
    if not scope.covers_organization(mapping.organization):
        raise SetupProblem(f"the key does not cover the organization {mapping.organization} of the mapping.")
    await connection.execute(STORE, key_id, text.decode(), f"{getpass.getuser()} (command line)")
    return mapping


def compile_text(text: bytes, organization: str | None) -> Mapping:
    """The compiled document. Raises SetupProblem."""
    try:
        return compile_mapping(decode_document(text), organization)
    except InvalidMapping as error:
        raise SetupProblem(f"the mapping is invalid: {error}.") from None


def ready_made_text(name: str) -> bytes:
    """The text of a ready-made mapping. Raises SetupProblem."""
    made = ready_made()
    if name not in made:
        raise SetupProblem(f"there is no ready-made mapping {name!r}: choose from {', '.join(made)}.")
    return made[name].text
