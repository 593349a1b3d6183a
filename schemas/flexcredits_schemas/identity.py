"""An event's identity, the fingerprint of its payload, the ledger partition for its id, and names that stand for others."""

import re
from hashlib import blake2b

from flexcredits_schemas.decoding.decimals import micro
from flexcredits_schemas.events import Correction, Usage, UsageData

HASH_BUCKETS = 16
"""Number of ledger partitions for ids that contain no day. After a change, stored identities would not be found."""

FIRST_WINS_HEADER = ("flexcredits-repeated-id", b"duplicate")
"""Header of a usage record whose event is a duplicate if its identity was used before, whatever its content is. Ingest
writes it for foreign events as the key's mapping says."""

OTHER = "\x7f"
"""Feature, agent or surface of a series that stands for those beyond an organization's limit of the month. No event can
name it, because names have no control characters."""
OTHER_NAME = "Other"

_UUID7 = re.compile("[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-7[0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}")
_ULID = re.compile("[0-7][0-9A-HJKMNP-TV-Z]{25}")
_CROCKFORD = {digit: value for value, digit in enumerate("0123456789ABCDEFGHJKMNPQRSTVWXYZ")}
_DAY_MS = 86_400_000
DAYS = range(18_262, 47_482)
"""2020 to 2099, in days since 1970. Some ids only seem time-ordered: those of the package uuid7 (it puts seconds first, so they
decode to 2199 and later), 26 digits (4200), and most strings of 26 capitals. They go to the hash partitions."""


def identity_of(organization: str, source: str, event_id: str) -> bytes:
    """BLAKE2b-128 (RFC 7693) of the length-prefixed parts, so that ("a", "bc") and ("ab", "c") differ."""

    organization_, source_, id_ = organization.encode(), source.encode(), event_id.encode()
    message = b"%d:%b%d:%b%d:%b" % (len(organization_), organization_, len(source_), source_, len(id_), id_)
    return blake2b(message, digest_size=16).digest()


def amount_of(event: Usage | Correction) -> int:
    """The amount in millionths of credits, or of the event's unit; 0 for an event with `quantities`."""
    if isinstance(event, Correction) or event.data.credits:
        return micro(event.data.credits)
    return micro(event.data.quantity) if event.data.quantity else 0


def run_identity_of(run_id: str) -> bytes:
    """BLAKE2b-128 of a run's id: the key of the run inside its organization."""
    return blake2b(run_id.encode(), digest_size=16).digest()


def payload_of(event: Usage | Correction, amount: int, occurred: float) -> bytes:
    """BLAKE2b-128 of type, time, dimensions and amount: equal for copies of an event, different for a conflict.

    `amount` is in millionths of credits or of the event's unit; `occurred` is in seconds since 1970. The time is hashed in
    milliseconds, because CloudEvents' JavaScript SDK cuts times to milliseconds.
    """
    data = event.data
    if isinstance(event, Correction):
        kind = f"correction\0{event.data.corrects.source}\0{event.data.corrects.id}"
    else:
        kind = "credits" if event.data.unit is None else f"quantity\0{event.data.unit}"
    agent = data.agent.id if data.agent else ""
    parts = (
        kind,
        str(amount),
        str(round(occurred * 1e6) // 1000),  # via whole microseconds, which a double represents exactly
        data.product,
        data.feature_kind,
        data.feature,
        data.surface or "",
        agent,
    )
    optional = _optional_parts(event.data) if isinstance(event, Usage) else ()
    return blake2b("\0".join((*parts, *optional)).encode(), digest_size=16).digest()


def _optional_parts(data: UsageData) -> tuple[str, ...]:
    """The parts of a payload that many events lack. Events without them keep their hash."""
    quantities = {unit: micro(amount) for unit, amount in (data.quantities or {}).items()}
    if not (data.actor or data.group or data.labels or data.run or quantities):
        return ()
    actor = (data.actor.kind, data.actor.id) if data.actor else None
    return (repr((actor, data.group, sorted((data.labels or {}).items()), data.run and data.run.id, quantities)),)


def bucket_of(event_id: str, identity: bytes) -> int:
    """Ledger partition: the day (days since 1970) inside a UUIDv7 or ULID, otherwise -1 to -16 by the identity's hash.

    It depends on the id alone, so that a retry with another time is found in the same partition as its first copy. If the ledger
    has no partition for that day (an id created long before its use, or with a wrong clock), the row goes to `hash_bucket`; see
    aggregator/db/batch/ledger_partitions.py.
    """
    length = len(event_id)
    if length == 36 and _UUID7.fullmatch(event_id):
        day = int(event_id[:8] + event_id[9:13], 16) // _DAY_MS
        if day in DAYS:
            return day
    elif length == 26 and _ULID.fullmatch(event_id):
        milliseconds = 0
        for digit in event_id[:10]:
            milliseconds = milliseconds * 32 + _CROCKFORD[digit]
        if milliseconds // _DAY_MS in DAYS:
            return milliseconds // _DAY_MS
    return hash_bucket(identity)


def hash_bucket(identity: bytes) -> int:
    """Ledger partition, -1 to -16, for an id without a day, or with a day that has no partition."""
    return -1 - identity[0] % HASH_BUCKETS
