"""Tests the checker: it must find violations of services without one of their safeguards."""

import asyncio
import signal
from pathlib import Path

import pytest
from support.faults.fault_stage import Fault, Stage, endure, lose_commits, open_stage
from support.faults.mutants import AGGREGATOR, ALERTER, make_mutant
from support.infra.stack import Topics, throwaway_folder

pytestmark = [pytest.mark.slow, pytest.mark.faults, pytest.mark.timeout(300)]


async def nothing(_: Stage) -> None: ...


async def kill(stage: Stage) -> None:
    for _ in range(4):
        stage.aggregators[0].send(signal.SIGKILL)
        await asyncio.sleep(3)


async def endure_at_once(stage: Stage, fault: Fault) -> None:
    await endure(stage, fault)
    assert stage.logs == [] or fault is kill, "restarted"


FAULTS: dict[str, Fault] = {
    "the fence removed": lose_commits,
    "the ledger off": nothing,
    "the outbox's statement removed": nothing,
    "offsets committed before the transaction": kill,
}


async def lose_mail(stage: Stage) -> None:
    await stage.mail_proxy.cut()
    await asyncio.sleep(8)
    await stage.mail_proxy.restore()


ALERTER_FAULTS: dict[str, Fault] = {
    "thresholds met too early": nothing,
    "mails called sent when they are taken up": lose_mail,
}


@pytest.mark.parametrize("mutant", FAULTS)
async def test_an_aggregator_without_a_safeguard_is_caught(topics: Topics, tmp_path: Path, mutant: str) -> None:
    make_mutant("aggregator", AGGREGATOR[mutant], tmp_path)
    with throwaway_folder() as folder:
        async with open_stage(topics, folder, {"PYTHONPATH": str(tmp_path)}) as stage:
            with pytest.raises(AssertionError, match=r"O\d+: |restarted"):
                await endure_at_once(stage, FAULTS[mutant])


@pytest.mark.parametrize("mutant", ALERTER_FAULTS)
async def test_an_alerter_without_a_safeguard_is_caught(topics: Topics, tmp_path: Path, mutant: str) -> None:
    make_mutant("alerter", ALERTER[mutant], tmp_path)
    with throwaway_folder() as folder:
        async with open_stage(topics, folder, {"PYTHONPATH": str(tmp_path)}, alerters=1) as stage:
            with pytest.raises(AssertionError, match=r"O[78]: "):
                await endure(stage, ALERTER_FAULTS[mutant])
