"""Response of the receipt."""

from datetime import date, datetime
from typing import Annotated, Literal

from flexcredits_schemas.credits import decimal_text, scaled_text
from flexcredits_schemas.events import FeatureKind, Product
from pydantic import Field, PlainSerializer, WithJsonSchema

from query_api.actors.schemas import ActorRef, GroupRef
from query_api.contracts.schemas import CreditPeriodRef
from query_api.http.fields import Credits, ResponseBody, TimeZone
from query_api.ledger.domain import WaitsFor

Quantity = Annotated[
    int,
    PlainSerializer(decimal_text, return_type=str),
    WithJsonSchema(
        {"type": "string", "pattern": r"^\d+\.\d{6}$", "description": "Units, exact, with six decimal places."},
        mode="serialization",
    ),
]


ExactCredits = Annotated[
    int,
    PlainSerializer(lambda credits: scaled_text(credits, 12), return_type=str),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": r"^\d+\.\d{6,12}$",
            "description": "Credits, rounded to at most 12 decimal places.",
        },
        mode="serialization",
    ),
]


class CountedIn(ResponseBody):
    """The totals that contain the event."""

    quarter_hour_at: datetime = Field(description="Start of its quarter of an hour (UTC).")
    day: date = Field(description="In the organization's time zone.")
    month: str = Field(examples=["2026-11"])
    credit_period: CreditPeriodRef | None = Field(description="null: no credit period covers the day.")


class PostedEvent(ResponseBody):
    """A related event: a correction of this event, or the event that this one corrects."""

    credits: Credits | None = Field(description="null while held.")
    occurred_at: datetime
    received_at: datetime
    partition: int
    offset: int
    reason: str | None = Field(None, description="Reason of a correction. null: no longer known.")


class RejectedRecord(ResponseBody):
    """A record of this event that could not be counted. The dead-letter topic contains it, too."""

    reason: str
    pointer: str = Field(description="JSON pointer into the event; empty for the whole event.")
    received_at: datetime
    topic: str
    partition: int
    offset: int


class ReceiptRate(ResponseBody):
    """`credits` per `per` units."""

    credits: Credits
    per: Quantity
    effective_from: datetime | None = Field(description="null: from received_at.")
    received_at: datetime
    scope: Literal["organization", "deployment"] = Field(description="Whose rate card contains it.")


class ReceiptQuantity(ResponseBody):
    """One unit of an event with several quantities. The event's credits are the sum of `credits`, rounded once."""

    unit: str
    quantity: Quantity = Field(description="As the event gives it.")
    part_of: str | None = Field(description="The unit of this event that includes it, by its rate.")
    charged: Quantity | None = Field(
        description="The quantity without the quantities of the units that are part of it. null while held."
    )
    rate: ReceiptRate | None = Field(description="null while held.")
    credits: ExactCredits | None = Field(description="`charged` times `rate`. null while held.")


class ReceiptRun(ResponseBody):
    """A run; `/api/v1/usage/runs/{run_id}` accepts id and key."""

    id: str | None = Field(description="null: no usage of the run is counted or held any more.")
    key: str
    parent_id: str | None


class Receipt(ResponseBody):
    """What happened to an event, and where it is counted."""

    source: str | None = Field(description="null: asked by `key`; the ledger keeps only a hash of `source` and `id`.")
    id: str | None = Field(description="As `source`.")
    state: Literal["counted", "held", "corrected", "rejected"] = Field(
        description="held: not in any total yet. corrected: counted, and has counted corrections. "
        "rejected: not in any total; `rejections` give the reasons, and most other fields are null."
    )
    type: Literal["usage", "correction"] | None = None
    waits_for: WaitsFor | None = Field(None, description="null unless held.")
    product: Product | None = None
    feature_kind: FeatureKind | None = None
    feature: str | None = None
    agent: str | None = Field(None, description="The agent's id.")
    surface: str | None = None
    is_beyond_limit: bool = Field(
        False,
        description="Its feature, agent or surface is beyond the organization's limit of new ones in a month: it counts in the "
        "row Other, and what was not kept is null here.",
    )
    actor: ActorRef | None = Field(
        None, description="Who used it. null: the event names no actor, or the organization shows only groups."
    )
    group: GroupRef | None = Field(
        None,
        description="The group in which it counts: the event's, else the actor's on that day. null: none, or the organization "
        "shows only groups.",
    )
    labels: dict[str, str] = Field(
        {}, description="Those with a key that the organization declares. Empty if the organization shows only groups."
    )
    run: ReceiptRun | None = Field(None, description="The run that it is a part of.")
    occurred_at: datetime | None = Field(None, description="The event's `time`.")
    received_at: datetime | None = Field(None, description="When Kafka stored it.")
    topic: str
    partition: int | None = None
    offset: int | None = None
    credits: Credits | None = Field(None, description="As counted; signed for a correction. null while held.")
    credits_after_corrections: Credits | None = Field(None, description="null while held, and for a correction.")
    quantity: Quantity | None = Field(None, description="null: the event contained credits.")
    unit: str | None = None
    quantities: list[ReceiptQuantity] = Field(
        [],
        description="Of an event with several quantities, sorted by unit; then `quantity`, `unit` and `rate` are null.",
    )
    missing_rate_of: str | None = Field(
        None, description="The first unit in `quantities` whose rate a held event waits for."
    )
    rate: ReceiptRate | None = Field(
        None, description="The rate that converted the quantity to credits. null without a quantity."
    )
    counted_in: CountedIn | None = Field(None, description="null while held.")
    corrections: list[PostedEvent] = Field(
        [], description="Corrections of this event, oldest first. Each counts at its own time."
    )
    corrects: PostedEvent | None = Field(None, description="For a correction: the usage event. null: not arrived yet.")
    reason: str | None = Field(None, description="Reason of a correction. null: no longer known.")
    rejections: list[RejectedRecord] = Field(
        [],
        description="Rejected records of this event, oldest first, including those with another payload.",
    )
    time_zone: TimeZone
