"""The examples of docs/python-client.md run as they are written."""

import json
import re
from types import SimpleNamespace
from typing import Any

import pytest
from flexcredits_cli.machine.state_folder import REPOSITORY
from flexcredits_client import Client, Options
from flexcredits_client.options import Reason
from flexcredits_client.providers.rules import PART_OF, UNITS
from flexcredits_schemas.codec import decode
from support.services.scripted_ingest import ScriptedIngest

from .test_providers import OPENAI_CHAT

DOCUMENT = (REPOSITORY / "docs" / "python-client.md").read_text()
EXAMPLES = re.findall(r"^```python\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_sends_its_events(
    ingest: ScriptedIngest, monkeypatch: pytest.MonkeyPatch, tmp_path: Any, example: str
) -> None:
    monkeypatch.setenv("INGEST_URL", ingest.url)
    monkeypatch.setenv("INGEST_KEY", "fc_demo")
    client = Client(ingest.url, "fc_demo", "/products/assistant")

    def create(stream: bool = False, **_: Any) -> Any:
        return [{"model": "gpt-5", "choices": [], "usage": None}, OPENAI_CHAT] if stream else OPENAI_CHAT

    openai = SimpleNamespace(chat=SimpleNamespace(completions=SimpleNamespace(create=create)))
    example = example.replace("/tmp/flexcredits-spool", str(tmp_path))
    exec(compile(example, "docs/python-client.md", "exec"), {"client": client, "openai": openai, "messages": []})
    client.close()
    assert ingest.stored
    for event in ingest.stored.values():
        assert decode(json.dumps(event).encode())


def test_the_document_names_every_reason_and_unit() -> None:
    for name in (*Reason, *UNITS, *PART_OF):
        assert f"`{name}`" in DOCUMENT


def test_the_documents_defaults_are_the_codes() -> None:
    options = Options()
    assert (options.queue_events, options.queue_bytes, options.block_s, options.close_s) == (10_000, 32 << 20, 5, 10)
    assert (options.backoff_s, options.backoff_max_s, options.fsync_s, options.overflow) == (0.5, 30, None, "block")
