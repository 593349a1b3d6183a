"""A random log of usage.events.v1: counted, rejected, copied, late and invalid records; some usage says who used what."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

from support.data.factories import FakeRecord, correction, records, rfc3339, usage, uuid7
from support.data.people import random_who, with_another_actor


def random_log(chance: random.Random) -> dict[int, list[FakeRecord]]:
    """Three partitions with copies, conflicts in nothing but the actor, corrections of any event, invalid records, rated
    and late usage, received over six hours."""
    log: dict[int, list[FakeRecord]] = {0: [], 1: [], 2: []}
    sent: list[dict[str, Any]] = []
    for _ in range(400):
        item = _next_item(chance, sent)
        if item is not None:
            sent.append(item)
        partition = chance.randrange(3)
        [record] = records([b"{" if item is None else item], first=len(log[partition]), partition=partition)
        record.timestamp -= chance.randrange(6 * 3_600_000)
        log[partition].append(record)
    return log


def _next_item(chance: random.Random, sent: list[dict[str, Any]]) -> dict[str, Any] | None:
    """A copy, conflict or correction of an event that was sent, or a new one. None: an invalid record."""
    roll = chance.random()
    uses = [at for at in sent if at["type"] == "flexcredits.usage.v1"]
    if sent and roll < 0.15:
        return chance.choice(sent)
    if uses and roll < 0.18:
        return with_another_actor(chance.choice(uses))
    correctable = [at for at in uses if "credits" in at["data"]]
    if correctable and roll < 0.27:
        item = correction(chance.choice(correctable), chance.choice(["-0.5", "0.25", "-2"]))
    elif roll < 0.3:
        return None
    else:
        item = _random_usage(chance)
    if len(sent) % 10 == 3:  # an id of long ago or by a wrong clock: the ledger has no partition for its day
        item["id"] = uuid7(datetime.now(UTC) + timedelta(days=-900 if len(sent) % 20 == 3 else 300))
    # Some of it late, and received over several hours.
    late_s = chance.choice([0, 10, 86_400 * 40]) * chance.random()
    item["time"] = rfc3339(datetime.now(UTC) - timedelta(hours=8, seconds=late_s))
    return item


def _random_usage(chance: random.Random) -> dict[str, Any]:
    envelope = {"subject": chance.choice(["org_a", "org_b"])}
    who = random_who(chance) if chance.random() < 0.7 else {}
    if chance.random() < 0.3:
        amount = str(chance.randint(1, 9999))
        quantity: dict[str, Any] = {"quantity": amount, "unit": "tokens"}
        if chance.random() < 0.4:
            quantity = {"credits": None, "quantities": {"tokens": amount}}
        return usage(feature_kind="model", feature="gpt", envelope=envelope, **quantity, **who)
    return usage(credits=f"{chance.randint(1, 5)}.{chance.randint(0, 999999):06}", envelope=envelope, **who)
