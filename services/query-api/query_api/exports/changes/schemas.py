"""Answers about files of the past."""

from datetime import date, datetime
from typing import Literal

from flexcredits_schemas.events import PeopleMode
from pydantic import Field

from query_api.exports.changes.differences import Cause
from query_api.http.fields import CompleteTo, Credits, CreditsText, DateRange, Money, ResponseBody, TimeZone


class ManifestFilters(ResponseBody):
    product: str | None
    view: str | None
    surface: list[str] | None


class ManifestWatermark(ResponseBody):
    topic: str
    next_offsets: dict[str, int] = Field(
        description="By partition: usage at all earlier offsets was in the file, held, or rejected."
    )
    complete_to: CompleteTo


class ManifestRules(ResponseBody):
    time_zones: str | None = Field(description="Release of the time zone database. null: unknown.", examples=["2026a"])
    rates: int
    features: int
    contracts: int
    contracts_offset: int | None = Field(description="Catalog offset of the newest event of a contract.")
    program: str


class ManifestPrice(ResponseBody):
    """The price of a credit on some days."""

    from_: date = Field(alias="from")
    to: date
    currency: str | None
    credit: CreditsText


class ExportManifest(ResponseBody):
    """What was in a file, as of when, and by which rules."""

    id: str
    organization: str
    dataset: Literal["usage", "table", "people", "focus"]
    format: Literal["csv", "parquet"]
    byte_order_mark: bool
    file: str
    made_at: datetime
    days: DateRange
    time_zone: TimeZone
    filters: ManifestFilters
    parameters: dict[str, str | bool | list[str]] | None = Field(
        None, description="Of the request, with defaults. null: made by an older release."
    )
    people: PeopleMode | None = Field(
        None,
        description="What was shown of people, in a file by people. While another is set, the manifest is not answered.",
    )
    watermark: ManifestWatermark
    rules: ManifestRules
    prices: list[ManifestPrice]
    lines: int
    credits: CreditsText | None = Field(
        description="The sum of the file: its column `credits`, of `table` that of the leaves, of FOCUS `ConsumedQuantity` or "
        "`x_UsedCredits`. null: it has no such column."
    )
    events: int | None = Field(description="null: not counted, except in usage.")
    bytes: int
    sha256: str


class ExportedFile(ResponseBody):
    """A file that was sent whole."""

    manifest: ExportManifest
    signed: bool
    reproducible: bool = Field(
        description="Whether its lines are still kept, for `file` and for the causes of `changes`. Those by people never are."
    )


class ExportedFiles(ResponseBody):
    exports: list[ExportedFile]


class CauseTotal(ResponseBody):
    cause: Cause = Field(
        description="late: counted after the file was made, or held then. corrected: corrections counted since; after a "
        "change of the time zone they are in late. recategorized: usage of a feature whose category has changed. moved: "
        "usage that is on another day since the time zone has changed. re_rated: never changes credits; see `worth`."
    )
    credits: Credits = Field(description="Its part of the difference.")
    events: int
    changes: int = Field(
        description="The number of all changes of this cause, also of those beyond `limit`. A new category is two of them, which "
        "are listed both or not at all; re_rated: of days."
    )


class Change(ResponseBody):
    """What differs on a day, by one cause."""

    cause: Cause
    day: date
    product: str
    kind: str
    category: str | None = Field(
        description="Of the day, as known today. recategorized: a change with the category of the file takes the credits away, "
        "another one with the new category adds them."
    )
    feature: str | None
    feature_name: str
    agent_id: str | None
    agent_name: str | None
    surface: str | None
    credits: Credits
    events: int


class WorthChange(ResponseBody):
    """Credits at the price of their day, in one currency: before + used + re_rated = now."""

    currency: str | None
    before: str = Field(description="The file's credits at the prices known then.", examples=["12.500000"])
    used: str = Field(description="The difference of credits at today's prices.")
    re_rated: str = Field(description="The file's credits by which their prices have changed since.")
    now: str


class DayPrice(ResponseBody):
    currency: str | None
    credit: Money | None = Field(description="Price of a credit. null: unknown.")


class RePriced(ResponseBody):
    """A day of the file whose price of a credit is another one today."""

    day: date
    before: DayPrice
    now: DayPrice


class NotComparedDays(ResponseBody):
    """Days of the file that began at other instants, and of which no quarters of an hour are kept: they have no causes."""

    from_: date = Field(alias="from")
    to: date
    credits: Credits = Field(description="The file's credits of these days. `credits_before` has none of them.")
    events: int


class Changes(ResponseBody):
    """What differs today from a file whose lines are kept."""

    compared: Literal["lines"] = "lines"
    export_id: str
    credits_before: Credits
    credits_now: Credits
    difference: Credits = Field(description="credits_now - credits_before, and the sum of `causes`.")
    events_before: int
    events_now: int
    causes: list[CauseTotal]
    worth: list[WorthChange] = Field(description="By currency; days without a price are left out.")
    re_rated: list[RePriced] = Field(description="The latest ones, up to `limit`.")
    changes: list[Change] = Field(description="The largest ones.")
    left_out: int = Field(description="Number of changes beyond `limit`. `causes` include them.")
    not_compared: list[NotComparedDays] = Field(
        description="Days of another time zone of which nothing else is said, because usage by quarters of an hour is kept "
        "for 466 days only."
    )
    time_zone: TimeZone
    complete_to: CompleteTo


class FileChanges(ResponseBody):
    """The same request, for the days of the file, as it is answered today. There are no causes: the file's lines are not kept, or
    are not lines of usage."""

    compared: Literal["file"] = "file"
    export_id: str
    same_bytes: bool | None = Field(
        description="Of focus.parquet with the metadata of then, which has the time at which it was made; null: it is not kept."
    )
    lines_before: int
    lines_now: int
    credits_before: Credits | None = Field(description="As `credits` of the manifest.")
    credits_now: Credits | None
    difference: Credits | None = Field(description="credits_now - credits_before")
    sha256_before: str
    sha256_now: str
    time_zone: TimeZone
    complete_to: CompleteTo
