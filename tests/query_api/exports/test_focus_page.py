"""docs/focus.md says what the code and the validator's test say."""

import re

from flexcredits_cli.machine.state_folder import REPOSITORY
from query_api.exports.focus.domain.columns import TABLES
from query_api.exports.formats.batches import TYPES

from .test_focus_toolkit import TOOLKIT
from .test_focus_validator import NOT_OURS, NOT_OURS_WITHOUT_LINES, PACKAGES

PAGE = (REPOSITORY / "docs" / "focus.md").read_text()
ROWS = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in PAGE.splitlines() if line.startswith("| ")]
NUMBERS = {"three": 3, "six": 6}
PARQUET = {
    "credits, quantities, prices": "credits", "costs": "cost", "sums of credits": "sum", "shares": "share", "`date`": "day", "instants": "instant",
    "events, levels": "count", "flags": "flag", "JSON, ids, names": "text",
}  # fmt: skip
SPELLED = {"date32[day]": "date32", "timestamp[us, tz=UTC]": "timestamp, UTC, microseconds", "bool": "boolean"}


def rules(text: str) -> set[str]:
    return set(re.findall(r"`(\w+-C-\d{3}-[A-Z])`", text))


def test_the_rules_that_fail_are_those_of_the_validators_test() -> None:
    failing = {row[0] for row in ROWS if row[0].startswith("1.2 `")}
    assert rules(" ".join(failing)) == set(NOT_OURS)
    (header_only,) = (row[0] for row in ROWS if row[0].startswith("header only:"))
    both = set(NOT_OURS) & set(NOT_OURS_WITHOUT_LINES)
    assert rules(header_only) | both == set(NOT_OURS_WITHOUT_LINES)
    for version, expected in (("1.2, one and two currencies", NOT_OURS), ("1.2, header only", NOT_OURS_WITHOUT_LINES)):
        (result,) = (row[2] for row in ROWS if row[0] == version)
        assert NUMBERS[result.split(" rules fail")[0]] == len(expected)
    assert PACKAGES[0].replace("==", " ") in PAGE
    assert TOOLKIT.replace("==", " ") in PAGE


def test_the_types_of_parquet_files_are_those_of_the_writer() -> None:
    table = {row[0]: row[1].strip("`") for row in ROWS if len(row) == 3}
    assert set(PARQUET.values()) == set(TYPES) - {"json"}
    assert TYPES["json"] == TYPES["text"]
    for content, kind in PARQUET.items():
        (found,) = (kind_of for name, kind_of in table.items() if name.startswith(content))
        text = str(TYPES[kind])  # type: ignore[index]
        assert found == SPELLED.get(text, text).replace("decimal128", "decimal"), content


def test_every_dataset_and_column_that_the_page_names_exists() -> None:
    (datasets,) = (row[1] for row in ROWS if row[0].startswith("`dataset`"))
    assert re.findall(r"`([\w-]+)`", datasets) == list(TABLES)
    columns = {column for table in TABLES.values() for column in table.columns}
    named = {name for name in re.findall(r"`(x_\w+)`", PAGE) if not name.startswith("x_Model")}
    assert named <= columns, named - columns
