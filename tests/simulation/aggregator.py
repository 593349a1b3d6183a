"""Histories of aggregators: the production loop on a simulated log and database, and a model that says what must come out."""

import json
import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from aggregator.catalog.reader import CatalogReader
from aggregator.consumer.consumer import UsageStream
from aggregator.db.catalog_cache import Catalog
from aggregator.db.progress import OffsetGap
from aggregator.db.statements import SQL
from aggregator.outbox_relay import Topics, relay
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from runtime.kafka import is_transient
from runtime.periodic import every
from runtime.postgres import passing_failure
from runtime.tracing import PassOn
from support.data.factories import FakeRecord, correction, organization, rate, rfc3339, usage
from support.services.aggregator import CATALOG, TOPIC

from simulation import aggregator_sql
from simulation.kafka import MARKER, Consumer, Kafka, Producer, is_marker
from simulation.postgres import Luck, Pool, Postgres
from simulation.world import Process, World

PARTITIONS = 2
BEGAN = datetime(2026, 11, 20, 12, tzinfo=UTC)
FAULTY_STEPS = 220
HEALED_WITHIN = 3_000
"""Steps. A calm history takes some 300."""
ZONES = {"org_a": "Asia/Kathmandu", "org_b": "UTC"}
"""The fact of a third one never comes."""
AWAY_DAYS = {2: 30, 5: -800}
"""Of some events, how far the day inside the id is from today: the ledger has no partition of it, or not yet."""
TOTALS, DEAD_LETTERS = TopicPartition("totals", 0), TopicPartition("dead", 0)
POISON = (b"{", None, b"\xff", b'{"type":"flexcredits.usage.v1"}', b'{"type":"flexcredits.agent.v1"}')
Log = Mapping[int, Sequence[FakeRecord]]
Key = tuple[str, str, str]


def write_log(chance: random.Random, began: datetime) -> tuple[dict[int, list[FakeRecord]], list[FakeRecord]]:
    """Usage, copies in any partition, contradictions behind their first, corrections, poison; and facts."""
    log: dict[int, list[FakeRecord]] = {at: [] for at in range(PARTITIONS)}
    sent: list[tuple[int, dict[str, Any]]] = []
    for number in range(chance.randint(6, 24)):
        roll, partition = chance.random(), chance.randrange(PARTITIONS)
        happened = began - timedelta(seconds=chance.choice([1, 9_000, 86_400 * 3]) * chance.random())
        made_at = began + timedelta(AWAY_DAYS.get(number % 6, 0))
        name = f"e{number}" if roll < 0.5 and number % 6 not in AWAY_DAYS else str(UUID(int=(int(made_at.timestamp() * 1000) << 80) | (0x7 << 76) | (0b10 << 62) | number))  # fmt: skip
        envelope = {
            "id": name,
            "time": rfc3339(happened),
            "subject": chance.choice(["org_a", "org_a", "org_b", "org_c"]),
        }
        item: Any
        if sent and roll < 0.25:
            _, item = chance.choice(sent)
        elif sent and roll < 0.32:
            partition, first = chance.choice(sent)
            item = {**first, "data": {**first["data"], "feature": "another"}}
        elif sent and roll < 0.47:
            _, first = chance.choice(sent)
            if "credits" not in first["data"] or "corrects" in first["data"]:
                continue
            item = correction(first, chance.choice(["-0.01", "0.25"]), id=name, time=envelope["time"])
        elif roll < 0.53:
            item = chance.choice((*POISON, MARKER))
        elif roll < 0.68:
            item = usage(feature_kind="model", feature="gpt", quantity=f"{chance.randint(1, 99)}", unit="tokens", envelope=envelope)  # fmt: skip
        else:
            product = chance.choice(["assistant", "agents"])
            item = usage(product=product, credits=f"{chance.randint(1, 5)}.{chance.randint(0, 999999):06}", envelope=envelope)  # fmt: skip
        if isinstance(item, dict) and roll >= 0.32:
            sent.append((partition, item))
        log[partition].append(record(item, len(log[partition]), partition, TOPIC, began))
    at = rfc3339(began)
    facts = [organization(name, zone, id=name, time=at) for name, zone in ZONES.items()]
    tokens = {**rate(effective_from=rfc3339(began - timedelta(9))), "id": "tokens", "time": at}
    out_of_place = usage(envelope={"id": "here", "time": at})
    stated: list[Any] = [
        *facts,
        *chance.choices(facts, k=1),
        tokens,
        out_of_place,
        *chance.choices((MARKER,), k=chance.randint(0, 2)),
    ]
    chance.shuffle(stated)
    return log, [record(item, at, 0, CATALOG, began) for at, item in enumerate(stated)]


def record(item: Any, offset: int, partition: int, topic: str, began: datetime) -> FakeRecord:
    if item is MARKER:
        return FakeRecord(None, offset, partition, topic, int(began.timestamp() * 1000) + offset * 60_000, key=MARKER)
    value = json.dumps(item).encode() if isinstance(item, dict) else item
    return FakeRecord(value, offset, partition, topic, int(began.timestamp() * 1000) + offset * 60_000)


@dataclass
class Truth:
    """What a log and its facts come to."""

    credits: dict[Key, int] = field(default_factory=dict)
    """Micro-credits of everything that counts now or once it may."""
    waiting: set[Key] = field(default_factory=set)
    events: dict[Key, dict[str, Any]] = field(default_factory=dict)
    copies: int = 0
    skipped: int = 0
    refused: set[tuple[int, int]] = field(default_factory=set)
    keys: dict[tuple[int, int], Key] = field(default_factory=dict)


def add_up(log: Log, facts: Sequence[FakeRecord]) -> Truth:
    """The model: no batches, no tables, no order between partitions."""
    truth, events = Truth(), Truth().events
    stated = [json.loads(fact.value or b"") for fact in facts if not is_marker(fact)]
    known = {fact["subject"] for fact in stated if fact["type"] == "flexcredits.organization.v1"}
    is_rated = any(fact["type"] == "flexcredits.rate.v1" for fact in stated)
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


class Story:
    """One history: two aggregators, a log that grows, and what happens to them."""

    def __init__(self, seed: int, began: datetime = BEGAN) -> None:
        self.world = World(seed)
        chance = self.world.chance
        self.postgres = Postgres(self.world, SQL, aggregator_sql.STATEMENTS, aggregator_sql.NAMES)
        self.postgres.table("organizations")[""] = aggregator_sql.Organization(0)
        self.today = (began.date() - date(1970, 1, 1)).days
        self.postgres.table("ledger_days").update(dict.fromkeys(range(self.today - 465, self.today + 8), True))
        self.kafka = Kafka(self.world)
        self.usage, self.facts = write_log(chance, began)
        self.ahead: dict[TopicPartition, list[FakeRecord]] = {
            **{TopicPartition(TOPIC, at): [*records] for at, records in self.usage.items()},
            TopicPartition(CATALOG, 0): [*self.facts],
        }
        """Records that are not in the log yet."""
        self.kafka.log = {at: [] for at in [*self.ahead, TOTALS, DEAD_LETTERS]}
        self.consumers: dict[Process, Consumer] = {}
        self.starts_at = {"first": 0, "second": chance.randint(0, 60)}
        self.has_skipped = False
        self.may_break = False
        """Whether one organization's usage raises at times, which only it must feel."""
        self._held_at_last = len(add_up(self.usage, self.facts).waiting)
        self._looked = -1, False
        self.violations: list[str] = []

    async def tell(self) -> None:
        """All of it. Afterwards `violations` says what was wrong."""
        self.postgres.luck, self.kafka.trouble = Luck(0.02, 0.02), 0.02
        self.world.crash_rate, self.world.disturb = 0.02, self.disturb
        await self.world.until(lambda: self.world.made >= FAULTY_STEPS, within=FAULTY_STEPS)
        self.postgres.luck, self.kafka.trouble, self.world.crash_rate = Luck(), 0.0, 0.0
        self.kafka.begins.clear()
        self.world.disturb = self.look_after
        for at in self.ahead:
            self.append(at, len(self.ahead[at]))
        for process in self.consumers:
            process.thaws_at = 0
            self.assign(process)
        if self.may_break:
            # The others' records pass an organization that fails, and so do its own.
            self.postgres.defects = {"org_b"}
            await self.world.until(self.is_passed, HEALED_WITHIN)
            self.check()
        self.postgres.defects = set()
        await self.world.until(self.is_applied, HEALED_WITHIN)
        for process in [*self.consumers]:
            self.world.kill(process)
        self.look_after()
        self.check(at_rest=True)

    def disturb(self) -> None:
        chance = self.world.chance
        self.look_after()
        roll, processes = chance.random(), [*self.consumers]
        if roll < 0.12:
            self.append(chance.choice([*self.ahead]), chance.randint(1, 6))
        elif roll < 0.14:
            self.make_partition()
        elif roll < 0.17 and self.may_break:
            self.postgres.defects = {"org_b"} if chance.random() < 0.7 else set()
        elif roll > 0.90 and processes:
            process = chance.choice(processes)
            if roll < 0.93:
                process.thaws_at = self.world.made + chance.randint(5, 60)
            elif roll < 0.96:
                self.assign(process, [at for at in self.partitions() if chance.random() < 0.7])
            elif roll < 0.98:
                self.move(self.consumers[process])
            elif self.postgres.open:
                idle = sorted(self.postgres.open, key=lambda transaction: transaction.session)
                self.postgres.undo(chance.choice(idle))  # the server ends a session that idles

    def move(self, consumer: Consumer) -> None:
        """Deliver from somewhere else: records again, or, rarely, not at all."""
        for at, position in consumer.positions.items():
            if position and self.world.chance.random() < 0.9:
                consumer.positions[at] = self.world.chance.randint(0, position)
            elif self.world.chance.random() < 0.2:
                self.kafka.begins[at] = consumer.positions[at] = position + 1
                self.has_skipped = True

    def make_partition(self) -> None:
        """The partition that ids of the future lack. Not while its statements are to be repeated elsewhere."""
        day = self.today + AWAY_DAYS[2]
        busy = {table for transaction in self.postgres.open for table, _ in transaction.held}
        if self.postgres.trace is None and not busy & {"whole_ledger", "ledger", "held", "reasons", "strays"}:
            aggregator_sql.make_ledger_day(self.postgres, day)

    def partitions(self) -> list[TopicPartition]:
        return [TopicPartition(TOPIC, at) for at in self.usage]

    def append(self, at: TopicPartition, many: int) -> None:
        self.kafka.log[at] += self.ahead[at][:many]
        del self.ahead[at][:many]

    def look_after(self) -> None:
        """Start what is due, and hold what a death left behind to the model."""
        for process, error in self.world.deaths:
            self.consumers.pop(process, None)
            self.starts_at[process.name] = self.world.made + self.world.chance.randint(0, 40)
            if error is not None and not self.is_expected(error):
                self.violations.append(f"{process.name} ended: {type(error).__name__}: {error}")
            self.check()
        self.world.deaths.clear()
        for name, due in [*self.starts_at.items()]:
            if due <= self.world.made:
                del self.starts_at[name]
                self.start(name)

    def is_expected(self, error: BaseException) -> bool:
        if isinstance(error, OffsetGap):
            return self.has_skipped
        return isinstance(error, KafkaError) or (isinstance(error, Exception) and passing_failure(error) is not None)

    def start(self, name: str) -> None:
        process = Process(name)
        self.consumers[process] = Consumer(self.kafka, process)
        self.world.run(process, self.live(process))

    def assign(self, process: Process, owned: Sequence[TopicPartition] | None = None) -> None:
        """Without `owned`, each of the two gets half of the partitions."""
        if owned is None:
            mine = ["first", "second"].index(process.name)
            owned = [at for at in self.partitions() if at.partition % 2 == mine]
        if self.consumers[process].is_subscribed:
            self.world.run(process, self.consumers[process].rebalance(owned))

    async def live(self, process: Process) -> None:
        """What the aggregator's __main__ joins."""
        pool, consumer, facts_consumer = (
            Pool(self.postgres, process),
            self.consumers[process],
            Consumer(self.kafka, process),
        )
        pool_: Any = pool
        facts = CatalogReader(pool_, facts_consumer, CATALOG, Catalog())
        stream = UsageStream(
            pool_, consumer, facts_consumer, TOPIC, facts, None, PassOn(),
            batch_events_max=8, batch_interval_s=0.0, fetch_wait_ms=200, give_up_s=60,
        )  # fmt: skip
        await facts.start()
        stream.subscribe()
        self.assign(process)
        producer: Any = Producer(self.kafka, process)
        for loop in (
            stream.run(),
            every(0.3, stream.catch_up, transient=is_transient),
            relay(pool_, producer, Topics(TOTALS.topic, DEAD_LETTERS.topic), 0.3, PassOn(), stream.take_trace_links),
        ):
            self.world.run(process, loop)

    def is_passed(self) -> bool:
        """Postgres is at the end of every log."""
        ends = {
            (at.topic, at.partition): len(log) for at, log in self.kafka.log.items() if at.topic in (TOPIC, CATALOG)
        }
        return {key: row.next_offset for key, row in self.postgres.table("progress").items()} == ends

    def is_applied(self) -> bool:
        """Every record has its fate, what can be released is, and the outboxes are empty."""
        if self._looked[0] != self.postgres.commits:
            self._looked = self.postgres.commits, self._is_applied()
        return self._looked[1]

    def _is_applied(self) -> bool:
        table = self.postgres.table
        ends = {
            (at.topic, at.partition): len(log) for at, log in self.kafka.log.items() if at.topic in (TOPIC, CATALOG)
        }
        return (
            {key: row.next_offset for key, row in table("progress").items()} == ends
            and len(table("held")) == self._held_at_last
            and not table("aside")
            and not table("quarantine")
            and not table("totals")
            and all(row[1] for row in table("dead_letters").values())
        )

    def check(self, at_rest: bool = False) -> None:
        """Hold what is committed to the model of that part of the log which it says it has applied."""
        self.violations += [
            f"step {self.world.made}: {wrong}" for wrong in compare(self.postgres, self.usage, self.facts)
        ]
        if at_rest:
            self.violations += [*compare_told(self), *["deadlock"] * self.postgres.deadlocks]


def compare(postgres: Postgres, usage: Log, facts: Sequence[FakeRecord]) -> list[str]:
    progress = {at: row for (topic, at), row in postgres.table("progress").items() if topic == TOPIC}
    aside = {key[1:] for key in postgres.table("aside")}
    applied = {
        at: [record for record in records[: progress[at].next_offset] if (at, record.offset) not in aside]
        for at, records in usage.items()
        if at in progress
    }
    catalog = postgres.table("progress").get((CATALOG, 0))
    truth = add_up(applied, facts[: catalog.next_offset if catalog else 0])
    found = []
    ledger = {truth.keys.get((row.partition, row.offset)): row for row in postgres.table("ledger").values()}
    if ledger.keys() != truth.credits.keys():
        found.append(
            f"the ledger has {ledger.keys() ^ truth.credits.keys()} that the log has not, or the other way round"
        )
    counted = {key: row for key, row in ledger.items() if key is not None and not row.held}
    wrong = {key: row.credits for key, row in counted.items() if row.credits != truth.credits.get(key)}
    if wrong or truth.waiting & counted.keys():
        found.append(f"counted {wrong}, {truth.waiting & counted.keys()}")
    fates = Counter[str]()
    for row in progress.values():
        fates.update(row._replace(records_end=0)._asdict())
    held = len(postgres.table("held"))
    expected = {
        "counted": len(truth.credits) - held,
        "duplicate": truth.copies,
        "rejected": len(truth.refused),
        "held": held + len(aside),
    }
    if fates["skipped"] != truth.skipped:
        found.append(f"{fates['skipped']} offsets skipped, the log has {truth.skipped} without a record")
    if any(fates[name] != number for name, number in expected.items()):
        found.append(f"fates are {dict(fates)}, the log says {expected}")
    hours = Counter[str]()
    for row in postgres.table("hours").values():
        hours.update(dict(zip(expected, (row[0], row[1], row[2], row[3]), strict=True)))
    if +hours != +Counter(expected):
        found.append(f"hours say {dict(hours)}, the log {expected}")
    dead = {(at, offset) for topic, at, offset in postgres.table("dead_letters") if topic == TOPIC}
    if dead != truth.refused:
        found.append(f"dead letters {dead ^ truth.refused}")
    return found + compare_rollups(postgres, counted, truth)


def compare_rollups(postgres: Postgres, counted: Mapping[Key, Any], truth: Truth) -> list[str]:
    """Every grain is the sum of what the ledger counts, by the event's own words."""
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


def compare_told(story: Story) -> list[str]:
    """The last totals message of an organization is its level, and every dead letter was published."""
    truth = add_up(story.usage, story.facts)
    levels: dict[str, Counter[str]] = defaultdict(Counter)
    for key in truth.credits.keys() - truth.waiting:
        levels[key[0]][truth.events[key]["product"]] += truth.credits[key]
    told = {key.decode(): json.loads(value)["micro_credits"] for key, value in story.kafka.log[TOTALS]}
    said = {name: {product: str(credits) for product, credits in level.items()} for name, level in levels.items()}
    published = {key.decode() for key, _ in story.kafka.log[DEAD_LETTERS]}
    lacking = {f"{topic}/{at}/{offset}" for topic, at, offset in story.postgres.table("dead_letters")} ^ published
    return [f"told {told}, the log says {said}"] * (told != said) + [f"dead letters {lacking}"] * bool(lacking)


def tell(seed: int, began: datetime = BEGAN, *, traced: bool = False) -> Story:
    """Run the history of a seed; `violations` is empty when everything held."""
    story = Story(seed, began)
    story.postgres.trace = [] if traced else None
    if not traced and seed % 2 == 1:
        story.may_break, story.postgres.defects = True, {"org_b"}
    error = story.world.tell(story.tell)
    if error is not None:
        story.violations.append(f"step {story.world.made}: {type(error).__name__}: {error}")
    return story
