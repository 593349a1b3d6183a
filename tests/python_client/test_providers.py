"""Each provider's rule for cached, cache-write and reasoning tokens, as a table. Sources: flexcredits_client/providers/rules.py."""

from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from flexcredits_client import (
    AsyncClient,
    Client,
    InvalidUsage,
    Reason,
    Rejected,
    UnknownUsage,
    read_chunks,
    read_usage,
)
from flexcredits_client.providers.rules import CACHE_WRITE_1H, PART_OF, RULES, UNITS
from flexcredits_schemas.quantities import Price, charged_quantities
from hypothesis import given
from hypothesis import strategies as st
from support.services.scripted_ingest import ScriptedIngest, refuse

from .conftest import quick

OPENAI_CHAT = {
    "id": "chatcmpl-1", "object": "chat.completion", "model": "gpt-5", "choices": [],
    "usage": {
        "prompt_tokens": 812, "completion_tokens": 96, "total_tokens": 908,
        "prompt_tokens_details": {"cached_tokens": 512, "audio_tokens": 0, "cache_write_tokens": 100},
        "completion_tokens_details": {"reasoning_tokens": 64, "audio_tokens": 0},
    },
}  # fmt: skip
OPENAI_RESPONSES = {
    "id": "resp_1", "object": "response", "model": "gpt-5", "metadata": {}, "output": [],
    "usage": {
        "input_tokens": 812, "input_tokens_details": {"cached_tokens": 512, "cache_write_tokens": 0},
        "output_tokens": 96, "output_tokens_details": {"reasoning_tokens": 64}, "total_tokens": 908,
    },
}  # fmt: skip
ANTHROPIC = {
    "id": "msg_1", "type": "message", "model": "claude-opus-5", "content": [],
    "usage": {
        "input_tokens": 100, "cache_read_input_tokens": 512, "cache_creation_input_tokens": 200, "output_tokens": 96,
        "cache_creation": {"ephemeral_5m_input_tokens": 50, "ephemeral_1h_input_tokens": 150},
        "output_tokens_details": {"thinking_tokens": 64}, "service_tier": "standard",
    },
}  # fmt: skip
GEMINI = {
    "candidates": [], "modelVersion": "gemini-3-pro",
    "usageMetadata": {
        "promptTokenCount": 700, "toolUsePromptTokenCount": 112, "cachedContentTokenCount": 512,
        "candidatesTokenCount": 32, "thoughtsTokenCount": 64, "totalTokenCount": 908,
    },
}  # fmt: skip
BEDROCK = {
    "output": {"message": {"role": "assistant", "content": []}}, "stopReason": "end_turn", "metrics": {"latencyMs": 1},
    "usage": {
        "inputTokens": 100, "outputTokens": 96, "totalTokens": 908, "cacheReadInputTokens": 512,
        "cacheWriteInputTokens": 200, "cacheDetails": [{"ttl": "5m", "inputTokens": 200}],
    },
}  # fmt: skip
MISTRAL = {
    "id": "1", "object": "chat.completion", "model": "mistral-large", "choices": [],
    "usage": {
        "prompt_tokens": 812, "completion_tokens": 96, "total_tokens": 908,
        "prompt_tokens_details": {"cached_tokens": 512},
    },
}  # fmt: skip
COHERE = {
    "id": "1", "finish_reason": "COMPLETE", "message": {"role": "assistant", "content": []},
    "usage": {
        "billed_units": {"input_tokens": 12.0, "output_tokens": 96.0},
        "tokens": {"input_tokens": 812.0, "output_tokens": 100.0}, "cached_tokens": 512.0,
    },
}  # fmt: skip
REALTIME = {
    "type": "response.done", "event_id": "event_1", "response": {"id": "resp_1", "object": "realtime.response", "usage": {
        "total_tokens": 908, "input_tokens": 812, "output_tokens": 96,
        "input_token_details": {"cached_tokens": 512, "text_tokens": 700, "audio_tokens": 112, "image_tokens": 0},
        "output_token_details": {"text_tokens": 30, "audio_tokens": 66},
    }},
}  # fmt: skip
COMPACTED = {
    **ANTHROPIC, "usage": {**ANTHROPIC["usage"], "iterations": [
        {"type": "compaction", "input_tokens": 1000, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 30,
         "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 30}, "output_tokens": 200},
        {"type": "message", "input_tokens": 100, "cache_read_input_tokens": 512, "cache_creation_input_tokens": 200,
         "output_tokens": 96},
        {"type": "advisor_message", "model": "claude-opus-5", "input_tokens": 9, "cache_read_input_tokens": 0,
         "cache_creation_input_tokens": 0, "output_tokens": 9},
    ]},
}  # fmt: skip
INTERACTION = {
    "id": "v1_1", "object": "interaction", "model": "gemini-3-pro", "status": "completed", "steps": [],
    "usage": {
        "total_input_tokens": 700, "total_tool_use_tokens": 112, "total_cached_tokens": 512, "total_output_tokens": 32,
        "total_thought_tokens": 64, "total_tokens": 908, "input_tokens_by_modality": [{"modality": "text", "tokens": 700}],
    },
}  # fmt: skip
XAI = {
    "id": "1", "object": "chat.completion", "model": "grok-4", "choices": [],
    "usage": {
        "prompt_tokens": 812, "completion_tokens": 32, "total_tokens": 908, "prompt_tokens_details": {"cached_tokens": 512},
        "completion_tokens_details": {"reasoning_tokens": 64},
    },
}  # fmt: skip
DEEPSEEK = {
    "id": "1", "object": "chat.completion", "model": "deepseek-reasoner", "choices": [],
    "usage": {
        "prompt_tokens": 812, "completion_tokens": 96, "total_tokens": 908, "prompt_cache_hit_tokens": 512,
        "prompt_cache_miss_tokens": 300, "completion_tokens_details": {"reasoning_tokens": 64},
    },
}  # fmt: skip
COHERE_1 = {"text": "", "meta": {"billed_units": {"input_tokens": 12.0, "output_tokens": 96.0}, "tokens": {}}}

TABLE: list[tuple[str, Any, str, dict[str, int]]] = [
    ("openai_chat", OPENAI_CHAT, "gpt-5", {"input_tokens": 812, "cached_input_tokens": 512, "cache_write_input_tokens": 100, "output_tokens": 96, "reasoning_output_tokens": 64}),
    ("openai_responses", OPENAI_RESPONSES, "gpt-5", {"input_tokens": 812, "cached_input_tokens": 512, "output_tokens": 96, "reasoning_output_tokens": 64}),
    ("anthropic", ANTHROPIC, "claude-opus-5", {"input_tokens": 812, "cached_input_tokens": 512, "cache_write_input_tokens": 200, "output_tokens": 96, "reasoning_output_tokens": 64}),
    ("gemini", GEMINI, "gemini-3-pro", {"input_tokens": 812, "cached_input_tokens": 512, "output_tokens": 96, "reasoning_output_tokens": 64}),
    ("bedrock", BEDROCK, "", {"input_tokens": 812, "cached_input_tokens": 512, "cache_write_input_tokens": 200, "output_tokens": 96}),
    ("openai_chat", MISTRAL, "mistral-large", {"input_tokens": 812, "cached_input_tokens": 512, "output_tokens": 96}),
    ("cohere", COHERE, "", {"input_tokens": 12, "output_tokens": 96}),
    ("cohere", COHERE_1, "", {"input_tokens": 12, "output_tokens": 96}),
    ("openai_responses", REALTIME, "", {"input_tokens": 812, "cached_input_tokens": 512, "output_tokens": 96}),
    ("anthropic", COMPACTED, "claude-opus-5", {"input_tokens": 1842, "cached_input_tokens": 512, "cache_write_input_tokens": 230, "output_tokens": 296, "reasoning_output_tokens": 64}),
    ("gemini_interactions", INTERACTION, "gemini-3-pro", {"input_tokens": 812, "cached_input_tokens": 512, "output_tokens": 96, "reasoning_output_tokens": 64}),
    ("openai_chat", XAI, "grok-4", {"input_tokens": 812, "cached_input_tokens": 512, "output_tokens": 96, "reasoning_output_tokens": 64}),
    ("openai_chat", DEEPSEEK, "deepseek-reasoner", {"input_tokens": 812, "cached_input_tokens": 512, "output_tokens": 96, "reasoning_output_tokens": 64}),
]  # fmt: skip


def as_object(document: Any) -> Any:
    """The document as an SDK's object: attributes instead of keys."""
    if isinstance(document, dict):
        return SimpleNamespace(**{name: as_object(value) for name, value in document.items()})
    return [as_object(each) for each in document] if isinstance(document, list) else document


@pytest.mark.parametrize(("provider", "answer", "model", "quantities"), TABLE)
@pytest.mark.parametrize("form", [dict, as_object])
def test_the_usage_of_an_answer(provider: str, answer: Any, model: str, quantities: dict[str, int], form: Any) -> None:
    usage = read_usage(form(answer) if form is as_object else answer)
    assert usage == (provider, model, quantities)
    assert read_usage(answer, provider).quantities == quantities
    assert read_usage(answer.get("usage", answer)).quantities == quantities


@pytest.mark.parametrize(("provider", "answer", "model", "quantities"), TABLE)
def test_rates_with_part_of_charge_each_token_once(
    provider: str, answer: Any, model: str, quantities: dict[str, int]
) -> None:
    """What is charged of all units adds up to input and output."""
    prices = {unit: Price(1, 1, PART_OF.get(unit)) for unit in quantities}
    charged = charged_quantities(quantities, prices)
    assert min(charged.values()) >= 0
    assert sum(charged.values()) == quantities["input_tokens"] + quantities["output_tokens"]


STREAMS = [
    ("openai_chat", [
        {"model": "gpt-5", "choices": [{"delta": {"content": "a"}}], "usage": None},
        {"model": "gpt-5", "choices": [], "usage": OPENAI_CHAT["usage"]},
    ], TABLE[0][3]),
    ("openai_responses", [
        {"type": "response.created", "response": {"model": "gpt-5", "usage": None}},
        {"type": "response.output_text.delta", "delta": "a"},
        {"type": "response.completed", "response": OPENAI_RESPONSES},
    ], TABLE[1][3]),
    ("anthropic", [
        {"type": "message_start", "message": {"model": "claude-opus-5", "usage": {
            "input_tokens": 100, "cache_read_input_tokens": 512, "cache_creation_input_tokens": 200, "output_tokens": 1}}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a"}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 40}},
        {"type": "message_delta", "delta": {}, "usage": {
            "output_tokens": 96, "output_tokens_details": {"thinking_tokens": 64}, "input_tokens": None}},
        {"type": "message_stop"},
    ], TABLE[2][3]),
    ("gemini", [
        {"modelVersion": "gemini-3-pro", "usageMetadata": {"promptTokenCount": 700, "totalTokenCount": 700}},
        {"usageMetadata": {"promptTokenCount": 700, "candidatesTokenCount": 5, "totalTokenCount": 705}},
        GEMINI,
    ], TABLE[3][3]),
    ("bedrock", [
        {"messageStart": {"role": "assistant"}},
        {"contentBlockDelta": {"delta": {"text": "a"}, "contentBlockIndex": 0}},
        {"metadata": {"usage": BEDROCK["usage"], "metrics": {"latencyMs": 1}}},
    ], TABLE[4][3]),
    ("openai_chat", [
        {"data": {"model": "mistral-large", "choices": [], "usage": None}},
        {"data": {"model": "mistral-large", "choices": [], "usage": MISTRAL["usage"]}},
    ], TABLE[5][3]),
    ("cohere", [
        {"type": "content-delta", "delta": {"message": {"content": {"text": "a"}}}},
        {"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": COHERE["usage"]}},
    ], TABLE[6][3]),
    ("gemini_interactions", [
        {"event_type": "interaction.created", "interaction": {"id": "v1_1", "model": "gemini-3-pro", "status": "in_progress"}},
        {"event_type": "step.delta", "index": 0, "delta": {"type": "text", "text": "a"}},
        {"event_type": "interaction.completed", "interaction": INTERACTION},
    ], TABLE[10][3]),
    ("openai_chat", [
        {"type": "chunk", "chunk": {"model": "gpt-5", "choices": [], "usage": None}, "snapshot": {"model": "gpt-5"}},
        {"type": "content.delta", "delta": "a", "snapshot": "a", "parsed": None},
        {"type": "chunk", "chunk": {"model": "gpt-5", "choices": [], "usage": OPENAI_CHAT["usage"]}, "snapshot": {"model": "gpt-5"}},
    ], TABLE[0][3]),
    ("anthropic", [
        {"type": "message_start", "message": {"model": "claude-opus-5", "usage": {
            "input_tokens": 100, "cache_read_input_tokens": 512, "cache_creation_input_tokens": 200, "output_tokens": 1}}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {
            "output_tokens": 96, "output_tokens_details": {"thinking_tokens": 64}, "iterations": COMPACTED["usage"]["iterations"]}},
    ], TABLE[9][3]),
    ("openai_chat", [
        {"model": "grok-4", "choices": [{"delta": {"content": "a"}}], "usage": {
            "prompt_tokens": 812, "completion_tokens": 1, "total_tokens": 877, "completion_tokens_details": {"reasoning_tokens": 64}}},
        {"model": "grok-4", "choices": [], "usage": XAI["usage"]},
    ], TABLE[11][3]),
    ("cohere", [{"event_type": "text-generation", "text": "a"}, {"event_type": "stream-end", "response": COHERE_1}], TABLE[7][3]),
]  # fmt: skip


@pytest.mark.parametrize(("provider", "chunks", "quantities"), STREAMS)
@pytest.mark.parametrize("form", [dict, as_object])
def test_the_usage_of_a_stream(provider: str, chunks: list[Any], quantities: dict[str, int], form: Any) -> None:
    usage = read_chunks([form(chunk) for chunk in chunks])
    assert (usage.provider, usage.quantities) == (provider, quantities)


@pytest.mark.parametrize(("provider", "chunks", "quantities"), STREAMS)
def test_a_stream_names_its_model(provider: str, chunks: list[Any], quantities: dict[str, int]) -> None:
    assert bool(read_chunks(chunks).model) == (provider not in ("bedrock", "cohere"))


def test_an_interrupted_stream_counts_as_far_as_it_was_read() -> None:
    assert read_chunks(STREAMS[2][1][:3]).quantities["output_tokens"] == 40


def test_cache_writes_of_an_hour_are_a_part_on_request() -> None:
    usage = read_usage(ANTHROPIC, units=(*UNITS, CACHE_WRITE_1H))
    assert usage.quantities[CACHE_WRITE_1H] == 150
    prices = {unit: Price(1, 1, PART_OF.get(unit)) for unit in usage.quantities}
    assert charged_quantities({unit: int(n) for unit, n in usage.quantities.items()}, prices) == {
        "input_tokens": 100, "cached_input_tokens": 512, "cache_write_input_tokens": 50, CACHE_WRITE_1H: 150,
        "output_tokens": 32, "reasoning_output_tokens": 64,
    }  # fmt: skip


def test_cache_writes_of_an_hour_are_a_part_at_bedrock_too() -> None:
    details = [{"ttl": "1h", "inputTokens": 150}, {"ttl": "5m", "inputTokens": 50}]
    answer = BEDROCK | {"usage": BEDROCK["usage"] | {"cacheDetails": details}}
    for form in (answer, as_object(answer)):
        assert read_usage(form, units=(CACHE_WRITE_1H,)).quantities == {CACHE_WRITE_1H: 150}
    assert read_usage(BEDROCK, units=(CACHE_WRITE_1H,)).quantities == {}


def test_chosen_units_still_have_everything_in_the_totals() -> None:
    for _, answer, _, quantities in TABLE:
        assert quantities["input_tokens"] >= sum(
            quantities.get(unit, 0) for unit, of in PART_OF.items() if of == "input_tokens"
        )
        read = read_usage(answer, units=("input_tokens", "output_tokens")).quantities
        assert read == {unit: quantities[unit] for unit in ("input_tokens", "output_tokens")}


@pytest.mark.parametrize(
    "usage",
    [{"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 11}},
     {"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 6, "cache_write_tokens": 6}},
     {"prompt_tokens": 10, "completion_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 6}}],
)  # fmt: skip
def test_parts_that_are_more_than_the_whole_are_left_out(usage: dict[str, Any]) -> None:
    """Otherwise the event would become a dead letter, which nothing in the product service shows."""
    assert read_usage({"usage": usage}).quantities == {"input_tokens": 10, "output_tokens": 5}


@pytest.mark.parametrize(
    "answer",
    [{}, None, "text", 7, {"usage": None}, {"usage": {}}, {"usage": {"prompt_tokens": 0, "completion_tokens": 0}},
     {"usage": {"seconds": 3, "type": "duration"}}, {"usage": {"prompt_tokens": "many"}}, {"choices": []}, SimpleNamespace()],
)  # fmt: skip
def test_an_answer_without_usage_is_an_error(answer: Any) -> None:
    with pytest.raises(UnknownUsage):
        read_usage(answer)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["usage", "message", "data", "input_tokens", "prompt_tokens", "outputTokens", "tokens", "meta"]), inner),
    max_leaves=10,
)  # fmt: skip


@given(st.lists(JSON, max_size=4))
def test_no_answer_breaks_the_reader(chunks: list[Any]) -> None:
    try:
        usage = read_chunks(chunks)
    except UnknownUsage:
        return
    assert all(number > 0 for number in usage.quantities.values())


def test_every_rule_has_a_source_and_known_units() -> None:
    for rule in RULES.values():
        assert any(character.isdigit() for character in rule.source)
        assert set(rule.units) <= {*UNITS, CACHE_WRITE_1H}


def test_a_call_becomes_one_event_with_the_models_name(ingest: ScriptedIngest) -> None:
    with Client(ingest.url, "fc_test", "/p", quick()) as client:
        with client.usage("org_acme", "assistant", actor="usr_1", run="conv_1") as call:
            assert call.read(OPENAI_CHAT) is OPENAI_CHAT
        with client.usage("org_acme", "assistant", "our name", units=("input_tokens", "output_tokens")) as call:
            assert list(call.stream(STREAMS[2][1])) == STREAMS[2][1]
            call.read(ANTHROPIC)
    first, second = ingest.stored.values()
    assert first["data"] == {
        "product": "assistant", "feature_kind": "model", "feature": "gpt-5", "actor": {"id": "usr_1"}, "run": {"id": "conv_1"},
        "quantities": {unit: str(number) for unit, number in TABLE[0][3].items()},
    }  # fmt: skip
    assert second["data"]["feature"] == "our name"
    assert second["data"]["quantities"] == {"input_tokens": "1624", "output_tokens": "192"}


def test_an_answer_that_names_no_model_needs_a_feature(ingest: ScriptedIngest) -> None:
    client = Client(ingest.url, "fc_test", "/p", quick())
    for answer in (BEDROCK, COHERE):
        with (
            pytest.raises(InvalidUsage, match="do not name their model: give `feature`"),
            client.usage("o", "p") as call,
        ):
            call.read(answer)
        with client.usage("o", "p", "our name") as call:
            call.read(answer)
    client.close()
    assert [event["data"]["feature"] for event in ingest.stored.values()] == ["our name"] * 2


@pytest.mark.parametrize("details", [{"actr": "usr_1"}, {"actor": 7}, {"time": datetime.now(UTC).replace(tzinfo=None)}])
def test_wrong_details_are_refused_before_the_call(ingest: ScriptedIngest, details: dict[str, Any]) -> None:
    """The provider charges for the call, so afterwards would be too late."""
    with (
        Client(ingest.url, "fc_test", "/p") as client,
        pytest.raises((TypeError, InvalidUsage), match=next(iter(details))),
        client.usage("org_acme", "assistant", **details),
    ):
        raise AssertionError("not reached")


REFUSAL = LookupError("a refusal of the provider")


def test_the_blocks_own_exception_is_raised(ingest: ScriptedIngest, expected_errors: list[str]) -> None:
    """A program catches what its provider raises, and must not get the client's exception in its place."""
    expected_errors += ["usage of assistant is not recorded: 1 events wait", "not delivered"]
    ingest.plan = lambda events: refuse(503)
    reported: list[Rejected] = []
    options = quick(queue_events=1, overflow="raise", on_rejected=reported.append)
    client = Client(ingest.url, "fc_test", "/p", options)
    client.record("org_acme", "assistant", "tool", "jira", credits="1")
    try:
        with client.usage("org_acme", "assistant") as call:
            call.read(OPENAI_CHAT)
            raise REFUSAL
    except LookupError as error:
        assert error is REFUSAL  # noqa: PT017
    assert [each.reason for each in reported] == [Reason.NO_USAGE]
    client.close(0)


async def test_the_blocks_own_exception_is_raised_in_asyncio(
    ingest: ScriptedIngest, expected_errors: list[str]
) -> None:
    expected_errors += ["usage of assistant is not recorded: 1 events wait", "not delivered"]
    ingest.plan = lambda events: refuse(503)
    client = AsyncClient(ingest.url, "fc_test", "/p", quick(queue_events=1, overflow="raise"))
    await client.record("org_acme", "assistant", "tool", "jira", credits="1")
    try:
        async with client.usage("org_acme", "assistant") as call:
            call.read(OPENAI_CHAT)
            raise REFUSAL
    except LookupError as error:
        assert error is REFUSAL  # noqa: PT017
    assert client.stats().without_usage == 1
    await client.close(0)


async def test_an_async_stream_becomes_one_event(ingest: ScriptedIngest) -> None:
    async def chunks() -> AsyncIterator[Any]:
        for chunk in STREAMS[0][1]:
            yield as_object(chunk)

    async with (
        AsyncClient(ingest.url, "fc_test", "/p", quick()) as client,
        client.usage("org_acme", "assistant") as call,
    ):
        assert len([chunk async for chunk in call.astream(chunks())]) == 2
    [event] = ingest.stored.values()
    assert event["data"]["quantities"]["reasoning_output_tokens"] == "64"


def test_what_was_used_before_a_failure_is_recorded(ingest: ScriptedIngest) -> None:
    client = Client(ingest.url, "fc_test", "/p", quick())
    for answers in ([OPENAI_CHAT], []):
        with suppress(LookupError), client.usage("org_acme", "assistant") as call:
            for answer in answers:
                call.read(answer)
            raise LookupError("a defect of the product, or a refusal of the provider")
    client.close()
    assert len(ingest.stored) == 1
    assert client.stats().without_usage == 0


def test_an_answer_without_usage_is_reported(ingest: ScriptedIngest, expected_errors: list[str]) -> None:
    expected_errors.append("usage of gpt-5 is not recorded: 1 answers had no usage")
    reported: list[Rejected] = []
    with (
        Client(ingest.url, "fc_test", "/p", quick(on_rejected=reported.append)) as client,
        client.usage("org_acme", "assistant", "gpt-5") as call,
    ):
        list(call.stream([{"model": "gpt-5", "choices": [], "usage": None}]))
    assert not ingest.stored
    [missing] = reported
    assert (missing.reason, missing.event["feature"]) == (Reason.NO_USAGE, "gpt-5")
    assert client.stats().without_usage == 1


def test_an_unknown_provider_is_refused_before_the_call(ingest: ScriptedIngest) -> None:
    with (
        Client(ingest.url, "fc_test", "/p") as client,
        pytest.raises(ValueError, match="only openai_chat"),
        client.usage("org_acme", "assistant", provider="openai"),
    ):
        raise AssertionError("not reached")


def test_counts_may_be_decimals() -> None:
    usage = {"billed_units": {"input_tokens": 1.5, "output_tokens": 2.0}}
    assert read_usage({"usage": usage}).quantities == {"input_tokens": Decimal("1.5"), "output_tokens": 2}
