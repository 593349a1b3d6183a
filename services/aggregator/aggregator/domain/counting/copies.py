"""Decides whether two events with the same identity are copies of one event. Pure."""

from typing import NamedTuple

from aggregator.domain.decode import UsageRecord
from aggregator.domain.rating import Quantities


class Content(NamedTuple):
    """The parts of an event that its copies must agree in. An event with the same identity and another content is a
    conflict.

    The time is in milliseconds since 1970, because CloudEvents' JavaScript SDK cuts times to milliseconds. `credits` and
    `quantity` are in millionths, and at least one of them is None. `corrects` is the identity of a correction's original.
    """

    series_id: int
    occurred_ms: int
    credits: int | None
    quantity: int | None
    unit: str | None
    corrects: bytes | None
    attribution_id: int | None
    """None for corrections, and so is `run`: both follow from the original."""
    run: bytes | None
    quantities: Quantities | None


def content_of(use: UsageRecord, series_id: int, attribution_id: int | None) -> Content:
    occurred_ms = round(use.occurred * 1e6) // 1000  # via whole microseconds, which a double represents exactly
    return Content(
        series_id, occurred_ms, use.credits, use.quantity, use.unit, use.corrects[1] if use.corrects else None,
        None if use.corrects else attribution_id, use.run.identity if use.run else None, use.quantities,
    )  # fmt: skip


def differs_in_names(first: Content, copy: Content) -> bool:
    """Whether they differ in series or attribution alone. Both name an attribution, or neither does."""
    return (
        (first.attribution_id is None) == (copy.attribution_id is None)
        and first != copy == first._replace(series_id=copy.series_id, attribution_id=copy.attribution_id)
    )  # fmt: skip
