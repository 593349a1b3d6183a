"""Metadata of FOCUS 1.4: Dataset Instance, Schema and Recency (specification 1.4, Metadata), as JSON and in Parquet files."""

import io
import json
from datetime import UTC, date, datetime
from typing import Any

import pyarrow.parquet as pq
from query_api.calendar import Days
from query_api.exports.focus.domain.columns import TABLES
from query_api.exports.focus.domain.metadata import describe_datasets, describe_schema
from support.data.table_rows import TableRows
from support.services.query_api import Api

NOW = datetime(2026, 11, 22, 12, 0, 30, 999, tzinfo=UTC)
DAYS = Days(date(2026, 11, 21), date(2026, 11, 22))
IDS = [
    "9d36b957-68f2-5bd0-a9f0-5670095fec21",
    "85deff46-1c6a-5eda-b666-eb8b5c426991",
    "73814e62-67b0-55a8-8db2-88ca44bc405d",
    "9f6a69d4-8362-5b6a-be7c-9f54934d82ee",
]


def test_days_before_the_watermark_are_complete() -> None:
    complete_to = datetime(2026, 11, 21, 18, 15, 0, 500, tzinfo=UTC)  # the end of a day in Kathmandu
    found = describe_datasets(tuple(TABLES), "org_acme", DAYS, DAYS, "Asia/Kathmandu", complete_to, True, NOW)
    assert found["FocusVersion"] == "1.4"
    assert [each["FocusDatasetId"] for each in found["DatasetInstance"]] == [
        "CostAndUsage", "ContractCommitment", "BillingPeriod", "InvoiceDetail",
    ]  # fmt: skip
    ids = [each["DatasetInstanceId"] for each in found["DatasetInstance"]]
    assert ids == [each["DatasetInstanceId"] for each in found["Recency"]]
    assert len(set(ids)) == 4
    costs, *others = found["Recency"]
    assert costs["TimeSectors"] == [
        {
            "TimeSectorStart": "2026-11-20T18:15:00Z", "TimeSectorEnd": "2026-11-21T18:15:00Z", "TimeSectorComplete": True,
            "TimeSectorLastUpdated": "2026-11-21T18:15:00Z",
        },
        {
            "TimeSectorStart": "2026-11-21T18:15:00Z", "TimeSectorEnd": "2026-11-22T18:15:00Z", "TimeSectorComplete": False,
            "TimeSectorLastUpdated": "2026-11-21T18:15:00Z",
        },
    ]  # fmt: skip
    assert {(each["DatasetInstanceComplete"], each["RecencyLastUpdated"]) for each in others} == {
        (False, "2026-11-22T12:00:30Z")
    }


def test_a_schema_has_every_column_with_its_type_and_its_date_is_that_of_its_columns() -> None:
    """When this fails because columns have changed, SCHEMA_CREATED is the day of the change."""
    schemas = {each: describe_schema("org_acme", each) for each in TABLES}
    for dataset, schema in schemas.items():
        assert [each["ColumnName"] for each in schema["ColumnDefinition"]] == list(TABLES[dataset].columns)
        assert schema["DatasetInstanceId"] == f"org_acme/focus-1.4/{dataset}"
        kinds = {type(value) for each in schema["ColumnDefinition"] for value in each.values()}
        assert kinds <= {str, int}
    costs = {each["ColumnName"]: each for each in schemas["cost-and-usage"]["ColumnDefinition"]}
    assert costs["BilledCost"] == {"ColumnName": "BilledCost", "DataType": "Decimal", "NumericPrecision": 38, "NumberScale": 12}  # fmt: skip
    assert [costs[name]["DataType"] for name in ("ChargePeriodStart", "Tags", "x_Events", "x_PriceUnknown", "SkuId")] == [
        "Date/Time", "JSON", "Integer", "Boolean", "String",
    ]  # fmt: skip
    ids = [schema["SchemaId"] for schema in schemas.values()]
    assert {schema["CreationDate"] for schema in schemas.values()} == {"2026-11-30T00:00:00Z"}
    assert ids == IDS


def test_without_a_watermark_nothing_is_said_about_recency() -> None:
    found = describe_datasets(["billing-period"], "org_acme", DAYS, DAYS, "UTC", None, True, NOW)
    assert (len(found["DatasetInstance"]), found["Recency"]) == (1, [])


async def test_a_parquet_file_has_the_metadata_of_its_dataset(api: Api, db: TableRows) -> None:
    acme = await db.organization()
    await db.use(acme, "assistant", "model", "gpt-6", "2026-11-01", 5)
    await db.progress(0, datetime(2026, 11, 20, 12, tzinfo=UTC))
    days = "from=2026-11-19&to=2026-11-20"
    answer = await api.ask(f"/api/v1/export/focus.json?{days}")
    assert answer.headers["content-type"] == "application/json"
    name = "flexcredits_org_acme_2026-11-19_2026-11-20_focus-1.4_metadata.json"
    assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'
    everything = answer.json()
    assert [each["TimeSectorComplete"] for each in everything["Recency"][0]["TimeSectors"]] == [True, False]
    for at, dataset in enumerate(TABLES):
        file = await api.ask(f"/api/v1/export/focus.parquet?{days}&dataset={dataset}")
        metadata = pq.read_metadata(io.BytesIO(file.content)).metadata
        assert metadata[b"FocusVersion"] == b"1.4"
        for part in ("DatasetInstance", "Schema", "Recency"):
            assert json.loads(metadata[part.encode()]) == [everything[part][at]]


async def test_days_without_any_usage_and_days_to_come_are_left_out(api: Api, db: TableRows) -> None:
    acme = await db.organization()
    await db.progress(0, datetime(2026, 11, 21, 12, tzinfo=UTC))
    days = "from=0001-01&to=9999-12"
    assert (await read_sectors(api, days)) == []
    await db.use(acme, "assistant", "model", "gpt-6", "2026-11-20", 5)
    sectors = await read_sectors(api, days)
    assert [each["TimeSectorStart"][:10] for each in sectors] == ["2026-11-20", "2026-11-21", "2026-11-22"]
    assert [each["TimeSectorComplete"] for each in sectors] == [True, False, False]
    for dataset in TABLES:
        assert (await api.ask(f"/api/v1/export/focus.parquet?{days}&dataset={dataset}")).status_code == 200


async def test_while_usage_waits_no_day_is_complete(api: Api, db: TableRows) -> None:
    """It may be of any day, and this flag ends the reading of many loaders."""
    acme = await db.organization()
    series = await db.use(acme, "assistant", "model", "gpt-6", "2026-11-01", 5)
    await db.progress(0, datetime(2026, 11, 20, 12, tzinfo=UTC))
    days = "from=2026-11-01&to=2026-11-02"
    assert [each["TimeSectorComplete"] for each in await read_sectors(api, days)] == [True, True]
    await db.hold(acme, series)
    assert [each["TimeSectorComplete"] for each in await read_sectors(api, days)] == [False, False]
    recency = (await api.ask(f"/api/v1/export/focus.json?{days}")).json()["Recency"]
    assert [each["DatasetInstanceComplete"] for each in recency[1:]] == [False, False, False]


async def read_sectors(api: Api, days: str) -> list[dict[str, Any]]:
    answer = await api.ask(f"/api/v1/export/focus.json?{days}")
    assert answer.status_code == 200, answer.text
    sectors: list[dict[str, Any]] = answer.json()["Recency"][0]["TimeSectors"]
    return sectors
