"""Metadata of FOCUS 1.4: Dataset Instance and Recency (specification 1.4, Metadata), as JSON and in Parquet files."""

import io
import json
from datetime import UTC, date, datetime

import pyarrow.parquet as pq
from query_api.calendar import Days
from query_api.exports.focus.domain.columns import TABLES
from query_api.exports.focus.domain.metadata import describe_datasets
from support.data.table_rows import TableRows
from support.services.query_api import Api

NOW = datetime(2026, 11, 22, 12, 0, 30, 999, tzinfo=UTC)
DAYS = Days(date(2026, 11, 21), date(2026, 11, 22))


def test_days_before_the_watermark_are_complete() -> None:
    complete_to = datetime(2026, 11, 21, 18, 15, 0, 500, tzinfo=UTC)  # the end of a day in Kathmandu
    found = describe_datasets(tuple(TABLES), "org_acme", DAYS, "Asia/Kathmandu", complete_to, NOW)
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


def test_without_a_watermark_nothing_is_said_about_recency() -> None:
    found = describe_datasets(["billing-period"], "org_acme", DAYS, "UTC", None, NOW)
    assert (len(found["DatasetInstance"]), found["Recency"]) == (1, [])


async def test_a_parquet_file_has_the_metadata_of_its_dataset(api: Api, db: TableRows) -> None:
    await db.organization()
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
        for part in ("DatasetInstance", "Recency"):
            assert json.loads(metadata[part.encode()]) == [everything[part][at]]
