"""`topics`, `migrate`, `retention`, `config` and `doctor`: text output, JSON output and exit codes."""

import asyncio
import json
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import yaml
from aggregator.__main__ import keep_partitions
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from click.testing import Result
from flexcredits_cli.cli import app
from flexcredits_cli.commands.operator.config import SERVICES
from flexcredits_cli.machine.state_folder import StateFolder
from flexcredits_cli.stack.description import Description, publish
from flexcredits_cli.terminal.problem import SetupProblem
from flexcredits_schemas.zones import TZ_VERSION
from runtime.postgres.migrations import migrate
from runtime.postgres.pool import open_pool
from support.infra.service_process import eventually
from support.infra.stack import SCHEMAS, Database, execute, with_database
from typer.testing import CliRunner

Call = Callable[..., Result]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    monkeypatch.setenv("FLEXCREDITS_HOME", str(tmp_path / "home"))
    return lambda *arguments: CliRunner().invoke(app, arguments)


def document(result: Result, exit_code: int) -> Any:
    """The JSON document on stdout."""
    assert result.exit_code == exit_code, result.output
    return json.loads(result.stdout)


@pytest.mark.parametrize(
    "command",
    ["topics ls", "topics create", "migrate", "keys create", "keys ls", "keys revoke", "dlq ls", "dlq show", "dlq replay",
     "quarantine ls", "quarantine show", "quarantine release",
     "rebuild", "retention", "doctor", "config"],
)  # fmt: skip
def test_every_command_explains_itself_and_speaks_json(call: Call, command: str) -> None:
    shown = call(*command.split(), "--help")
    assert shown.exit_code == 0
    assert "--json" in shown.output


def test_topics_are_shown_created_once_and_drift_is_reported(
    call: Call, kafka_bootstrap: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expected_errors: list[str]
) -> None:
    expected_errors.append("Unable connect")
    monkeypatch.setenv("KAFKA_BOOTSTRAP", kafka_bootstrap)
    name = f"operated-{secrets.token_hex(4)}"
    config = {"cleanup.policy": "delete", "retention.ms": "86400000"}
    (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump({"name": name, "partitions": 2, "config": config}))
    folder = ("--folder", str(tmp_path))

    assert not document(call("topics", "ls", *folder, "--json"), 3)["topics"][0]["exists"]
    assert not document(call("topics", "create", *folder, "--dry-run", "--json"), 3)["topics"][0]["exists"]
    made = document(call("topics", "create", *folder, "--json"), 0)["topics"][0]
    assert (made["created"], made["partitions"], made["config"]) == (True, 2, config)
    assert "as described" in call("topics", "ls", *folder).output
    assert call("topics", "ls", *folder, "--replication", "3").output.endswith("1 copies, not 3\n")

    async def change() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
        await admin.start()
        changed = {**config, "retention.ms": "1000"}
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, changed)])
        await admin.close()

    asyncio.run(change())
    for command in ("ls", "create"):  # drift is reported and never corrected
        drifted = document(call("topics", command, *folder, "--json"), 3)["topics"][0]
        assert drifted["drift"] == ["retention.ms is 1000, not 86400000"]

    monkeypatch.setenv("KAFKA_BOOTSTRAP", "127.0.0.1:1")
    assert isinstance(call("topics", "ls", *folder).exception, SetupProblem)


def test_migrations_are_shown_before_they_are_applied(
    call: Call, postgres_dsn: str, database_template: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"test_{secrets.token_hex(6)}"
    asyncio.run(execute(postgres_dsn, f"CREATE DATABASE {name}"))
    try:
        dsn = with_database(postgres_dsn, name)
        monkeypatch.setenv("POSTGRES_DSN", dsn)
        files = [path.name for path in sorted((SCHEMAS / "postgres").glob("*.sql"))]
        assert document(call("migrate", "--dry-run", "--json"), 3) == {"applied": [], "new": [], "pending": files}
        done = document(call("migrate", "--json"), 0)
        assert (done["new"], done["pending"]) == (files, [])
        assert document(call("migrate", "--json"), 0)["new"] == []
        assert f"{files[0]}" in call("migrate", "--dry-run").output
        asyncio.run(execute(dsn, "UPDATE schema_migrations SET sha256 = '' WHERE name LIKE '0003%'"))
        refused = call("migrate", "--dry-run")
        assert isinstance(refused.exception, SetupProblem)
        assert "0003_usage.sql was changed after it was applied" in str(refused.exception)
    finally:
        asyncio.run(execute(postgres_dsn, f"DROP DATABASE {name} WITH (FORCE)"))


async def test_a_migration_gives_up_on_a_table_in_use_and_tries_again(database: Database, tmp_path: Path) -> None:
    await execute(database.dsn, "DROP TABLE schema_migrations; CREATE TABLE busy (a integer)")
    (tmp_path / "0001_add.sql").write_text("ALTER TABLE busy ADD COLUMN b integer")
    reader, writer = await asyncpg.connect(database.dsn), await asyncpg.connect(database.dsn)
    transaction = reader.transaction()
    await transaction.start()
    await reader.fetch("SELECT * FROM busy")
    migrating = asyncio.create_task(migrate(database.dsn, tmp_path))

    async def waits() -> bool:
        return bool(
            await writer.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'busy'::regclass")
        )

    await eventually(waits, what="the migration waits for the table")
    # Other statements wait behind the migration for two seconds only, not until the reader finishes.
    await asyncio.wait_for(writer.execute("INSERT INTO busy VALUES (1)"), 5)
    assert not migrating.done()
    await transaction.commit()
    assert await asyncio.wait_for(migrating, 20) == ["0001_add.sql"]
    await reader.close()
    await writer.close()


@pytest.fixture
def in_database(database: Database) -> Callable[[str], Any]:
    def run(statement: str) -> Any:
        async def fetch() -> Any:
            connection = await asyncpg.connect(database.dsn)
            try:
                return await connection.fetchval(statement)
            finally:
                await connection.close()

        return asyncio.run(fetch())

    return run


OLD = "((current_date - {}) - date '1970-01-01')"
LEDGER_ROW = (
    "INSERT INTO usage_ledger (ledger_bucket, identity, organization_id, series_id, occurred_at, credits, received_at,"
    " kafka_offset, kafka_partition, held) VALUES ({}, gen_random_uuid(), 7, 1, now(), 5, now() - interval '500 days', 0, 0, {})"
)


def test_retention_says_what_it_would_drop_and_seals_what_it_drops(
    call: Call, database: Database, in_database: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTGRES_DSN", database.dsn)
    for days, held in ((500, False), (501, True)):
        bucket = OLD.format(days)
        in_database(f"SELECT ensure_ledger_partition({bucket})")
        in_database(LEDGER_ROW.format(bucket, held))
    in_database(
        "INSERT INTO usage_held (ledger_bucket, identity, organization_id, series_id, occurred_at, kafka_partition, kafka_offset,"
        f" waits_for, received_at) VALUES ({OLD.format(501)}, gen_random_uuid(), 7, 1, now(), 0, 0, 'rate', now())"
    )
    in_database(LEDGER_ROW.format(-3, False))
    in_database("SELECT ensure_rollup_partition((current_date - 600)::date)")

    before = document(call("retention", "--dry-run", "--json"), 3)
    assert (len(before["expired"]), len(before["waiting"]), before["forgettable"], before["dropped"]) == (2, 1, 1, [])
    assert in_database("SELECT count(*) FROM ledger_seals") == 0
    after = document(call("retention", "--json"), 0)
    assert (sorted(after["dropped"]), after["forgotten"]) == (before["expired"], 1)
    assert after["ahead"] == 7
    assert in_database("SELECT sum(events) FROM ledger_seals WHERE organization_id = 7") == 2
    again = document(call("retention", "--dry-run", "--json"), 0)
    assert (again["expired"], len(again["waiting"])) == ([], 1)
    assert "waits: some of its usage is held, or arrived late" in call("retention").output


def test_retention_goes_on_without_an_organization_whose_rows_fail(
    call: Call, database: Database, in_database: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTGRES_DSN", database.dsn)
    for name in ("org_a", "org_b"):
        in_database(f"INSERT INTO organizations (organization) VALUES ('{name}')")
    number = in_database("SELECT organization_id FROM organizations WHERE organization = 'org_a'")
    for bucket in (OLD.format(500), OLD.format(501), "-3"):
        in_database(f"SELECT ensure_ledger_partition({bucket})")
        in_database(LEDGER_ROW.format(bucket, False).replace(" 7, 1,", f" {number}, 1,"))
        in_database(LEDGER_ROW.format(bucket, False).replace(" 7, 1,", f" {number + 1}, 1,"))
    in_database(
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN IF NEW.organization_id = {number} THEN RAISE EXCEPTION 'a defect'; END IF; RETURN NEW; END $$"
    )
    in_database("CREATE TRIGGER fail BEFORE INSERT OR UPDATE ON ledger_seals FOR EACH ROW EXECUTE FUNCTION fail()")
    report = document(call("retention", "--json"), 1)
    assert report["failed"] == [{"organization": "org_a", "reason": "P0001: a defect"}]
    assert report["dropped"] == []
    assert in_database("SELECT sum(events) FROM ledger_seals") == 3
    assert in_database("SELECT count(*) FROM usage_ledger") == 3
    listed = document(call("quarantine", "ls", "--json"), 0)["quarantine"]
    assert [(entry["organization"], entry["component"], entry["step"]) for entry in listed] == [
        ("org_a", "retention", "sealing")
    ]
    assert "org_a  failed: P0001: a defect" in call("retention").output
    in_database("DROP TRIGGER fail ON ledger_seals")
    report = document(call("retention", "--json"), 0)
    assert (len(report["dropped"]), report["failed"]) == (2, [])
    assert (
        in_database(
            "SELECT sum(events) FROM ledger_seals WHERE organization_id IN (SELECT organization_id FROM organizations)"
        )
        == 6
    )
    assert document(call("quarantine", "ls", "--json"), 0)["quarantine"] == []


def test_quarantine_is_listed_shown_and_released(
    call: Call, database: Database, in_database: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTGRES_DSN", database.dsn)
    number = in_database("INSERT INTO organizations (organization) VALUES ('org_a') RETURNING organization_id")
    for step, retry_at in (("counting", "now() + interval '15 min'"), ("sums", "'infinity'")):
        in_database(
            "INSERT INTO quarantine (organization_id, component, step, reason, retry_at)"
            f" VALUES ({number}, 'aggregator', '{step}', 'ledger: a defect', {retry_at})"
        )
    in_database(
        f"INSERT INTO quarantined_records VALUES ({number}, 'usage.events.v1', 3, 7, 'k', '{{}}'::bytea || '\x0a'::bytea, '[]', now())"
    )
    [counting, sums] = document(call("quarantine", "ls", "--json"), 0)["quarantine"]
    assert (counting["organization"], counting["step"], counting["waiting"], sums["retry_at"]) == (
        "org_a",
        "counting",
        1,
        None,
    )
    lines = call("quarantine", "ls").output.splitlines()
    assert (len(lines), lines[2].split()[:4]) == (3, ["org_a", "aggregator", "sums", "0"])
    assert "on request" in lines[2]
    shown = document(call("quarantine", "show", "org_a", "--json"), 0)
    assert [(at["partition"], at["offset"], at["value_base64"]) for at in shown["records"]] == [(3, 7, "e30K")]
    assert "usage.events.v1/3/7" in call("quarantine", "show", "org_a").output
    assert isinstance(call("quarantine", "show", "org_b").exception, SetupProblem)
    assert isinstance(call("quarantine", "release").exception, SetupProblem)
    assert isinstance(call("quarantine", "release", "org_b").exception, SetupProblem)
    assert len(document(call("quarantine", "release", "org_a", "--json"), 0)["released"]) == 2
    assert in_database("SELECT bool_and(retry_at <= now()) FROM quarantine") is True
    assert call("quarantine", "release", "--all").exit_code == 0


async def test_the_aggregator_drops_by_itself_and_never_waits(database: Database) -> None:
    owner, reader = await asyncpg.connect(database.dsn), await asyncpg.connect(database.dsn)
    await owner.execute(f"SELECT ensure_ledger_partition({OLD.format(500)})")
    transaction = reader.transaction()
    await transaction.start()
    await reader.fetch("SELECT 1 FROM usage_ledger LIMIT 1")  # its lock prevents changes of the table
    left = "SELECT count(*) FROM expired_partitions(current_date)"
    async with open_pool(
        database.roles["flexcredits_aggregator"], application="aggregator", size=1, statement_timeout_s=60
    ) as pool:
        await asyncio.wait_for(keep_partitions(pool), 30)
        assert await owner.fetchval(left) == 1
        await transaction.rollback()
        await keep_partitions(pool)
        assert await owner.fetchval(left) == 0
    await owner.close()
    await reader.close()


def settings_of(answer: Any, service: str) -> dict[str, tuple[str | None, str]]:
    return {row["name"]: (row["value"], row["source"]) for row in answer["services"][service]["settings"]}


def test_config_shows_every_setting_masks_secrets_and_checks(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KAFKA_BOOTSTRAP", "POSTGRES_DSN"):
        monkeypatch.delenv(name, raising=False)
    empty = document(call("config", "--json"), 1)
    for service, kind in SERVICES.items():
        assert set(settings_of(empty, service)) == {name.upper() for name in kind.model_fields}
        assert settings_of(empty, service)["POSTGRES_DSN"] == (None, "missing")
        assert "POSTGRES_DSN: Field required" in empty["services"][service]["problems"]

    result = call("config")
    assert result.exit_code == 1
    assert result.stderr.count("No stack is running here") == 1
    assert "Field required" not in result.stderr
    assert result.stdout.splitlines()[0].split() == ["SERVICE", "SETTING", "VALUE", "SOURCE"]

    monkeypatch.setenv("POSTGRES_DSN", "postgresql://someone:hunter2@db/flex")
    monkeypatch.setenv("KAFKA_BOOTSTRAP", "broker:9092")
    monkeypatch.setenv("PROBE_PORT", "9102")
    right = call("config", "aggregator", "--json")
    assert "hunter2" not in right.output
    shown = settings_of(document(right, 0), "aggregator")
    assert shown["POSTGRES_DSN"] == ("***", "environment")
    assert shown["KAFKA_BOOTSTRAP"] == ("broker:9092", "environment")
    assert shown["BATCH_EVENTS_MAX"] == ("50000", "default")

    monkeypatch.setenv("BATCH_EVENTS_MAX", "many")
    wrong = call("config", "aggregator")
    assert wrong.exit_code == 1
    assert "aggregator would not start: BATCH_EVENTS_MAX: Input should be a valid integer" in wrong.stderr
    assert isinstance(call("config", "aggregater").exception, SetupProblem)


def test_config_of_a_running_stack_is_what_its_services_were_given(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("KAFKA_BOOTSTRAP", "POSTGRES_DSN", "PROBE_PORT"):
        monkeypatch.delenv(name, raising=False)
    folder = StateFolder(tmp_path / "home").make()
    publish(Description("", "", None, "127.0.0.1:3", "postgresql://x", "key", "", {}, {}, os.getpid()), folder)
    given = {"KAFKA_BOOTSTRAP": "127.0.0.1:3", "POSTGRES_DSN": "postgresql://x:secret@y/z", "PROBE_PORT": "1"}
    folder.environments.write_text(json.dumps({"aggregator": given}))
    shown = call("config", "aggregator", "--json")
    assert settings_of(document(shown, 0), "aggregator")["KAFKA_BOOTSTRAP"] == ("127.0.0.1:3", "stack")
    assert "secret" not in shown.output


def test_doctor_says_the_same_to_a_script(call: Call) -> None:
    result = call("doctor", "--json")
    findings = json.loads(result.stdout)["findings"]
    assert {"python", "disk", "memory"} <= {finding["subject"] for finding in findings}
    zones = [finding["text"] for finding in findings if finding["subject"] == "time zones"]
    assert zones[0] == f"usage is counted by tz {TZ_VERSION}, from the tzdata package"
    assert all("the same rules" in text or "they are not used for counting" in text for text in zones[1:])
    assert result.exit_code == int(any(finding["level"] == "fail" for finding in findings))
