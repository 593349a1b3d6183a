"""Decodes many records of usage.events.v1 at once, and leaves what is unusual to the exact path."""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Literal, NamedTuple

import msgspec
import numpy as np
from flexcredits_schemas.events import EventId, Source
from flexcredits_schemas.identity import identity_of, run_identity_of
from msgspec import Raw, Struct
from numpy.typing import NDArray

from aggregator.domain.columns.heads import NO_ATTRIBUTION, REFUSED, Heads, OrganizationHeads
from aggregator.domain.columns.split import ACTOR, CREDITS, QUANTITY, RunIds, split_quantity, split_who
from aggregator.domain.columns.texts import ledger_buckets, parse_amounts, parse_times
from aggregator.domain.columns.usage_columns import UsageColumns
from aggregator.domain.record import Record
from aggregator.domain.time_window import AHEAD_S, PAST_S

_CONTENT_TYPE_BYTES = len('"datacontenttype":"application/json",')
_EDGE_US = 1_000
"""So close to the edges of the time window the exact path decides, which compares rounded seconds."""
_LATEST_MS = 2**53 // 1000
"""The latest append time whose microseconds fit. No event is in the window of a later one."""


class Envelope(Struct, gc=False):
    """The attributes of usage. `data` stays bytes."""

    type: Literal["flexcredits.usage.v1"]
    specversion: Literal["1.0"]
    id: EventId
    source: Source
    subject: str
    time: str
    data: Raw
    datacontenttype: Literal["application/json"] | None = None


_decode = msgspec.json.Decoder(Envelope).decode


class _Rows(NamedTuple):
    """The rows that may become columns. Lists of equal length."""

    records: list[Record]
    heads: list[int]
    ids: list[str]
    times: list[str]
    amounts: list[bytes]
    identities: list[bytes]
    attributed: list[int]
    attributions: list[int]
    """The numbers of these rows' attributions."""
    of_run: list[int]
    runs: list[RunIds]
    """The ids of these rows' runs."""


def read(records: Sequence[Record], heads: Heads) -> tuple[UsageColumns, list[Record]]:
    """Decode records of one partition, in offset order. Returns the usual usage as columns, and the records that the
    exact path must read; both in the order of `records`. New heads are added to `heads`.

    A record becomes a row only if the exact path would accept it as usage, with the same identity, time, amount and
    dimensions:

    1. Its envelope is as short as an envelope with these values can be. So each attribute is there once, and there is
       no unknown attribute, no space, no escape and no character outside ASCII: each would add bytes.
    2. Its organization and its data without the amount, attribution and run equal, byte for byte, those of an event
       that the codec accepted, and so do its organization and attribution (Heads.learn and learn_attribution say why
       that suffices). Its run has ids of plain ASCII.
    3. Its amount is a canonical decimal above 0 at the end of the data, or before a unit at the end.
    4. Its time is in UTC with at most 6 places, and inside the window. Its id has no 0x7f.
    """
    rows, rest = _split_records(records, heads)
    heads.records += len(records)
    amount, occurred_us = parse_amounts(rows.amounts), parse_times(rows.times)
    offset, received_ms = _positions(rows.records)
    received_us = np.clip(received_ms, 0, _LATEST_MS) * 1000
    good = (amount > 0) & (occurred_us > received_us - PAST_S * 1_000_000 + _EDGE_US)
    good &= (occurred_us > 0) & (occurred_us < received_us + AHEAD_S * 1_000_000 - _EDGE_US)
    if "\x7f" in "".join(rows.ids):
        good &= ["\x7f" not in event_id for event_id in rows.ids]
    attribution, run, run_ids = _people(rows)
    columns = UsageColumns(
        heads=heads,
        records=rows.records,
        partition=np.full(len(rows.records), records[0].partition if records else 0, np.int32),
        offset=offset,
        received_ms=received_ms,
        head=np.array(rows.heads, np.int32),
        identity=np.frombuffer(b"".join(rows.identities), "V16"),
        ledger_bucket=ledger_buckets(rows.ids, rows.identities),
        occurred_us=occurred_us,
        amount=amount,
        attribution=attribution,
        run=run,
        run_ids=run_ids,
    )
    if not good.all():
        rest += [rows.records[row] for row in np.flatnonzero(~good).tolist()]
        rest.sort(key=lambda record: record.offset)
        columns = columns.take(good)
    return columns, rest


def _split_records(records: Sequence[Record], heads: Heads) -> tuple[_Rows, list[Record]]:
    """Check the envelopes and find the heads."""
    rows = _Rows([], [], [], [], [], [], [], [], [], [])
    names_people = False
    rest: list[Record] = []
    # Methods that are bound once save 0.2 us per event.
    add_record, add_head, add_id = rows.records.append, rows.heads.append, rows.ids.append
    add_time, add_amount, add_identity = rows.times.append, rows.amounts.append, rows.identities.append
    add_attributed, add_attribution = rows.attributed.append, rows.attributions.append
    organizations = heads.organizations
    nothing = OrganizationHeads()
    for record in records:
        value = record.value
        try:
            event = _decode(value)  # type: ignore[arg-type]  # a record without a value raises TypeError
        except (TypeError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            rest.append(record)
            continue
        assert value is not None
        data, event_id, organization, source = bytes(event.data), event.id, event.subject, event.source
        key, found, amount = data.rpartition(CREDITS)
        if not found:
            key, amount = split_quantity(data)
        own = organizations.get(organization, nothing)
        prefix, envelope = own.sources.get(source) or heads.prefix_of(organization, source)
        if event.datacontenttype is not None:
            envelope += _CONTENT_TYPE_BYTES
        if len(value) != envelope + len(event_id) + len(event.time) + len(data):
            rest.append(record)
            continue
        # If the last use named people, this one probably does, and its key is no head as a whole. The parts of a key
        # that are a head and an attribution need no more checks: neither contains a run.
        number, attribution = -1, NO_ATTRIBUTION
        if not names_people:
            number = own.numbers.get(key, -1)
        elif (begin := key.rfind(ACTOR)) >= 0 and (attribution := own.attributions.get(key[begin:], -1)) >= 0:
            number = own.numbers.get(key[:begin], -1)
        if number < 0:
            number, attribution, names_people = _read_who(
                heads, own, organization, key, amount, data, len(key) if found else data.rfind(QUANTITY), value, rows
            )
            if number < 0:
                rest.append(record)
                continue
        if attribution >= 0:
            add_attributed(len(rows.heads))
            add_attribution(attribution)
        if len(event_id) == 36:
            identity = blake2b(prefix + event_id.encode(), digest_size=16).digest()
        else:
            identity = identity_of(organization, source, event_id)
        add_record(record)
        add_head(number)
        add_id(event_id)
        add_time(event.time)
        add_amount(amount)
        add_identity(identity)
    return rows, rest


def _read_who(
    heads: Heads, own: OrganizationHeads, organization: str, key: bytes, amount: bytes, data: bytes,
    amount_at: int, value: bytes, rows: _Rows,
) -> tuple[int, int, bool]:  # fmt: skip
    """The numbers of head and attribution, and whether the use names people or a run, which is then added to `rows`.

    -1 instead of a head if the exact path must read it.
    """
    who = split_who(data, amount_at) if amount_at >= 0 else None
    if who is None:
        number = own.numbers.get(key, -1)
        return number if number >= 0 else _learn(heads, organization, key, amount, value), NO_ATTRIBUTION, False
    begin, end, run = who
    key = key[: begin - amount_at]
    number = own.numbers.get(key, -1)
    if number < 0:
        number = _learn(heads, organization, key, amount, value.replace(data, data[:begin] + data[amount_at:], 1))
        if number < 0:
            return -1, NO_ATTRIBUTION, False
        own = heads.organizations[organization]
    attribution = NO_ATTRIBUTION
    if begin < end:
        members = data[begin:end]
        attribution = own.attributions.get(members, REFUSED)
        if attribution == REFUSED:
            attribution = heads.learn_attribution(organization, members)
        if attribution == REFUSED:
            return -1, NO_ATTRIBUTION, False
    if run is not None:
        rows.of_run.append(len(rows.heads))
        rows.runs.append(run)
    return number, attribution, attribution >= 0 or run is not None


def _people(rows: _Rows) -> tuple[NDArray[np.int32], NDArray[np.void], NDArray[np.object_]]:
    """The columns attribution, run and run_ids."""
    number = len(rows.records)
    attribution = np.full(number, NO_ATTRIBUTION, np.int32)
    run, run_ids = np.zeros(number, "V16"), np.full(number, None, object)
    if rows.attributed:
        attribution[rows.attributed] = rows.attributions
    if rows.of_run:
        run[rows.of_run] = np.frombuffer(b"".join([run_identity_of(ids[0].decode()) for ids in rows.runs]), "V16")
        for at, ids in zip(rows.of_run, rows.runs, strict=True):
            run_ids[at] = ids
    return attribution, run, run_ids


def _learn(heads: Heads, organization: str, key: bytes, amount: bytes, value: bytes) -> int:
    # The codec accepts other forms of amounts too, but the end of the amount must be the end of the data.
    return heads.learn(organization, key, value) if amount.find(b'"') == len(amount) - 2 >= 0 else -1


def _positions(records: Sequence[Record]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Offsets, and append times in milliseconds."""
    number = len(records)
    offset = np.fromiter((record.offset for record in records), np.int64, number)
    return offset, np.fromiter((record.timestamp for record in records), np.int64, number)
