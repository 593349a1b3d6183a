"""The body of an event's receipt."""

from datetime import date, datetime
from typing import Annotated, Literal

from flexcredits_schemas.events import FeatureKind, Product
from pydantic import Field, PlainSerializer, WithJsonSchema

from query_api.answers import Answer, Credits, Period, TimeZone, credits_text
from query_api.ledger import WaitsFor

Quantity = Annotated[
    int,
    PlainSerializer(credits_text, return_type=str),
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
    credit_period: Period | None = Field(description="null: no credit period covers the day.")


class PostedEvent(Answer):
    """Another event of the same use: a correction, or what a correction corrects."""

    credits: Credits | None = Field(description="null while it is held.")
    occurred_at: datetime
    received_at: datetime
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
    type: Literal["usage", "correction"]
    state: Literal["counted", "held", "corrected"] = Field(
        description="held: it waits, and is in no total yet. corrected: it is counted, and so are corrections of it."
    )
    waits_for: WaitsFor | None = Field(description="null unless held.")
    product: Product
    feature_kind: FeatureKind
    feature: str
    agent: str | None = Field(description="The agent's id.")
    surface: str | None
    occurred_at: datetime = Field(description="The event's `time`.")
    received_at: datetime = Field(description="When the log took it.")
    topic: str
    partition: int
    offset: int
    credits: Credits | None = Field(description="As counted; signed, of a correction. null while it is held.")
    credits_after_corrections: Credits | None = Field(description="null while it is held, and of a correction.")
    quantity: Quantity | None = Field(description="null: the event named its credits itself.")
    unit: str | None
    rate: ReceiptRate | None = Field(description="That made credits of the quantity. null without one.")
    counted_in: CountedIn | None = Field(description="null while it is held.")
    corrections: list[PostedEvent] = Field(description="Of this event, the oldest first. Each counts at its own time.")
    corrects: PostedEvent | None = Field(description="Of a correction: the usage event. null: it has not arrived.")
    time_zone: TimeZone
