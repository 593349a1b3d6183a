"""Which failures may come from one organization's data, so that only its work is set aside, and when too many have one."""

import re
import sys
from collections.abc import Collection
from pathlib import Path

import asyncpg

from runtime.postgres.errors import passing_failure, timed_out

DATA_CLASSES = ("0A", "20", "21", "22", "23", "27", "2F", "38", "39", "44", "54", "P0", "XX")
"""SQLSTATE classes (PostgreSQL, appendix A): what Postgres cannot do with a value, cases, cardinality, data, integrity,
triggers, routines, views, program limits, what PL/pgSQL raises, and internal errors, such as a row that cannot be read.
The others are about the connection, the login, the server, its resources, the schema or the transaction."""
WIDESPREAD_MIN = 10

_QUOTED = re.compile(r'"[^"]*"|\'[^\']*\'')


class Shared(Exception):
    """A failure that concerns everybody, whatever was worked on."""


def is_data_failure(error: BaseException) -> bool:
    """Whether this data may have caused it, and the same work on other data may succeed.

    False for a server, a network or a machine that fails, and for what only a new process or a new schema can fix.
    """
    if passing_failure(error) is not None or isinstance(error, Shared | OSError | MemoryError | TimeoutError):
        return False
    if isinstance(error, asyncpg.PostgresError):
        return str(error.sqlstate).startswith(DATA_CLASSES) and not _is_missing_partition(error)
    if isinstance(error, asyncpg.InterfaceError):
        return isinstance(error, ValueError)  # a value that cannot be encoded; others are a connection's state
    return isinstance(error, Exception)


def _is_missing_partition(error: asyncpg.PostgresError) -> bool:
    """A row that no partition takes is a check violation of a table and of no constraint (PostgreSQL, execPartition.c)."""
    return isinstance(error, asyncpg.CheckViolationError) and bool(error.table_name) and not error.constraint_name


def concerns_one(error: BaseException) -> bool:
    """Whether work for one organization alone that fails like this is put off for it alone: by its data, or because a
    statement took too long. A caller that works for many first finds out whether the server is slow for all of them."""
    return is_data_failure(error) or timed_out(error)


def slow_for_all(failures: Collection[Exception], tried: int) -> Exception | None:
    """The failure, when a statement took too long for each of several organizations: then the server is slow."""
    slow = [error for error in failures if timed_out(error)]
    return slow[0] if len(slow) == tried > 1 else None


def is_widespread(failing: int, known: int) -> bool:
    """Whether so many of the known organizations fail at one step that our code may be at fault: most of them, or a tenth
    of them and at least ten. It stops nothing; the process is not ready, and somebody is paged."""
    return failing >= min(known // 2 + 1, max(WIDESPREAD_MIN, known // 10))


def describe_failure(error: BaseException) -> str:
    """One line of the error's class and cause, without the data: quoted parts of Postgres' message are left out, and of a
    Python error only its place is given."""
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
