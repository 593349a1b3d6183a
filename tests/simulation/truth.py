"""The model of aggregators: what the tables must hold after the part of the logs that is applied."""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from aggregator.domain.people.runs import RunSum
from flexcredits_schemas.identity import OTHER
from support.data.factories import FakeRecord
from support.services.aggregator import CATALOG, TOPIC

from simulation.kafka import is_marker
from simulation.postgres import Postgres

ZONES = {"org_a": "Asia/Kathmandu", "org_b": "UTC"}
"""A third organization, org_c, has usage but no catalog event."""
Log = Mapping[int, Sequence[FakeRecord]]
Key = tuple[str, str, str]


@dataclass
class Truth:
    """The expected result of a usage log and a catalog log."""

    credits: dict[Key, int] = field(default_factory=dict)
    """Micro-credits of all accepted usage, counted or held."""
    waiting: set[Key] = field(default_factory=set)
    events: dict[Key, dict[str, Any]] = field(default_factory=dict)
    copies: int = 0
    skipped: int = 0
    refused: set[tuple[int, int]] = field(default_factory=set)
    keys: dict[tuple[int, int], Key] = field(default_factory=dict)


def add_up(log: Log, catalog: Sequence[FakeRecord]) -> Truth:
    """The model. It knows no batches, no tables and no order between partitions."""
    truth, events = Truth(), Truth().events
    catalog_events = [json.loads(at.value or b"") for at in catalog if not is_marker(at)]
    known = {event["subject"] for event in catalog_events if event["type"] == "flexcredits.organization.v1"}
    is_rated = any(event["type"] == "flexcredits.rate.v1" for event in catalog_events)
    for record_ in (at for records in log.values() for at in records):
        place, value = (record_.partition, record_.offset), record_.value
        if is_marker(record_):
            truth.skipped += 1
            continue
        try:
            event = json.loads(value or b"")
            key = event["subject"], event["source"], event["id"]
            said = {"time": event["time"], **event["data"]}
            amount = said["credits"] if "credits" in said else Decimal(said["quantity"]) / 1000
        except (ValueError, KeyError):
            truth.refused.add(place)
            continue
        truth.keys[place] = key
        if events.setdefault(key, said) != said:
            truth.refused.add(place)
        elif key in truth.credits:
            truth.copies += 1
        else:
            truth.credits[key] = int(Decimal(amount) * 1_000_000)

    def waits(key: Key) -> bool:
        original = events[key].get("corrects")
        if key[0] not in known or ("quantity" in events[key] and not is_rated):
            return True
        return bool(original) and ((at := (key[0], original["source"], original["id"])) not in events or waits(at))

    truth.events, truth.waiting = events, {key for key in events if waits(key)}
    return truth


def compare(postgres: Postgres, usage: Log, catalog: Sequence[FakeRecord]) -> list[str]:
    progress = {at: row for (topic, at), row in postgres.table("progress").items() if topic == TOPIC}
    aside = {key[1:] for key in postgres.table("aside")}
    applied = {
        at: [record for record in records[: progress[at].next_offset] if (at, record.offset) not in aside]
        for at, records in usage.items()
        if at in progress
    }
    catalog_progress = postgres.table("progress").get((CATALOG, 0))
    truth = add_up(applied, catalog[: catalog_progress.next_offset if catalog_progress else 0])
    found = []
    ledger = {truth.keys.get((row.partition, row.offset)): row for row in postgres.table("ledger").values()}
    if ledger.keys() != truth.credits.keys():
        found.append(
            f"the ledger has {ledger.keys() ^ truth.credits.keys()} that are only in the ledger or only in the log"
        )
    counted = {key: row for key, row in ledger.items() if key is not None and not row.held}
    wrong = {key: row.credits for key, row in counted.items() if row.credits != truth.credits.get(key)}
    if wrong or truth.waiting & counted.keys():
        found.append(f"counted {wrong}, {truth.waiting & counted.keys()}")
    dispositions = Counter[str]()
    for row in progress.values():
        dispositions.update(row._replace(records_end=0)._asdict())
    held = len(postgres.table("held"))
    expected = {
        "counted": len(truth.credits) - held,
        "duplicate": truth.copies,
        "rejected": len(truth.refused),
        "held": held + len(aside),
    }
    if dispositions["skipped"] != truth.skipped:
        found.append(f"{dispositions['skipped']} offsets skipped, the log has {truth.skipped} without a record")
    if any(dispositions[name] != number for name, number in expected.items()):
        found.append(f"dispositions are {dict(dispositions)}, the log says {expected}")
    hours = Counter[str]()
    for row in postgres.table("hours").values():
        hours.update(dict(zip(expected, (row[0], row[1], row[2], row[3]), strict=True)))
    if +hours != +Counter(expected):
        found.append(f"hours say {dict(hours)}, the log {expected}")
    dead = {(at, offset) for topic, at, offset in postgres.table("dead_letters") if topic == TOPIC}
    if dead != truth.refused:
        found.append(f"dead letters {dead ^ truth.refused}")
    found += compare_series(postgres, counted, truth)
    return found + compare_rollups(postgres, counted, truth) + compare_people(postgres, counted, truth)


def compare_series(postgres: Postgres, counted: Mapping[Key, Any], truth: Truth) -> list[str]:
    """Each event must be recorded under its own series, or under one that stands for it; a correction under its original's."""
    series = {number: key for key, number in postgres.table("series").items()}
    found = []
    for key, row in counted.items():
        said, (_, *kept) = truth.events[key], series[row.series_id]
        agent_id, surface = said.get("agent", {}).get("id", ""), said.get("surface", "")
        own = [said["product"], said["feature_kind"], said["feature"], agent_id, surface]
        if any(part not in (name, OTHER if name else name) for part, name in zip(kept, own, strict=True)):
            found.append(f"{key} has the dimensions {own}, and is recorded as {kept}")
        corrects = said.get("corrects")
        if corrects and counted[key[0], corrects["source"], corrects["id"]].series_id != row.series_id:
            found.append(f"{key} is not in the series of its original")
    return found


def compare_rollups(postgres: Postgres, counted: Mapping[Key, Any], truth: Truth) -> list[str]:
    """Each rollup must equal the sum of the counted ledger rows, by the event's own fields."""
    sums: dict[str, dict[Any, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))
    for key, row in counted.items():
        said, zone = truth.events[key], ZoneInfo(ZONES[key[0]])
        moment, received = datetime.fromisoformat(said["time"]), datetime.fromtimestamp(row.received, UTC)
        local, arrived = moment.astimezone(zone).date(), received.astimezone(zone).date()
        is_correction, organization_id = "corrects" in said, row.organization_id
        day, month = (local - date(1970, 1, 1)).days, local.replace(day=1)
        by_product = said["product"], row.partition
        cells = {
            "quarters": (organization_id, int(moment.timestamp() // 900), row.series_id),
            "days": (organization_id, day, row.series_id),
            "months": (organization_id, month, row.series_id),
            "organization_days": (organization_id, day, *by_product),
            "organization_months": (organization_id, month, *by_product),
        }
        if is_correction:
            cells["corrections"] = (organization_id, day, row.series_id)
        if arrived > local:
            cells["late"] = (organization_id, day, (arrived - date(1970, 1, 1)).days, said["product"])
        for table, cell in cells.items():
            sums[table][cell][0] += row.credits
            sums[table][cell][1] += table == "corrections" or not is_correction
    tables = ("quarters", "days", "months", "organization_days", "organization_months", "corrections", "late")
    return [
        f"{table} is {stored}, the ledger says {expected}"
        for table in tables
        if (stored := {key: [*row] for key, row in postgres.table(table).items()}) != (expected := dict(sums[table]))
    ]


def compare_people(postgres: Postgres, counted: Mapping[Key, Any], truth: Truth) -> list[str]:
    """Attributed days, months and runs must equal the sum of the counted events, by what the events or their originals say."""
    people = {number: parts for number, *parts in postgres.table("attributions").values()}
    agents = {number: key[4] for key, number in postgres.table("series").items()}
    sums: dict[str, Counter[Any]] = {"attributed_days": Counter(), "attributed_months": Counter()}
    runs: dict[Any, list[RunSum]] = defaultdict(list)
    for key, row in counted.items():
        said, zone = truth.events[key], ZoneInfo(ZONES[key[0]])
        moment, corrects = datetime.fromisoformat(said["time"]), said.get("corrects")
        who = truth.events[key[0], corrects["source"], corrects["id"]] if corrects else said
        local = moment.astimezone(zone).date()
        days = (local - date(1970, 1, 1)).days, local.replace(day=1)
        actor, labels = who.get("actor", {}), who.get("labels", {})
        kind = actor.get("kind", "user") if actor else ""
        parts = kind, actor.get("id", ""), who.get("group", ""), tuple(sorted(labels.items()))
        if any(parts):
            for part, number in (("credits", row.credits), ("events", not corrects)):
                sums["attributed_days"][row.organization_id, days[0], parts, row.series_id, part] += number
                sums["attributed_months"][row.organization_id, days[1], parts, part] += number
        if run := who.get("run"):
            at = round(moment.timestamp() * 1e6)
            first = at, agents[row.series_id], row.attribution_id or 0
            use = RunSum(row.credits, 1, first, at, run["id"], run.get("parent_id", ""))
            runs[row.organization_id, run["id"]].append(use._replace(events=0) if corrects else use)
    stored: dict[str, Counter[Any]] = {"attributed_days": Counter(), "attributed_months": Counter()}
    for table, cells in stored.items():
        for (organization_id, day, number, *series), (credits, events) in postgres.table(table).items():
            *words, text = people[number]
            parts = *words, tuple(sorted(json.loads(text).items()))
            cells[organization_id, day, parts, *series, "credits"] += credits
            cells[organization_id, day, parts, *series, "events"] += events
    found = [
        f"{table} is {stored[table]}, the ledger says {sums[table]}" for table in sums if +stored[table] != +sums[table]
    ]
    kept = {(organization_id, row.run_id): row for (organization_id, _), row in postgres.table("runs").items()}
    expected = {key: total_of(parts) for key, parts in runs.items()}
    return found + [f"runs are {kept}, the ledger says {expected}"] * (kept != expected)


def total_of(parts: Sequence[RunSum]) -> RunSum:
    """The sum of a run. Its times and names are those of uses, not of corrections."""
    uses = [part for part in parts if part.events]
    return RunSum(
        sum(part.credits for part in parts),
        len(uses),
        min(use.first for use in uses),
        max(use.last_us for use in uses),
        uses[0].run_id,
        max(use.parent_id for use in uses),
    )
