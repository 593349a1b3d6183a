"""`replay azure-llm`: sends requests of the public Azure LLM inference traces to the ingest API."""

import asyncio
import csv
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any, NamedTuple, get_args

import typer
from flexcredits_schemas.events import Role
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from flexcredits_cli.generator.sender import Answers, send_events
from flexcredits_cli.stack.counted import ingest_address, show_where
from flexcredits_cli.terminal.problem import SetupProblem

app = typer.Typer(help="Send recorded usage through the ingest API.", no_args_is_help=True)

COLUMNS = ["TIMESTAMP", "ContextTokens", "GeneratedTokens"]
ROLES = get_args(Role)


@app.callback()
def replay() -> None:
    """Send recorded usage through the ingest API."""


class Request(NamedTuple):
    """One row: a request of one file, with its instant in microseconds since 1970 and its tokens."""

    file: str
    row: int
    microseconds: int
    tokens: int


@app.command("azure-llm")
def replay_azure_llm(
    files: Annotated[list[Path], typer.Argument(help="Trace files: conv is Assistant usage, code is Agents usage.")],
    organization: Annotated[str, typer.Option(help="Organization of the usage.")] = "org_azure",
    run: Annotated[str | None, typer.Option(help="Name of the run. The same name sends the same ids.")] = None,
    at: Annotated[str | None, typer.Option(help="Time of the last request (RFC 3339). Default: now.")] = None,
    contracted: Annotated[str, typer.Option(help="Credits of the contract's credit period.")] = "40000",
) -> None:
    """Replay Azure LLM traces (TIMESTAMP, ContextTokens, GeneratedTokens): 1 credit per 1,000 tokens."""
    last_at = parse_instant(at) if at else datetime.now(UTC)
    run = run or f"{last_at:%Y%m%dT%H%M%S%f}"
    amount = parse_credits(contracted)
    requests = [request for file in files for request in read_requests(file)]
    if not requests:
        raise SetupProblem("the files hold no requests")
    shift = microseconds_of(last_at) - max(request.microseconds for request in requests)
    first_on = datetime.fromtimestamp((min(request.microseconds for request in requests) + shift) / 1e6, UTC).date()
    catalog_events = build_catalog_events(organization, run, last_at, first_on, amount)
    events = (build_event(organization, run, shift, request) for request in requests)
    answers = asyncio.run(send(catalog_events, events, len(requests)))
    report(answers)
    show_where(organization, f"super_admin@{domain_of(organization)}", ingest_address()[0])


async def send(catalog_events: Sequence[dict[str, Any]], events: Iterator[dict[str, Any]], number: int) -> Answers:
    """Send the catalog events, then the usage, with a progress bar on stderr."""
    url, key = ingest_address()
    taken = await send_events(url, key, catalog_events)
    if taken.rejected:
        raise SetupProblem(f"ingest refused the catalog events: {taken.rejected}")
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TextColumn("{task.fields[rate]}"), console=console) as progress:
        task = progress.add_task("replaying", total=number, rate="")

        def show_progress(answered: int) -> None:
            progress.advance(task, answered)
            elapsed = progress.tasks[0].elapsed or 1e-9
            progress.update(task, rate=f"{progress.tasks[0].completed / elapsed:,.0f} events/s")

        return await send_events(url, key, events, on_answer=show_progress)


def report(answers: Answers) -> None:
    """Print the totals of ingest's responses. Exit code 1 if it refused an event."""
    print(f"accepted {answers.accepted:,}, rejected {len(answers.rejected):,}")
    for at in answers.rejected[:10]:
        print(f"  {at.get('id')}: {at.get('detail')} ({at.get('pointer')})")
    if answers.rejected:
        raise typer.Exit(1)


def read_requests(path: Path) -> Iterator[Request]:
    """The rows of a trace. Raises SetupProblem with file and line if a row is invalid."""
    if model_of(path.name) is None:
        raise SetupProblem(f"{path.name}: the name of a trace contains conv or code")
    try:
        with path.open(newline="") as lines:
            reader = csv.DictReader(lines)
            if reader.fieldnames != COLUMNS:
                raise SetupProblem(f"{path.name}: the columns are {reader.fieldnames}, not {COLUMNS}")
            for row, line in enumerate(reader, start=1):
                try:
                    tokens = int(line["ContextTokens"]) + int(line["GeneratedTokens"])
                    instant = microseconds_of(parse_instant(line["TIMESTAMP"]))
                except (ValueError, TypeError, SetupProblem) as error:
                    raise SetupProblem(f"{path.name}, line {reader.line_num}: {error}") from None
                yield Request(path.name, row, instant, tokens)
    except OSError as error:
        raise SetupProblem(f"{path}: {error.strerror}") from None


def model_of(file: str) -> tuple[str, str] | None:
    """Product and model of a trace file."""
    if "conv" in file:
        return "assistant", "azure-llm-conv"
    return ("agents", "azure-llm-code") if "code" in file else None


def parse_instant(text: str) -> datetime:
    """Parse RFC 3339, or the traces' format: UTC without a zone, with 100 ns digits. Digits after microseconds are cut."""
    whole, dot, fraction = text.strip().partition(".")
    digits = "".join(character for character in fraction if character.isdigit()) if dot else ""
    zone = fraction.lstrip("0123456789") if dot else ""
    try:
        parsed = datetime.fromisoformat(f"{whole}{dot}{digits[:6].ljust(6, '0')}{zone}" if dot else whole)
    except ValueError:
        raise SetupProblem(f"{text!r} is not an instant") from None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def parse_credits(text: str) -> str:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal(-1)
    if not 0 <= amount < 10**12:
        raise SetupProblem(f"--contracted {text!r} is not an amount of credits")
    return f"{amount:f}"


def microseconds_of(instant: datetime) -> int:
    return (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def build_event(organization: str, run: str, shift: int, request: Request) -> dict[str, Any]:
    """Usage of one request. Its id depends on run, file and row only, so a run can be repeated byte for byte."""
    product, model = model_of(request.file) or ("", "")
    instant = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=request.microseconds + shift)
    data: dict[str, Any] = {"product": product, "feature_kind": "model", "feature": model, "surface": "replay"}
    if product == "agents":
        data["agent"] = {"id": model, "name": model, "kind": "saved"}
    data |= {"quantity": str(request.tokens), "unit": "tokens"}
    return envelope(organization, f"{run}/{request.file}/{request.row}", "flexcredits.usage.v1", instant, data)


def build_catalog_events(
    organization: str, run: str, at: datetime, first_on: date, contracted: str
) -> list[dict[str, Any]]:
    """The organization (UTC), a member per role, its rates, and a contract from the day before the first request on."""
    begins = first_on - timedelta(days=1)
    ends = begins + timedelta(days=365)
    agent = {"id": "azure-llm-code", "state": "saved", "name": "azure-llm-code"}
    period = {"id": f"{begins}", "from": f"{begins}", "to": f"{ends}", "total": contracted}
    catalog_events: list[tuple[str, str, dict[str, Any]]] = [
        ("organization", "organization", {"name": organization, "time_zone": "UTC", "billing_moderator_enabled": True}),
        (
            "contract",
            "contract",
            {"contract_id": "replay", "from": f"{begins}", "to": f"{ends}", "credit_periods": [period]},
        ),
        ("agent", "agent", agent),
    ]
    catalog_events += [
        (f"member-{role}", "member", {"email": f"{role}@{domain_of(organization)}", "role": role}) for role in ROLES
    ]
    for product, model in (("assistant", "azure-llm-conv"), ("agents", "azure-llm-code")):
        rate = {
            "product": product,
            "feature_kind": "model",
            "feature": model,
            "unit": "tokens",
            "credits": "1",
            "per": "1000",
        }
        catalog_events.append((f"rate-{product}", "rate", rate))
    return [
        # Rates have the same id in every run: a new rate would take effect only now.
        envelope(organization, f"{'replay' if type_ == 'rate' else run}/{name}", f"flexcredits.{type_}.v1", at, data)
        for name, type_, data in catalog_events
    ]


def domain_of(organization: str) -> str:
    return f"{organization.replace('_', '-')}.example"


def envelope(organization: str, event_id: str, type_: str, at: datetime, data: dict[str, Any]) -> dict[str, Any]:
    time = at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return {
        "specversion": "1.0", "id": event_id, "source": "/replay/azure-llm", "type": type_, "subject": organization,
        "time": time, "data": data,
    }  # fmt: skip
