"""Each mutant changes exactly the files of its symbols, also after a symbol has moved."""

from pathlib import Path

import pytest
from support.faults.mutants import AGGREGATOR, ALERTER, COLUMNS, Changes, find, folder_of, make_mutant


@pytest.mark.parametrize(
    ("package", "changes"),
    [("aggregator", changes) for changes in [*AGGREGATOR.values(), *COLUMNS.values()]]
    + [("alerter", changes) for changes in ALERTER.values()],
    ids=[*AGGREGATOR, *(f"columns: {name}" for name in COLUMNS), *ALERTER],
)  # fmt: skip
def test_a_mutant_differs_from_its_service(package: str, changes: Changes, tmp_path: Path) -> None:
    copy = make_mutant(package, changes, tmp_path) / package
    before = {path.relative_to(folder_of(package)): path.read_text() for path in folder_of(package).rglob("*.py")}
    before |= {path.relative_to(folder_of(package)): path.read_text() for path in folder_of(package).rglob("*.sql")}
    changed = {path for path, text in before.items() if (copy / path).read_text() != text}
    assert changed == {find(copy, name).path.relative_to(copy) for name in changes}


def test_a_symbol_is_found_in_any_file(tmp_path: Path) -> None:
    (tmp_path / "db").mkdir()
    (tmp_path / "db" / "queries.sql").write_text(
        "-- Locks.\n-- name: one\n-- First.\nSELECT 1\n-- name: two\nSELECT 2\n"
    )
    (tmp_path / "db" / "ledger.py").write_text("LIMIT: int = 1\n\nclass A:\n    def run(self):\n        pass\n")
    (tmp_path / "other.py").write_text("class B:\n    async def run(self):\n        pass\n\nLIMIT = 2\n")
    assert find(tmp_path, "sql.one")[1:] == (tmp_path / "db" / "queries.sql", 2, 4)
    assert find(tmp_path, "sql.two")[1:] == (tmp_path / "db" / "queries.sql", 5, 6)
    assert find(tmp_path, "B.run")[1:] == (tmp_path / "other.py", 2, 3)
    assert find(tmp_path, "ledger.LIMIT")[1:] == (tmp_path / "db" / "ledger.py", 1, 1)
    for name in ("run", "LIMIT", "un", "three"):
        with pytest.raises(AssertionError, match=f"{name} is the name of"):
            find(tmp_path, name)
