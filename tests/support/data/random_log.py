"""A random log of usage.events.v1: counted, rejected, copied, late and invalid records."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

from support.data.factories import FakeRecord, correction, records, rfc3339, usage, uuid7


def random_log(chance: random.Random) -> dict[int, list[FakeRecord]]:
    """Three partitions with copies, corrections of any event, invalid records, rated and late usage, received over six hours."""
    log: dict[int, list[FakeRecord]] = {0: [], 1: [], 2: []}
    sent: list[dict[str, Any]] = []
    for _ in range(400):
        roll = chance.random()
        organization_name = chance.choice(["org_a", "org_b"])
        if sent and roll < 0.15:
            item: dict[str, Any] | bytes = chance.choice(sent)
        elif sent and roll < 0.25:
            original = chance.choice(
                [at for at in sent if at["type"] == "flexcredits.usage.v1" and "credits" in at["data"]] or [usage()]
            )
            item = correction(original, chance.choice(["-0.5", "0.25", "-2"]))
        elif roll < 0.3:
            item = b"{"
        elif roll < 0.5:
            item = usage(
                feature_kind="model",
                feature="gpt",
                quantity=str(chance.randint(1, 9999)),
                unit="tokens",
                envelope={"subject": organization_name},
            )
        else:
            item = usage(
                credits=f"{chance.randint(1, 5)}.{chance.randint(0, 999999):06}",
                envelope={"subject": organization_name},
            )
        if isinstance(item, dict) and item not in sent:
            if len(sent) % 10 == 3:  # an id of long ago or by a wrong clock: the ledger has no partition for its day
                item["id"] = uuid7(datetime.now(UTC) + timedelta(days=-900 if len(sent) % 20 == 3 else 300))
            # Some of it late, and received over several hours.
            happened = datetime.now(UTC) - timedelta(
                hours=8, seconds=chance.choice([0, 10, 86_400 * 40]) * chance.random()
            )
            item["time"] = rfc3339(happened)
        if isinstance(item, dict):
            sent.append(item)
        partition = chance.randrange(3)
        [record] = records([item], first=len(log[partition]), partition=partition)
        record.timestamp -= chance.randrange(6 * 3_600_000)
        log[partition].append(record)
    return log
