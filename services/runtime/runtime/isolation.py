"""Which failures may come from the data that was worked on, so that only its owner's work is set aside."""

import re
import sys
from pathlib import Path

import asyncpg

DATA_CLASSES = ("21", "22", "23", "2F", "38", "39", "54", "P0")
"""Classes of SQLSTATE: cardinality, data, integrity, routines, program limits, and what PL/pgSQL raises."""
RETRY_FIRST_S = 5
RETRY_LAST_S = 900

_QUOTED = re.compile(r'"[^"]*"|\'[^\']*\'')


class Shared(Exception):
    """A failure that concerns everybody, whatever was worked on."""


def is_data_failure(error: BaseException) -> bool:
    """Whether this data may have caused it, and the same work on other data may succeed.

    False for a server, a network or a machine that fails, and for what only a new process or a new schema can fix.
    """
    if isinstance(error, asyncpg.PostgresError):
        return str(error.sqlstate).startswith(DATA_CLASSES)
    if isinstance(error, Shared | OSError | MemoryError | TimeoutError | asyncpg.InternalClientError):
        return False
    if isinstance(error, asyncpg.InterfaceError):
        return isinstance(error, ValueError)  # a value that cannot be encoded; others are a connection's state
    return isinstance(error, Exception)


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
