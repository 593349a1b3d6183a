"""Field types that request and response bodies share. They define the OpenAPI description, too.

Credits are decimal strings with exactly six places, "12.500000", so that no client parses them as floats.
"""

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated

from flexcredits_schemas.credits import decimal_text
from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema
from typing_extensions import TypedDict


def _decimal_string(pattern: str, example: str, description: str) -> WithJsonSchema:
    return WithJsonSchema(
        {"type": "string", "pattern": pattern, "examples": [example], "description": description}, mode="serialization"
    )


_CREDITS = _decimal_string(r"^-?\d+\.\d{6}$", "12.500000", "Credits, exact, with six decimal places.")
_SHARE = _decimal_string(r"^-?\d+\.\d{6}$", "0.250000", "A fraction of the whole, with six decimal places.")

Credits = Annotated[int, PlainSerializer(decimal_text, return_type=str), _CREDITS]
CreditsText = Annotated[str, _CREDITS]
"""Credits in a large response, which is encoded without pydantic: the text itself, of `decimal_text`."""
InstantText = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"}, mode="serialization")]
"""An instant in such a response, of `write_instant`."""
Money = Annotated[
    int,
    PlainSerializer(decimal_text, return_type=str),
    _decimal_string(r"^-?\d+\.\d{6}$", "0.012500", "Money in the contract's currency, exact, with six decimal places."),
]
Share = Annotated[int, PlainSerializer(decimal_text, return_type=str), _SHARE]
ShareText = Annotated[str, _SHARE]
Percent = Annotated[
    Decimal,
    PlainSerializer(str, return_type=str),
    _decimal_string(
        r"^-?\d+\.\d{2}$",
        "103.25",
        "Percent, truncated to two decimal places, so that 100.00 is never rounded up. May exceed 100.",
    ),
]
TimeZone = Annotated[
    str | None,
    Field(
        description="IANA name. All dates are in this zone. null: no organization event has arrived yet; usage is held "
        "until one does.",
        examples=["Asia/Kathmandu"],
    ),
]
CompleteTo = Annotated[
    datetime | None,
    Field(description="Every event received up to this instant is in the totals. null: unknown."),
]


class ResponseBody(BaseModel):
    model_config = ConfigDict(frozen=True, populate_by_name=True, from_attributes=True)


class RequestBody(BaseModel):
    """The body of a request."""

    model_config = ConfigDict(extra="forbid", frozen=True)


DateRange = TypedDict("DateRange", {"from": date, "to": date})
DateRange.__doc__ = "Inclusive: `to` is the last day."


def date_range(first: date, last: date) -> DateRange:
    return {"from": first, "to": last}
