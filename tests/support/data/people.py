"""Who used what, for generated usage: a few people use most of it; some usage names only a group, or neither."""

import random
from typing import Any

PEOPLE = [f"usr_{number:02}" for number in range(12)]
SERVICE_ACCOUNTS = ["svc_nightly", "svc_etl"]
GROUPS = ["g_eng", "g_eng_web", "g_sales", "g_ops"]
LABELS = {"project": ["atlas", "borealis", "Größe"], "cost_center": ["CC-1", "CC-2"], "undeclared": ["x"]}
RUNS = 25
NAMES = ("actor", "group", "labels", "run")
"""The fields of usage data that say who. A correction has none of them: it follows its original."""


def random_actor(chance: random.Random) -> dict[str, str]:
    """Skewed: the first tenth of the people has half of the usage. The kind is the same for each use of an id."""
    if chance.random() < 0.15:
        return {"id": chance.choice(SERVICE_ACCOUNTS), "kind": "service_account"}
    return {"id": PEOPLE[int(len(PEOPLE) * chance.random() ** 3)]}


def random_who(chance: random.Random) -> dict[str, Any]:
    """Fields of usage data. Each is there or not, independently of the others; the first runs have most of the usage."""
    who: dict[str, Any] = {}
    if chance.random() < 0.5:
        who["actor"] = random_actor(chance)
    if chance.random() < 0.2:
        who["group"] = chance.choice([*GROUPS, "g_unknown"])
    if chance.random() < 0.3:
        keys = chance.sample(sorted(LABELS), chance.randint(1, len(LABELS)))
        who["labels"] = {key: chance.choice(LABELS[key]) for key in keys}
    if chance.random() < 0.4:
        run = int(RUNS * chance.random() ** 2)
        who["run"] = {"id": f"run-{run}"} | ({"parent_id": f"run-{run // 5}"} if run % 3 else {})
    return who


def with_another_actor(event: dict[str, Any]) -> dict[str, Any]:
    """The event as another person's: a conflict under the same identity."""
    return {**event, "data": {**event["data"], "actor": {"id": "usr_other"}}}
