"""F25: aggregators are killed and restarted for eight minutes under copies and invalid records. Memory must not grow, and no other process may end."""

import asyncio
import random
import signal
import statistics

import pytest
from support.faults.fault_stage import open_stage
from support.infra.service_process import ServiceProcess, eventually
from support.infra.stack import Topics, throwaway_folder

pytestmark = [pytest.mark.slow, pytest.mark.faults, pytest.mark.timeout(900)]
MINUTES, EVENTS_PER_S = 8, 100
GROWTH_MB_MAX = 15
"""From the third minute to the last; caches fill in the first two."""


def growth_mb(samples: list[float]) -> float:
    """Ratio of the last minute to the third."""
    a_minute = len(samples) // MINUTES
    return statistics.median(samples[-a_minute:]) - statistics.median(samples[2 * a_minute : 3 * a_minute])


async def test_f25_eight_minutes_of_kills_and_copies(topics: Topics) -> None:
    chance, killed = random.Random(25), list[ServiceProcess]()
    with throwaway_folder() as folder:
        async with open_stage(topics, folder, alerters=1) as stage:
            steady = {"aggregator": stage.aggregators[0], "alerter": stage.alerters[0]}
            memory: dict[str, list[float]] = {name: [] for name in steady}
            for _ in range(2):
                stage.start()
            pouring = asyncio.create_task(stage.source.pour(EVENTS_PER_S * 60 * MINUTES, 60.0 * MINUTES))
            while not pouring.done():
                await asyncio.sleep(5)
                for name, process in steady.items():
                    memory[name].append(process.memory_mb())
                # On a busy machine a process needs more than 5 s to end after SIGTERM; it is killed once.
                candidates = [each for each in stage.aggregators if each not in (steady["aggregator"], *killed)]
                if not candidates:
                    continue
                victim = chance.choice(candidates)
                what = chance.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP])
                victim.send(what)
                if what == signal.SIGSTOP:
                    await asyncio.sleep(4)
                    victim.send(signal.SIGCONT)
                else:
                    killed.append(victim)
            await pouring
            await stage.quiesce()
            violations = await stage.find_violations(copies_max=0)
            growth = {name: growth_mb(samples) for name, samples in memory.items()}
            figures = f"{len(killed)} kills and {len(stage.logs)} restarts; memory grew by {growth} MB"
            print(figures)  # noqa: T201 - for docs/reliability.md
            assert not violations, "\n".join(violations)
            await eventually(lambda: len(stage.logs) >= len(killed), what="a restart for each kill")
            alone = [log[-5000:] for process, log in zip(stage.ended, stage.logs, strict=True) if process not in killed]
            assert not alone, "\n\n".join(alone)
            assert max(growth.values()) < GROWTH_MB_MAX, memory
