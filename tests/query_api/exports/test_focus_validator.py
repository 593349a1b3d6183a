"""FOCUS files through the official validator (focus-validator 2.2.1, rules 1.2.0.1), and months of them as one pyarrow
dataset.

The validator needs exactly Python 3.12, because its numpy has no wheel for 3.13. Without Python 3.12 or a package
registry, the tests are skipped.
"""

import asyncio
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from support.clients.export_files import special
from support.data.table_rows import MICRO, TableRows
from support.services.query_api import Api

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PACKAGES = (
    "focus-validator==2.2.1",
    "pyarrow==17.0.0",
)  # newer pyarrow versions do not support the validator's numpy
CRITERIA = (
    "ACCOUNT_NAMING_SUPPORTED", "NEGOTIATED_PRICING_SUPPORTED", "PUBLIC_PRICE_LIST_SUPPORTED", "RESOURCE_TYPE_ASSIGNMENT_SUPPORTED",
    "UNIT_PRICING_SUPPORTED", "USAGE_MEASUREMENT_SUPPORTED", "VIRTUAL_CURRENCY_SUPPORTED",
    "PRICING_BILLING_CURRENCY_DIFFERENCES_SUPPORTED",
)  # fmt: skip
NOT_OURS = {
    "InvoiceId-C-005-C": "wants an InvoiceId in every row, also where no invoice is known: its condition is empty",
    "PricingCurrency-C-003-M": "wants ISO 4217, though FOCUS 1.2 allows the name of a virtual currency",
    "ConsumedQuantity-C-006-C": "its condition is the opposite of its text, and of FOCUS: ChargeClass is Correction",
}
"""Rules that fail on files that FOCUS 1.2 allows (findings/focus-validator-rules-against-their-text.sh)."""

READ_MONTHS = """
import sys
import pyarrow.csv, pyarrow.dataset
schemas = [pyarrow.csv.read_csv(path).schema for path in sys.argv[2:]]
assert len({str(schema.remove_metadata()) for schema in schemas}) == 1, schemas
numbers = {schemas[0].field(name).type for name in ("BilledCost", "EffectiveCost", "PricingQuantity", "ContractedUnitPrice")}
assert numbers == {pyarrow.float64()}, numbers
print(pyarrow.dataset.dataset(sys.argv[1], format="csv").to_table().num_rows)
"""


def find_python() -> str | None:
    candidates = [shutil.which("python3.12"), *map(str, Path.home().glob(".pyenv/versions/3.12*/bin/python"))]
    for python in filter(None, candidates):
        asked = subprocess.run([python, "--version"], capture_output=True, text=True, check=False)
        if asked.stdout.startswith("Python 3.12."):
            return python
    return None


@pytest.fixture(scope="module")
def site_packages() -> Path:
    """Packages of an environment with the validator. The environment is kept, because the installation takes a
    minute."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "flexcredits" / "focus-validator-2.2.1"
    packages = cache / "lib" / "python3.12" / "site-packages"
    if not (cache / "complete").exists():
        python = find_python()
        if python is None:
            pytest.skip("focus-validator needs Python 3.12")
        shutil.rmtree(cache, ignore_errors=True)
        install = [str(cache / "bin" / "pip"), "install", "-q", "--disable-pip-version-check", *PACKAGES]
        for command in ([python, "-m", "venv", str(cache)], install):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"focus-validator cannot be installed: {done.stderr[-200:]}")
        (cache / "complete").touch()
    return packages


async def run(site_packages: Path, *arguments: str) -> str:
    """Output of the environment's Python. It starts in the packages' folder, where the validator searches its rules."""
    python = site_packages.parents[2] / "bin" / "python"
    process = await asyncio.create_subprocess_exec(
        python, *arguments, cwd=site_packages, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()[-2000:]
    return output.decode()


NOT_OURS_WITHOUT_LINES = {
    "ConsumedQuantity-C-006-C": "as above",
    **dict.fromkeys(
        (
            "ChargeCategory-C-003-M", "ChargeFrequency-C-003-M", "ServiceCategory-C-003-M", "ServiceSubcategory-C-003-M",
            "ServiceSubcategory-C-004-M",
        ),
        "one of several values is allowed: that no line has a value is taken as a violation of each",
    ),
}  # fmt: skip
"""Rules that fail on a file that has only its header."""


async def fill(db: TableRows, history: str) -> None:
    """Usage, corrections and overage; then also add-ons, a minimum commitment and an older contract in another currency."""
    if history == "empty":
        await db.organization()
        return
    acme = await special(db, "Asia/Kathmandu", "org_acme")
    await db.execute("UPDATE contracts SET credit_price = 50000, overage_price = 75001, currency = 'USD'")
    await db.use(acme, "api", "namespace", "tiny", "2026-11-22", 1)
    if history == "two currencies":
        await db.contract(
            acme,
            "old",
            "2025-01-01",
            "2025-07-01",
            credit_price=3,
            overage_price=5,
            currency="EUR",
            minimum_commitment=MICRO,
        )
        await db.period(acme, "old", "p", "2025-01-01", "2025-07-01", api=1, add_ons=[(2, True), (3, False)])
        await db.use(acme, "api", "namespace", "search", "2025-03-01", 40 * MICRO)
        await db.correct(acme, "api", "namespace", "search", "2025-03-01", -2 * MICRO)
        await db.use(acme, "api", "namespace", "search", "2025-08-31", 5)  # without a contract


@pytest.mark.parametrize("history", ["one currency", "two currencies", "empty"])
async def test_the_official_validator_finds_nothing_that_focus_refuses(
    api: Api, db: TableRows, tmp_path: Path, site_packages: Path, history: str
) -> None:
    await fill(db, history)
    file = tmp_path / "focus.csv"
    file.write_bytes((await api.ask("/api/v1/export/focus.csv?range=all")).content)
    report = await run(
        site_packages, "-m", "focus_validator.main", "--data-file", str(file), "--validate-version", "1.2.0.1", "--block-download",
        "--applicability-criteria", ",".join(CRITERIA),
    )  # fmt: skip
    checked = re.findall(r"(\w+-[ACD]-\d{3}-[A-Z]): (PASS|FAIL)\b(.*)", report)
    passed = {rule for rule, verdict, _ in checked if verdict == "PASS"}
    assert len(passed) > 200, report[-2000:]
    # Rules that only depend on other rules fail together with them.
    follows = re.compile("failed child rules|Upstream dependency failed")
    failed = {rule for rule, verdict, why in checked if verdict == "FAIL" and not follows.search(why)}
    assert failed == set(NOT_OURS_WITHOUT_LINES if history == "empty" else NOT_OURS), report[-4000:]


async def test_months_are_one_dataset_of_one_schema(
    api: Api, db: TableRows, tmp_path: Path, site_packages: Path
) -> None:
    acme = await special(db, "UTC", "org_acme")
    await db.execute("UPDATE contracts SET credit_price = 50000, overage_price = 1000000, currency = 'USD'")
    await db.use(acme, "agents", "tool", "t-org_acme", "2026-10-24", 40_000_000, agent="renamed", surface="web")
    lines = 0
    for month in ("2026-03", "2026-10", "2026-11"):
        answer = await api.ask(f"/api/v1/export/focus.csv?from={month}&to={month}")
        (tmp_path / f"{month}.csv").write_bytes(answer.content)
        lines += answer.content.count(b"\r\n") - 1
    files = sorted(map(str, tmp_path.glob("*.csv")))
    assert int(await run(site_packages, "-c", READ_MONTHS, str(tmp_path), *files)) == lines
