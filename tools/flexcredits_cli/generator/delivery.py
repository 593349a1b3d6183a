"""Sends a plan's events to the ingest API, or writes them as JSON lines into a file."""

import asyncio
import json
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

import httpx
import typer

from flexcredits_cli.generator.company.events import Event, milliseconds_of
from flexcredits_cli.generator.sender import BATCH_EVENTS, Answers, open_client, send_batches
from flexcredits_cli.generator.usage.disturbances import OWN_REQUEST, Sending
from flexcredits_cli.generator.usage.history import Past, deployment_catalog
from flexcredits_cli.generator.usage.live import level
from flexcredits_cli.generator.usage.truth import Truth
from flexcredits_cli.stack.counted import find_api, ingest_address, show_where, wait_until_counted

LANES = 4
"""Connections. All events of a company use the same one, so copies and corrections follow their originals."""
TICK_S = 0.25


@dataclass(frozen=True)
class Scenario:
    """Options of the demo. Its live usage begins when its history is counted.

    `counted_file`: created when the history is counted; the supervisor waits for it. `follows_clock`: live events have the
    time at which they are sent, not the plan's time.
    """

    counted_file: Path | None = None
    follows_clock: bool = True


@dataclass
class Plan:
    """Companies with their histories, and live usage after `at`. Live usage is generated last: it depends on the history."""

    at: int
    pasts: Sequence[Past]
    live: Callable[[int], Iterator[Sending]] = lambda _begins_at: iter(())
    """Takes the begin in milliseconds since 1970."""
    scenario: Scenario | None = None
    truth: Truth = field(default_factory=Truth)

    def catalog(self) -> Iterator[Sending]:
        """Catalog events of all companies. They are sent first, because usage without a rate would be held."""
        return self.truth.watch(deployment_catalog(self.pasts))

    def past(self, pasts: Iterable[Past]) -> Iterator[Sending]:
        return self.truth.watch(chain.from_iterable(past.sendings() for past in pasts))

    def present(self) -> Iterator[Sending]:
        return self.truth.watch(self.live(self.at))


def run_plan(plan: Plan, output: Path | None) -> None:
    """Send or write all events and print a summary. Exit code 1 if ingest refused an event that is not malformed."""
    if output is not None:
        write(plan, output)
        print(plan.truth.report(), file=sys.stderr)
        return
    try:
        taken = asyncio.run(send_until_stopped(plan))
    except asyncio.CancelledError:
        print(f"stopped; {plan.truth.report()}", flush=True)
        return
    if not taken:
        raise typer.Exit(1)


async def send_until_stopped(plan: Plan) -> bool:
    """`send`, cancelled by SIGTERM or Ctrl-C. As process 1 of a container it would ignore signals without a handler."""
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    return await send(plan)


def write(plan: Plan, output: Path) -> None:
    with nullcontext(sys.stdout) if f"{output}" == "-" else output.open("w") as lines:
        for sending in chain(plan.catalog(), plan.past(plan.pasts), plan.present()):
            lines.write(json.dumps(sending.event, separators=(",", ":")) + "\n")


async def send(plan: Plan) -> bool:
    """Send catalog events, then the history over LANES connections, then live usage in real time.

    Returns whether ingest accepted every event that is not malformed.
    """
    url, key = ingest_address()
    async with open_client(url, key) as client:
        answers = await send_batches(client, requests_of(plan.catalog()), connections=1)
        began = time.monotonic()
        lanes = [plan.past(plan.pasts[lane::LANES]) for lane in range(LANES)]
        for answer in await asyncio.gather(*(send_batches(client, requests_of(lane), connections=1) for lane in lanes)):
            answers.add(answer)
        report_past(plan, time.monotonic() - began)
        taken = report_refused(plan, answers)
        if plan.scenario:
            await wait_until_counted(plan.pasts[0].company.id, find_api(url))
            if plan.scenario.counted_file:
                plan.scenario.counted_file.touch()
            if plan.scenario.follows_clock:
                plan.at = milliseconds_of(datetime.now(UTC))
        taken = report_refused(plan, await send_paced(client, plan)) and taken
    show_where(plan.pasts[0].company.id, f"ada@{plan.pasts[0].company.domain}", url)
    return taken


def report_refused(plan: Plan, answers: Answers) -> bool:
    """Print the refused events that are not malformed. Returns whether there are none."""
    wrong = [refused for refused in answers.rejected if refused.get("id") not in plan.truth.malformed]
    for refused in wrong[:10]:
        print(f"  refused {refused.get('id')}: {refused.get('detail')} ({refused.get('pointer')})", flush=True)
    return not wrong


def report_past(plan: Plan, took_s: float) -> None:
    if not plan.truth.uses:
        return
    print(f"sent the history of {len(plan.pasts)} companies in {took_s:.1f} s: {plan.truth.report()}", flush=True)
    first = plan.pasts[0]
    if first.contracts:
        used, contracted = level(first)
        print(f"{first.company.id} has used {used / contracted:.1%} of its credit period's credits", flush=True)


async def send_paced(client: httpx.AsyncClient, plan: Plan) -> Answers:
    """Send each event at its time after the plan's `at`, or later if ingest is slower; in batches every TICK_S."""
    answers, due, number = Answers(), list[Event](), 0
    began = time.monotonic()
    for sending in plan.present():
        ahead_s = (sending.arrives_ms - plan.at) / 1000 - (time.monotonic() - began)
        if due and (ahead_s > 0 or len(due) >= LANES * BATCH_EVENTS):
            answers.add(await send_batches(client, cut(due)))
            due = []
            ahead_s = (sending.arrives_ms - plan.at) / 1000 - (time.monotonic() - began)
        if ahead_s > 0:
            await asyncio.sleep(max(ahead_s, TICK_S))
        due.append(sending.event)
        number += 1
    answers.add(await send_batches(client, cut(due)))
    if number:
        took_s = time.monotonic() - began
        print(f"then {number:,} events in {took_s:.1f} s: {number / took_s:,.1f} events/s", flush=True)
    return answers


def cut(events: Sequence[Event]) -> Iterator[list[Event]]:
    for start in range(0, len(events), BATCH_EVENTS):
        yield list(events[start : start + BATCH_EVENTS])


def requests_of(sendings: Iterable[Sending]) -> Iterator[list[Event]]:
    """Group sendings into requests, in order."""
    batch: list[Event] = []
    for sending in sendings:
        if batch and (len(batch) == BATCH_EVENTS or sending.kind in OWN_REQUEST):
            yield batch
            batch = []
        batch.append(sending.event)
    if batch:
        yield batch
