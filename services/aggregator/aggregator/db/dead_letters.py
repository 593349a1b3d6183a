"""Writes dead letters to their outbox."""

from collections.abc import Sequence

from asyncpg.pgproto.pgproto import UUID
from runtime.postgres.pool import Connection

from aggregator.db.quarantine import headers_json
from aggregator.db.statements import SQL
from aggregator.db.unnest import columns_of
from aggregator.domain.decode import Rejection


async def insert_dead_letters(connection: Connection, topic: str, rejections: Sequence[Rejection]) -> None:
    """Store rejected records byte for byte, with the reason."""
    if rejections:
        rows = [
            (
                at.record.partition, at.record.offset, at.record.key, at.record.value, headers_json(at.record),
                as_text(at.reason), as_text(at.pointer),
                at.record.timestamp / 1000, *((at.who[0], UUID(at.who[1])) if at.who else (None, None)),
            )
            for at in rejections
        ]  # fmt: skip
        await connection.execute(SQL["insert_dead_letters"], topic, *columns_of(rows))


def as_text(said: str) -> str:
    """The text with replacements for characters that Postgres cannot store. It may quote data of a sender."""
    return said.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
