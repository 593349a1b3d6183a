"""The edge of the simulation: a plan's sendings go to the ingest API, or as JSON lines into a file."""

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
from flexcredits_cli.generator.usage.history import Past, deployment_facts
from flexcredits_cli.generator.usage.live import level
from flexcredits_cli.generator.usage.truth import Truth
from flexcredits_cli.stack.counted import find_api, ingest_address, show_where, wait_until_counted

LANES = 4
"""Connections. A company's events all go over one of them, so copies and corrections come after their originals."""
TICK_S = 0.25


@dataclass(frozen=True)
class Story:
    """The demo's: its live usage waits until its past is counted, which `counted_file` then says to the supervisor.

    `follows_clock`: live usage is of the time at which it is sent, not of the plan's.
    """

    counted_file: Path | None = None
    follows_clock: bool = True


@dataclass
class Plan:
    """Companies with their pasts, and what comes after `at`: made only then, because it follows from what was used."""

    at: int
    pasts: Sequence[Past]
    live: Callable[[int], Iterator[Sending]] = lambda _begins_at: iter(())
    """Takes the milliseconds at which it begins."""
    story: Story | None = None
    truth: Truth = field(default_factory=Truth)

    def facts(self) -> Iterator[Sending]:
        """What holds for every company; before all else, since usage without a rate would be held."""
        return self.truth.watch(deployment_facts(self.pasts))

    def past(self, pasts: Iterable[Past]) -> Iterator[Sending]:
        return self.truth.watch(chain.from_iterable(past.sendings() for past in pasts))

    def present(self) -> Iterator[Sending]:
        return self.truth.watch(self.live(self.at))


def carry_out(plan: Plan, output: Path | None) -> None:
    """Send everything, or write it; say what it was. Exit code 1 when ingest refused what is not malformed."""
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
    """`send`, cancelled by SIGTERM or Ctrl-C: as process 1 of a container nothing else would end us."""
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    return await send(plan)


def write(plan: Plan, output: Path) -> None:
    with nullcontext(sys.stdout) if f"{output}" == "-" else output.open("w") as lines:
        for sending in chain(plan.facts(), plan.past(plan.pasts), plan.present()):
            lines.write(json.dumps(sending.event, separators=(",", ":")) + "\n")


async def send(plan: Plan) -> bool:
    """Facts, then the past over several lanes, then the present as its instants come. Whether all was taken."""
    url, key = ingest_address()
    async with open_client(url, key) as client:
        answers = await send_batches(client, requests_of(plan.facts()), connections=1)
        began = time.monotonic()
        lanes = [plan.past(plan.pasts[lane::LANES]) for lane in range(LANES)]
        for answer in await asyncio.gather(*(send_batches(client, requests_of(lane), connections=1) for lane in lanes)):
            answers.add(answer)
        report_past(plan, time.monotonic() - began)
        taken = report_refused(plan, answers)
        if plan.story:
            await wait_until_counted(plan.pasts[0].company.id, find_api(url))
            if plan.story.counted_file:
                plan.story.counted_file.touch()
            if plan.story.follows_clock:
                plan.at = milliseconds_of(datetime.now(UTC))
        taken = report_refused(plan, await send_paced(client, plan)) and taken
    show_where(plan.pasts[0].company.id, f"ada@{plan.pasts[0].company.domain}", url)
    return taken


def report_refused(plan: Plan, answers: Answers) -> bool:
    """Say what ingest refused although it is not malformed; whether there was nothing of the kind."""
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
    """Each sending at its time after the plan's `at`, or as soon as ingest can take it; together every TICK_S."""
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
    """Sendings as requests, in their order."""
    batch: list[Event] = []
    for sending in sendings:
        if batch and (len(batch) == BATCH_EVENTS or sending.fate in OWN_REQUEST):
            yield batch
            batch = []
        batch.append(sending.event)
    if batch:
        yield batch
