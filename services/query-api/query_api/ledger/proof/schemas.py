"""Response of the proof."""

from datetime import datetime

from pydantic import Field

from query_api.freshness.schemas import QuarantineEntry
from query_api.http.fields import Credits, ResponseBody


class Dispositions(ResponseBody):
    """Dispositions of records: applied = counted + duplicate + rejected + held."""

    applied: int
    counted: int
    duplicate: int
    rejected: int
    held: int
    skipped: int = Field(
        description="Offsets without a record, not part of `applied`: transaction markers, records of aborted transactions."
    )
    balanced: bool


class PartitionDispositions(Dispositions):
    """`applied` + `skipped` is the offset of the next record.

    accepted = counted + duplicate + rejected + held + in_flight: each record has one disposition or is in flight.
    """

    topic: str
    partition: int
    in_flight: int | None = Field(
        description="Records not applied yet when the end of the log was last read. null: not read yet."
    )
    accepted: int | None = Field(description="applied + in_flight. null: the end of the log was not read yet.")
    end_offset: int | None = Field(description="End of the log at end_seen_at. Later records may be applied already.")
    end_seen_at: datetime | None


class HourDispositions(ResponseBody):
    """Current dispositions of the records that were appended to a partition in an hour."""

    topic: str
    partition: int
    hour_at: datetime = Field(description="Start of the hour (UTC), by Kafka's append time.")
    applied: int = Field(description="counted + duplicate + rejected + held.")
    counted: int
    duplicate: int
    rejected: int
    held: int = Field(description="Records that are still held. Once counted, they count in the hour of their receipt.")


class Sums(ResponseBody):
    """This organization's credits of all time, from six tables that are written separately."""

    ledger: Credits | None = Field(description="null: the sum took too long.")
    quarter_hours: Credits = Field(description="Days whose quarters of an hour have expired are taken from daily rows.")
    days: Credits
    months: Credits
    organization_days: Credits
    organization_months: Credits
    equal: bool | None = Field(description="null: the ledger's sum is unknown, and the others agree.")


class TimeZoneRules(ResponseBody):
    """Time zone rules with which the organization's days were counted."""

    tz: str = Field(description="Release of the tz database that is used now.", examples=["2026f"])
    counted_with: str | None = Field(
        description="Release with which the days were counted; later ones did not change them. null: not recorded."
    )
    differs_since: datetime | None = Field(
        description="First instant at which the rules of `tz` differ from those used for counting. null: equal, or not recorded."
    )
    postgres_differs: bool | None = Field(
        description="Whether the zone rules of Postgres differ around now. No sum depends on them. null: not compared yet."
    )


class Proof(ResponseBody):
    partitions: list[PartitionDispositions]
    totals: Dispositions
    credits: Sums
    time_zone_rules: TimeZoneRules | None = Field(description="null: the organization's time zone is unknown.")
    quarantine: list[QuarantineEntry] = Field(
        description="Steps that fail for this organization only; its records are `held` meanwhile. Normally empty."
    )
    hours: list[HourDispositions] = Field(
        description="The requested number of last hours, those with records, by partition, oldest first."
    )
