"""Hundreds of histories of alerters, each from one seed: crashes, two at once, errors, commits and mails in doubt."""

import os
from pathlib import Path

import pytest
from mutants import Changes, make_mutant
from simulations import begin, result

HISTORIES = int(os.environ.get("SIMULATED_HISTORIES", "3000")) // 5  # one takes as long as four of an aggregator
SEED = int(os.environ.get("SIMULATED_SEED", "0"))


@pytest.mark.timeout(60 + HISTORIES // 2)
def test_whatever_happens_each_threshold_fires_once_and_everybody_is_told() -> None:
    half = HISTORIES // 2
    runs = [begin("alerter", SEED, half), begin("alerter", SEED + half, HISTORIES - half)]
    said = [result(run) for run in runs]
    assert [code for code, _ in said] == [0, 0], "\n".join(text for _, text in said)


MUTANTS: dict[str, Changes] = {
    "the account's lock removed": {
        "store.py": [('    if not await connection.fetchval(SQL["lock_state"], organization_id):\n', "    if False:\n")]
    },
    "levels read before the lock": {
        "evaluation.py": [
            ("                await lock_account(connection, organization_id, now)\n", "                accounts = await read_accounts(connection, [organization_id], *horizon(now, history))\n                await lock_account(connection, organization_id, now)\n"),
            ("                for account in await read_accounts(connection, [organization_id], *horizon(now, history)):\n", "                for account in accounts:\n"),
        ]
    },
    "the outbox removed": {
        "evaluation.py": [("            await insert_emails(connection, level.organization_id, firing_id, letters, now)\n", "            letters.clear()\n")]
    },
    "mails marked before they are sent": {
        "outbox.py": [("                attempt = await self.send(item)\n", '                await self.settle(item, Attempt("sent", ""))\n                attempt = await self.send(item)\n')]
    },
    "mails not claimed for long enough": {"outbox.py": [("LEASE_S = 60.0\n", "LEASE_S = 0.0\n")]},
    "notices marked before they are published": {
        "publish.py": [("            return None\n        await mark", "            pass\n        await mark")]
    },
}  # fmt: skip


@pytest.mark.parametrize("mutant", MUTANTS)
def test_an_alerter_without_a_safeguard_is_caught(tmp_path: Path, mutant: str) -> None:
    code, said = result(begin("alerter", 0, 100, mutant=make_mutant("alerter", MUTANTS[mutant], tmp_path)))
    assert code == 1, said
    assert "seed " in said, said
