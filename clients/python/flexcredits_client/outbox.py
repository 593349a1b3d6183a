"""The queue of one client with its counters, and what became of each event. Without locks, threads and network."""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from flexcredits_client.buffers.buffer import Buffer
from flexcredits_client.buffers.memory import MemoryBuffer
from flexcredits_client.delivery.answers import Refusal
from flexcredits_client.errors import SendingStopped
from flexcredits_client.options import Options, Reason, Rejected, Stats

LOG = logging.getLogger("flexcredits_client")


def open_buffer(options: Options) -> Buffer:
    """Raises OSError if the spool's folder cannot be written."""
    if options.spool is None:
        return MemoryBuffer(options.queue_events, options.queue_bytes)
    from flexcredits_client.buffers.spool import Spool  # its file locks are not on Windows

    return Spool(Path(options.spool), options.spool_bytes, options.fsync_s)


class Outbox:
    """Events leave the buffer only when they are accepted, or are returned as Rejected."""

    def __init__(self, options: Options) -> None:
        """Raises OSError if the spool's folder cannot be written."""
        self._options = options
        self._buffer = open_buffer(options)
        self.recorded = len(self._buffer)
        self.accepted = self.rejected = self.undelivered = self.dropped = 0
        self.without_usage = self.requests = self.retries = 0
        self.flush_to = 0
        """Events up to this number are sent without waiting for others."""
        self.stopped: SendingStopped | None = None
        self._oldest_at = 0.0
        self._is_dropping = False

    @property
    def resolved(self) -> int:
        """Events of which the outcome is known. Events are resolved in the order in which they were recorded."""
        return self.accepted + self.rejected + self.undelivered

    @property
    def is_durable(self) -> bool:
        return self._buffer.is_durable

    @property
    def is_empty(self) -> bool:
        return not len(self._buffer)

    def has_room(self, size: int) -> bool:
        return self._buffer.has_room(size)

    def add(self, event: bytes, now: float) -> bool:
        """Take the event; whether the sender should know: it waits for a first event, or for a full batch. Raises
        OSError from a spool, and then the event is not taken."""
        buffer = self._buffer
        before, bytes_before = len(buffer), buffer.bytes
        try:
            buffer.append(event)
        except BaseException:  # a signal's handler may raise after the event was stored
            self.recorded = self.resolved + len(buffer)
            raise
        self.recorded += 1
        self._is_dropping = False
        if not before:
            self._oldest_at = now
            return True
        options = self._options
        return before + 1 == options.batch_events or bytes_before < options.batch_bytes <= buffer.bytes

    def keep_synced(self, limit_s: float | None) -> float | None:
        """Write to the disk what is due. Seconds until the next write is due, at most `limit_s`; None: no limit."""
        return self._buffer.keep_synced(limit_s)

    def drop(self, event_id: str, event: bytes) -> Rejected:
        """Count an event for which there is no room."""
        self.dropped += 1
        if not self._is_dropping:
            self._is_dropping = True
            LOG.error("the queue is full (%d events): new events are dropped", len(self._buffer))
        return Rejected(event_id, Reason.DROPPED, "the queue is full", "", json.loads(event))

    def due_in(self, now: float) -> float | None:
        """Seconds until a batch should be sent, 0 or less if now; None if there is no event."""
        buffer, options = self._buffer, self._options
        if not len(buffer):
            return None
        is_due = (
            len(buffer) >= options.batch_events
            or buffer.bytes >= options.batch_bytes
            or self.resolved < self.flush_to
        )  # fmt: skip
        return 0 if is_due else self._oldest_at + options.batch_age_s - now

    def batch(self) -> list[bytes]:
        return self._buffer.head(self._options.batch_events, self._options.batch_bytes)

    def resolve(self, count: int, refused: Sequence[Refusal]) -> list[Rejected]:
        """The first `count` events are accepted, except the refused ones, which are returned."""
        events = self._buffer.head(count, 1 << 62) if refused else []
        rejected = [
            self._rejected(events[each.position], Reason.REJECTED, each.detail, each.pointer) for each in refused
        ]  # fmt: skip
        self._buffer.drop(count)
        self.accepted += count - len(refused)
        self.rejected += len(refused)
        if rejected:
            LOG.error(
                "%d of %d events were rejected; the first is %s: %s%s", len(rejected), count, rejected[0].id,
                rejected[0].detail, f" at {rejected[0].pointer}" if rejected[0].pointer else "",
            )  # fmt: skip
        return rejected

    def give_up(self, detail: str) -> list[Rejected]:
        """Return everything that is left, unless it stays in the spool."""
        count = len(self._buffer)
        if not count:
            return []
        if self.is_durable:
            LOG.warning("%d events stay in the spool: %s", count, detail)
            return []
        events = self._buffer.head(count, 1 << 62)
        self._buffer.drop(count)
        self.undelivered += count
        LOG.error("%d events were not delivered: %s", count, detail)
        return [self._rejected(event, Reason.UNDELIVERED, detail, "") for event in events]

    def _rejected(self, event: bytes, reason: Reason, detail: str, pointer: str) -> Rejected:
        document = json.loads(event)
        return Rejected(document["id"], reason, detail, pointer, document)

    def report(self, rejected: Sequence[Rejected]) -> None:
        """Call the program's callback. What it raises is logged: it must not end the delivery of other events."""
        if callback := self._options.on_rejected:
            for each in rejected:
                try:
                    callback(each)
                except (Exception, SystemExit):  # sys.exit in the thread that sends would end only the sending
                    LOG.exception("on_rejected failed for event %s (%s: %s)", each.id, each.reason, each.detail)

    def count_missing_usage(self, fields: Mapping[str, Any], detail: str) -> Rejected:
        """Count answers of a provider that had no usage."""
        self.without_usage += 1
        LOG.error("usage of %s is not recorded: %s", fields.get("feature") or fields["product"], detail)
        return Rejected("", Reason.NO_USAGE, detail, "", fields)

    def stats(self) -> Stats:
        return Stats(
            recorded=self.recorded, accepted=self.accepted, rejected=self.rejected, undelivered=self.undelivered,
            queued=self.recorded - self.resolved, queued_bytes=self._buffer.bytes, dropped=self.dropped,
            without_usage=self.without_usage, requests=self.requests, retries=self.retries,
            stopped=str(self.stopped or ""),
        )  # fmt: skip

    def close(self) -> None:
        self._buffer.close()

    def abandon(self) -> None:
        """In a forked child: the events belong to the parent."""
        self._buffer.abandon()
