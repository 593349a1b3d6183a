"""The providers' own SDKs, pinned, against a local stub: what the client reads of their objects. Needs --clients."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from flexcredits_cli.machine.state_folder import REPOSITORY
from support.clients.foreign_clients import python_with, run

from .test_providers import (
    ANTHROPIC,
    BEDROCK,
    COHERE,
    COMPACTED,
    GEMINI,
    INTERACTION,
    MISTRAL,
    OPENAI_CHAT,
    OPENAI_RESPONSES,
    REALTIME,
    STREAMS,
    TABLE,
)

pytestmark = [pytest.mark.clients, pytest.mark.timeout(600)]
SDKS = (
    "openai==3.57.0",
    "anthropic==2.14.0",
    "google-genai==3.6.1",
    "boto3==1.44.8",
    "mistralai==3.7.0",
    "cohere==7.3.1",
)
"""The versions in `source` of flexcredits_client/providers/rules.py."""
NAMES = ("openai", "responses", "anthropic", "gemini", "bedrock", "mistral", "cohere")
STREAM_OF = dict(zip(NAMES, STREAMS, strict=False)) | {"interactions": STREAMS[7], "compacted": STREAMS[9]}
TABLE_OF = dict(zip(NAMES, TABLE, strict=False)) | {
    "realtime": TABLE[8],
    "compacted": TABLE[9],
    "interactions": TABLE[10],
}


def bodies() -> dict[str, Any]:
    """What the stub answers, by the first part of the path: complete enough for each SDK to parse."""
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hello"}}
    delta = {"index": 0, "finish_reason": "stop", "delta": {"role": "assistant", "content": "hello"}}
    chat = {"created": 1, "choices": [choice]}
    chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1}
    message = {"role": "assistant", "stop_reason": "end_turn", "stop_sequence": None}
    streams = {name: [dict(each) for each in chunks] for name, (_, chunks, _) in STREAM_OF.items()}
    streams["openai"] = [{**chunk, **each, "choices": [delta] if each["choices"] else []} for each in streams["openai"]]
    streams["mistral"] = [{**chunk, **each["data"], "choices": [delta]} for each in streams["mistral"]]
    streams["responses"] = [{**each, "sequence_number": number} for number, each in enumerate(streams["responses"])]
    for start in (streams["anthropic"][0], streams["compacted"][0]):
        start["message"] = {"id": "msg_1", "type": "message", "content": [], **message, **start["message"]}
    text = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    streams["anthropic"][1:1] = [text]
    streams["anthropic"][3:3] = [{"type": "content_block_stop", "index": 0}]
    streams["bedrock"][2:2] = [{"messageStop": {"stopReason": "end_turn"}}]
    return {
        "openai": {**OPENAI_CHAT, **chat}, "responses": {**OPENAI_RESPONSES, "created_at": 1, "status": "completed"},
        "anthropic": {**ANTHROPIC, **message}, "gemini": GEMINI, "bedrock": BEDROCK, "mistral": {**MISTRAL, **chat},
        "compacted": {**COMPACTED, **message}, "interactions": INTERACTION, "realtime": REALTIME, "cohere": COHERE, **{f"{name} stream": chunks for name, chunks in streams.items()},
    }  # fmt: skip


def test_usage_is_read_from_the_objects_of_each_sdk(tmp_path: Path) -> None:
    python = python_with(tmp_path, *SDKS, str(REPOSITORY / "clients" / "python"))
    program = Path(__file__).with_name("sdk_answers.py")
    without_proxy = {name: "" for name in os.environ if name.lower().endswith("_proxy")}
    printed = run(python, program, json.dumps(bodies()), folder=tmp_path, **without_proxy)
    read = {document.pop("name"): document for document in map(json.loads, printed.strip().splitlines())}
    for name, document in read.items():
        provider, _, model, quantities = TABLE_OF[name.partition(" ")[0]]
        assert document == {"provider": provider, "model": document["model"], **quantities}, name
        assert document["model"] == model or not model, name
    assert len(read) == 22
