"""API keys with mappings, for tests."""

import json
from typing import Any

from flexcredits_cli.stack.api_keys import insert_key, store_mapping
from flexcredits_cli.stack.connection import with_database


async def create_mapped_key(
    dsn: str, mapping: bytes | dict[str, Any], organization: str = "org_acme", product: str = "*"
) -> str:
    """A key for one organization with a mapping: the text of a document, or the document."""
    text = mapping if isinstance(mapping, bytes) else json.dumps(mapping).encode()

    async def insert(connection: Any) -> str:
        key = await insert_key(connection, [organization], [product], "local", None)
        await store_mapping(connection, key.split("_")[2], text)
        return key

    return await with_database(dsn, insert)
