"""The checker is worth something: an aggregator without one of its safeguards does not pass."""

import asyncio
import signal
from pathlib import Path

import pytest
from faulting import Fault, Stage, endure, lose_commits, open_stage
from mutants import COMMITTED_FIRST, Changes, make_mutant
from stack import Topics, throwaway_folder

pytestmark = [pytest.mark.slow, pytest.mark.faults, pytest.mark.timeout(300)]


async def nothing(_: Stage) -> None: ...


async def kill(stage: Stage) -> None:
    for _ in range(4):
        stage.aggregators[0].send(signal.SIGKILL)
        await asyncio.sleep(3)


async def endure_at_once(stage: Stage, fault: Fault) -> None:
    await endure(stage, fault)
    assert stage.logs == [] or fault is kill, "restarted"


MUTANTS: dict[str, tuple[Fault, Changes]] = {
    "the fence removed": (
        lose_commits,
        {"progress.py": [("    if all(positions[partition] <= first for partition, (first, _) in reading.spans.items()):\n", "    if True:\n")]},
    ),
    "the ledger off": (nothing, {"claims.py": [("    if len(inserted) < len(decisions):\n", "    if False:\n")]}),
    "the outbox removed": (
        nothing,
        {"sql/insert_totals.sql": [("INSERT INTO totals_outbox (organization_id) SELECT", "SELECT")]},
    ),
    "offsets committed before the transaction": (
        kill,
        COMMITTED_FIRST,
    ),
}  # fmt: skip


async def lose_mail(stage: Stage) -> None:
    await stage.mail_proxy.cut()
    await asyncio.sleep(8)
    await stage.mail_proxy.mend()


ALERTER_MUTANTS: dict[str, tuple[Fault, Changes]] = {
    "thresholds met too early": (
        nothing,
        {"thresholds.py": [("if used * 100 >= available * percent})", "if used * 105 >= available * percent})")]},
    ),
    "mails called sent when they are taken up": (
        lose_mail,
        {"sql/claim_emails.sql": [("SET attempts", "SET state = 'sent', settled_at = now(), attempts")]},
    ),
}


@pytest.mark.parametrize("mutant", MUTANTS)
async def test_an_aggregator_without_a_safeguard_is_caught(topics: Topics, tmp_path: Path, mutant: str) -> None:
    fault, changes = MUTANTS[mutant]
    make_mutant("aggregator", changes, tmp_path)
    with throwaway_folder() as folder:
        async with open_stage(topics, folder, {"PYTHONPATH": str(tmp_path)}) as stage:
            with pytest.raises(AssertionError, match=r"O\d+: |restarted"):
                await endure_at_once(stage, fault)


@pytest.mark.parametrize("mutant", ALERTER_MUTANTS)
async def test_an_alerter_without_a_safeguard_is_caught(topics: Topics, tmp_path: Path, mutant: str) -> None:
    fault, changes = ALERTER_MUTANTS[mutant]
    make_mutant("alerter", changes, tmp_path)
    with throwaway_folder() as folder:
        async with open_stage(topics, folder, {"PYTHONPATH": str(tmp_path)}, alerters=1) as stage:
            with pytest.raises(AssertionError, match=r"O[78]: "):
                await endure(stage, fault)
