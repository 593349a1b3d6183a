"""The proof: received and counted records agree, by hour and in total."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import asyncpg
import pytest
from flexcredits_schemas.zones import TZ_VERSION, changes_of
from query_api.db.session import read_as
from query_api.freshness.queries import count_held
from query_api.ledger.proof.queries import sum_ledger
from runtime.postgres.pool import Pool
from support.data.table_rows import NOW, TOPIC, TableRows, local
from support.infra.stack import Database
from support.services.aggregator import TOTALS
from support.services.query_api import Api


async def test_proof(api: Api, db: TableRows) -> None:
    acme, other = await db.organization(time_zone="Asia/Kathmandu"), await db.organization("org_other")
    await db.progress(0, NOW, counted=5, duplicate=2, rejected=1, held=1)
    await db.progress(1, NOW, counted=7)
    series = await db.use(acme, "api", "namespace", "search", "2026-11-22", 5_000_000)
    await db.ledger(acme, series, NOW, 2_000_000)
    await db.ledger(acme, series, NOW, 3_000_000)
    await db.ledger(acme, series, NOW, 9_000_000, held=True)
    await db.ledger(other, await db.use(other, "api", "namespace", "search", "2026-11-22", 77), NOW, 77)
    proof = await api.get("/api/v1/proof")
    unseen = dict.fromkeys(("in_flight", "accepted", "end_offset", "end_seen_at"))
    assert proof == {
        "partitions": [
            {"topic": TOPIC, "partition": 0, "applied": 9, "counted": 5, "duplicate": 2, "rejected": 1, "held": 1, "skipped": 0, "balanced": True, **unseen},
            {"topic": TOPIC, "partition": 1, "applied": 7, "counted": 7, "duplicate": 0, "rejected": 0, "held": 0, "skipped": 0, "balanced": True, **unseen},
        ],
        "totals": {"applied": 16, "counted": 12, "duplicate": 2, "rejected": 1, "held": 1, "skipped": 0, "balanced": True},
        "credits": {"ledger": "5.000000", "quarter_hours": "5.000000", "days": "5.000000", "months": "5.000000", "organization_days": "5.000000", "organization_months": "5.000000", "equal": True},
        "time_zone_rules": {"tz": TZ_VERSION, "counted_with": None, "differs_since": None, "postgres_differs": None},
        "quarantine": [], "hours": [],
    }  # fmt: skip


async def test_proof_says_by_which_rules_of_its_zone_days_were_counted(api: Api, db: TableRows, pool: Pool) -> None:
    """Vancouver keeps daylight time since 1 November 2026: days that were counted by older rules begin an hour late."""
    acme = await db.organization(time_zone="America/Vancouver")
    older, today = changes_of("America/Los_Angeles"), changes_of("America/Vancouver")
    for tz, changes, since in (("2025b", older, "2026-11-01T09:00:00Z"), ("2026e", today, None)):
        await db.execute("DELETE FROM zone_rules")
        await db.execute("INSERT INTO zone_rules VALUES ($1, 'America/Vancouver', $2, $3)", acme, tz, list(changes))
        rules = (await api.get("/api/v1/proof"))["time_zone_rules"]
        assert rules == {"tz": TZ_VERSION, "counted_with": tz, "differs_since": since, "postgres_differs": None}
    api.now = datetime(2026, 10, 31, tzinfo=UTC)
    await db.execute("UPDATE zone_rules SET changes = $1", list(older))
    assert (await api.get("/api/v1/proof"))["time_zone_rules"]["differs_since"] is None, "it moves no day yet"
    assert (await api.get("/api/v1/proof", organization="org_unknown"))["time_zone_rules"] is None


async def test_offsets_without_a_record_are_no_part_of_what_was_applied(api: Api, db: TableRows) -> None:
    await db.organization()
    await db.progress(0, NOW, counted=5, duplicate=2, rejected=1, held=1)
    await db.execute("UPDATE partition_progress SET next_offset = next_offset + 3, skipped = 3")
    await db.log_end(0, 14)
    proof = await api.get("/api/v1/proof")
    [partition] = proof["partitions"]
    assert (partition["applied"], partition["skipped"], partition["in_flight"]) == (9, 3, 2)
    assert (partition["balanced"], proof["totals"]["skipped"]) == (True, 3)


async def test_only_an_organization_in_quarantine_sees_it(api: Api, db: TableRows) -> None:
    acme, other = await db.organization(), await db.organization("org_other")
    await db.progress(0, NOW, counted=5, held=2)
    for number, step, retry_at in (
        (acme, "counting", NOW.isoformat()),
        (acme, "sums", "infinity"),
        (other, "release", NOW.isoformat()),
    ):
        await db.execute(
            "INSERT INTO quarantine (organization_id, component, step, reason, failed_first_at, retry_at)"
            " VALUES ($1, 'aggregator', $2, 'a secret', $3, $4::text::timestamptz)",
            number, step, NOW, retry_at,
        )  # fmt: skip
    for offset, number in enumerate((acme, acme, other)):
        await db.execute(
            "INSERT INTO quarantined_records VALUES ($1, $2, 0, $3, NULL, 'a secret', '[]', $4)",
            number,
            TOPIC,
            offset,
            NOW,
        )
    expected = [
        {"component": "aggregator", "step": "counting", "since": "2026-11-22T12:00:00Z", "retry_at": "2026-11-22T12:00:00Z"},
        {"component": "aggregator", "step": "sums", "since": "2026-11-22T12:00:00Z", "retry_at": None},
    ]  # fmt: skip
    proof, freshness = await api.get("/api/v1/proof"), await api.get("/api/v1/freshness")
    assert proof["quarantine"] == freshness["quarantine"] == expected
    assert freshness["held"] == 2
    assert "secret" not in str((proof, freshness))


async def test_proof_counts_what_is_in_flight_between_the_applied_offset_and_the_logs_end(
    api: Api, db: TableRows
) -> None:
    await db.organization()
    await db.progress(0, NOW, counted=5, duplicate=2, rejected=1, held=1)
    # In the third case, the end offset was read before the last batch.
    for end_offset, in_flight, accepted in ((9, 0, 9), (12, 3, 12), (8, 0, 9)):
        await db.log_end(0, end_offset)
        [partition] = (await api.get("/api/v1/proof"))["partitions"]
        assert (partition["in_flight"], partition["accepted"], partition["balanced"]) == (in_flight, accepted, True)
        assert (partition["end_offset"], partition["end_seen_at"]) == (end_offset, "2026-11-22T12:00:00Z")


async def test_proof_by_the_hour_shows_as_many_hours_as_asked_for_the_present_one_among_them(
    api: Api, db: TableRows
) -> None:
    await db.organization()
    api.now = NOW + timedelta(minutes=59)
    for hours_ago in (0, 1, 2, 167, 168):
        for partition in (1, 0):
            await db.execute(
                "INSERT INTO partition_hours VALUES ($1, $2, $3, $4, 20, 3, 4)",
                TOPIC, partition, NOW - timedelta(hours=hours_ago), 100 + hours_ago,
            )  # fmt: skip
    await db.execute("INSERT INTO partition_hours VALUES ('usage.catalog.v1', 0, $1, 1, 1, 1, 1)", NOW)
    for hours, shown in ((0, []), (1, [100]), (2, [101, 100]), (168, [267, 102, 101, 100])):
        answer = (await api.get(f"/api/v1/proof?hours={hours}"))["hours"]
        assert [(hour["partition"], hour["counted"]) for hour in answer] == [(p, at) for p in (0, 1) for at in shown]
    assert answer[-1] == {
        "topic": TOPIC, "partition": 1, "hour_at": "2026-11-22T12:00:00Z", "applied": 127,
        "counted": 100, "duplicate": 20, "rejected": 3, "held": 4,
    }  # fmt: skip
    for hours in ("-1", "169", "all"):
        refused = await api.ask(f"/api/v1/proof?hours={hours}")
        assert (refused.status_code, refused.json()["errors"][0]["parameter"]) == (422, "hours")


async def test_proof_shows_which_sum_is_off_by_a_micro_credit(api: Api, db: TableRows) -> None:
    acme = await db.organization()
    await db.ledger(acme, await db.use(acme, "api", "namespace", "search", "2026-11-22", 10), NOW, 10)
    for table in TOTALS:
        await db.execute(f"UPDATE {table} SET credits = credits + 1")
        credits = (await api.get("/api/v1/proof"))["credits"]
        assert credits.pop("equal") is False, table
        assert sorted(credits.values()) == ["0.000010"] * 5 + ["0.000011"]
        await db.execute(f"UPDATE {table} SET credits = credits - 1")


@pytest.mark.parametrize("zone", ["Asia/Kathmandu", "America/St_Johns", "UTC"])
async def test_proof_holds_after_old_ledger_days_and_quarter_hours_are_dropped(
    api: Api, db: TableRows, zone: str
) -> None:
    acme = await db.organization(time_zone=zone)
    first_kept = local("UTC", "2025-10-01")
    await db.execute(
        "SELECT ensure_rollup_partition(d::date) FROM generate_series(date '2025-08-01', date '2026-11-01', interval '1 month') d"
    )
    for minutes in (-60 * 24 * 3, -60 * 7, -15, 0, 15, 60 * 7, 60 * 24 * 40):
        at = first_kept + timedelta(minutes=minutes)
        day = str(at.astimezone(ZoneInfo(zone)).date())
        await db.ledger(acme, await db.use(acme, "api", "namespace", "search", day, 1_000_000), at, 1_000_000)
    assert (await api.get("/api/v1/proof"))["credits"]["equal"] is True
    await db.execute("DO $$ DECLARE p text; BEGIN FOR p IN SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
                        " WHERE i.inhparent = 'usage_15m'::regclass AND to_date(right(c.relname, 6), 'YYYYMM') < date '2025-10-01'"
                        " LOOP EXECUTE format('DROP TABLE %I', p); END LOOP; END $$")  # fmt: skip
    await db.execute(
        "WITH gone AS (DELETE FROM usage_ledger WHERE occurred_at < $1 RETURNING *)"
        " INSERT INTO ledger_seals SELECT 1, organization_id, count(*), sum(credits) FROM gone GROUP BY 2", first_kept,
    )  # fmt: skip
    credits = (await api.get("/api/v1/proof"))["credits"]
    assert credits == dict.fromkeys(
        ("ledger", "quarter_hours", "days", "months", "organization_days", "organization_months"), "7.000000"
    ) | {"equal": True}


async def test_a_ledger_that_takes_too_long_leaves_the_rest_of_the_proof(
    db: TableRows, pool: Pool, database: Database
) -> None:
    await db.organization()
    locker = await asyncpg.connect(database.dsn, timeout=10)
    async with locker.transaction():
        await locker.execute("LOCK TABLE usage_ledger IN ACCESS EXCLUSIVE MODE")
        async with read_as(pool, "org_acme", "") as session:
            assert await sum_ledger(session, 100) is None
            assert await count_held(session, TOPIC) == 0
    await locker.close()
