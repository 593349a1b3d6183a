"""The client for programs with threads, or without."""

import _thread
import json
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import inf
from types import TracebackType
from typing import Self, Unpack

import httpx

from flexcredits_client import lifecycle
from flexcredits_client.calls import Calls
from flexcredits_client.delivery.answers import Answer, NoAnswer, Refusal
from flexcredits_client.delivery.http import Endpoint, drive, log_retry, post
from flexcredits_client.delivery.steps import Backoff, Send, Wait, deliver
from flexcredits_client.errors import ClientClosed, FlexCreditsError, QueueFull, SendingStopped
from flexcredits_client.event import Details, Number, amount_of, check_source, encode_event
from flexcredits_client.options import Options, Reason, Rejected, Stats
from flexcredits_client.outbox import Outbox
from flexcredits_client.providers.call import Call, Fields

LOG = logging.getLogger("flexcredits_client")


class Client(Calls):
    """Thread-safe, and usable after a fork: the child has an empty queue, the parent sends its own.

    `url` is the address of ingest, `key` an API key, `source` the URI reference of your service, such as
    `/products/assistant`: an event's identity is (organization, source, id).
    """

    def __init__(self, url: str, key: str, source: str, options: Options | None = None) -> None:
        """Raises ValueError, and OSError if the spool's folder cannot be written."""
        self._options = options or Options()
        self._endpoint = Endpoint(url, key, self._options)
        check_source(source)
        self._source = source
        self._backoff = Backoff(self._options.backoff_s, self._options.backoff_max_s, self._options.retry_after_max_s)
        self._start(Outbox(self._options))
        self._opens_spool = False
        lifecycle.register(self)
        with self._lock:
            if not self._outbox.is_empty:  # what a process before this one has left in the spool
                self._start_thread()

    def _start(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._lock = threading.RLock()  # it knows its thread: see `_is_interrupted`
        self._work = threading.Condition(self._lock)
        """Notified when the sender has something to do."""
        self._progress = threading.Condition(self._lock)
        """Notified when events are resolved."""
        self._thread: threading.Thread | None = None
        self._close_at: float | None = None
        self._is_closed = self._is_done = False

    def record(
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
        """Queue one use, and return its id. Give `credits`, or `quantity` with `unit`, or `quantities`.

        It returns before anything is sent. Raises InvalidUsage, QueueFull, ClientClosed, SendingStopped, and OSError if
        the spool cannot be written: then the event is not queued.
        """
        amount = amount_of(credits, quantity, unit, quantities)
        event_id, event = encode_event(self._source, organization, product, feature_kind, feature, amount, details)
        if self._is_interrupted():
            _thread.start_new_thread(self._queue_or_report, (event_id, event))
            return event_id
        return self._queue(event_id, event)

    def _is_interrupted(self) -> bool:
        """Whether a signal's handler or a finalizer has interrupted this thread in the middle of a change to the queue."""
        return self._lock._is_owned()  # type: ignore[attr-defined, no-any-return]

    def _queue_or_report(self, event_id: str, event: bytes) -> None:
        try:
            self._queue(event_id, event)
        except (FlexCreditsError, OSError) as error:
            LOG.error("an event was not recorded: %s", error)
            self._outbox.report([Rejected(event_id, Reason.DROPPED, str(error), "", json.loads(event))])

    def _queue(self, event_id: str, event: bytes) -> str:
        with self._lock:
            self._check_open()
            if self._opens_spool:
                self._outbox, self._opens_spool = Outbox(self._options), False
            if self._outbox.has_room(len(event)) or self._wait_for_room(len(event)):
                if self._outbox.add(event, time.monotonic()):
                    self._work.notify()
                if self._thread is None:
                    self._start_thread()
                return event_id
            dropped = self._outbox.drop(event_id, event)
        self._outbox.report([dropped])
        return event_id

    def _check_open(self) -> None:
        if self._close_at is not None:
            raise ClientClosed("the client is closed")
        if self._outbox.stopped and not self._outbox.is_durable:
            raise self._outbox.stopped

    def _wait_for_room(self, size: int) -> bool:
        """Apply `overflow`; False: drop the event. Raises QueueFull."""
        options, outbox = self._options, self._outbox
        if options.overflow == "drop":
            return False
        if options.overflow == "block" and not outbox.stopped:
            self._progress.wait_for(lambda: outbox.has_room(size) or self._close_at is not None, options.block_s)
            self._check_open()
            if outbox.has_room(size):
                return True
        raise QueueFull(f"{outbox.recorded - outbox.resolved} events wait for the service")

    def flush(self, timeout_s: float | None = None) -> bool:
        """Wait until every event that was recorded before is resolved; False after `timeout_s`, or if no thread can be
        started, as in atexit. Raises SendingStopped."""
        self._check_caller("flush")
        with self._lock:
            outbox = self._outbox
            if self._thread is None and not outbox.is_empty:
                self._start_thread()
                if self._thread is None:
                    return False
            target = outbox.flush_to = outbox.recorded
            self._work.notify()
            self._progress.wait_for(lambda: outbox.resolved >= target or outbox.stopped or self._is_closed, timeout_s)
            if outbox.stopped:
                raise outbox.stopped
            return outbox.resolved >= target

    def _check_caller(self, name: str) -> None:
        """Raises RuntimeError where `flush` or `close` would wait for themselves."""
        if self._is_interrupted():
            raise RuntimeError(
                f"{name}() in a signal's handler has interrupted the client: let the handler call sys.exit"
            )
        if name == "flush" and threading.current_thread() is self._thread:
            raise RuntimeError("flush() in on_rejected would wait for itself")

    def begin_close(self, timeout_s: float | None = None) -> None:
        with self._lock:
            if self._close_at is None or timeout_s is not None:
                until = time.monotonic() + (self._options.close_s if timeout_s is None else timeout_s)
                self._close_at = min(until, self._close_at or until)
            self._work.notify()
            self._progress.notify_all()

    def close(self, timeout_s: float | None = None) -> bool:
        """Send what is queued for at most `timeout_s` (default: `close_s`); whether every event was accepted or reported
        by the service. What is left is reported as `undelivered`, or stays in the spool."""
        self._check_caller("close")
        self.begin_close(timeout_s)
        thread, remaining_s = self._thread, max(0.0, (self._close_at or 0) - time.monotonic())
        if thread is None and not self._outbox.is_empty:
            self._run()
        elif thread is not None and thread is not threading.current_thread():
            thread.join(remaining_s)
        with self._lock:
            if self._is_closed:
                return self._is_done
            self._is_closed = True
            self._is_done = self._outbox.is_empty and not self._outbox.undelivered
            left = self._outbox.give_up("the client was closed before the service answered")
            self._outbox.close()
            self._progress.notify_all()
        lifecycle.unregister(self)
        self._outbox.report(left)
        return self._is_done

    def _record_call(self, call: Call, details: Details) -> str:
        feature, quantities, missing = call.result()
        if quantities:
            fields = call.fields
            self.record(
                fields.organization, fields.product, fields.feature_kind, feature, quantities=quantities, **details
            )
        return missing

    def stats(self) -> Stats:
        with self._lock:
            return self._outbox.stats()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close_at_exit(self) -> None:
        if not self._is_closed:
            self.close()

    def start_in_child(self) -> None:
        """After a fork: the parent's thread does not exist here, and its lock may be held. A spool is opened when the
        child records its first event, since most children record none."""
        self._outbox.abandon()
        is_closed, close_at = self._is_closed, self._close_at
        self._start(Outbox(replace(self._options, spool=None)))
        self._is_closed, self._close_at = is_closed, close_at
        self._opens_spool = self._options.spool is not None

    def _start_thread(self) -> None:
        thread = threading.Thread(target=self._run, name="flexcredits-client", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the interpreter is ending: `close_at_exit` sends
            return
        self._thread = thread

    def _run(self) -> None:
        """Send batches until the client is closed."""
        try:
            with self._endpoint.open() as http:
                while (batch := self._next_batch()) is not None:
                    self._send(http, batch)
        except SendingStopped as error:
            self._stop(error)
        except Exception as error:
            LOG.exception("the client failed")
            self._stop(SendingStopped(0, f"the client failed: {error!r}"))

    def _next_batch(self) -> list[bytes] | None:
        """Wait for a batch; None when the client is closed and the rest is sent, or its time is over."""
        with self._lock:
            while True:
                now = time.monotonic()
                due_s = self._outbox.due_in(now)
                if self._close_at is not None:
                    return None if due_s is None or now >= self._close_at or self._is_closed else self._outbox.batch()
                if due_s is not None and due_s <= 0:
                    return self._outbox.batch()
                self._work.wait(self._outbox.keep_synced(due_s))

    def _send(self, http: httpx.Client, batch: Sequence[bytes]) -> None:
        def send(request: Send) -> Answer | NoAnswer:
            with self._lock:
                self._outbox.requests += 1
                left_s = inf if self._close_at is None else self._close_at - time.monotonic()
            return post(http, self._endpoint, request, left_s)

        drive(deliver(batch, self._options.gzip, self._backoff, self), send, self._wait)

    def _wait(self, wait: Wait) -> bool:
        """Wait before a retry; False if the client is closed and its time is over."""
        log_retry(wait)
        until = time.monotonic() + wait.seconds
        with self._lock:
            self._outbox.retries += 1
            while (now := time.monotonic()) < until:
                if self._close_at is not None and now >= self._close_at:
                    return False
                self._work.wait(self._outbox.keep_synced(min(until, self._close_at or until) - now))
            return not self._is_closed

    def resolve(self, count: int, refused: Sequence[Refusal]) -> None:
        """Take the service's answer, in the thread that sends."""
        self._update(lambda: [] if self._is_closed else self._outbox.resolve(count, refused))

    def _stop(self, error: SendingStopped) -> None:
        LOG.error("sending has stopped: %s", error)

        def stop() -> list[Rejected]:
            self._outbox.stopped = error
            return [] if self._is_closed else self._outbox.give_up(str(error))

        self._update(stop)

    def _report_missing(self, fields: Fields, detail: str) -> None:
        self._update(lambda: [self._outbox.count_missing_usage(fields._asdict(), detail)])

    def _update(self, change: Callable[[], list[Rejected]]) -> None:
        with self._lock:
            rejected = change()
            self._progress.notify_all()
        self._outbox.report(rejected)
