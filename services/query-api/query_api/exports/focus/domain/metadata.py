"""Metadata of FOCUS 1.4: Dataset Instance, Schema, and Recency from the watermark. Pure."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from query_api.calendar import Days
from query_api.exports.domain.focus import each_day, instant
from query_api.exports.domain.kinds import Kind
from query_api.exports.domain.labels import ONE_DAY
from query_api.exports.focus.domain.columns import TABLES, Dataset

VERSION = "1.4"
SCHEMA_CREATED = "2026-11-30T00:00:00Z"
"""When the columns of a dataset, or their types, changed last."""

_DECIMAL, _WIDE = {"DataType": "Decimal", "NumberScale": 6}, 38
_TYPES: dict[Kind, dict[str, Any]] = {
    "text": {"DataType": "String"},
    "json": {"DataType": "JSON"},
    "instant": {"DataType": "Date/Time"},
    "day": {"DataType": "Date/Time"},
    "cost": {"DataType": "Decimal", "NumericPrecision": _WIDE, "NumberScale": 12},
    "credits": {**_DECIMAL, "NumericPrecision": 19},
    "sum": {**_DECIMAL, "NumericPrecision": _WIDE},
    "share": {**_DECIMAL, "NumericPrecision": _WIDE},
    "count": {"DataType": "Integer"},
    "flag": {"DataType": "Boolean"},
}


def describe_datasets(
    datasets: Sequence[Dataset],
    organization: str,
    days: Days,
    with_data: Days | None,
    time_zone: str | None,
    complete_to: datetime | None,
    is_all_counted: bool,
    now: datetime,
) -> dict[str, Any]:
    """`complete_to`: everything received until then is in the data; None: unknown, then there is no Recency. `with_data`: the
    part of `days` that can have data.

    A day, or a dataset that is no time series, is complete if its end is not after `complete_to` and no usage waits
    (`is_all_counted`): held or quarantined usage may be of any day. Late usage changes it still.
    """
    instances = [
        {
            "DatasetInstanceId": _id(organization, each),
            "DatasetInstanceName": _name(each),
            "FocusDatasetId": TABLES[each].dataset_id,
        }
        for each in datasets
    ]
    recency: list[dict[str, Any]] = []
    if complete_to is not None:
        updated_at = _instant(complete_to)
        for instance, dataset in zip(instances, datasets, strict=True):
            about: dict[str, Any] = {
                "DatasetInstanceId": instance["DatasetInstanceId"],
                "DatasetInstanceLastUpdated": updated_at,
                "RecencyLastUpdated": _instant(now),
            }
            if dataset == "cost-and-usage":
                about["TimeSectors"] = _sectors(with_data, time_zone, updated_at, is_all_counted) if with_data else []
            else:
                has_end = is_all_counted and days.last < date.max
                about["DatasetInstanceComplete"] = has_end and instant(days.last + ONE_DAY, time_zone) <= updated_at
            recency.append(about)
    schemas = [describe_schema(organization, each) for each in datasets]
    return {"FocusVersion": VERSION, "DatasetInstance": instances, "Schema": schemas, "Recency": recency}


def describe_schema(organization: str, dataset: Dataset) -> dict[str, Any]:
    """The columns of a dataset with their types. The id is another one whenever they change."""
    columns = [{"ColumnName": name, **_TYPES[kind]} for name, kind in TABLES[dataset].columns.items()]
    instance = _id(organization, dataset)
    return {
        "SchemaId": str(uuid5(NAMESPACE_URL, f"{instance} {columns}")),
        "DatasetInstanceId": instance,
        "FocusVersion": VERSION,
        "CreationDate": SCHEMA_CREATED,
        "ColumnDefinition": columns,
    }


def _sectors(days: Days, time_zone: str | None, complete_to: str, is_all_counted: bool) -> list[dict[str, Any]]:
    return [
        {
            "TimeSectorStart": instant(day, time_zone),
            "TimeSectorEnd": (end := instant(day + ONE_DAY, time_zone)),
            "TimeSectorComplete": is_all_counted and end <= complete_to,
            "TimeSectorLastUpdated": complete_to,
        }
        for day in each_day(days)
    ]


def _id(organization: str, dataset: Dataset) -> str:
    return f"{organization}/focus-{VERSION}/{dataset}"


def _name(dataset: Dataset) -> str:
    return f"{TABLES[dataset].name} by day" if dataset == "cost-and-usage" else TABLES[dataset].name


def _instant(at: datetime) -> str:
    """In whole seconds, as the instants of the data: so they can be compared as text."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
