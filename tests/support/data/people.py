"""Who used what, for generated usage: a few people use most of it; some usage names only a group, or neither."""

import random
from datetime import UTC, date, datetime, timedelta
from typing import Any

from support.data.factories import event, rfc3339
from support.invariants.directory import ActorEvent, Directory, Who

PEOPLE = [f"usr_{number:02}" for number in range(12)]
SERVICE_ACCOUNTS = ["svc_nightly", "svc_etl"]
PARENTS = {
    "g_eng": "",
    "g_eng_web": "g_eng",
    "g_sales": "g_of_no_event",
    "g_ops": "g_loop",
    "g_loop": "g_ops",
    "g_night": "g_ops",
}
"""Of each group. Some parents are unknown, or form a cycle."""
GROUPS = sorted(PARENTS)
LABEL_KEYS = ["cost_center", "project"]
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


def who_of(data: dict[str, Any]) -> Who:
    """What the model knows of usage data."""
    actor, run = data.get("actor", {}), data.get("run", {})
    kind = actor.get("kind", "user") if actor else ""
    labels = tuple(sorted(data.get("labels", {}).items()))
    return Who(actor.get("id", ""), kind, data.get("group", ""), labels, run.get("id", ""), run.get("parent_id", ""))


def random_directory(chance: random.Random, first: date, days: int) -> Directory:
    """People who join, move once or more, leave, return and are erased, and some without an event, from `first` on."""
    events: list[ActorEvent] = []
    for actor in [*PEOPLE, *SERVICE_ACCOUNTS]:
        leaves = 0.3 if actor != SERVICE_ACCOUNTS[0] else 0  # so that every history has a service account
        at = datetime.combine(first, datetime.min.time(), UTC) + timedelta(seconds=chance.randrange(86_400))
        for _ in range(chance.choice([0, 1, 1, 2, 3])):
            groups = tuple(chance.sample(GROUPS, chance.choice([0, 1, 1, 2])))
            since = chance.choice([None, (at + timedelta(days=chance.randrange(-9, 20))).date()])
            events.append(ActorEvent(at, actor, groups, since, removed=chance.random() < leaves / 3))
            at += timedelta(days=chance.randrange(1, days // 3), seconds=1)
        if events and events[-1].actor == actor and chance.random() < leaves:
            events.append(ActorEvent(at, actor, removed=True, erased=chance.random() < 0.5))
    return Directory(events, PARENTS)


def directory_events(directory: Directory) -> list[dict[str, Any]]:
    made = []
    for group, parent in directory.parents.items():
        data = {"id": group, "name": f"Group {group}"} | ({"parent": parent} if parent else {})
        made.append(event("flexcredits.group.v1", data, subject="org_acme"))
    for its in directory.events:
        data = {"id": its.actor}
        data |= {} if its.erased else {"display_name": f"Name of {its.actor}", "email": f"{its.actor}@acme.example"}
        data |= {} if its.groups is None else {"groups": list(its.groups)}
        data |= {} if its.effective_from is None else {"effective_from": f"{its.effective_from}"}
        data |= {name: True for name in ("removed", "erased") if getattr(its, name)}
        made.append(event("flexcredits.actor.v1", data, subject="org_acme", time=rfc3339(its.at)))
    return made
