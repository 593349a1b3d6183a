"""`topics ls|create`: compares the topics with schemas/topics, and creates missing ones."""

import asyncio
from collections.abc import Coroutine
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from aiokafka.errors import KafkaError
from runtime.kafka.clients import create_topics
from runtime.kafka.topics import Topic, inspect_topics

from flexcredits_cli.stack.addresses import kafka_settings, schema_folder
from flexcredits_cli.terminal.output import DIFFERS, AsJson, DryRun, print_json, print_table
from flexcredits_cli.terminal.problem import SetupProblem, reason_of

app = typer.Typer(help="Kafka's topics and their settings.", no_args_is_help=True)

ANSWER_WITHIN_S = 60
Replication = Annotated[int | None, typer.Option(min=1, help="Expected copies of each partition.")]
Folder = Annotated[
    Path | None,
    typer.Option(exists=True, file_okay=False, help="Folder with the descriptions. Default: schemas/topics."),
]
Answer = TypeVar("Answer")


@app.command("ls")
def list_topics(replication: Replication = None, folder: Folder = None, as_json: AsJson = False) -> None:
    """Print every topic and how its settings differ from schemas/topics.

    Exit code 0: all are as described. 1: Kafka cannot be read. 3: one is missing or differs.
    """
    topics = inspect(folder, replication)
    report(topics, as_json)
    if any(not topic.exists or topic.drift for topic in topics):
        raise typer.Exit(DIFFERS)


@app.command("create")
def create(
    replication: Annotated[int, typer.Option(min=1, help="Copies of each partition.")] = 1,
    folder: Folder = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Create missing topics. Existing topics are never changed; differences are printed.

    Exit code 0: all exist and are as described. 1: Kafka refused. 3: one differs, or would be created (--dry-run).
    """
    missing = [topic.name for topic in inspect(folder, None) if not topic.exists]
    if missing and not dry_run:
        kafka, folder_of_topics = kafka_settings(), folder or schema_folder("topics")
        run_work(
            create_topics(kafka.kafka_bootstrap, folder_of_topics, replication=replication, **kafka.kafka_security())
        )
    topics = inspect(folder, replication)
    report(topics, as_json, created=[] if dry_run else missing)
    if any(not topic.exists or topic.drift for topic in topics):
        raise typer.Exit(DIFFERS)


def inspect(folder: Path | None, replication: int | None) -> list[Topic]:
    kafka, folder_of_topics = kafka_settings(), folder or schema_folder("topics")
    return run_work(
        inspect_topics(kafka.kafka_bootstrap, folder_of_topics, replication=replication, **kafka.kafka_security())
    )


def run_work(work: Coroutine[Any, Any, Answer]) -> Answer:
    """Kafka's answer. Raises SetupProblem if Kafka refuses or does not answer within ANSWER_WITHIN_S."""
    try:
        return asyncio.run(asyncio.wait_for(work, ANSWER_WITHIN_S))
    except (KafkaError, OSError, TimeoutError) as error:
        raise SetupProblem(f"Kafka at {kafka_settings().kafka_bootstrap} refused: {reason_of(error)}") from None


def report(topics: list[Topic], as_json: bool, created: list[str] | None = None) -> None:
    if as_json:
        state = [
            {**asdict(topic), "exists": topic.exists, "created": topic.name in (created or [])} for topic in topics
        ]
        print_json({"topics": state})
        return
    print_table(
        [(topic.name, *state_columns(topic, topic.name in (created or []))) for topic in topics],
        ("topic", "partitions x copies", "state"),
    )


def state_columns(topic: Topic, created: bool) -> tuple[str, str]:
    if not topic.exists:
        return "", "missing"
    size = f"{topic.partitions} x {topic.replication}"
    return size, "; ".join(topic.drift) or ("created" if created else "as described")
