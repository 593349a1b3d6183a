"""Classifies failures: those that may come from the data of one organization, so that only its work is set aside, and
those of many."""

import re
import sys
from collections.abc import Collection
from pathlib import Path

import asyncpg

from runtime.postgres.errors import timed_out, transient_error_code

DATA_CLASSES = ("0A", "20", "21", "22", "23", "27", "2F", "38", "39", "44", "54", "P0", "XX")
"""SQLSTATE classes (PostgreSQL, appendix A) that data may cause: unsupported features, cases, cardinality, data,
integrity, triggers, routines, views, program limits, errors that PL/pgSQL raises, and internal errors, such as an
unreadable row. The other classes concern the connection, the login, the server, its resources, the schema or the
transaction."""
WIDESPREAD_MIN = 10

_QUOTED = re.compile(r'"[^"]*"|\'[^\']*\'')


class Shared(Exception):
    """A failure that concerns all organizations, whatever data was processed."""


def is_data_failure(error: BaseException) -> bool:
    """Whether the data may have caused the failure, so that the same work on other data may succeed.

    False for a failure of a server, network or machine, and for one that only a new process or a new schema can fix.
    """
    if transient_error_code(error) is not None or isinstance(error, Shared | OSError | MemoryError | TimeoutError):
        return False
    if isinstance(error, asyncpg.PostgresError):
        return str(error.sqlstate).startswith(DATA_CLASSES) and not _is_missing_partition(error)
    if isinstance(error, asyncpg.InterfaceError):
        # A value that cannot be encoded is a ValueError too; the other errors concern the state of a connection.
        return isinstance(error, ValueError)
    return isinstance(error, Exception)


def _is_missing_partition(error: asyncpg.PostgresError) -> bool:
    """Whether no partition accepts the row: a check violation with a table and no constraint (PostgreSQL,
    execPartition.c)."""
    return isinstance(error, asyncpg.CheckViolationError) and bool(error.table_name) and not error.constraint_name


def concerns_one(error: BaseException) -> bool:
    """Whether a failure of work for one organization delays only that organization: its data may be the cause, or a
    statement timed out.

    A caller that works for several organizations first checks with slow_for_all whether the server is slow for all of
    them.
    """
    return is_data_failure(error) or timed_out(error)


def slow_for_all(failures: Collection[Exception], tried: int) -> Exception | None:
    """The failure, if a statement timed out for each of several organizations: then the server is slow."""
    slow = [error for error in failures if timed_out(error)]
    return slow[0] if len(slow) == tried > 1 else None


def is_widespread(failing: int, known: int) -> bool:
    """Whether so many known organizations fail at one step that our code may be at fault: most of them, or a tenth and
    at least ten.

    The work continues; the process is not ready, and an operator is paged.
    """
    return failing >= min(known // 2 + 1, max(WIDESPREAD_MIN, known // 10))


def describe_failure(error: BaseException) -> str:
    """One line with the class and cause of the error, without data: quoted parts of a Postgres message are removed, and
    for a Python error only its place is given."""
    name = type(error).__name__
    if isinstance(error, asyncpg.PostgresError):
        line = str(error).partition("\n")[0]
        return f"{name} {error.sqlstate}: {_QUOTED.sub('…', line)}"[:300]
    trace, place = error.__traceback__, ""
    while trace is not None:
        code, package = trace.tb_frame.f_code, str(trace.tb_frame.f_globals.get("__name__", "")).partition(".")[0]
        if package not in sys.stdlib_module_names and package != "asyncpg":
            place = f" in {code.co_name} ({Path(code.co_filename).name}:{trace.tb_lineno})"
        trace = trace.tb_next
    return f"{name}{place}"
