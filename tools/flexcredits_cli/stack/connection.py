"""A connection to Postgres for one command. Failures become messages for the user."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import asyncpg

from flexcredits_cli.stack.addresses import postgres_dsn
from flexcredits_cli.terminal.problem import SetupProblem, reason_of

TIMEOUT_S = 10
Answer = TypeVar("Answer")


def run(
    work: "Callable[[asyncpg.Connection[asyncpg.Record]], Awaitable[Answer]]", within_s: float = TIMEOUT_S
) -> Answer:
    """Run `work` on POSTGRES_DSN or the running stack's database. Raises SetupProblem if Postgres refuses."""
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
