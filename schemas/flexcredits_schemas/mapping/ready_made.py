"""Ready-made mappings: a document per kind of client, to use as it is or to edit."""

from importlib.resources import files
from typing import NamedTuple

from flexcredits_schemas.mapping.document import Document, decode_document


class ReadyMade(NamedTuple):
    """`text` is the document as JSON."""

    name: str
    title: str
    text: bytes

    @property
    def document(self) -> Document:
        return decode_document(self.text)


_TITLES = {
    "openmeter": "OpenMeter SDKs and collector",
    "litellm-openmeter": "LiteLLM with its callback `openmeter`",
    "otlp-genai": "OpenTelemetry spans of model calls (`gen_ai.*`)",
    "claude-code": "Claude Code, from its OpenTelemetry log events",
    "gemini-cli": "Gemini CLI, from its OpenTelemetry log events",
    "codex": "Codex, from its OpenTelemetry log events",
    "litellm": "LiteLLM with its callback `generic_api`",
    "lago": "Lago SDKs, and LiteLLM with its callback `lago`",
}


def ready_made() -> dict[str, ReadyMade]:
    """All ready-made mappings by name."""
    folder = files("flexcredits_schemas").joinpath("mapping", "ready_made")
    return {
        name: ReadyMade(name, title, folder.joinpath(f"{name}.json").read_bytes()) for name, title in _TITLES.items()
    }


def example_of(name: str) -> str | None:
    """What the clients of this ready-made mapping send, as JSON, to try it on. None without an example."""
    path = files("flexcredits_schemas").joinpath("mapping", "ready_made", "examples", f"{name}.json")
    return path.read_text().rstrip() if path.is_file() else None
