"""Rejects uses that cannot be rated, except copies that count as duplicates whatever they say."""

from collections.abc import Sequence
from typing import NamedTuple

from flexcredits_schemas.codec import InvalidEvent
from flexcredits_schemas.identity import FIRST_WINS_HEADER
from runtime.postgres.pool import Connection

from aggregator.db.statements import SQL
from aggregator.db.unnest import by_bucket
from aggregator.domain.batch_result import BatchResult
from aggregator.domain.decode import Kind, UsageRecord, reject


class Unrated(NamedTuple):
    use: UsageRecord
    error: InvalidEvent


async def reject_unrated(connection: Connection, unrated: Sequence[Unrated], result: BatchResult) -> None:
    """Record uses whose rates are not applicable. The rest of their batch is in the ledger.

    A use with FIRST_WINS_HEADER is a duplicate if the ledger has its identity from a record before it, or from another
    partition.
    """
    named = [at.use for at in unrated if FIRST_WINS_HEADER in at.use.record.headers]
    firsts = {
        row["identity"].bytes: (row["kafka_partition"], row["kafka_offset"])
        for bucket, identities in by_bucket((use.ledger_bucket, use.identity) for use in named)
        for row in await connection.fetch(SQL["select_dispositions"], bucket, identities)
    }
    for use, error in unrated:
        first = firsts.get(use.identity)
        if first is not None and (first[0] != use.partition or first[1] < use.offset):
            result.duplicates.append(use)
        else:
            result.rejections.append(reject(use, Kind.RATE, error.detail, error.pointer))
