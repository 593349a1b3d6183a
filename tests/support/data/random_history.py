"""A random company over ten weeks: late, copied, conflicting, corrected and held usage; agents, categories and people that
change."""

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from support.data.factories import FakeRecord, correction, event, rate, records, rfc3339, usage, uuid7
from support.data.people import LABEL_KEYS, directory_events, random_directory, random_who, who_of, with_another_actor
from support.invariants.directory import Directory
from support.invariants.reference_model import Counted, Model

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
FIRST = date(2026, 9, 13)
PERIODS = [("p1", "2026-08-15", "2026-11-01"), ("p2", "2026-11-01", "2027-02-01")]
SURFACES = ("web", "slack", "")
FEATURES = {
    ("assistant", "model"): ("opus", "haiku"), ("assistant", "tool"): ("jira", "drive"), ("assistant", "feature"): ("code", "image"),
    ("agents", "model"): ("opus",), ("agents", "tool"): ("jira", "drive"), ("agents", "feature"): ("code",),
    ("api", "namespace"): ("Search", "Chat"),
}  # fmt: skip
AGENTS = {
    "agt_saved": ("agent", "Report 2"), "agt_gone": ("deleted", "Old helper"), "agt_back": ("agent", "Comeback"),
    "wf_draft": ("unsaved", "Unsaved workflows"), "wf_kept": ("agent", "Kept after all"), "sys_chat": ("system", "Chat"),
}  # fmt: skip
KINDS = {"wf_draft": "unsaved", "wf_kept": "unsaved", "sys_chat": "system"}
RATE_MICRO_PER_TOKEN = 1000


def catalog_events(zone: str) -> list[dict[str, Any]]:
    """Catalog events in random order: their times decide, not their positions."""
    periods = [{"id": name, "from": begins, "to": ends, "total": "100000"} for name, begins, ends in PERIODS]
    contract = {"contract_id": "c1", "from": PERIODS[0][1], "to": PERIODS[-1][2], "credit_periods": periods}
    agents = [
        ("agt_saved", "saved", "Report 2", 40), ("agt_saved", "saved", "Report", 10), ("agt_gone", "deleted", "Old helper", 50),
        ("agt_gone", "saved", "Old helper", 5), ("agt_back", "saved", "Comeback", 60), ("agt_back", "deleted", "Comeback", 30),
        ("wf_kept", "saved", "Kept after all", 45), ("sys_chat", "system", "Chat", 1),
    ]  # fmt: skip
    settings = {"name": "Acme", "time_zone": zone, "label_keys": LABEL_KEYS}
    made = [
        event("flexcredits.organization.v1", settings, subject="org_acme"),
        event("flexcredits.contract.v1", contract, subject="org_acme"),
    ]
    for agent, state, name, day in agents:
        at = rfc3339(datetime.combine(FIRST + timedelta(days=day), time(), UTC))
        made.append(
            event("flexcredits.agent.v1", {"id": agent, "state": state, "name": name}, subject="org_acme", time=at)
        )
    for (kind, feature), timeline in CATEGORIES.items():
        for product in ("assistant", "agents"):
            for own, since, category in timeline:
                data = {"product": product, "feature_kind": kind, "feature": feature, "effective_from": f"{since}"}
                data |= {} if category is None else {"category": category}
                data |= {"display_name": NAMES[kind, feature]} if (kind, feature) in NAMES else {}
                made.append(event("flexcredits.feature.v1", data, subject="org_acme" if own else None))
    people = directory_events(directory_of(zone))
    random.Random(zone).shuffle(people)
    return [*made, *people]


def directory_of(zone: str) -> Directory:
    """The people of the company, which are others for each zone."""
    return random_directory(random.Random(zone), FIRST, 70)


CATEGORIES: dict[tuple[str, str], list[tuple[bool, date, str | None]]] = {
    ("tool", "jira"): [(False, FIRST, "Ticketing"), (True, date(2026, 10, 7), "Work"), (False, date(2026, 11, 3), "Elsewhere")],
    ("tool", "drive"): [(False, FIRST, "Files"), (False, date(2026, 10, 25), "Documents")],
    ("feature", "code"): [(True, date(2026, 11, 1), "Coding"), (True, date(2026, 11, 15), None)],
}  # fmt: skip
NAMES = {("tool", "drive"): "Google Drive"}


def moments(chance: random.Random, zone: ZoneInfo) -> Iterator[datetime]:
    """Instants near the ends of days and months, on days on which clocks change, and at random times between."""
    edges = [
        date(2026, 10, 1),
        date(2026, 10, 4),
        date(2026, 10, 25),
        date(2026, 11, 1),
        date(2026, 11, 2),
        date(2026, 11, 15),
    ]
    while True:
        if chance.random() < 0.3:
            at = datetime.combine(chance.choice(edges), time(), zone).astimezone(UTC)
            at += timedelta(microseconds=chance.choice([-1, 0, 1])) + timedelta(hours=chance.choice([0, 0, 1, 2, 3]))
        else:
            at = datetime.combine(FIRST, time(2), UTC) + timedelta(seconds=chance.randrange(69 * 86_400))
        yield at.replace(microsecond=at.microsecond // 1000 * 1000)


def use_at(chance: random.Random, at: datetime) -> tuple[dict[str, Any], Counted]:
    product, kind = chance.choice(list(FEATURES))
    feature, surface = chance.choice(FEATURES[product, kind]), chance.choice(SURFACES)
    agent = chance.choice(list(AGENTS)) if product == "agents" or (kind == "feature" and chance.random() < 0.5) else ""
    data: dict[str, Any] = {"product": product, "feature_kind": kind, "feature": feature, "surface": surface or None}
    data["agent"] = {"id": agent, "name": AGENTS[agent][1], "kind": KINDS.get(agent, "saved")} if agent else None
    if kind == "model":
        quantity = chance.randrange(1, 5000)
        data |= {"quantity": f"{quantity}", "unit": "tokens"}
        micro = quantity * RATE_MICRO_PER_TOKEN
    else:
        micro = chance.randrange(1, 9_000_000)
        data["credits"] = f"{micro // 10**6}.{micro % 10**6:06}"
    data |= random_who(chance)
    made = usage(envelope={"id": uuid7(at), "time": rfc3339(at)}, **data)
    return made, Counted(at, product, kind, feature, agent, surface, micro, True, who_of(data))


def random_history(chance: random.Random, zone: str, number: int) -> tuple[Model, dict[int, list[FakeRecord]]]:
    """The usage that must be counted, and a log of four partitions that contains it with copies, conflicts and invalid records."""
    counted: list[Counted] = []
    log: dict[int, list[FakeRecord]] = {partition: [] for partition in range(4)}

    def append(item: dict[str, Any] | bytes, happened: datetime, partition: int) -> None:
        [record] = records([item], first=len(log[partition]), partition=partition)
        received = max(happened, NOW - timedelta(days=chance.choice([0, 1, 20, 69]) * chance.random()))
        record.timestamp = int(received.timestamp() * 1000)
        log[partition].append(record)

    instants = moments(chance, ZoneInfo(zone))
    for _ in range(number):
        made, use = use_at(chance, next(instants))
        partition = chance.randrange(4)
        append(made, use.at, partition)
        counted.append(use)
        roll = chance.random()
        if roll < 0.1:
            append(made, use.at, chance.randrange(4))
        elif roll < 0.2:
            at = min(NOW, use.at + timedelta(seconds=chance.randrange(20 * 86_400)))
            micro = -chance.randrange(1, use.micro + 1)
            amount = f"-{-micro // 10**6}.{-micro % 10**6:06}"
            append(correction(made, amount, time=rfc3339(at), id=uuid7(at)), at, chance.randrange(4))
            counted.append(use._replace(at=at, micro=micro, is_use=False))
        elif roll < 0.25:
            append(b'{"specversion": "1.0"', use.at, chance.randrange(4))
        elif roll < 0.28:
            append(with_another_actor(made), use.at, partition)
    today = NOW.astimezone(ZoneInfo(zone)).date()
    model = Model(ZoneInfo(zone), today, counted, AGENTS, CATEGORIES, NAMES, directory_of(zone))
    return model, log


def the_rate() -> list[dict[str, Any]]:
    """Is sent late: usage that needs it is held until then."""
    return [
        rate(product=product, effective_from=rfc3339(datetime(2026, 1, 1, tzinfo=UTC)))
        for product in ("assistant", "agents")
    ]
