"""Generates a log of usage with its exact result, and writes it to Kafka."""

import random
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from flexcredits_schemas.codec import decode, encode
from runtime.kafka.clients import open_producer

from counting.sessions import draw_uses

PARTITIONS = 4
COPIES = 0.005
LATE = 0.02
ORIGINALS_KEPT = 10_000
CHECKED = 1000
"""The first events are decoded and encoded, so that a typing error in the templates ends the benchmark."""
LARGE = 10
USAGE = b"usage"
ENVELOPE = b'{"type":"flexcredits.%s.v1","specversion":"1.0","id":"%s","source":"/products/%s","subject":"%s","time":"%s","data":'
CREDITS_PER_1000_TOKENS = 1
ACTOR = b'"actor":{"id":"usr_%03d%05d"},'
HEADERS = [("content-type", b"application/cloudevents+json")]

Message = tuple[int, bytes, bytes]
"""Partition, key and value."""


@dataclass(frozen=True)
class Mix:
    """Shares of the events that are not plain usage."""

    corrections: float = 0.0
    quantities: float = 0.0
    conflicts: float = 0.0
    """Another event under an identity that is taken: it becomes a dead letter."""


PLAIN = Mix()
MIXED = Mix(corrections=0.02, quantities=0.05, conflicts=0.01)


@dataclass(frozen=True)
class Shape:
    """What the log contains, apart from the number of its events."""

    organizations: int = 300
    series: int = 60_000
    partitions: int = PARTITIONS
    mix: Mix = PLAIN
    people: int = 0
    """People of each of the LARGE first organizations; the others have a fiftieth. 0: no use has an actor."""
    in_sessions: bool = True
    """Of people: sessions of one person with few series. False: each use has any person and any series of its organization."""
    names_people: bool = True
    """False: the same log without actors and runs."""
    runs: float = 0.0
    """The share of sessions that are a run."""


@dataclass
class Truth:
    """The exact result of counting a log. Credits are in millionths."""

    events: int = 0
    usage: int = 0
    corrections: int = 0
    copies: int = 0
    conflicts: int = 0
    credits: int = 0
    value_bytes: int = 0

    @property
    def ledger_rows(self) -> int:
        return self.usage + self.corrections

    @property
    def bytes_per_event(self) -> float:
        return self.value_bytes / self.events


@dataclass
class Original:
    """A counted event of which later events are copies, conflicts or corrections."""

    envelope: bytes
    product: bytes
    event_id: bytes
    dimensions: bytes
    message: Message
    is_corrected: bool = False


def build_series(number: int, series_per_organization: int) -> tuple[str, str, str]:
    """Product, Kafka key, and the data before the amount, of one series."""
    organization, place = divmod(number, series_per_organization)
    product = ("assistant", "agents", "api")[place % 3]
    feature = f"feature-{place // 6}" if product != "agents" else f"model-{place % 12}"
    kind = "namespace" if product == "api" else ("tool", "model", "feature")[place % 7 % 3]
    surface = ("web", "slack", "chrome", "rest")[place % 4]
    agent = (
        f',"agent":{{"id":"agt_{place // 3}_of_org","name":"An agent of about usual length","kind":"saved"}}'
        if product == "agents"
        else ""
    )
    padding = "" if agent else "-with-a-name-of-usual-length-for-a-thing"
    data = (
        f'{{"product":"{product}","feature_kind":"{kind}","feature":"{feature}{padding}","surface":"{surface}"{agent},'
    )
    key = f"org_{organization:03}|{product}|{f'agt_{place // 3}' if agent else feature}"
    return product, key, data


class UsageLog:
    """`events` events as ingest writes them. After iteration, `truth` has their exact result.

    Few series have most of the events; some events are copies, some are late.
    """

    def __init__(self, shape: Shape, events: int, seed: int) -> None:
        self.truth = Truth()
        self._shape = shape
        self._events = events
        self._chance = random.Random(seed)
        self._now = datetime.now(UTC)
        self._originals: list[Original] = []
        self._per_organization = per_organization = max(1, shape.series // shape.organizations)
        self._series = [
            build_series(number, per_organization) for number in range(per_organization * shape.organizations)
        ]
        few = max(1, shape.people // 50)
        self._uses = draw_uses(
            self._chance, events, shape.organizations, per_organization, shape.people, few, LARGE, shape.runs
        )

    def __iter__(self) -> Iterator[Message]:
        mix, chance = self._shape.mix, self._chance
        kinds: list[tuple[float, Callable[[], Message]]] = [
            (COPIES, self._copy), (mix.conflicts, self._conflict), (mix.corrections, self._correction)
        ]  # fmt: skip
        for number in range(self._events):
            build, draw = self._usage, chance.random()
            if len(self._originals) > 1:
                for share, special in kinds:
                    if draw < share:
                        build = special
                        break
                    draw -= share
            message = build()
            if number < CHECKED and encode(decode(message[2])) != message[2]:
                raise RuntimeError(f"not as ingest writes it: {message[2].decode()}")
            self.truth.events += 1
            self.truth.value_bytes += len(message[2])
            yield message

    def _usage(self) -> Message:
        chance = self._chance
        number, who = self._draw_series()
        product, key, dimensions = self._series[number]
        event_id = self._new_id().encode()
        envelope = ENVELOPE % (USAGE, event_id, product.encode(), key.partition("|")[0].encode(), self._time().encode())
        if self._shape.mix.quantities and chance.random() < self._shape.mix.quantities:
            quantity = chance.randrange(1, 50_000)
            amount = f'"quantity":"{quantity}","unit":"tokens"}}}}'
            credits = quantity * CREDITS_PER_1000_TOKENS * 1000
        else:
            whole, fraction = chance.randrange(50), chance.randrange(1, 1_000_000)
            amount, credits = f'"credits":"{whole}.{fraction:06}"}}}}', whole * 1_000_000 + fraction
        message = self._message(key.encode(), envelope + dimensions.encode() + who + amount.encode())
        self._keep(Original(envelope, product.encode(), event_id, dimensions.encode(), message))
        self.truth.usage += 1
        self.truth.credits += credits
        return message

    def _draw_series(self) -> tuple[int, bytes]:
        """Number of a use's series, and the members that say who used it."""
        shape, chance, per_organization = self._shape, self._chance, self._per_organization
        if shape.people and shape.in_sessions:
            use = next(self._uses)
            who = ACTOR % (use.organization, use.person)
            if use.run is not None:
                who += b'"run":{"id":"conv_%016x"},' % use.run
            return use.organization * per_organization + use.place, who if shape.names_people else b""
        number, who = int(len(self._series) * chance.random() ** 2), b""
        if shape.people:
            organization = number // per_organization
            people = shape.people if organization < LARGE else max(1, shape.people // 50)
            who = ACTOR % (organization, int(people * chance.random() ** 2))
        return number, who

    def _copy(self) -> Message:
        self.truth.copies += 1
        return self._chance.choice(self._originals).message

    def _conflict(self) -> Message:
        original = self._chance.choice(self._originals)
        self.truth.conflicts += 1
        # No original has 99 credits.
        return self._message(original.message[1], original.envelope + original.dimensions + b'"credits":"99"}}')

    def _correction(self) -> Message:
        original = self._chance.choice(self._originals)
        if original.is_corrected:  # a second one could reach below 0
            return self._usage()
        original.is_corrected = True
        key = original.message[1]
        envelope = ENVELOPE % (
            b"usage.correction", self._new_id().encode(), original.product, key.partition(b"|")[0], self._time().encode()
        )  # fmt: skip
        corrects = b'"credits":"-0.000001","corrects":{"source":"/products/%s","id":"%s"},"reason":"failed"}}' % (
            original.product, original.event_id
        )  # fmt: skip
        self.truth.corrections += 1
        self.truth.credits -= 1
        return self._message(key, envelope + original.dimensions + corrects)

    def _message(self, key: bytes, value: bytes) -> Message:
        return zlib.crc32(key) % self._shape.partitions, key, value

    def _keep(self, original: Original) -> None:
        if len(self._originals) < ORIGINALS_KEPT:
            self._originals.append(original)
        else:
            self._originals[self._chance.randrange(ORIGINALS_KEPT)] = original

    def _new_id(self) -> str:
        """A UUIDv7 (RFC 9562) of the last ten minutes."""
        milliseconds = int(self._now.timestamp() * 1000) - self._chance.randrange(600_000)
        random_a, random_b = self._chance.getrandbits(12), self._chance.getrandbits(62)
        return str(UUID(int=milliseconds << 80 | 7 << 76 | random_a << 64 | 2 << 62 | random_b))

    def _time(self) -> str:
        chance = self._chance
        behind = chance.randrange(30 * 86_400) if chance.random() < LATE else chance.randrange(600)
        at = self._now - timedelta(seconds=behind, microseconds=chance.randrange(1_000_000))
        return at.isoformat().replace("+00:00", "Z")


def catalog_events(organizations: int) -> Iterator[bytes]:
    """The organizations of the log, and a rate for tokens of every feature."""
    head = b'{"specversion":"1.0","id":"%s","source":"/load","type":"flexcredits.%s.v1",'
    for number in range(organizations):
        subject = b'"subject":"org_%03d","time":"2026-01-01T00:00:00Z",' % number
        yield (
            head % (b"o%d" % number, b"organization") + subject + b'"data":{"name":"Load","time_zone":"Europe/Berlin"}}'
        )
    kinds = [(product, kind) for product in ("assistant", "agents") for kind in ("tool", "model", "feature")]
    for product, kind in [*kinds, ("api", "namespace")]:
        data = (
            f'"time":"2026-01-01T00:00:00Z","data":{{"product":"{product}","feature_kind":"{kind}","feature":"*",'
            f'"unit":"tokens","credits":"{CREDITS_PER_1000_TOKENS}","per":"1000"}}}}'
        )
        yield head % (f"r-{product}-{kind}".encode(), b"rate") + data.encode()


async def fill_topics(
    bootstrap: str, usage_topic: str, catalog_topic: str, events: int, seed: int, shape: Shape | None = None
) -> Truth:
    """Write catalog and usage; returns what must be counted. The topic has the shape's number of partitions or more."""
    shape = shape or Shape()
    await fill_catalog(bootstrap, catalog_topic, shape)
    return await fill_usage(bootstrap, usage_topic, events, seed, shape)


async def fill_catalog(bootstrap: str, topic: str, shape: Shape) -> None:
    async with open_producer(bootstrap, "load", compression_type="lz4") as producer:
        for catalog_event in catalog_events(shape.organizations):
            await producer.send(topic, catalog_event)
        await producer.flush()


async def fill_usage(bootstrap: str, topic: str, events: int, seed: int, shape: Shape) -> Truth:
    log = UsageLog(shape, events, seed)
    async with open_producer(bootstrap, "load", compression_type="lz4") as producer:
        open_batches = {at: producer.create_batch() for at in range(shape.partitions)}
        for partition, key, value in log:
            while open_batches[partition].append(key=key, value=value, timestamp=None, headers=HEADERS) is None:
                await producer.send_batch(open_batches[partition], topic, partition=partition)
                open_batches[partition] = producer.create_batch()
        for partition, batch in open_batches.items():
            await (await producer.send_batch(batch, topic, partition=partition))
        await producer.flush()
    return log.truth
