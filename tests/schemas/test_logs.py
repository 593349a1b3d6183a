"""Log lines use the names of the API: no row numbers, no reprs of our own types."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from flexcredits_cli.machine.state_folder import REPOSITORY

LEVELS = {"debug", "info", "warning", "error", "critical", "exception"}
NAMES = {"message_id", "event_id", "key_id"}
"""Ids that users see elsewhere too."""
NUMBERED = {"catalog events in quarantine", "held usage not released", "organization out of quarantine"}
"""Log lines where only the row number is known; `quarantine ls` has the name and the reason."""


def log_calls() -> Iterator[tuple[Path, ast.Call]]:
    for path in sorted((REPOSITORY / "services").glob("*/*/**/*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            called = node.func
            if (
                isinstance(called, ast.Attribute)
                and isinstance(called.value, ast.Name)
                and called.value.id == "log"
                and called.attr in LEVELS
            ):
                yield path, node


CALLS = list(log_calls())


def test_the_calls_are_found() -> None:
    assert len(CALLS) > 25


@pytest.mark.parametrize(("path", "call"), CALLS, ids=[f"{path.stem}:{call.lineno}" for path, call in CALLS])
def test_log_lines_carry_names(path: Path, call: ast.Call) -> None:
    if call.args and isinstance(call.args[0], ast.Constant) and call.args[0].value in NUMBERED:
        return
    for keyword in call.keywords:
        assert keyword.arg is None or not keyword.arg.endswith("_id") or keyword.arg in NAMES, (
            f"{path.name}:{call.lineno} logs {keyword.arg}: a row number? log the name that the API uses"
        )
    for node in ast.walk(call):
        is_repr = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "repr"
        assert not is_repr, f"{path.name}:{call.lineno} logs a repr"
        assert not (isinstance(node, ast.FormattedValue) and node.conversion == ord("r")), (
            f"{path.name}:{call.lineno} logs a repr"
        )
