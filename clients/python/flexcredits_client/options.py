"""Settings of a client, with the reason for each default."""

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal


class Reason(StrEnum):
    """Why an event does not reach the totals."""

    REJECTED = "rejected"
    """The service refused the event: `detail` and `pointer` are the service's."""
    DROPPED = "dropped"
    """The queue was full, and `overflow` is `drop`."""
    UNDELIVERED = "undelivered"
    """The client was closed, or sending stopped, before the service answered. The service may have the event."""
    NO_USAGE = "no_usage"
    """The answer of a model provider had no usage that could be read, or its block failed and the event could not be queued.
    There is no event."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """An event that was not delivered. Sending `event` again with its id is safe: copies are counted once."""

    id: str
    reason: Reason
    detail: str
    pointer: str
    """RFC 6901, relative to the event; "" refers to all of it."""
    event: Mapping[str, Any]
    """The CloudEvent; with reason `no_usage` the fields that `usage` got."""


@dataclass(frozen=True, slots=True)
class Stats:
    """Counters since the client was created in this process. recorded = accepted + rejected + undelivered + queued."""

    recorded: int
    """Events that `record` has taken, and events found in the spool."""
    accepted: int
    rejected: int
    undelivered: int
    queued: int
    queued_bytes: int
    dropped: int
    """Events that `record` did not take, because the queue was full and `overflow` is `drop`."""
    without_usage: int
    requests: int
    retries: int
    stopped: str
    """Why nothing is sent any more; "" while sending works."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Raises ValueError for a limit that is not positive."""

    batch_events: int = 500
    """ingest takes 10,000. Larger batches are hardly faster, and a retry repeats more."""
    batch_bytes: int = 1024 * 1024
    """Before compression. ingest takes 8 MiB."""
    batch_age_s: float = 0.5
    """Longest wait of an event for others of its batch."""

    queue_events: int = 10_000
    queue_bytes: int = 32 * 1024 * 1024
    overflow: Literal["block", "drop", "raise"] = "block"
    """With a full queue, `record` waits `block_s` for room and then raises QueueFull; or drops the new event, counts and
    reports it; or raises QueueFull at once."""
    block_s: float = 5.0

    answer_s: float = 10.0
    """Longest wait for the answer to a request. ingest waits 5 s for Kafka."""
    backoff_s: float = 0.5
    """The first retry waits half to all of this, each further one twice as long."""
    backoff_max_s: float = 30.0
    retry_after_max_s: float = 300.0
    """A longer `Retry-After` is cut."""
    gzip: bool = True
    close_s: float = 10.0
    """Longest wait of `close`, and of all clients together at exit."""

    spool: Path | str | None = None
    """Folder that keeps each event until the service has answered; it replaces the queue's memory and limits."""
    spool_bytes: int = 256 * 1024 * 1024
    fsync_s: float | None = None
    """None: the operating system writes when it wants, which survives a crash of the process. 0: `record` waits for the
    disk, which survives a power failure. N: at most N seconds are lost at a power failure."""

    on_rejected: Callable[[Rejected], None] | None = None
    """Called for each event that is not delivered, in the thread that notices it."""
    verify: ssl.SSLContext | bool = True
    """Certificates to trust, as in httpx; by default those of certifi or `SSL_CERT_FILE`."""

    def __post_init__(self) -> None:
        positive = (
            "batch_events", "batch_bytes", "queue_events", "queue_bytes", "answer_s", "backoff_s", "backoff_max_s",
            "spool_bytes",
        )  # fmt: skip
        for name in positive:
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0")
        if self.overflow not in ("block", "drop", "raise"):
            raise ValueError(f"overflow is block, drop or raise, not {self.overflow!r}")
