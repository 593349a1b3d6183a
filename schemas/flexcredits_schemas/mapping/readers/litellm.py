"""Calls that LiteLLM's callback `generic_api` reports: its StandardLoggingPayload."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from flexcredits_schemas.mapping.foreign import Foreign, Unreadable, bounded
from flexcredits_schemas.mapping.readers.times import of_seconds

SOURCE = "litellm"
MEMBERS = (
    "id", "litellm_call_id", "trace_id", "session_id", "call_type", "stream", "status", "cache_hit",
    "custom_llm_provider", "model", "model_group", "model_id", "api_base", "startTime", "endTime", "response_time",
    "prompt_tokens", "completion_tokens", "total_tokens", "response_cost", "cost_breakdown", "saved_cache_cost",
    "response_cost_failure_debug_info", "metadata", "end_user", "request_tags", "user_agent",
)  # fmt: skip
"""What is kept of a payload. The rest is nine tenths of its bytes: prompts, answers, prices and error texts."""
METADATA = "metadata"
CONTENT = frozenset(
    {
        "mcp_tool_call_metadata", "vector_store_request_metadata", "prompt_management_metadata", "requester_custom_headers",
    }
)  # fmt: skip
"""Members of `metadata` that are not kept: arguments and results of tools, what was searched and found, variables of
prompts, and headers, which can be secrets."""
_KEPT = frozenset(MEMBERS)


def read_event(event: Any, raw: bytes, received_at: datetime) -> Foreign | Unreadable:
    """The call with its identity, the `id` that LiteLLM gave it, and the time of its end."""
    if not isinstance(event, dict):
        return Unreadable(None, "", "a call is a JSON object", raw)
    call_id = event.get("id")
    if not isinstance(call_id, str) or not call_id:
        return Unreadable(None, "/id", "expected a text that is not empty", raw)
    ended = event.get("endTime")
    at = of_seconds(ended) if isinstance(ended, int | Decimal) and not isinstance(ended, bool) else None
    if at is None:
        return Unreadable(call_id, "/endTime", "expected a number of seconds since 1970", raw)
    if not event.keys() <= _KEPT:
        event = {name: event[name] for name in MEMBERS if name in event}
    metadata = event.get(METADATA)
    if isinstance(metadata, dict) and not CONTENT.isdisjoint(metadata):
        event = event | {METADATA: {name: value for name, value in metadata.items() if name not in CONTENT}}
    return Foreign(event, bounded(call_id), SOURCE, at, raw)
