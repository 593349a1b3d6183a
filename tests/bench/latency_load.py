"""Measures the time until an accepted event is visible in the overview, at a steady rate."""

import asyncio
import json
import os
import signal
import time
from bisect import bisect_left
from dataclasses import dataclass
from decimal import Decimal

import httpx
from support.data.factories import contract, organization, usage
from support.infra.full_stack import WholeStack
from support.infra.service_process import eventually

REQUESTS_PER_SECOND = 20


@dataclass(frozen=True)
class LatencyResult:
    """Result of a run: from the answer of ingest to the first overview that contains the event."""

    events_per_second: float
    p50_ms: float
    p99_ms: float
    worst_ms: float


async def measure_latency(stack: WholeStack, name: str, *, per_second: int, seconds: float) -> LatencyResult:
    """Send events of one credit each; an overview that shows n credits shows the first n of them."""
    stack.post(organization(name))
    stack.post(contract(name))
    await eventually(lambda: "time_zone" in stack.get("overview", organization=name), what="the organization")
    size = per_second // REQUESTS_PER_SECOND
    accepted: list[tuple[int, float]] = []  # credits so far, when accepted
    seen: list[tuple[int, float]] = []
    done = asyncio.Event()

    async def send() -> None:
        headers = {
            "Authorization": f"Bearer {stack.addresses['ingest_key']}",
            "Content-Type": "application/cloudevents-batch+json",
        }
        async with httpx.AsyncClient(headers=headers, timeout=30) as client:
            began = time.monotonic()
            for number in range(int(seconds * REQUESTS_PER_SECOND)):
                await asyncio.sleep(max(0.0, began + number / REQUESTS_PER_SECOND - time.monotonic()))
                body = json.dumps(
                    [usage(feature=f"feature_{at % 50}", envelope={"subject": name}) for at in range(size)]
                )
                answer = await client.post(f"{stack.addresses['ingest_url']}/api/v1/events", content=body)
                answer.raise_for_status()
                accepted.append(((number + 1) * size, time.monotonic()))

    async def watch() -> None:
        headers = {"Authorization": f"Bearer {stack.token_of(name)}"}
        async with httpx.AsyncClient(headers=headers, timeout=30) as client:
            while not done.is_set() or (seen and seen[-1][0] < accepted[-1][0]):
                answer = await client.get(f"{stack.addresses['query_url']}/api/v1/overview")
                total = sum(Decimal(row["used"]) for row in answer.raise_for_status().json()["products"])
                seen.append((int(total), time.monotonic()))
                await asyncio.sleep(0.02)

    watching = asyncio.create_task(watch())
    await send()
    done.set()
    await asyncio.wait_for(watching, 30)
    totals = [total for total, _ in seen]
    waits = sorted(1000 * max(0.0, seen[bisect_left(totals, total)][1] - at) for total, at in accepted)
    rate = accepted[-1][0] / (accepted[-1][1] - accepted[0][1])
    return LatencyResult(rate, waits[len(waits) // 2], waits[len(waits) * 99 // 100], waits[-1])


async def measure_restart(stack: WholeStack, name: str) -> float:
    """Seconds from SIGKILL of the aggregator until the overview has the event that was accepted after it."""
    headers = {"Authorization": f"Bearer {stack.token_of(name)}"}
    async with httpx.AsyncClient(base_url=stack.addresses["query_url"], headers=headers, timeout=30) as client:

        async def used() -> Decimal:
            answer = await client.get("/api/v1/overview")
            return sum((Decimal(row["used"]) for row in answer.raise_for_status().json()["products"]), Decimal(0))

        before = await used()
        killed = time.monotonic()
        os.kill(stack.aggregator_pid(), signal.SIGKILL)
        stack.post(usage(feature="feature_0", envelope={"subject": name})).raise_for_status()

        async def is_counted() -> bool:
            return await used() > before

        await eventually(is_counted, within_s=60, what="the event after SIGKILL")
        return time.monotonic() - killed
