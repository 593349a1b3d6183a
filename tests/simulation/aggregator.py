"""Histories of aggregators: the production loop on a simulated Kafka and Postgres, checked against a model."""

import json
import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from aggregator.catalog.reader import CatalogReader
from aggregator.consumer.consumer import UsageStream
from aggregator.db.catalog_cache import Catalog
from aggregator.db.progress import OffsetGap
from aggregator.db.statements import SQL
from aggregator.domain.limits.admission import SERIES_PER_MONTH
from aggregator.outbox_relay import Topics, relay
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from flexcredits_schemas.codec import InvalidEvent, decode, encode
from runtime.kafka.clients import is_transient
from runtime.observability.tracing import Tracing
from runtime.periodic import every
from runtime.postgres.errors import transient_error_code
from support.data.factories import FakeRecord, correction, organization, rate, rfc3339, usage
from support.data.people import random_who, with_another_actor
from support.services.aggregator import CATALOG, TOPIC

from simulation import aggregator_sql
from simulation.aggregator_sql.ledger import make_ledger_day
from simulation.aggregator_sql.rows import Organization
from simulation.kafka import MARKER, Consumer, Kafka, Producer
from simulation.postgres import FaultRates, Pool, Postgres
from simulation.truth import ZONES, add_up, compare
from simulation.world import Process, World

PARTITIONS = 2
BEGAN = datetime(2026, 11, 20, 12, tzinfo=UTC)
FAULTY_STEPS = 220
HEALED_WITHIN = 3_000
"""Steps. A history without faults takes about 300."""
AWAY_DAYS = {2: 30, 5: -800}
"""Offset from today of the day in some events' ids. The ledger has no partition for that day, or not yet."""
TOTALS, DEAD_LETTERS = TopicPartition("totals", 0), TopicPartition("dead", 0)
POISON = (b"{", None, b"\xff", b'{"type":"flexcredits.usage.v1"}', b'{"type":"flexcredits.agent.v1"}')


def write_log(
    chance: random.Random, began: datetime, *, has_few_series: bool = False
) -> tuple[dict[int, list[FakeRecord]], list[FakeRecord]]:
    """The usage log by partition, and the catalog log.

    Usage has copies in any partition, conflicts behind their original in its partition (some in the actor alone), corrections,
    and invalid records. Two thirds of it may say who used what, in which run. With a limit of series, conflicts differ in their
    time instead of the feature, which the limit may hide; so do surfaces, of which there are more."""
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
        # Not from `chance`, so that a seed keeps its history.
        who = random_who(random.Random(name)) if number % 3 else {}
        item: Any
        if sent and roll < 0.25:
            _, item = chance.choice(sent)
        elif sent and roll < 0.32:
            partition, first = chance.choice(sent)
            item = {**first, "data": {**first["data"], "feature": "another"}}
            if has_few_series:
                item = {**first, "time": rfc3339(datetime.fromisoformat(first["time"]) - timedelta(seconds=2))}
            if number % 2 and "corrects" not in first["data"]:
                item = with_another_actor(first)
        elif sent and roll < 0.47:
            _, first = chance.choice(sent)
            if "credits" not in first["data"] or "corrects" in first["data"]:
                continue
            item = correction(first, chance.choice(["-0.01", "0.25"]), id=name, time=envelope["time"])
        elif roll < 0.53:
            item = chance.choice((*POISON, MARKER))
        elif roll < 0.68:
            item = usage(feature_kind="model", feature="gpt", quantity=f"{chance.randint(1, 99)}", unit="tokens", envelope=envelope, **who)  # fmt: skip
        else:
            product = chance.choice(["assistant", "agents"])
            item = usage(product=product, credits=f"{chance.randint(1, 5)}.{chance.randint(0, 999999):06}", envelope=envelope, **who)  # fmt: skip
        if isinstance(item, dict) and roll >= 0.32:
            if has_few_series and roll >= 0.53:
                item["data"]["surface"] = f"surface {number % 5}"
            sent.append((partition, item))
        log[partition].append(record(item, len(log[partition]), partition, TOPIC, began))
    at = rfc3339(began)
    organizations = [organization(name, zone, id=name, time=at) for name, zone in ZONES.items()]
    tokens = {**rate(effective_from=rfc3339(began - timedelta(9))), "id": "tokens", "time": at}
    out_of_place = usage(envelope={"id": "here", "time": at})
    events: list[Any] = [
        *organizations,
        *chance.choices(organizations, k=1),
        tokens,
        out_of_place,
        *chance.choices((MARKER,), k=chance.randint(0, 2)),
    ]
    chance.shuffle(events)
    return log, [record(item, at, 0, CATALOG, began) for at, item in enumerate(events)]


def record(item: Any, offset: int, partition: int, topic: str, began: datetime) -> FakeRecord:
    if item is MARKER:
        return FakeRecord(None, offset, partition, topic, int(began.timestamp() * 1000) + offset * 60_000, key=MARKER)
    value = json.dumps(item).encode() if isinstance(item, dict) else item
    with suppress(InvalidEvent):
        # A fifth has another form than ingest's: the aggregator's columns leave it to the exact path. Copies of an event have
        # one form. If two processes insert them by both paths, Postgres may detect a deadlock, which is transient.
        if isinstance(item, dict) and sum(str(item.get("id")).encode()) % 5:
            value = encode(decode(value))
    return FakeRecord(value, offset, partition, topic, int(began.timestamp() * 1000) + offset * 60_000)


class Scenario:
    """One history: two aggregators, a growing log, and the faults of one seed."""

    def __init__(self, seed: int, began: datetime = BEGAN) -> None:
        self.world = World(seed)
        chance = self.world.chance
        self.postgres = Postgres(self.world, SQL, aggregator_sql.STATEMENTS, aggregator_sql.NAMES)
        self.postgres.table("organizations")[""] = Organization(0)
        self.today = (began.date() - date(1970, 1, 1)).days
        self.postgres.table("ledger_days").update(dict.fromkeys(range(self.today - 465, self.today + 8), True))
        self.kafka = Kafka(self.world)
        self.series_per_month = 1 if seed % 3 == 2 else SERIES_PER_MONTH
        self.usage, self.catalog = write_log(chance, began, has_few_series=self.series_per_month < 10)
        self.pending: dict[TopicPartition, list[FakeRecord]] = {
            **{TopicPartition(TOPIC, at): [*records] for at, records in self.usage.items()},
            TopicPartition(CATALOG, 0): [*self.catalog],
        }
        """Records that are not yet in the log."""
        self.kafka.log = {at: [] for at in [*self.pending, TOTALS, DEAD_LETTERS]}
        self.consumers: dict[Process, Consumer] = {}
        self.starts_at = {"first": 0, "second": chance.randint(0, 60)}
        self.has_skipped = False
        self.may_break = False
        """Whether statements for one organization fail at times. The other organizations must be counted all the same."""
        self._held_at_last = len(add_up(self.usage, self.catalog).waiting)
        self._applied_at = -1, False
        self.violations: list[str] = []

    async def run(self) -> None:
        """Run the whole history. Afterwards `violations` lists what was wrong."""
        self.postgres.fault_rates, self.kafka.error_rate = FaultRates(0.02, 0.02), 0.02
        self.world.crash_rate, self.world.disturb = 0.02, self.disturb
        await self.world.until(lambda: self.world.step_count >= FAULTY_STEPS, within=FAULTY_STEPS)
        self.postgres.fault_rates, self.kafka.error_rate, self.world.crash_rate = FaultRates(), 0.0, 0.0
        self.kafka.begins.clear()
        self.world.disturb = self.supervise
        for at in self.pending:
            self.append(at, len(self.pending[at]))
        for process in self.consumers:
            process.paused_until = 0
            self.assign(process)
        if self.may_break:
            # Positions advance past the records of a failing organization.
            self.postgres.defects = {"org_b"}
            await self.world.until(self.is_passed, HEALED_WITHIN)
            self.check()
        self.postgres.defects = set()
        await self.world.until(self.is_applied, HEALED_WITHIN)
        for process in [*self.consumers]:
            self.world.kill(process)
        self.supervise()
        self.check(at_rest=True)

    def disturb(self) -> None:
        chance = self.world.chance
        self.supervise()
        roll, processes = chance.random(), [*self.consumers]
        if roll < 0.12:
            self.append(chance.choice([*self.pending]), chance.randint(1, 6))
        elif roll < 0.14:
            self.make_partition()
        elif roll < 0.17 and self.may_break:
            self.postgres.defects = {"org_b"} if chance.random() < 0.7 else set()
        elif roll > 0.90 and processes:
            process = chance.choice(processes)
            if roll < 0.93:
                process.paused_until = self.world.step_count + chance.randint(5, 60)
            elif roll < 0.96:
                self.assign(process, [at for at in self.partitions() if chance.random() < 0.7])
            elif roll < 0.98:
                self.move(self.consumers[process])
            elif self.postgres.open:
                idle = sorted(self.postgres.open, key=lambda transaction: transaction.session)
                self.postgres.undo(chance.choice(idle))  # the server ends an idle session

    def move(self, consumer: Consumer) -> None:
        """Move positions: back, so that records are delivered again, or rarely forward, so that one is lost."""
        for at, position in consumer.positions.items():
            if position and self.world.chance.random() < 0.9:
                consumer.positions[at] = self.world.chance.randint(0, position)
            elif self.world.chance.random() < 0.2:
                self.kafka.begins[at] = consumer.positions[at] = position + 1
                self.has_skipped = True

    def make_partition(self) -> None:
        """Create the missing ledger partition for future ids, unless a trace is recorded for a real Postgres."""
        day = self.today + AWAY_DAYS[2]
        busy = {table for transaction in self.postgres.open for table, _ in transaction.held}
        if self.postgres.trace is None and not busy & {"whole_ledger", "ledger", "held", "reasons", "strays"}:
            make_ledger_day(self.postgres, day)

    def partitions(self) -> list[TopicPartition]:
        return [TopicPartition(TOPIC, at) for at in self.usage]

    def append(self, at: TopicPartition, many: int) -> None:
        self.kafka.log[at] += self.pending[at][:many]
        del self.pending[at][:many]

    def supervise(self) -> None:
        """Start processes that are due. After a process died, compare the committed rows with the model."""
        for process, error in self.world.deaths:
            self.consumers.pop(process, None)
            self.starts_at[process.name] = self.world.step_count + self.world.chance.randint(0, 40)
            if error is not None and not self.is_expected(error):
                self.violations.append(f"{process.name} ended: {type(error).__name__}: {error}")
            self.check()
        self.world.deaths.clear()
        for name, due in [*self.starts_at.items()]:
            if due <= self.world.step_count:
                del self.starts_at[name]
                self.start(name)

    def is_expected(self, error: BaseException) -> bool:
        if isinstance(error, OffsetGap):
            return self.has_skipped
        return isinstance(error, KafkaError) or (
            isinstance(error, Exception) and transient_error_code(error) is not None
        )

    def start(self, name: str) -> None:
        process = Process(name)
        self.consumers[process] = Consumer(self.kafka, process)
        self.world.run(process, self.live(process))

    def assign(self, process: Process, owned: Sequence[TopicPartition] | None = None) -> None:
        """Assign partitions to a process. Without `owned`, each process gets half of them."""
        if owned is None:
            mine = ["first", "second"].index(process.name)
            owned = [at for at in self.partitions() if at.partition % 2 == mine]
        if self.consumers[process].is_subscribed:
            self.world.run(process, self.consumers[process].rebalance(owned))

    async def live(self, process: Process) -> None:
        """Start the loops that the aggregator's __main__ starts."""
        pool, consumer, catalog_consumer = (
            Pool(self.postgres, process),
            self.consumers[process],
            Consumer(self.kafka, process),
        )
        pool_: Any = pool
        catalog = CatalogReader(pool_, catalog_consumer, CATALOG, Catalog(series_per_month=self.series_per_month))
        stream = UsageStream(
            pool_, consumer, catalog_consumer, TOPIC, catalog, None, Tracing(),
            batch_events_max=8, batch_interval_s=0.0, fetch_wait_ms=200, stuck_exit_s=60,
        )  # fmt: skip
        await catalog.start()
        stream.subscribe()
        self.assign(process)
        producer: Any = Producer(self.kafka, process)
        for loop in (
            stream.run(),
            every(0.3, stream.catch_up, transient=is_transient),
            relay(pool_, producer, Topics(TOTALS.topic, DEAD_LETTERS.topic), 0.3, Tracing(), stream.take_trace_links),
        ):
            self.world.run(process, loop)

    def is_passed(self) -> bool:
        """Whether Postgres has the end position of every partition."""
        ends = {
            (at.topic, at.partition): len(log) for at, log in self.kafka.log.items() if at.topic in (TOPIC, CATALOG)
        }
        return {key: row.next_offset for key, row in self.postgres.table("progress").items()} == ends

    def is_applied(self) -> bool:
        """Whether every record has a disposition, releasable usage is counted, and the outboxes are empty."""
        if self._applied_at[0] != self.postgres.commits:
            self._applied_at = self.postgres.commits, self._is_applied()
        return self._applied_at[1]

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
        """Compare the committed rows with the model of the part of the log that is applied."""
        self.violations += [
            f"step {self.world.step_count}: {wrong}" for wrong in compare(self.postgres, self.usage, self.catalog)
        ]
        if at_rest:
            self.violations += compare_published(self)
            if not self.may_break:
                # A batch that failed is counted without columns, so copies of an event may meet in both paths (record()).
                self.violations += ["deadlock"] * self.postgres.deadlocks


def compare_published(scenario: Scenario) -> list[str]:
    """The last totals message of an organization must equal its level, and every dead letter must be published."""
    truth = add_up(scenario.usage, scenario.catalog)
    levels: dict[str, Counter[str]] = defaultdict(Counter)
    for key in truth.credits.keys() - truth.waiting:
        levels[key[0]][truth.events[key]["product"]] += truth.credits[key]
    totals = {key.decode(): json.loads(value)["micro_credits"] for key, value in scenario.kafka.log[TOTALS]}
    expected = {name: {product: str(credits) for product, credits in level.items()} for name, level in levels.items()}
    published = {key.decode() for key, _ in scenario.kafka.log[DEAD_LETTERS]}
    lacking = {f"{topic}/{at}/{offset}" for topic, at, offset in scenario.postgres.table("dead_letters")} ^ published
    return [f"totals {totals}, the log says {expected}"] * (totals != expected) + [f"dead letters {lacking}"] * bool(
        lacking
    )


def run(seed: int, began: datetime = BEGAN, *, traced: bool = False) -> Scenario:
    """Run the history of a seed; `violations` is empty when no check failed."""
    scenario = Scenario(seed, began)
    scenario.postgres.trace = [] if traced else None
    if not traced and seed % 2 == 1:
        scenario.may_break, scenario.postgres.defects = True, {"org_b"}
    error = scenario.world.run_scenario(scenario.run)
    if error is not None:
        scenario.violations.append(f"step {scenario.world.step_count}: {type(error).__name__}: {error}")
    return scenario
