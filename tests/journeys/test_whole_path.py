"""Tests of the whole system on the real stack: an admin sees what a product service sent, to the micro-credit."""

import asyncio
import json
import os
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import httpx
import pytest
from support.clients.metered_organization import MeteredOrganization
from support.clients.metered_organization import credits_of as credits_of_call
from support.clients.recorded_otlp import recorded as recorded_otlp
from support.data.factories import correction, organization, rate, usage
from support.data.recorded_bodies import recorded, recorded_lines, sent_at
from support.data.traces import credits_of, find_traces
from support.infra.full_stack import WholeStack, whole_stack
from support.infra.service_process import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
AT = datetime.now(UTC).replace(microsecond=0).isoformat()
OTLP_OPENAI = credits_of_call(input_tokens=1000, cached_input_tokens=900, output_tokens=120, reasoning_output_tokens=40)
OTLP_STREAMED = credits_of_call(input_tokens=1000, cached_input_tokens=900, output_tokens=120)
OTLP_ANTHROPIC = credits_of_call(
    input_tokens=1050, cached_input_tokens=900, cache_write_input_tokens=50, output_tokens=77
)
OTLP_EMBEDDING = credits_of_call(input_tokens=30)
OTLP_CLAUDE_CODE = credits_of_call(
    uncached_input_tokens=100, cached_input_tokens=900, cache_write_input_tokens=50, output_tokens=77
)
SONNET = credits_of_call(input_tokens=1300, cached_input_tokens=1000, cache_write_input_tokens=200, output_tokens=50)
GPT = credits_of_call(input_tokens=1200, cached_input_tokens=1024, output_tokens=300, reasoning_output_tokens=256)
PLAIN, EMBEDDING = credits_of_call(input_tokens=1200, output_tokens=300), credits_of_call(input_tokens=8)


@pytest.fixture(scope="module")
def stack() -> Iterator[WholeStack]:
    with whole_stack() as running:
        yield running


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return find_traces(tmp_path_factory.mktemp("traces"))


def used(stack: WholeStack, name: str) -> Decimal:
    return Decimal(stack.get("overview", organization=name)["contract_period_used"] or 0)


def breakdown(stack: WholeStack, name: str, product: str, view: str) -> dict[str, tuple[Decimal, int]]:
    answer = stack.get("breakdown", organization=name, product=product, view=view, range="all")
    assert sum(Decimal(row["credits"]) for row in answer["rows"]) == Decimal(answer["total"])
    return {row["name"]: (Decimal(row["credits"]), row["events"]) for row in answer["rows"]}


def check_against_files(stack: WholeStack, name: str, traces: list[Path]) -> None:
    (conversations, conversation_count), (code, code_count) = map(credits_of, traces)
    overview = stack.get("overview", organization=name)
    assert Decimal(overview["credits_used"]) == conversations + code
    assert {row["product"]: Decimal(row["used"]) for row in overview["products"]} == {
        "assistant": conversations, "agents": code, "api": Decimal(0),
    }  # fmt: skip
    expected = {"azure-llm-conv": (conversations, conversation_count)}
    assert breakdown(stack, name, "assistant", "models") == expected
    assert breakdown(stack, name, "agents", "agents") == {"azure-llm-code": (code, code_count)}
    assert set(breakdown(stack, name, "agents", "features")) == {"azure-llm-code"}


async def until_applied(stack: WholeStack, name: str, expected: Decimal) -> None:
    await eventually(lambda: used(stack, name) == expected, within_s=60, what=f"{name} at {expected}")


def check_proof(stack: WholeStack, name: str) -> None:
    proof = stack.get("proof", organization=name)
    for row in proof["partitions"]:
        assert row["applied"] == row["counted"] + row["duplicate"] + row["rejected"] + row["held"], row
    assert proof["credits"]["equal"], proof["credits"]


async def test_real_requests_come_out_to_the_micro_credit_and_a_repeated_run_changes_nothing(
    stack: WholeStack, traces: list[Path]
) -> None:
    expected = sum((credits_of(path)[0] for path in traces), Decimal(0))
    said = stack.command("replay", "azure-llm", *traces, "--run", "one", "--at", AT).splitlines()
    assert "organization org_azure, role super_admin, email super_admin@org-azure.example" in said[-2]
    assert said[-1] == f"{stack.origin}/"
    await until_applied(stack, "org_azure", expected)
    check_against_files(stack, "org_azure", traces)
    before = stack.get("proof", organization="org_azure")["totals"]
    stack.command("replay", "azure-llm", *traces, "--run", "one", "--at", AT)
    number = sum(credits_of(path)[1] for path in traces)

    def all_duplicates() -> bool:
        return bool(stack.get("proof", organization="org_azure")["totals"]["duplicate"] == before["duplicate"] + number)

    await eventually(all_duplicates, within_s=60, what="the repeated run as duplicates")
    check_against_files(stack, "org_azure", traces)
    check_proof(stack, "org_azure")


async def test_killing_the_aggregator_during_a_replay_changes_no_total(stack: WholeStack, traces: list[Path]) -> None:
    expected = sum((credits_of(path)[0] for path in traces), Decimal(0))
    sending = asyncio.create_task(
        asyncio.to_thread(stack.command, "replay", "azure-llm", *traces, "--organization", "org_killed", "--at", AT)
    )
    for _ in range(3):
        await asyncio.sleep(0.3)
        os.kill(await asyncio.to_thread(stack.aggregator_pid), signal.SIGKILL)
    await sending
    await until_applied(stack, "org_killed", expected)
    check_against_files(stack, "org_killed", traces)
    check_proof(stack, "org_killed")


async def test_usage_before_its_organization_and_rate_is_held_shown_and_counted(stack: WholeStack) -> None:
    tokens = usage(
        feature_kind="model", feature="gpt-6", quantity="5213", unit="tokens", envelope={"subject": "org_early"}
    )
    plain = usage(credits="2.5", envelope={"subject": "org_early"})
    assert stack.post([tokens, plain]).json()["accepted"] == 2

    def held(number: int) -> bool:
        answer = stack.get("proof", organization="org_azure")["totals"]
        return bool(answer["held"] == number)

    await eventually(lambda: held(2), what="two held events")
    assert stack.post(organization("org_early", "Asia/Kathmandu")).status_code == 202
    await eventually(lambda: held(1), what="one event left for its rate")
    assert stack.get("freshness", organization="org_early")["held"] == 1
    assert breakdown(stack, "org_early", "assistant", "tools") == {"jira_search": (Decimal("2.5"), 1)}
    assert stack.post(rate(subject="org_early")).status_code == 202
    await eventually(lambda: held(0), what="nothing held")
    assert breakdown(stack, "org_early", "assistant", "models") == {"gpt-6": (Decimal("5.213"), 1)}
    assert stack.get("overview", organization="org_early")["time_zone"] == "Asia/Kathmandu"


async def test_an_accepted_event_is_visible_within_two_seconds(stack: WholeStack) -> None:
    stack.post(organization("org_quick"))
    stack.post(usage(credits="1", envelope={"subject": "org_quick"}))
    await eventually(lambda: breakdown(stack, "org_quick", "assistant", "tools") != {}, what="the first event")
    began = time.monotonic()
    assert stack.post(usage(credits="41", envelope={"subject": "org_quick"})).status_code == 202
    expected = {"jira_search": (Decimal(42), 2)}
    await eventually(lambda: breakdown(stack, "org_quick", "assistant", "tools") == expected, within_s=10)
    assert time.monotonic() - began < 4  # two seconds, and two for a machine that does other work


async def test_bad_events_stand_in_the_dead_letters_and_their_neighbours_count(stack: WholeStack) -> None:
    stack.post(organization("org_mixed"))
    subject = {"subject": "org_mixed"}
    good, bad, twice = (
        usage(credits="1", envelope=subject),
        usage(credits="-1", envelope=subject),
        usage(credits="3", envelope=subject),
    )
    other = {**twice, "data": {**twice["data"], "credits": "4"}}
    undo = correction(twice, "-0.5")
    answer = stack.post([good, bad, twice, undo]).json()
    assert answer["accepted"] == 3
    assert [(row["index"], row["pointer"]) for row in answer["rejected"]] == [(1, "/data/credits")]
    assert stack.post(other).status_code == 202  # only the ledger can detect it
    await eventually(
        lambda: breakdown(stack, "org_mixed", "assistant", "tools") == {"jira_search": (Decimal("3.5"), 2)}
    )

    def dead_letters() -> str:
        return stack.command("dlq", "ls", "--json")

    await eventually(lambda: dead_letters().count("org_mixed") == 2, what="both dead letters")
    assert "the same source and id was used before with another payload" in dead_letters()
    check_proof(stack, "org_mixed")


def post_as(made: MeteredOrganization, path: str, body: object) -> httpx.Response:
    headers = {"Authorization": f"Bearer {made.key}", "Content-Type": "application/json"}
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx.post(made.url + path, content=content, headers=headers)


async def test_recorded_requests_are_counted_as_often_as_their_clients_called_a_model(stack: WholeStack) -> None:
    litellm = MeteredOrganization(stack, "org_litellm", "litellm")
    lago = MeteredOrganization(stack, "org_lago", "lago")
    now = time.time()
    calls = sent_at(recorded("litellm-generic-api.json"), now)
    lines = b"\n".join(json.dumps(sent_at(line, now)).encode() for line in recorded_lines("litellm-generic-api.ndjson"))
    for body in (calls, lines, calls, sent_at(recorded("litellm-generic-api-single.json"), now)):
        answer = post_as(litellm, "/litellm", body)
        assert (answer.status_code, answer.json()["rejected"]) == (202, []), answer.text

    sent = [sent_at(body, now) for body in recorded_lines("litellm-lago.ndjson")]
    sent += [sent_at(recorded(f"lago-{language}-event.json"), now) for language in ("python", "javascript")]
    for event in [*sent, *sent]:
        answer = post_as(lago, "/lago/api/v1/events", event)
        assert answer.status_code == 200, answer.text
        assert answer.json()["event"]["transaction_id"] == event["event"]["transaction_id"]
    for language in ("python", "javascript"):
        answer = post_as(lago, "/lago/api/v1/events/batch", sent_at(recorded(f"lago-{language}-batch.json"), now))
        assert answer.status_code == 200, answer.text
    wrong = post_as(lago, "/lago/api/v1/events/batch", {"events": [sent[0]["event"], {"transaction_id": "w"}]})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "validation_errors")

    await litellm.until_counted(
        "models",
        {
            "gpt-4o-mini": (GPT * 3, 3),
            "in-house": (GPT * 2, 2),
            "claude-sonnet-4-5": (SONNET * 2, 2),
            "text-embedding-3-small": (EMBEDDING * 2, 2),
        },
    )
    await lago.until_counted(
        "models",
        {
            "gpt-4o-mini": (PLAIN, 1),
            "in-house": (PLAIN, 1),
            "claude-sonnet-4-5": (credits_of_call(input_tokens=1300, output_tokens=50), 1),
            "text-embedding-3-small": (EMBEDDING, 1),
            "gpt-6": (credits_of_call(input_tokens=12), 1),
            "m": (credits_of_call(input_tokens=3), 1),
        },
    )
    await lago.until_counted("other_features", {"tokens": (Decimal(2), 2), "x": (Decimal(1), 1)})
    assert [letter["pointer"] for letter in lago.dead_letters()] == ["/external_subscription_id"]
    assert litellm.dead_letters() == []


@pytest.mark.parametrize(
    ("mapping", "requests", "expected"),
    [
        (
            "otlp-genai",
            ("openllmetry-0.62.4.traces.pb",),
            {
                "gpt-5": (OTLP_OPENAI, 1),
                "gpt-4o-mini": (OTLP_OPENAI + OTLP_STREAMED, 2),
                "claude-sonnet-4-5": (2 * OTLP_ANTHROPIC, 2),
                "text-embedding-3-small": (OTLP_EMBEDDING, 1),
            },
        ),
        (
            "claude-code",
            ("claude-code-2.1.332.logs.pb", "claude-code-2.1.332.metrics.pb"),
            {"claude-sonnet-4-5": (OTLP_CLAUDE_CODE, 1)},
        ),
    ],
)
async def test_recorded_otlp_requests_come_out_to_the_micro_credit_however_often_they_are_sent(
    stack: WholeStack, mapping: str, requests: tuple[str, ...], expected: dict[str, tuple[Decimal, int]]
) -> None:
    """The real exporters are in tests/ingest/clients, which need package registries."""
    made = MeteredOrganization(stack, f"org_{mapping}", mapping)
    for name in requests:
        body, kind = recorded_otlp(name), name.split(".")[-2]
        headers = {"Authorization": f"Bearer {made.key}", "Content-Type": "application/x-protobuf"}
        async with httpx.AsyncClient(base_url=made.url, headers=headers, timeout=30) as client:
            for _ in range(2):
                answer = await client.post(f"/otlp/v1/{kind}", content=body)
                assert (answer.status_code, answer.content) == (200, b"")
    await made.until_counted("models", expected)
    assert made.dead_letters() == []
    check_proof(stack, made.name)


def test_operators_find_everything_as_it_should_be_and_log_ledger_and_rollups_agree(stack: WholeStack) -> None:
    """After the tests before, with kills, copies, held usage, corrections and dead letters."""
    assert {topic["drift"] == [] for topic in json.loads(stack.command("topics", "ls", "--json"))["topics"]} == {True}
    assert json.loads(stack.command("migrate", "--dry-run", "--json"))["pending"] == []
    assert json.loads(stack.command("retention", "--dry-run", "--json"))["expired"] == []
    services = json.loads(stack.command("config", "--json"))["services"]
    assert {row["source"] for row in services["alerter"]["settings"] if row["name"] == "SMTP_URL"} == {"stack"}
    first = datetime.now(UTC).date() - timedelta(days=2)
    proof = json.loads(stack.command("rebuild", "--from", f"{first}", "--dry-run", "--json"))
    assert (proof["differs"], proof["contradictions"]["number"]) == (False, 0)
    assert proof["in_range"]["counted"] > 1000
    assert proof["in_range"]["duplicate"] > 1000
    assert "-> America/St_Johns touched" in stack.command("rebuild", "--time-zone", "org_azure", "America/St_Johns")
    assert stack.get("overview", organization="org_azure")["time_zone"] == "America/St_Johns"
    stack.command("rebuild", "--from", f"{first}", "--dry-run")
