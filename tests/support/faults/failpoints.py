"""python -m support.faults.failpoints: runs a service that SIGKILLs itself when it passes one of POINTS for the nth time.

The service's code is unchanged: methods of the client libraries are wrapped in this process.
FAILPOINT has the point and the count, such as `after_lock:2`.
"""

import os
import runpy
import signal
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Any, NamedTuple

import asyncpg
import numpy as np
from aggregator.domain.counting.recent import RecentIdentities
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from numpy.typing import NDArray
from runtime.postgres.statements import load_sql
from support.repository.statement_texts import without_partition


class Point(NamedTuple):
    """A statement's name or a call to Kafka, and whether the service dies before or after it."""

    service: str
    side: str
    step: str


POINTS = {
    "after_poll": Point("aggregator", "after", "fetch from USAGE_EVENTS_TOPIC"),
    "before_begin": Point("aggregator", "before", "BEGIN in UsageStream.run"),
    "after_lock": Point("aggregator", "after", "lock_progress of USAGE_EVENTS_TOPIC"),
    "before_copy": Point("aggregator", "before", "COPY"),
    "after_copy": Point("aggregator", "after", "COPY"),
    "after_refused_copy": Point("aggregator", "after", "refused COPY"),
    "after_dedupe": Point("aggregator", "after", "insert_ledger"),
    "between_merges": Point("aggregator", "after", "add_days"),
    "after_attributions": Point("aggregator", "after", "ensure_attributions"),
    "after_attributed_days": Point("aggregator", "after", "add_attributed_days"),
    "after_runs": Point("aggregator", "after", "add_runs"),
    "after_rollup": Point("aggregator", "after", "add_organization_days"),
    "after_outbox": Point("aggregator", "after", "insert_totals"),
    "before_commit": Point("aggregator", "before", "COMMIT after advance_progress of USAGE_EVENTS_TOPIC"),
    "after_commit": Point("aggregator", "after", "COMMIT after advance_progress of USAGE_EVENTS_TOPIC"),
    "before_ack": Point("aggregator", "before", "commit to Kafka"),
    "after_ack": Point("aggregator", "after", "commit to Kafka"),
    "outbox_before_send": Point("aggregator", "before", "send to TOTALS_TOPIC"),
    "outbox_after_send": Point("aggregator", "after", "send to TOTALS_TOPIC"),
    "outbox_before_mark": Point("aggregator", "before", "COMMIT after select_totals"),
    "dead_letter_before_send": Point("aggregator", "before", "send to DEAD_LETTER_TOPIC"),
    "dead_letter_after_send": Point("aggregator", "after", "send to DEAD_LETTER_TOPIC"),
    "dead_letter_before_mark": Point("aggregator", "before", "mark_dead_letters_published"),
    "alert_after_lock": Point("alerter", "after", "lock_state"),
    "alert_after_insert": Point("alerter", "after", "insert_firing"),
    "alert_before_commit": Point("alerter", "before", "COMMIT after mark_evaluated"),
    "alert_after_commit": Point("alerter", "after", "COMMIT after mark_evaluated"),
    "notice_after_send": Point("alerter", "after", "send to ALERTS_TOPIC"),
    "mail_after_claim": Point("alerter", "after", "claim_emails"),
    "smtp_after_250_before_mark": Point("alerter", "before", "record_email_attempt"),
    "mail_after_mark": Point("alerter", "after", "record_email_attempt"),
}


class Failpoint:
    """Counts how often the service passes each step, before and after."""

    def __init__(self, point: Point, hit: int) -> None:
        self._point, self._hit = point, hit
        self._names = {text: name for name, text in load_sql(point.service).items()}
        self._topics = {topic: name for name, topic in os.environ.items() if name.endswith("_TOPIC")}
        self._last: dict[int, str] = {}
        self._passed: Counter[tuple[str, str]] = Counter()

    def arm(self) -> None:
        for name in ("execute", "executemany", "fetch", "fetchrow", "fetchval"):
            wrap(asyncpg.Connection, name, self._around_statement)
        wrap(asyncpg.Connection, "copy_to_table", self._around_copy)
        if self._point.step == "refused COPY":
            RecentIdentities.meet = _forget  # type: ignore[method-assign]  # as after a restart
        wrap(AIOKafkaConsumer, "getmany", self._around_fetch)
        wrap(AIOKafkaConsumer, "commit", self._around_commit)
        wrap(AIOKafkaProducer, "send", self._around_send)

    def _pass(self, side: str, step: str) -> None:
        self._passed[side, step] += 1
        if (side, step) == (self._point.side, self._point.step) and self._passed[side, step] == self._hit:
            os.kill(os.getpid(), signal.SIGKILL)

    async def _around_statement(
        self, do: Callable[..., Awaitable[Any]], connection: Any, query: str, *args: Any, **options: Any
    ) -> Any:
        step = self._name_statement(connection, query)
        if args and isinstance(args[0], str) and args[0] in self._topics:
            step += f" of {self._topics[args[0]]}"
        elif args == ([],):
            step += " of nothing"
        self._pass("before", step)
        result = await do(connection, query, *args, **options)
        if result != [] or step.startswith("add_"):  # a claim without rows does not count
            self._pass("after", step)
        self._last[id(connection)] = step
        return result

    async def _around_copy(self, do: Callable[..., Awaitable[Any]], connection: Any, table: str, **options: Any) -> Any:
        """Copies into the ledger, in a savepoint. One that meets a known identity is refused. Others are COPY of sums."""
        step = "COPY of sums" if table.startswith("incoming_") else "COPY"
        self._pass("before", step)
        try:
            result = await do(connection, table, **options)
        except asyncpg.UniqueViolationError:
            self._pass("after", "refused COPY")
            raise
        self._pass("after", step)
        return result

    def _name_statement(self, connection: Any, query: str) -> str:
        if query == "BEGIN;":
            return "BEGIN in UsageStream.run" if _is_within("UsageStream.run") else query
        if query == "COMMIT;":
            return f"COMMIT after {self._last.get(id(connection))}"
        return self._names.get(without_partition(query), query)

    async def _around_fetch(self, do: Callable[..., Awaitable[Any]], *args: Any, **options: Any) -> Any:
        fetched = await do(*args, **options)
        for topic in {at.topic for at in fetched}:
            self._pass("after", f"fetch from {self._topics.get(topic)}")
        return fetched

    async def _around_commit(self, do: Callable[..., Awaitable[Any]], *args: Any, **options: Any) -> None:
        self._pass("before", "commit to Kafka")
        await do(*args, **options)
        self._pass("after", "commit to Kafka")

    async def _around_send(
        self, do: Callable[..., Awaitable[Any]], producer: Any, topic: str, *args: Any, **options: Any
    ) -> Any:
        step = f"send to {self._topics.get(topic)}"
        self._pass("before", step)
        confirmed = await do(producer, topic, *args, **options)
        confirmed.add_done_callback(lambda _: self._pass("after", step))
        return confirmed


def _is_within(function: str) -> bool:
    """Whether the code that runs now was called, or is awaited, by a function of this qualified name."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code.co_qualname == function:
            return True
        frame = frame.f_back
    return False


def _forget(_: RecentIdentities, high: NDArray[np.uint64]) -> NDArray[np.bool_]:
    return np.zeros(len(high), np.bool_)


def wrap(owner: type, name: str, around: Callable[..., Awaitable[Any]]) -> None:
    method = getattr(owner, name)

    async def wrapped(*args: Any, **options: Any) -> Any:
        return await around(method, *args, **options)

    setattr(owner, name, wrapped)


def main() -> None:
    name, hit = os.environ["FAILPOINT"].split(":")
    point = POINTS[name]
    Failpoint(point, int(hit)).arm()
    runpy.run_module(point.service, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
