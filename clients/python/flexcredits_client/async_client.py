"""The client for asyncio."""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import Self, Unpack

import httpx

from flexcredits_client import lifecycle
from flexcredits_client.calls import AsyncCalls
from flexcredits_client.delivery.answers import Answer, NoAnswer, Refusal
from flexcredits_client.delivery.http import Endpoint, drive, log_retry, post, post_async
from flexcredits_client.delivery.steps import Backoff, Send, Steps, Wait, deliver
from flexcredits_client.errors import ClientClosed, QueueFull, SendingStopped
from flexcredits_client.event import Details, Number, amount_of, check_source, encode_event
from flexcredits_client.options import Options, Stats
from flexcredits_client.outbox import Outbox
from flexcredits_client.providers.call import Call, Fields

LOG = logging.getLogger("flexcredits_client")
CLOSE_AT_LEAST_S = 1.0
"""At exit, for each client, when others have used all of the time."""


class AsyncClient(AsyncCalls):
    """For one event loop at a time. Close it in its loop; what is left at the program's end is sent without a loop.

    Parameters, queue, retries and reports are those of `Client`. A spool is written in the loop's thread.
    """

    def __init__(self, url: str, key: str, source: str, options: Options | None = None) -> None:
        """Raises ValueError, and OSError if the spool's folder cannot be written."""
        self._options = options or Options()
        self._endpoint = Endpoint(url, key, self._options)
        check_source(source)
        self._source = source
        self._backoff = Backoff(self._options.backoff_s, self._options.backoff_max_s, self._options.retry_after_max_s)
        self._outbox = Outbox(self._options)
        self._opens_spool = False
        self._task: asyncio.Task[None] | None = None
        self._close_at: float | None = None
        self._is_closed = self._is_done = False
        lifecycle.register(self)

    async def record(
        self,
        organization: str,
        product: str,
        feature_kind: str,
        feature: str,
        *,
        credits: Number | None = None,
        quantity: Number | None = None,
        unit: str | None = None,
        quantities: Mapping[str, Number] | None = None,
        **details: Unpack[Details],
    ) -> str:
        """As `Client.record`. It only waits if the queue is full and `overflow` is `block`."""
        amount = amount_of(credits, quantity, unit, quantities)
        event_id, event = encode_event(self._source, organization, product, feature_kind, feature, amount, details)
        self._check_open()
        if self._opens_spool:
            self._outbox, self._opens_spool = Outbox(self._options), False
        self._ensure_task()
        if not self._outbox.has_room(len(event)) and not await self._wait_for_room(len(event)):
            self._outbox.report([self._outbox.drop(event_id, event)])
        elif self._outbox.add(event, time.monotonic()):
            self._work.set()
        return event_id

    def _check_open(self) -> None:
        if self._close_at is not None:
            raise ClientClosed("the client is closed")
        if self._outbox.stopped and not self._outbox.is_durable:
            raise self._outbox.stopped

    def _ensure_task(self) -> None:
        """Run the sender in this loop. A loop that has ended took its sender with it."""
        loop = asyncio.get_running_loop()
        if self._outbox.stopped or (self._task is not None and self._task.get_loop() is loop and not self._task.done()):
            return
        self._work = asyncio.Event()
        self._progress = asyncio.Event()
        self._task = loop.create_task(self._run(), name="flexcredits-client")
        self._task.add_done_callback(lambda _: self._notify())  # a program may cancel all tasks of its loop

    async def _wait_for_room(self, size: int) -> bool:
        """Apply `overflow`; False: drop the event. Raises QueueFull."""
        options, outbox = self._options, self._outbox
        if options.overflow == "drop":
            return False
        if options.overflow == "block" and not outbox.stopped:
            with suppress(TimeoutError):
                async with asyncio.timeout(options.block_s):
                    while not outbox.has_room(size) and self._close_at is None:
                        self._ensure_task()
                        await self._progress.wait()
            self._check_open()
            if outbox.has_room(size):
                return True
        raise QueueFull(f"{outbox.recorded - outbox.resolved} events wait for the service")

    async def flush(self, timeout_s: float | None = None) -> bool:
        """As `Client.flush`."""
        outbox = self._outbox
        target = outbox.flush_to = outbox.recorded
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while outbox.resolved < target and not outbox.stopped and not self._is_closing_ended():
                    self._ensure_task()
                    self._work.set()
                    await self._progress.wait()
        if outbox.stopped:
            raise outbox.stopped
        return outbox.resolved >= target

    def _is_closing_ended(self) -> bool:
        return self._close_at is not None and (self._task is None or self._task.done())

    async def close(self, timeout_s: float | None = None) -> bool:
        """As `Client.close`."""
        if self._close_at is None or timeout_s is not None:
            until = time.monotonic() + (self._options.close_s if timeout_s is None else timeout_s)
            self._close_at = min(until, self._close_at or until)
        if not self._is_closed and not self._outbox.is_empty:
            self._ensure_task()
        if self._task is not None and self._task.get_loop() is asyncio.get_running_loop():
            self._work.set()
            await asyncio.wait([self._task], timeout=max(0.0, self._close_at - time.monotonic()))
            self._task.cancel()
            await asyncio.wait([self._task])
        return self._end()

    def _end(self) -> bool:
        if self._is_closed:
            return self._is_done
        self._is_closed = True
        self._is_done = self._outbox.is_empty and not self._outbox.undelivered
        left = self._outbox.give_up("the client was closed before the service answered")
        self._outbox.close()
        lifecycle.unregister(self)
        self._notify()
        self._outbox.report(left)
        return self._is_done

    async def _record_call(self, call: Call, details: Details) -> str:
        feature, quantities, missing = call.result()
        if quantities:
            fields = call.fields
            await self.record(
                fields.organization, fields.product, fields.feature_kind, feature, quantities=quantities, **details
            )
        return missing

    def stats(self) -> Stats:
        return self._outbox.stats()

    async def __aenter__(self) -> Self:
        if not self._outbox.is_empty:  # what a process before this one has left in the spool
            self._ensure_task()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def begin_close(self) -> None:
        """At exit. A cancelled `close` may have begun before; the time counts from here."""
        self._close_at = time.monotonic() + self._options.close_s

    def _close_in_loop(self) -> bool:
        loop = self._task.get_loop() if self._task else None
        if loop is None or not loop.is_running():
            return False
        try:
            asyncio.run_coroutine_threadsafe(self.close(), loop).result(self._options.close_s + CLOSE_AT_LEAST_S)
        except TimeoutError:
            LOG.error("the event loop does not answer")
            self._end()
        except (CancelledError, RuntimeError):  # the loop ends just now
            return False
        return True

    def close_at_exit(self) -> None:
        """Send what the program has not sent with `close`: in its loop if that runs in another thread, else without one."""
        if self._is_closed or self._close_in_loop():
            return
        deadline = max(self._close_at or 0, time.monotonic() + CLOSE_AT_LEAST_S)

        def wait(wait: Wait) -> bool:
            log_retry(wait)
            time.sleep(max(0.0, min(wait.seconds, deadline - time.monotonic())))
            return time.monotonic() < deadline

        def send(request: Send) -> Answer | NoAnswer:
            return post(http, self._endpoint, request, deadline - time.monotonic())

        if not self._outbox.is_empty and not self._outbox.stopped:
            try:
                with self._endpoint.open() as http:
                    while (batch := self._outbox.batch()) and time.monotonic() < deadline:
                        drive(self._steps(batch), send, wait)
            except SendingStopped as error:
                self._stop(error)
        self._end()

    def start_in_child(self) -> None:
        """After a fork: the events and the task belong to the parent."""
        self._outbox.abandon()
        self._outbox, self._task = Outbox(replace(self._options, spool=None)), None
        self._opens_spool = self._options.spool is not None

    async def _run(self) -> None:
        """Send batches until the client is closed."""
        try:
            async with self._endpoint.open_async() as http:
                while (batch := await self._next_batch()) is not None:
                    await self._send(http, batch)
        except SendingStopped as error:
            self._stop(error)
        except Exception as error:
            LOG.exception("the client failed")
            self._stop(SendingStopped(0, f"the client failed: {error!r}"))

    async def _next_batch(self) -> list[bytes] | None:
        """Wait for a batch; None when the client is closed and the rest is sent, or its time is over."""
        while True:
            now = time.monotonic()
            due_s = self._outbox.due_in(now)
            if self._close_at is not None:
                return None if due_s is None or now >= self._close_at else self._outbox.batch()
            if due_s is not None and due_s <= 0:
                return self._outbox.batch()
            self._work.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._outbox.keep_synced(due_s)):
                    await self._work.wait()

    def _steps(self, batch: Sequence[bytes]) -> Steps:
        return deliver(batch, self._options.gzip, self._backoff, self)

    async def _send(self, http: httpx.AsyncClient, batch: Sequence[bytes]) -> None:
        steps, result = self._steps(batch), None
        with suppress(StopIteration):
            while True:
                step: Send | Wait = steps.send(result)
                result = await self._execute(http, step)

    async def _execute(self, http: httpx.AsyncClient, step: Send | Wait) -> Answer | NoAnswer | None:
        if isinstance(step, Send):
            self._outbox.requests += 1
            return await post_async(http, self._endpoint, step)
        log_retry(step)
        self._outbox.retries += 1
        until = time.monotonic() + step.seconds
        while (left_s := until - time.monotonic()) > 0:  # `close` cancels the task when its time is over
            await asyncio.sleep(self._outbox.keep_synced(left_s) or 0)
        return None

    def resolve(self, count: int, refused: Sequence[Refusal]) -> None:
        """Take the service's answer."""
        rejected = self._outbox.resolve(count, refused)
        self._notify()
        self._outbox.report(rejected)

    def _stop(self, error: SendingStopped) -> None:
        LOG.error("sending has stopped: %s", error)
        self._outbox.stopped = error
        left = self._outbox.give_up(str(error))
        self._notify()
        self._outbox.report(left)

    def _report_missing(self, fields: Fields, detail: str) -> None:
        self._outbox.report([self._outbox.count_missing_usage(fields._asdict(), detail)])

    def _notify(self) -> None:
        """Wake who waits for progress; those who come later wait for the next."""
        if self._task is not None:
            progress, self._progress = self._progress, asyncio.Event()
            progress.set()
