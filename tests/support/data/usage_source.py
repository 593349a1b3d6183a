"""Sends usage like a product service: directly to Kafka with copies, conflicts and invalid records, or by HTTP."""

import asyncio
import itertools
import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
from aiokafka import AIOKafkaProducer
from runtime.kafka.clients import open_producer
from support.data.factories import as_written, contract, event, organization, usage
from support.data.people import random_who
from support.infra.stack import Topics

EVENTS, OVER_S = 9_000, 9.0
ALLOWANCES = {"org_acme": "10000", "org_other": "16500", "org_third": "1000000"}
"""Credits of each organization's contract: EVENTS use all of the first, about 90% of the second and little of the third."""
POISON = (b"{", b"", b"\xff", b"null", b'{"type":"flexcredits.usage.v1"}', b"[" * 3000)


@dataclass
class Source:
    """Sends events, and records the ones that Kafka acknowledged."""

    topics: Topics
    organizations: Sequence[str] = tuple(ALLOWANCES)
    acknowledged: set[tuple[str, str, str]] = field(default_factory=set)

    async def introduce(self, allowances: Mapping[str, str]) -> None:
        """Send catalog events: organizations with one credit period and two recipients of alerts. Later usage belongs to them."""
        self.organizations = tuple(allowances)
        async with open_producer(self.topics.bootstrap, "faults") as producer:
            for name, total in allowances.items():
                people = [
                    event("flexcredits.member.v1", {"email": f"{role}@{name}.example", "role": role}, subject=name)
                    for role in ("super_admin", "admin", "member")
                ]
                for each in [organization(name), contract(name, total), *people]:
                    await producer.send_and_wait(self.topics.catalog, json.dumps(each).encode(), partition=0)

    async def pour(self, events: int = EVENTS, over_s: float = OVER_S, seed: int = 1) -> None:
        """Send events of all organizations. A third of them is repeated up to four times, in any partition; 1% is invalid,
        and 1% conflicts with an earlier event of its partition."""
        chance = random.Random(seed)
        async with open_producer(self.topics.bootstrap, "faults") as producer:
            history: list[list[dict[str, Any]]] = [[] for _ in range(4)]
            for start in range(0, events, 100):
                await asyncio.gather(*[
                    future for _ in range(100) for future in await self._send_one(producer, chance, history)
                ])  # fmt: skip
                await asyncio.sleep(over_s * 100 / events * (start < events - 100))

    async def _send_one(
        self, producer: AIOKafkaProducer, chance: random.Random, history: list[list[dict[str, Any]]]
    ) -> list[asyncio.Future[Any]]:
        partition = chance.randrange(4)
        who = random_who(chance) if chance.random() < 0.5 else {}
        event = usage(
            **who,
            credits=f"{chance.randint(1, 9_999_999) / 1_000_000:.6f}", feature=f"feature_{chance.randrange(20)}",
            product=chance.choice(["assistant", "agents"]), envelope={"subject": chance.choice(self.organizations)},
        )  # fmt: skip
        # A fifth has another form than ingest's: the aggregator's columns leave it to the exact path.
        value = as_written(event) if chance.random() < 0.8 else json.dumps(event).encode()
        sends: list[tuple[int, bytes]] = [(partition, value)]
        if chance.random() < 0.3:
            sends += [(chance.randrange(4), sends[0][1]) for _ in range(chance.randint(1, 4))]
        elif history[partition] and chance.random() < 0.014:
            before = chance.choice(history[partition])
            sends.append((partition, as_written({**before, "data": {**before["data"], "credits": "77"}})))
        else:
            history[partition].append(event)
        if chance.random() < 0.01:
            sends.append((partition, chance.choice(POISON)))
        self.acknowledged.add((event["subject"], event["source"], event["id"]))
        return [await producer.send(self.topics.usage_events, value, partition=at) for at, value in sends]


@dataclass
class Client:
    """A product service that sends by HTTP, and repeats events with the same ids until it gets 202."""

    url: str
    key: str
    acknowledged: set[tuple[str, str, str]] = field(default_factory=set)
    answers: Counter[int] = field(default_factory=Counter)
    """Number of answers by status; 0: no answer."""
    stopped: bool = False

    async def send(self, batches: int | None = None, pause_s: float = 0.05) -> None:
        """Send batches of 20 events of all organizations, until stopped if no number is given. The last batch is accepted."""
        async with httpx.AsyncClient(base_url=self.url, timeout=8) as http:
            while not self.stopped and batches != 0:
                batches = batches and batches - 1
                batch = [
                    usage(credits="0.500000", feature=f"feature_{number}", envelope={"subject": name})
                    for number, name in zip(range(20), itertools.cycle(ALLOWANCES))
                ]
                while await self._post(http, batch) != 202:
                    await asyncio.sleep(0.3)
                self.acknowledged |= {(event["subject"], event["source"], event["id"]) for event in batch}
                await asyncio.sleep(pause_s)

    async def _post(self, http: httpx.AsyncClient, batch: list[dict[str, Any]]) -> int:
        try:
            headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/cloudevents-batch+json"}
            status = (await http.post("/api/v1/events", content=json.dumps(batch), headers=headers)).status_code
        except httpx.TransportError:
            status = 0
        self.answers[status] += 1
        return status
