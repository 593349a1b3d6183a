"""Who an event is: its identity, its payload's fingerprint, and the ledger partition that follows from the id alone."""

import re
from hashlib import blake2b

from flexcredits_schemas.codec import micro
from flexcredits_schemas.events import Correction, Usage

HASH_BUCKETS = 16
"""Ledger partitions for ids without a day inside; changing it would lose sight of stored identities."""

_UUID7 = re.compile("[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-7[0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}")
_ULID = re.compile("[0-7][0-9A-HJKMNP-TV-Z]{25}")
_CROCKFORD = {digit: value for value, digit in enumerate("0123456789ABCDEFGHJKMNPQRSTVWXYZ")}
_DAY_MS = 86_400_000


def identity_of(organization: str, source: str, event_id: str) -> bytes:
    """BLAKE2b-128 (RFC 7693) over the length-prefixed parts, so ("a", "bc") and ("ab", "c") differ."""

    organization_, source_, id_ = organization.encode(), source.encode(), event_id.encode()
    message = b"%d:%b%d:%b%d:%b" % (len(organization_), organization_, len(source_), source_, len(id_), id_)
    return blake2b(message, digest_size=16).digest()


def payload_of(event: Usage | Correction) -> bytes:
    """BLAKE2b-128 over type, time, dimensions and amount: two copies of an event agree in it, a conflict does not."""
    if isinstance(event, Correction):
        corrects = event.data.corrects
        amount = f"correction\0{micro(event.data.credits)}\0{corrects.source}\0{corrects.id}"
    elif event.data.unit is None:
        amount = f"credits\0{micro(event.data.credits)}"
    else:
        amount = f"{event.data.unit}\0{micro(event.data.quantity)}"
    data = event.data
    agent = data.agent.id if data.agent else ""
    dimensions = f"{data.product}\0{data.feature_kind}\0{data.feature}\0{data.surface or ''}\0{agent}"
    text = f"{event.time.timestamp()}\0{dimensions}\0{amount}"
    return blake2b(text.encode(), digest_size=16).digest()


def bucket_of(event_id: str, identity: bytes) -> int:
    """Ledger partition: days since 1970 inside a UUIDv7 or ULID, else -1 to -16 by the identity's hash.

    A function of the id alone, so a retry with another time still meets its first copy.
    """
    length = len(event_id)
    if length == 36 and _UUID7.fullmatch(event_id):
        return int(event_id[:8] + event_id[9:13], 16) // _DAY_MS
    if length == 26 and _ULID.fullmatch(event_id):
        milliseconds = 0
        for digit in event_id[:10]:
            milliseconds = milliseconds * 32 + _CROCKFORD[digit]
        return milliseconds // _DAY_MS
    return -1 - identity[0] % HASH_BUCKETS
