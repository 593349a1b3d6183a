"""The body of the proof."""

from datetime import datetime

from pydantic import Field

from query_api.freshness.schemas import QuarantineEntry
from query_api.http.fields import Answer, Credits


class Dispositions(Answer):
    """What became of records: applied = counted + duplicate + rejected + held."""

    applied: int
    counted: int
    duplicate: int
    rejected: int
    held: int
    skipped: int = Field(
        description="Offsets that hold no record, and are no part of `applied`: markers of transactions, records of aborted ones."
    )
    balanced: bool


class PartitionDispositions(Dispositions):
    """`applied` + `skipped` is also the offset of the next record.

    accepted = counted + duplicate + rejected + held + in_flight: every record of the log has one disposition or is on its way.
    """

    topic: str
    partition: int
    in_flight: int | None = Field(
        description="Records of the log that were not applied yet when its end was last seen. null: it never was."
    )
    accepted: int | None = Field(description="applied + in_flight. null: the log's end was never seen.")
    end_offset: int | None = Field(description="Where the log ended at end_seen_at; applying may have passed it since.")
    end_seen_at: datetime | None


class HourDispositions(Answer):
    """What became, until now, of the records that a partition of the log took in an hour."""

    topic: str
    partition: int
    hour_at: datetime = Field(description="When the hour begins, UTC, by the log's own clock.")
    applied: int = Field(description="counted + duplicate + rejected + held.")
    counted: int
    duplicate: int
    rejected: int
    held: int = Field(
        description="Those that still wait. Once they are counted, they are so in the hour of their receipt."
    )


class Sums(Answer):
    """This organization's credits of all time, added up from six tables that are written apart."""

    ledger: Credits | None = Field(description="null: adding up the events took too long.")
    quarter_hours: Credits = Field(description="Days whose quarters of an hour have expired count by their daily rows.")
    days: Credits
    months: Credits
    organization_days: Credits
    organization_months: Credits
    equal: bool | None = Field(description="null: the ledger's sum is not known, and the others agree.")


class TimeZoneRules(Answer):
    """By which rules of its time zone the organization's days were counted."""

    tz: str = Field(description="Release of the tz database by which days are counted now.", examples=["2026f"])
    counted_with: str | None = Field(
        description="Release by which the days were counted; a later one changed nothing for them. null: none was recorded."
    )
    differs_since: datetime | None = Field(
        description="Since when `tz` has other rules than the days were counted by. null: they agree, or none were recorded."
    )
    postgres_differs: bool | None = Field(
        description="Whether Postgres has other rules for the zone around now; no sum depends on them. null: not compared yet."
    )


class Proof(Answer):
    partitions: list[PartitionDispositions]
    totals: Dispositions
    credits: Sums
    time_zone_rules: TimeZoneRules | None = Field(description="null: the organization's time zone is not known.")
    quarantine: list[QuarantineEntry] = Field(
        description="What fails for this organization alone; its records are `held` meanwhile. Empty when all is well."
    )
    hours: list[HourDispositions] = Field(
        description="The last hours with records, as many as were asked for, by partition, the oldest first."
    )
