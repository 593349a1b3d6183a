"""FOCUS 1.4 files through focus-data-toolkit: mandatory columns, nulls, formats, the official JSON object schemas, and joins
between datasets. Needs --clients."""

import json
import re
import subprocess
from pathlib import Path

import pytest
from query_api.exports.focus.domain.columns import TABLES
from support.clients.foreign_clients import python_with
from support.data.table_rows import TableRows
from support.services.query_api import Api

from .test_focus_validator import fill

pytestmark = [pytest.mark.clients, pytest.mark.timeout(600)]
TOOLKIT = "focus-data-toolkit==0.12.0"
NOT_OURS = ("bad_currency", "PricingCurrency")
"""Wants ISO 4217, though FOCUS allows the name of a virtual currency."""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return python_with(tmp_path_factory.mktemp("toolkit"), "--no-deps", TOOLKIT)


def check(python: Path, *arguments: str | Path) -> str:
    command = [str(part) for part in (python, "-m", "focus_data_toolkit", *arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False).stdout


def violations(python: Path, dataset: str, file: Path) -> set[tuple[str, str]]:
    """Rules and columns."""
    report = check(python, "validate", "--dataset", dataset, file)
    found = set(re.findall(r"\[\w+:(\w+)\] ([\w-]+)", report))
    assert found or "lint OK" in report, report
    return found


@pytest.mark.parametrize("history", ["one currency", "two currencies", "empty"])
async def test_the_toolkit_finds_nothing_that_focus_refuses(
    api: Api, db: TableRows, tmp_path: Path, python: Path, history: str
) -> None:
    await fill(db, history)
    files = {}
    for dataset in TABLES:
        files[dataset] = tmp_path / f"{dataset}.csv"
        answer = await api.ask(f"/api/v1/export/focus.csv?version=1.4&range=all&dataset={dataset}")
        files[dataset].write_bytes(answer.content)
        without_lines = {("empty_dataset", "-")} if history == "empty" else set()
        assert violations(python, dataset, files[dataset]) - {NOT_OURS} == without_lines, dataset
    if history == "empty":
        return
    assert violations(python, "cost-and-usage", files["cost-and-usage"]) == {NOT_OURS}
    options = [part for dataset, file in files.items() for part in (f"--{dataset}", file)]
    bundle = json.loads(check(python, "validate-bundle", *options, "--format", "json"))
    assert (bundle["ok"], bundle["counts"]["ERROR"], bundle["counts"]["WARNING"]) == (True, 0, 0), bundle
    assert {"contract_applied_fk", "cost_and_usage_invoice_detail_fk"} <= set(bundle["checks_run"])
    for dataset, word, rule in (
        ("contract-commitment", "IsGlobalScope", ("official_schema_violation", "ContractCommitmentApplicability")),
        ("cost-and-usage", "ContractCommitmentAppliedUnit", ("invalid_contract_applied", "ContractApplied")),
    ):  # the toolkit does use the schemas
        wrong = tmp_path / "wrong.csv"
        wrong.write_text(files[dataset].read_text().replace(word, f"{word}s"))
        assert rule in violations(python, dataset, wrong)
