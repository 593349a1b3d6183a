"""F13: the clocks of servers jump by days under usage. Kafka's clock, which stamps records, stays right."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest
from support.faults.fault_stage import Stage, endure, open_stage
from support.infra.stack import Topics, throwaway_folder

pytestmark = [pytest.mark.slow, pytest.mark.faults, pytest.mark.timeout(300)]
LIBRARY = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)


def false_clock(file: Path) -> dict[str, str]:
    """Environment of a process that gets its time from the file. Its monotonic clock is right."""
    file.write_text("+0")
    file.chmod(0o644)
    return {
        "LD_PRELOAD": str(LIBRARY), "FAKETIME_TIMESTAMP_FILE": str(file), "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1",
    }  # fmt: skip


@pytest.mark.skipif(LIBRARY is None, reason="libfaketime is not installed")
async def test_f13_clocks_of_services_and_postgres_jump(topics: Topics) -> None:
    with throwaway_folder() as folder:
        services, postgres = folder / "services.clock", folder / "postgres.clock"
        async with open_stage(
            topics, folder / "postgres", false_clock(services), alerters=1,
            before=["/usr/bin/env", *(f"{name}={value}" for name, value in false_clock(postgres).items())],
        ) as stage:  # fmt: skip

            async def jump(stage: Stage) -> None:
                # Postgres' clock does not go back: mails that are due in the future would wait until then.
                for clock, to in ((services, "+3d"), (postgres, "+3d"), (services, "-3d"), (services, "+0")):
                    clock.write_text(to)
                    await asyncio.sleep(2.5)

            await endure(stage, jump)
            assert stage.mailbox.got, "no threshold was crossed"
            assert stage.logs == []
            connection = await asyncpg.connect(stage.database.dsn)
            [off] = await connection.fetch(
                "SELECT extract(epoch FROM now() - $1) AS postgres, max(abs(extract(epoch FROM fired_at - $1))) AS alerter"
                " FROM alert_firings", datetime.now(UTC),
            )  # fmt: skip
            await connection.close()
    assert min(off) > 2 * 86400, "no service used the wrong clocks"
