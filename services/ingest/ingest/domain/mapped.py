"""The mapping of an API key, compiled once for all requests. Pure."""

from dataclasses import dataclass

from flexcredits_schemas.mapping.apply import Mapping, compile_mapping
from flexcredits_schemas.mapping.document import InvalidMapping, decode_stored


@dataclass(frozen=True)
class Mapped:
    """A stored mapping. `mapping` is None if it cannot be used, and `problem` says why."""

    text: str
    organization: str | None
    """The key's only organization, for a mapping that names none."""
    mapping: Mapping | None
    problem: str

    def is_of(self, text: str, organization: str | None) -> bool:
        return self.text == text and self.organization == organization


def compile_mapped(text: str, organization: str | None) -> Mapped:
    """Compile a stored document. It was checked when it was written, but by another version perhaps."""
    try:
        mapping = compile_mapping(decode_stored(text.encode()), organization)
    except InvalidMapping as error:
        return Mapped(text, organization, None, f"the key's mapping cannot be used: {error}")
    return Mapped(text, organization, mapping, "")
