"""The body of an event's receipt."""

from datetime import date, datetime
from typing import Annotated, Literal

from flexcredits_schemas.credits import decimal_text
from flexcredits_schemas.events import FeatureKind, Product
from pydantic import Field, PlainSerializer, WithJsonSchema

from query_api.contracts.schemas import CreditPeriodRef
from query_api.http.fields import Answer, Credits, TimeZone
from query_api.ledger.domain import WaitsFor

Quantity = Annotated[
    int,
    PlainSerializer(decimal_text, return_type=str),
    WithJsonSchema(
        {"type": "string", "pattern": r"^\d+\.\d{6}$", "description": "Units, exact, with six decimal places."},
        mode="serialization",
    ),
]


class CountedIn(Answer):
    """The totals that have the event in them."""

    quarter_hour_at: datetime = Field(description="When its quarter of an hour begins, UTC.")
    day: date = Field(description="Of the organization's time zone.")
    month: str = Field(examples=["2026-11"])
    credit_period: CreditPeriodRef | None = Field(description="null: no credit period covers the day.")


class PostedEvent(Answer):
    """Another event of the same use: a correction, or what a correction corrects."""

    credits: Credits | None = Field(description="null while it is held.")
    occurred_at: datetime
    received_at: datetime
    partition: int
    offset: int
    reason: str | None = Field(None, description="Of a correction: why it was made. null: not known any more.")


class RejectedRecord(Answer):
    """A record of this event that could not be counted. It lies in the dead-letter topic too."""

    reason: str
    pointer: str = Field(description="Where in the event, as a JSON pointer; empty for the event as a whole.")
    received_at: datetime
    topic: str
    partition: int
    offset: int


class ReceiptRate(Answer):
    """`credits` for `per` units."""

    credits: Credits
    per: Quantity
    effective_from: datetime | None = Field(description="null: from its receipt on.")
    received_at: datetime
    scope: Literal["organization", "deployment"] = Field(description="Whose rate card it stands in.")


class Receipt(Answer):
    """What happened to an event, and where it is counted."""

    source: str
    id: str
    state: Literal["counted", "held", "corrected", "rejected"] = Field(
        description="held: it waits, and is in no total yet. corrected: it is counted, and so are corrections of it. "
        "rejected: it is in no total; `rejections` say why, and most of the rest is null."
    )
    type: Literal["usage", "correction"] | None = None
    waits_for: WaitsFor | None = Field(None, description="null unless held.")
    product: Product | None = None
    feature_kind: FeatureKind | None = None
    feature: str | None = None
    agent: str | None = Field(None, description="The agent's id.")
    surface: str | None = None
    occurred_at: datetime | None = Field(None, description="The event's `time`.")
    received_at: datetime | None = Field(None, description="When the log took it.")
    topic: str
    partition: int | None = None
    offset: int | None = None
    credits: Credits | None = Field(None, description="As counted; signed, of a correction. null while it is held.")
    credits_after_corrections: Credits | None = Field(None, description="null while it is held, and of a correction.")
    quantity: Quantity | None = Field(None, description="null: the event named its credits itself.")
    unit: str | None = None
    rate: ReceiptRate | None = Field(None, description="That made credits of the quantity. null without one.")
    counted_in: CountedIn | None = Field(None, description="null while it is held.")
    corrections: list[PostedEvent] = Field(
        [], description="Of this event, the oldest first. Each counts at its own time."
    )
    corrects: PostedEvent | None = Field(
        None, description="Of a correction: the usage event. null: it has not arrived."
    )
    reason: str | None = Field(None, description="Of a correction: why it was made. null: not known any more.")
    rejections: list[RejectedRecord] = Field(
        [],
        description="Records of this event that were not counted, the oldest first: also one that another payload followed.",
    )
    time_zone: TimeZone
