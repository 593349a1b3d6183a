"""`dlq ls|show|replay`: lists dead letters with their reasons, and sends them to the ingest API again."""

import asyncio
import base64
import json
import re
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

import httpx
import typer
from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.errors import KafkaError
from runtime.kafka.clients import KafkaSettings
from runtime.kafka.header_names import accept_any_header_name

from flexcredits_cli.machine.state_folder import state_folder
from flexcredits_cli.stack.addresses import kafka_settings
from flexcredits_cli.stack.description import running_stack
from flexcredits_cli.terminal.output import AsJson, DryRun, print_json, print_table, printable
from flexcredits_cli.terminal.problem import SetupProblem, reason_of

app = typer.Typer(help="Dead letters: events that could not be counted.", no_args_is_help=True)

TOPIC = "usage.events.v1.dlq"
NATIVE_PATH = "/api/v1/events"
FOREIGN_PATH = re.compile(r"(/[a-z0-9]+)+")
OUTSIDE_SCOPE = "outside_scope"
READ_WITHIN_S = 60
POST_WITHIN_S = 30

ReasonOption = Annotated[
    str | None, typer.Option("--reason", help="Only dead letters whose reason contains this text.")
]
TopicOption = Annotated[str, typer.Option("--topic", envvar="DEAD_LETTER_TOPIC")]


@dataclass(frozen=True)
class DeadLetter:
    """A dead letter. Writes are at least once, so the topic may contain a `key` twice."""

    key: str
    written_at: datetime
    headers: dict[str, str]
    value: bytes | None

    @property
    def reason(self) -> str:
        return self.headers.get("reason", "")

    @property
    def kind(self) -> str:
        """The kind of reason, set by ingest. Empty for dead letters of the aggregator."""
        return self.headers.get("dlq.class", "")

    @property
    def path(self) -> str:
        """The path of ingest that takes the event: its own for an event of a foreign client.

        Only ingest writes the header. In a record of another producer it could lead the key to another host.
        """
        path = self.headers.get("dlq.path", "") if self.key.startswith("ingest/") else ""
        return path if FOREIGN_PATH.fullmatch(path) else NATIVE_PATH

    @property
    def organization(self) -> str:
        return self.headers.get("organization") or self._attribute("subject")

    @property
    def event_id(self) -> str:
        """The event's id as the sender wrote it. Empty if the bytes are not an event."""
        return self._attribute("id")

    def _attribute(self, name: str) -> str:
        try:
            event = json.loads(self.value or b"")
        except (ValueError, RecursionError):
            return ""
        return str(event.get(name, "")) if isinstance(event, dict) else ""

    @property
    def size(self) -> int:
        return len(self.value or b"")

    def has_reason(self, text: str | None) -> bool:
        return text is None or text == self.kind or text.lower() in self.reason.lower()

    def why_not_replayed(self, chosen: bool) -> str | None:
        """The reason for skipping this letter, or None. `chosen`: the operator named its key or its kind of reason."""
        if self.value is None:
            return "it has no content"
        if "dlq.truncated_from" in self.headers:
            return "it was too large, and only a part of it is kept"
        if self.kind == OUTSIDE_SCOPE and not chosen:
            # Ingest refused it because the sender's key has no permission for it. The replay's key has wider permissions, so
            # only an explicit choice replays it.
            return f"the sender's key did not cover it: give its key, or --reason {OUTSIDE_SCOPE}"
        return None


@app.command("ls")
def list_letters(
    reason: ReasonOption = None,
    as_json: AsJson = False,
    topic: TopicOption = TOPIC,
) -> None:
    """Print every dead letter: its key, when it was written, the event's organization and id, its size, and the reason."""
    letters = [
        {
            "key": letter.key,
            "written_at": letter.written_at.isoformat(timespec="milliseconds"),
            "organization": letter.organization,
            "event_id": letter.event_id,
            "size": letter.size,
            "pointer": letter.headers.get("pointer", ""),
            "reason": letter.reason,
        }
        for letter in read_letters(topic)
        if letter.has_reason(reason)
    ]
    if as_json:
        print_json({"dead_letters": letters})
        return
    print_table(
        [[printable(str(value)) or "-" for value in columns.values()] for columns in letters],
        ("key", "written at", "organization", "event id", "bytes", "pointer", "reason"),
    )


@app.command("show")
def show(key: str, as_json: AsJson = False, topic: TopicOption = TOPIC) -> None:
    """Print one dead letter: its headers, an empty line, and the original bytes (in JSON: `value_base64`)."""
    (letter,) = choose(read_letters(topic), [key])
    if as_json:
        value = None if letter.value is None else base64.b64encode(letter.value).decode()
        columns = {"key": letter.key, "written_at": letter.written_at, "headers": letter.headers, "value_base64": value}
        print_json(columns)
        return
    for name, value in letter.headers.items():
        typer.echo(f"{printable(name)}: {printable(value)}")
    typer.echo()
    sys.stdout.flush()
    sys.stdout.buffer.write((letter.value or b"") + b"\n")
    sys.stdout.buffer.flush()


@app.command("replay")
def replay(
    keys: Annotated[list[str] | None, typer.Argument(help="Keys as printed by `dlq ls`.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All dead letters, or all that match --reason.")] = False,
    reason: ReasonOption = None,
    dry_run: DryRun = False,
    api_key: Annotated[str | None, typer.Option("--key", help="API key. Default: the running stack's.")] = None,
    url: Annotated[str | None, typer.Option(help="URL of the ingest API. Default: the running stack's.")] = None,
    as_json: AsJson = False,
    topic: TopicOption = TOPIC,
) -> None:
    """Send dead letters to the ingest API again.

    Events keep their ids, so none is counted twice. The dead letters stay in their topic. Events of foreign clients need a
    key with a mapping: give it with --key.

    Exit code 0: all were accepted. 1: one was refused again, or the ingest API is unavailable.
    """
    if bool(keys) == everything:
        raise SetupProblem("name the dead letters by their keys, or use --all.")
    letters = choose(read_letters(topic), keys) if keys else read_letters(topic)
    letters = [letter for letter in letters if letter.has_reason(reason)]
    chosen = bool(keys) or reason == OUTSIDE_SCOPE
    failures, outcomes = 0, []
    with nullcontext() if dry_run else ingest_client(url, api_key) as client:
        for letter in letters:
            obstacle = letter.why_not_replayed(chosen)
            if obstacle:
                outcome = f"skipped: {obstacle}"
            elif client is None:
                outcome = "would be sent"
            else:
                taken, outcome = post(client, letter)
                failures += not taken
            outcomes.append({"key": letter.key, "outcome": outcome})
            if not as_json:
                typer.echo(f"{letter.key}  {printable(outcome)}")
    if as_json:
        print_json({"dead_letters": outcomes})
    if failures:
        raise typer.Exit(1)


def post(client: httpx.Client, letter: DeadLetter) -> tuple[bool, str]:
    """Whether the ingest API accepted the event, and the API's reason if not. Foreign events go to their own path."""
    content_type = "application/cloudevents+json" if letter.path == NATIVE_PATH else "application/json"
    try:
        answer = client.post(letter.path, content=letter.value, headers={"Content-Type": content_type})
    except httpx.TransportError as error:
        raise SetupProblem(f"the ingest API does not answer: {reason_of(error)}") from None
    if answer.is_success:
        rejected = rejected_by_otlp(answer)
        return not rejected, f"refused again: {rejected}" if rejected else "accepted"
    if answer.status_code in (401, 429, 503):
        raise SetupProblem(f"the ingest API is not accepting events ({answer.status_code}): {detail_of(answer)}")
    return False, f"refused again: {detail_of(answer)}"


def rejected_by_otlp(answer: httpx.Response) -> str:
    """Why an OTLP receiver rejected the signal, which it answers with 200; "" if it did not."""
    if answer.status_code != 200:
        return ""
    try:
        return str(answer.json()["partialSuccess"]["errorMessage"])
    except (ValueError, KeyError, TypeError):
        return ""


def detail_of(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return answer.text[:300]


def ingest_client(url: str | None, api_key: str | None) -> httpx.Client:
    if url is None or api_key is None:
        stack = running_stack(state_folder())
        url, api_key = url or stack.ingest_url, api_key or stack.ingest_key
    return httpx.Client(base_url=url, headers={"Authorization": f"Bearer {api_key}"}, timeout=POST_WITHIN_S)


def choose(letters: Sequence[DeadLetter], keys: Sequence[str]) -> list[DeadLetter]:
    by_key = {letter.key: letter for letter in letters}
    if missing := [key for key in keys if key not in by_key]:
        raise SetupProblem(f"there is no dead letter {missing[0]}. `dlq ls` prints all.")
    return [by_key[key] for key in keys]


def read_letters(topic: str) -> list[DeadLetter]:
    """All dead letters at KAFKA_BOOTSTRAP, or in the running stack, in the order of their first write."""
    kafka = kafka_settings()
    try:
        return asyncio.run(fetch_letters(kafka, topic))
    except (KafkaError, TimeoutError) as error:
        raise SetupProblem(f"Kafka at {kafka.kafka_bootstrap} cannot be read: {reason_of(error)}") from None


async def fetch_letters(kafka: KafkaSettings, topic: str) -> list[DeadLetter]:
    """All letters up to the topic's current end, one for each key."""
    letters: dict[str, DeadLetter] = {}
    accept_any_header_name()
    # Without a group the consumer reads all partitions, commits nothing and triggers no rebalance.
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=kafka.kafka_bootstrap,
        client_id="dlq",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        **kafka.kafka_security(),
    )
    try:
        async with asyncio.timeout(READ_WITHIN_S):
            await consumer.start()
            ends = await consumer.end_offsets(consumer.assignment())
            while any([await consumer.position(partition) < end for partition, end in ends.items()]):
                for records in (await consumer.getmany(timeout_ms=1000)).values():
                    for record in records:
                        letter = to_letter(record)
                        letters.setdefault(letter.key, letter)
    finally:
        await consumer.stop()
    return sorted(letters.values(), key=lambda letter: letter.written_at)


def to_letter(record: "ConsumerRecord[bytes, bytes]") -> DeadLetter:
    headers: dict[str, str] = {}
    for name, value in record.headers:
        # Of two headers with the same name, the first is the dead letter's, the second the original record's.
        headers.setdefault(name, (value or b"").decode(errors="replace"))
    return DeadLetter(
        key=(record.key or f"{record.topic}/{record.partition}/{record.offset}".encode()).decode(errors="replace"),
        written_at=datetime.fromtimestamp(record.timestamp / 1000, UTC),
        headers=headers,
        value=record.value,
    )
