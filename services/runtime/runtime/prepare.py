"""python -m runtime.prepare: creates the tables and topics that a deployment needs before its services start.

`python -m runtime.prepare migrations FOLDER` runs as the owner of the database in POSTGRES_DIRECT_DSN, or else POSTGRES_DSN.
With `--checkpoint` the new tables are then written to their files, so that a stop soon afterwards is short.
`python -m runtime.prepare topics FOLDER --replication N` uses the broker in KAFKA_BOOTSTRAP.
Both only create missing objects, so they are safe to repeat at any time.
"""

import argparse
import asyncio
from collections.abc import Sequence
from pathlib import Path

import structlog
from aiokafka.errors import KafkaError
from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from runtime.kafka.clients import KafkaSettings, create_topics
from runtime.kafka.topics import inspect_topics
from runtime.observability.logs import configure_logs
from runtime.postgres.migrations import checkpoint, migrate

log = structlog.get_logger()


class DatabaseSettings(BaseSettings):
    """Read from the environment under these names in upper case."""

    model_config = SettingsConfigDict(frozen=True, hide_input_in_errors=True, env_ignore_empty=True)

    postgres_dsn: SecretStr = Field(validation_alias=AliasChoices("postgres_direct_dsn", "postgres_dsn"))
    """POSTGRES_DIRECT_DSN is Postgres itself, if POSTGRES_DSN leads to a pooler."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command. Raises MigrationError, ThroughPooler, or the error of Postgres or Kafka; the orchestrator retries."""
    parser = argparse.ArgumentParser(prog="python -m runtime.prepare", description="Make the tables, or the topics.")
    commands = parser.add_subparsers(dest="command", required=True)
    migrations = commands.add_parser("migrations", help="apply the migrations that the database lacks")
    topics = commands.add_parser("topics", help="create the topics that do not exist")
    for command in (migrations, topics):
        command.add_argument("folder", type=Path, help="where they are described")
    migrations.add_argument("--checkpoint", action="store_true", help="then CHECKPOINT; needs the right to")
    topics.add_argument("--replication", type=int, default=1, help="copies of each partition")
    chosen = parser.parse_args(arguments)
    configure_logs("prepare")
    if not chosen.folder.is_dir():
        parser.error(f"{chosen.folder} is not a folder")
    if chosen.command == "migrations":
        asyncio.run(prepare_tables(chosen.folder, with_checkpoint=chosen.checkpoint))
    else:
        asyncio.run(prepare_topics(chosen.folder, chosen.replication))


async def prepare_tables(folder: Path, *, with_checkpoint: bool) -> None:
    dsn = DatabaseSettings().postgres_dsn.get_secret_value()
    applied = await migrate(dsn, folder)
    if with_checkpoint:
        await checkpoint(dsn)
    log.info("the tables are there", applied=applied)


async def prepare_topics(folder: Path, replication: int) -> None:
    settings = KafkaSettings()
    where, security = settings.kafka_bootstrap, settings.kafka_security()
    await create_topics(where, folder, replication=replication, **security)
    try:
        for topic in await inspect_topics(where, folder, replication=replication, **security):
            if topic.drift:
                log.warning("a topic is not as described, and was left as it is", topic=topic.name, drift=topic.drift)
    except KafkaError as error:  # a principal that may create topics may not be allowed to read their settings
        log.warning("the topics' settings were not compared", reason=f"{type(error).__name__}: {error}")
    log.info("the topics are there", topics=sorted(path.stem for path in folder.glob("*.yaml")))


if __name__ == "__main__":
    main()
