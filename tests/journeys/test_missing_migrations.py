"""Services of a release that start before its migrations were applied."""

import asyncio
import shutil
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from flexcredits_cli.machine.state_folder import REPOSITORY
from flexcredits_cli.stack.services import without_proxy
from flexcredits_schemas import NEWEST_MIGRATION
from runtime.postgres.migrations import migrate
from runtime.postgres.pool import open_pool
from runtime.postgres.schema import SchemaTooOld, check_schema
from support.infra.service_process import aggregator_environment, alerter_environment, eventually, free_port, running
from support.infra.stack import Database, Topics, execute
from support.services.ingest import environment
from support.services.query_api import AUDIENCE, ISSUER, UNSUBSCRIBE_SECRET, identity_provider, make_rsa_key

pytestmark = pytest.mark.slow

MIGRATIONS = REPOSITORY / "schemas" / "postgres"


def test_the_newest_migration_is_named() -> None:
    assert max(path.name for path in MIGRATIONS.glob("*.sql")) == NEWEST_MIGRATION


LACKING = f"lacks the migration {NEWEST_MIGRATION}, which this release needs: apply its migrations"


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        (f"DELETE FROM schema_migrations WHERE name = '{NEWEST_MIGRATION}'", ""),
        ("REVOKE ALL ON schema_migrations FROM flexcredits_api", ". If that was done, the role lacks rights that they give (permission denied for table schema_migrations)"),
        ("DROP TABLE schema_migrations", ". If that was done, this is another database: it has no table schema_migrations"),
    ],
)  # fmt: skip
async def test_the_reason_says_what_to_do(database: Database, change: str, hint: str) -> None:
    async with open_pool(database.roles["flexcredits_api"], application="test", size=1, statement_timeout_s=5) as pool:
        await check_schema(pool, NEWEST_MIGRATION)
        await execute(database.dsn, change)
        with pytest.raises(SchemaTooOld) as raised:
            await check_schema(pool, NEWEST_MIGRATION)
    assert str(raised.value) == f"the database {LACKING}{hint}"


@pytest.mark.parametrize("before", ["release", "nothing"])
async def test_requests_wait_and_workers_end_until_the_migrations_are_applied(
    database: Database, topics: Topics, tmp_path: Path, before: str
) -> None:
    """The database is of the release before, or is empty."""
    await execute(database.dsn, "DROP SCHEMA public CASCADE")
    await execute(database.dsn, "CREATE SCHEMA public")
    if before == "release":
        shutil.copytree(MIGRATIONS, tmp_path / "before", ignore=shutil.ignore_patterns(NEWEST_MIGRATION))
        await migrate(database.dsn, tmp_path / "before")
    lacking = LACKING.partition(":")[0]
    shared = {"FLEXCREDITS_ENV": "test", "FLEXCREDITS_UNSUBSCRIBE_SECRET": UNSUBSCRIBE_SECRET, **without_proxy()}
    async with AsyncExitStack() as here:
        provider = here.enter_context(identity_provider(make_rsa_key()))
        environments = {
            "ingest": environment(database.roles["flexcredits_ingest"], topics, **shared),
            "aggregator": aggregator_environment(database, topics, **shared),
            "alerter": alerter_environment(database, topics, 9, **shared),
            "query_api": {
                "POSTGRES_DSN": database.roles["flexcredits_api"], "HTTP_PORT": str(free_port()), "JWKS_URL": provider.url,
                "TOKEN_ISSUER": ISSUER, "TOKEN_AUDIENCE": AUDIENCE, "USAGE_EVENTS_TOPIC": topics.usage_events, **shared,
            },
        }  # fmt: skip
        services = {name: here.enter_context(running(name, settings)) for name, settings in environments.items()}
        for name in ("aggregator", "alerter"):
            assert await asyncio.to_thread(services[name].wait, 30) == 1, name
            assert lacking in services[name].log.replace("\n", " "), services[name].log
        for name in ("ingest", "query_api"):
            service = services[name]
            await eventually(lambda service=service: lacking in str(service.readiness()), what=f"the reason of {name}")
            assert not service.ready(), name
        await migrate(database.dsn, MIGRATIONS)
        for name in ("ingest", "query_api"):
            await eventually(services[name].ready, what=name)
