"""Every statement is used, can be prepared by the service's role, and has the columns of the NamedTuple that takes its rows."""

import ast
import importlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import asyncpg
import pytest
from runtime.postgres.statements import load_sql
from simulation import aggregator_sql, alerter_sql
from support.faults.mutants import folder_of
from support.infra.stack import Database

ROLES = {
    "aggregator": "flexcredits_aggregator",
    "alerter": "flexcredits_alerter",
    "ingest": "flexcredits_ingest",
    "query_api": "flexcredits_api",
}

SIMULATED = {"aggregator": aggregator_sql.NAMES, "alerter": alerter_sql.NAMES}
"""Columns of the simulated Postgres' statements."""


class Function(NamedTuple):
    """A function, or a class with its methods."""

    name: str
    module: ModuleType
    node: ast.stmt

    def strings(self) -> set[str]:
        return {
            node.value for node in ast.walk(self.node) if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }

    def rows(self) -> Iterator[set[str]]:
        """Columns of the NamedTuples that it builds from records."""
        kinds = {name: found for name, found in vars(self.module).items() if hasattr(found, "_fields")}
        for node in ast.walk(self.node):
            match node:
                case ast.Call(func=ast.Name(id="from_record" | "from_records"), args=[ast.Name(id=kind), *_]):
                    if kind in kinds:  # else it is a parameter of a helper
                        yield {*kinds[kind]._fields}
                case ast.Call(
                    func=ast.Name(id="group_records"), args=[ast.Constant(value=str(key)), ast.Name(id=kind), *_]
                ):
                    yield {key, *kinds[kind]._fields}


def functions_of(package: str) -> Iterator[Function]:
    """The module's functions, and methods one by one."""
    for path in sorted(folder_of(package).rglob("*.py")):
        module = importlib.import_module(module_of(package, path))
        for node in ast.parse(path.read_text()).body:
            methods = [part for part in node.body if not is_text(part)] if isinstance(node, ast.ClassDef) else [node]
            for method in methods:
                yield Function(f"{module.__name__}:{method.lineno}", module, method)


def module_of(package: str, path: Path) -> str:
    parts = path.relative_to(folder_of(package).parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


@pytest.mark.parametrize("package", ROLES)
def test_every_statement_is_used_and_every_use_exists(package: str) -> None:
    statements, named = load_sql(package), set[str]()
    for path in folder_of(package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Subscript(value=ast.Name(id="SQL"), slice=ast.Constant(value=name)):
                    assert name in statements, f"{path}:{node.lineno}: no statement has the name {name}"
                case ast.Subscript(value=ast.Name(id="SQL"), slice=ast.JoinedStr()):
                    pytest.fail(f"{path}:{node.lineno} builds the name of a statement, which a search does not find")
                case ast.Constant(value=str(name)):
                    named.add(name)
    assert not statements.keys() - named, "these statements are unused"


@pytest.mark.parametrize("package", ROLES)
def test_every_statement_begins_with_a_short_sentence(package: str) -> None:
    for name, statement in load_sql(package).items():
        first, *_ = statement.splitlines()
        assert first.startswith("-- "), name
        assert len(first) <= 120, name


@pytest.mark.parametrize("package", ROLES)
def test_rows_are_read_by_name(package: str) -> None:
    """A column added in the middle of a SELECT must not shift the values after it."""
    for path in folder_of(package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Subscript(value=ast.Name(id="row"), slice=ast.Constant(value=int())):
                    pytest.fail(f"{path}:{node.lineno} reads a column by its position")
                case ast.Starred(value=ast.Name(id="row")):
                    pytest.fail(f"{path}:{node.lineno} takes a row apart by position")
                case (
                    ast.For(target=ast.Tuple(), iter=ast.Await(ast.Call(ast.Attribute(attr="fetch"))))
                    | ast.comprehension(target=ast.Tuple(), iter=ast.Await(ast.Call(ast.Attribute(attr="fetch"))))
                ):
                    pytest.fail(f"{path}:{node.iter.lineno} takes rows apart by position")


@pytest.mark.parametrize("package", ROLES)
async def test_every_statement_fits_the_role_and_its_rows(database: Database, package: str) -> None:
    connection = await asyncpg.connect(database.roles[ROLES[package]])
    columns: dict[str, list[str]] = {}
    for name, statement in load_sql(package).items():
        if "COPY (" not in statement:
            prepared = await connection.prepare(statement)
            columns[name] = [attribute.name for attribute in prepared.get_attributes()]
        if "CREATE TEMPORARY TABLE" in statement:
            await connection.execute(statement)  # for those that follow
    await connection.close()
    for name, found in columns.items():
        read = [column for column in found if column != "set_config"]  # its result is not read
        assert len(read) < 2 or (max(Counter(read).values()) == 1 and "?column?" not in read), f"{name}: {found}"
    for name, simulated in SIMULATED.get(package, {}).items():
        assert len(columns[name]) < 2 or simulated in ("", " ".join(columns[name])), f"{name} in the simulation"
    for function in functions_of(package):
        offered = [set(columns[name]) for name in function.strings() & columns.keys()]
        for row in function.rows():
            assert row in offered, f"{function.name}: no statement has the columns {row}"
