"""Tests of the runtime package, which all services share."""

import asyncio
import logging
import re
import tomllib
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import httpx
import pytest
import structlog
from flexcredits_cli.machine.state_folder import REPOSITORY
from flexcredits_schemas.zones import offset_at
from prometheus_client import CollectorRegistry, Counter
from runtime.isolation import Shared, concerns_one, is_data_failure, is_widespread, slow_for_all
from runtime.observability.build import build_of
from runtime.observability.logs import RateLimitFilter, configure_logs
from runtime.observability.probes import serve_probes
from runtime.postgres.errors import transient_error_code
from runtime.postgres.migrations import MigrationError, migrate
from runtime.postgres.pool import open_pool
from runtime.postgres.time_zones import ZoneRules
from support.infra.service_process import eventually
from support.infra.stack import Database
from support.services.ingest import TcpProxy


def test_plumbing_knows_no_usage_word() -> None:
    for path in (REPOSITORY / "services" / "runtime" / "runtime").rglob("*.py"):
        found = re.findall(r"usage|credit|alert", path.read_text(), re.IGNORECASE)
        assert not found, f"{path.name} speaks of {found[0]}"


async def test_migrations_apply_once_and_refuse_a_changed_file(database: Database, tmp_path: Path) -> None:
    await (connection := await asyncpg.connect(database.dsn)).execute("DROP TABLE schema_migrations")
    (tmp_path / "0001_one.sql").write_text("CREATE TABLE one (a integer)")
    assert await migrate(database.dsn, tmp_path) == ["0001_one.sql"]
    (tmp_path / "0002_two.sql").write_text("CREATE TABLE two (a integer); SELECT 1/0")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(database.dsn, tmp_path)
    (tmp_path / "0002_two.sql").write_text("CREATE TABLE two (a integer)")
    assert await migrate(database.dsn, tmp_path) == ["0002_two.sql"]
    assert await migrate(database.dsn, tmp_path) == []
    (tmp_path / "0001_one.sql").write_text("CREATE TABLE one (b integer)")
    with pytest.raises(MigrationError, match="was changed after it was applied"):
        await migrate(database.dsn, tmp_path)
    (tmp_path / "0001_one.sql").write_text("CREATE TABLE one (a integer)")
    (tmp_path / "0002_two.sql").unlink()
    with pytest.raises(MigrationError, match=r"is newer: it has migrations that are not in .*0002_two\.sql"):
        await migrate(database.dsn, tmp_path)
    await connection.close()


@pytest.mark.parametrize("common", ["0001_one.sql", "0002_two.sql"])
async def test_a_database_of_an_earlier_build_is_refused_with_the_way_out(
    database: Database, tmp_path: Path, common: str
) -> None:
    """Builds before the first release had other files, some of them under the same name."""
    await (connection := await asyncpg.connect(database.dsn)).execute("DROP TABLE schema_migrations")
    (old := tmp_path / "old").mkdir()
    (new := tmp_path / "new").mkdir()
    (old / common).write_text("CREATE TABLE earlier (a integer)")
    (old / "0041_last.sql").write_text("CREATE TABLE last (a integer)")
    await migrate(database.dsn, old)
    for name in ("0001_one.sql", "0002_two.sql"):
        (new / name).write_text("CREATE TABLE never (a integer)")
    with pytest.raises(
        MigrationError, match=r"before the first release cannot be migrated: create a new database.*docs/upgrading\.md"
    ):
        await migrate(database.dsn, new)
    assert await connection.fetchval("SELECT to_regclass('never') IS NULL")
    await connection.close()


async def test_tables_name_their_writer_and_customer_tables_are_guarded(database: Database) -> None:
    connection = await asyncpg.connect(database.dsn)
    tables = await connection.fetch(
        "SELECT relname, obj_description(oid) AS comment, relrowsecurity, EXISTS (SELECT FROM pg_attribute WHERE attrelid = c.oid"
        " AND attname = 'organization_id') AND has_table_privilege('flexcredits_api', oid, 'SELECT') AS is_customers"
        " FROM pg_class c WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace AND NOT relispartition"
    )
    assert len(tables) > 20
    for row in tables:
        if row["relname"] != "schema_migrations":
            assert "Writer" in (row["comment"] or ""), f"{row['relname']} does not name its writer"
        assert row["relrowsecurity"] or not row["is_customers"], f"{row['relname']} has no row-level security"
    writes = await connection.fetch(
        "SELECT table_name, privilege_type FROM information_schema.role_table_grants"
        " WHERE grantee = 'flexcredits_api' AND privilege_type <> 'SELECT'"
    )
    assert {tuple(row) for row in writes} == {
        ("sessions", "INSERT"), ("sessions", "DELETE"), ("audit_log", "INSERT"), ("alert_settings", "INSERT"),
        ("alert_settings", "UPDATE"), ("banner_dismissals", "INSERT"),
        *((table, privilege) for table in ("export_manifests", "export_lines", "export_blocks") for privilege in ("INSERT", "DELETE")),
        *(("api_key_mappings", privilege) for privilege in ("INSERT", "UPDATE", "DELETE")),
    }  # fmt: skip
    await connection.close()


async def test_partitions_cover_the_window_and_expired_ones_leave_their_sums(database: Database) -> None:
    connection = await asyncpg.connect(database.dsn)
    await connection.execute("SELECT ensure_ledger_partition((current_date - 500) - date '1970-01-01')")
    await connection.execute(
        "INSERT INTO usage_ledger (ledger_bucket, identity, organization_id, series_id, occurred_at, credits, received_at,"
        " kafka_offset, kafka_partition, held) SELECT (current_date - 500) - date '1970-01-01', gen_random_uuid(),"
        " 7, 1, now(), 5, now() - interval '500 days', n, 0, false FROM generate_series(1, 3) n"
    )
    dropped = await connection.fetch("SELECT * FROM drop_expired_partitions(current_date)")
    assert len(dropped) == 1
    assert await connection.fetchval("SELECT (events, credits) FROM ledger_seals") == (3, 15)
    await connection.execute(
        "INSERT INTO usage_ledger (ledger_bucket, identity, organization_id, series_id, occurred_at, credits, received_at,"
        " kafka_offset, kafka_partition, held) SELECT -1, gen_random_uuid(), 8, 1, now(), 5,"
        " now() - make_interval(days => 500 * n), n, 0, false FROM generate_series(0, 1) n"
    )
    for _ in range(2):  # the second finds nothing more
        assert await connection.fetch("SELECT * FROM drop_expired_partitions(current_date)") == []
        assert await connection.fetchval("SELECT (events, credits) FROM ledger_seals WHERE organization_id = 8") == (
            1,
            5,
        )
    assert await connection.fetchval("SELECT count(*) FROM usage_ledger WHERE ledger_bucket = -1") == 1
    await connection.execute("SELECT ensure_partitions(current_date + 40)")
    assert await connection.fetchval(
        "SELECT to_regclass('usage_ledger_' || to_char(current_date + 45, 'YYYYMMDD')) IS NOT NULL"
    )
    await connection.close()


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (asyncpg.DeadlockDetectedError(), True), (asyncpg.SerializationError(), True), (asyncpg.LockNotAvailableError(), True),
        (asyncpg.AdminShutdownError(), True), (asyncpg.ConnectionDoesNotExistError(), True), (ConnectionRefusedError(), True),
        (asyncpg.UniqueViolationError(), False), (asyncpg.CheckViolationError(), False), (asyncpg.DataError(), False),
        (asyncpg.exceptions.DataError(), False), (asyncpg.UndefinedTableError(), False), (ValueError(), False),
        (asyncpg.TransactionTimeoutError(), True), (asyncpg.QueryCanceledError(), False),
        (asyncpg.InterfaceError("connection is closed"), True), (asyncpg.UnsupportedServerFeatureError("x"), False),
        (asyncpg.UnsupportedClientFeatureError("x"), False), (asyncpg.ClientConfigurationError("x"), False),
        (asyncpg.TargetServerAttributeNotMatched("x"), True), (asyncpg.exceptions.OutdatedSchemaCacheError("x"), True),
        (asyncpg.ProtocolError("malformed array literal"), False), (asyncpg.InternalClientError("no decoder for OID 9"), False),
        (asyncpg.InternalClientError('cannot switch to state 15; another operation (2) is in progress'), True),
        (asyncpg.InternalClientError('cannot switch to "idle" state; protocol is in the "failed" state'), True),
        (asyncpg.InternalClientError("got result for unknown protocol state 0"), True), (TimeoutError(), True),
        (asyncpg.InvalidCachedStatementError(), True), (asyncpg.FeatureNotSupportedError(), False),
    ],
)  # fmt: skip
def test_only_transient_errors_are_run_again(error: Exception, passes: bool) -> None:
    assert (transient_error_code(error) is not None) == passes


async def test_rules_of_time_zones_are_compared_with_those_of_postgres(database: Database) -> None:
    """Postgres knows America/Los_Angeles and no Mars/Olympus; the test gives Tokyo the rules of Kathmandu."""
    offsets = {"Asia/Tokyo": "Asia/Kathmandu", "Mars/Olympus": "UTC"}
    names = ["Asia/Tokyo", "America/Los_Angeles", "Mars/Olympus", "UTC"]
    rules = ZoneRules("2026f", names, lambda name, second: offset_at(offsets.get(name, name), second))
    assert rules.about() == {"tz": "2026f", "postgres_differs_in": None}
    async with asyncpg.create_pool(database.roles["flexcredits_alerter"], min_size=1, max_size=1) as pool:
        await rules.compare(pool)
    assert rules.about() == {"tz": "2026f", "postgres_differs_in": ["Asia/Tokyo", "Mars/Olympus"]}


@pytest.mark.parametrize(
    ("error", "whose"),
    [
        (asyncpg.AdminShutdownError(), "all"), (asyncpg.DiskFullError(), "all"), (asyncpg.UndefinedColumnError(), "all"),
        (asyncpg.PostgresIOError(), "all"), (asyncpg.InvalidPasswordError(), "all"), (ConnectionResetError(), "all"),
        (asyncpg.LockNotAvailableError(), "all"), (asyncpg.DeadlockDetectedError(), "all"), (TimeoutError(), "all"),
        (asyncpg.InvalidCachedStatementError(), "all"), (asyncpg.InsufficientPrivilegeError(), "all"), (MemoryError(), "all"),
        (asyncpg.ReadOnlySQLTransactionError(), "all"), (asyncpg.ConfigurationLimitExceededError(), "all"),
        (asyncpg.IdleInTransactionSessionTimeoutError(), "all"), (asyncpg.TransactionTimeoutError(), "all"),
        (asyncpg.InterfaceError("connection is closed"), "all"), (asyncpg.UnsupportedClientFeatureError("x"), "all"),
        (asyncpg.InternalClientError("got result for unknown protocol state 0"), "all"), (Shared(), "all"),
        (KeyboardInterrupt(), "all"), (SystemExit(), "all"),
        (asyncpg.QueryCanceledError(), "slow"),
        (asyncpg.RaiseError(), "data"), (asyncpg.NumericValueOutOfRangeError(), "data"), (asyncpg.UniqueViolationError(), "data"),
        (asyncpg.CheckViolationError(), "data"), (asyncpg.FeatureNotSupportedError(), "data"), (asyncpg.DataError(), "data"),
        (asyncpg.exceptions._base.DataError("x"), "data"), (asyncpg.DataCorruptedError(), "data"),
        (asyncpg.ProtocolError("malformed array literal"), "data"), (asyncpg.StatementTooComplexError(), "data"),
        (KeyError(), "data"), (OverflowError(), "data"), (RecursionError(), "data"),
    ],
)  # fmt: skip
def test_failures_that_may_come_from_one_organizations_data(error: BaseException, whose: str) -> None:
    assert (is_data_failure(error), concerns_one(error)) == (whose == "data", whose != "all")


async def test_a_missing_partition_is_nobodys_data(database: Database) -> None:
    """Otherwise a month without a partition would set every organization aside, instead of stopping the process."""
    connection = await asyncpg.connect(database.dsn)
    await connection.execute("CREATE TABLE parted (a integer CHECK (a < 10)) PARTITION BY LIST (a)")
    await connection.execute("CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1, 11)")
    for value, is_data in (2, False), (11, True):
        with pytest.raises(asyncpg.CheckViolationError) as caught:
            await connection.execute("INSERT INTO parted VALUES ($1)", value)
        assert is_data_failure(caught.value) is is_data
    await connection.close()


@pytest.mark.parametrize(
    ("known", "most"), [(0, 1), (1, 1), (2, 2), (3, 2), (5, 3), (10, 6), (19, 10), (100, 10), (1_000, 100), (10_000, 1_000)]
)  # fmt: skip
def test_how_many_that_fail_are_many(known: int, most: int) -> None:
    assert [is_widespread(failing, known) for failing in (0, most - 1, most, most + 1)] == [False, False, True, True]


def test_a_server_is_slow_when_it_is_for_each_of_several() -> None:
    slow, other = asyncpg.QueryCanceledError(), ValueError()
    assert slow_for_all([slow, slow], 2) is slow
    for failures, tried in ([slow], 1), ([slow, slow], 3), ([slow, other], 2), ([], 0):
        assert slow_for_all(failures, tried) is None


def test_every_failure_of_the_client_is_decided() -> None:
    """A new version of asyncpg that adds a class fails here, so that its meaning is decided explicitly."""
    kinds = (kind for kind in vars(asyncpg.exceptions._base).values() if isinstance(kind, type))
    classes = {kind.__name__ for kind in kinds if issubclass(kind, Exception) and not issubclass(kind, Warning)}
    assert classes - {"PostgresMessage", "InterfaceMessage", "FatalPostgresError", "UnknownPostgresError"} == {
        "DataError", "ClientConfigurationError", "InterfaceError", "InternalClientError", "OutdatedSchemaCacheError",
        "PostgresError", "ProtocolError", "TargetServerAttributeNotMatched", "UnsupportedClientFeatureError",
        "UnsupportedServerFeatureError",
    }  # fmt: skip


class LastWords(TcpProxy):
    """Forwards the server's bytes, but not the end of its connection."""

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
                self.heard += data
            await self.closing.wait()
        writer.close()

    def __init__(self, target_url: str) -> None:
        super().__init__(target_url)
        self.heard = b""
        self.closing = asyncio.Event()


async def test_a_server_that_has_said_that_it_stops_and_not_closed_the_socket_yet_passes(database: Database) -> None:
    """As between SIGINT to a busy server and the end of its sockets: asyncpg raises InternalClientError."""
    parts = urlsplit(database.dsn)
    proxy = LastWords(database.dsn)
    await proxy.restore()
    account = parts.netloc.rpartition("@")[0]
    dsn = urlunsplit(parts._replace(netloc=f"{account}@127.0.0.1:{proxy.port}"))
    async with open_pool(dsn, application="to be terminated", size=1, statement_timeout_s=5) as pool:
        async with pool.acquire() as connection:
            assert await connection.fetchval("SELECT 1") == 1
            operator = await asyncpg.connect(database.dsn)
            await operator.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'to be terminated'"
            )
            await operator.close()
            await eventually(lambda: b"terminating connection" in proxy.heard, what="the server's last words")
            for _ in range(50):  # iterations of the loop in which the client reads them
                await asyncio.sleep(0)
            with pytest.raises(asyncpg.InternalClientError) as caught:
                await connection.fetchval("SELECT 1")
            assert transient_error_code(caught.value) == "InternalClientError"
            proxy.closing.set()
            await eventually(connection.is_closed, what="the end of the connection")
        assert await pool.fetchval("SELECT 1") == 1
    await proxy.cut()


async def test_probes_answer_while_the_loop_is_busy() -> None:
    registry = CollectorRegistry()
    Counter("things_total", "Things.", registry=registry).inc()
    checks: dict[str, str | None] = {"kafka": None, "postgres": None}
    build = build_of("flexcredits-runtime", "abc123")
    async with (
        serve_probes(
            "127.0.0.1", 0, lambda: checks, build, registry, build_info=lambda: {"time_zones": {"tz": "2026f"}}
        ) as probes,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{probes.port}") as client,
    ):
        assert (await client.get("/health/live")).status_code == 200
        assert (await client.get("/health/started")).status_code == 503
        assert (await client.get("/health/ready")).json() == {
            "ready": True, "missing": [], "checks": {"kafka": "ok", "postgres": "ok"}, "time_zones": {"tz": "2026f"},
        }  # fmt: skip
        probes.started, checks["postgres"] = True, "does not answer"
        answer = await client.get("/health/ready")
        assert (answer.status_code, answer.headers["Content-Type"]) == (503, "application/json")
        assert answer.json() == {
            "ready": False, "missing": ["postgres"], "checks": {"kafka": "ok", "postgres": "does not answer"},
            "time_zones": {"tz": "2026f"},
        }  # fmt: skip
        assert (await client.get("/health/started")).status_code == 200, "an outage does not restart a started service"
        metrics = (await client.get("/metrics")).text
        assert "things_total 1.0" in metrics
        assert 'flexcredits_check_up{check="kafka"} 1.0' in metrics
        assert 'flexcredits_check_up{check="postgres"} 0.0' in metrics
        version = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
        labels = f'revision="abc123",service="runtime",version="{version}"'
        assert f"flexcredits_build_info{{{labels}}} 1.0" in metrics
        assert (await client.get("/else")).status_code == 404


def test_clients_that_repeat_themselves_are_heard_once_and_we_always() -> None:
    rate_limit_filter = RateLimitFilter()
    repeated = logging.makeLogRecord({"name": "aiokafka.conn", "msg": "Unable to connect to %s"})
    ours = logging.makeLogRecord({"name": "aggregator.consumer.consumer", "msg": "run again"})
    assert [rate_limit_filter.filter(record) for record in (repeated, repeated, ours, ours)] == [
        True,
        False,
        True,
        True,
    ]


def test_a_logger_that_was_used_follows_a_second_configuration() -> None:
    before = logging.getLogger().handlers[:]
    try:
        configure_logs("test")
        used = structlog.get_logger()
        used.info("before")
        configure_logs("test")
        with structlog.testing.capture_logs() as logs:
            used.info("after")
        assert [log["event"] for log in logs] == ["after"]
    finally:
        logging.getLogger().handlers[:] = before


def test_tracebacks_hold_no_local_variables(capsys: pytest.CaptureFixture[str]) -> None:
    before = logging.getLogger().handlers[:]
    try:
        configure_logs("test")
        secret = "".join(["hun", "ter2"])
        try:
            raise ValueError(len(secret))
        except ValueError:
            logging.getLogger("test").exception("failed")
        assert "hunter2" not in capsys.readouterr().err
    finally:
        logging.getLogger().handlers[:] = before
