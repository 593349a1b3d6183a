"""Applies a mapping to foreign events. Pure."""

from typing import NamedTuple

from msgspec import UnsetType

from flexcredits_schemas.events import Usage
from flexcredits_schemas.mapping.document import Document, InvalidMapping, Protocol
from flexcredits_schemas.mapping.foreign import Foreign, Unplaced
from flexcredits_schemas.mapping.rules import CompiledRule


class Ignored(NamedTuple):
    """The event is not stored, because the rule says so."""

    rule: str


class Mapping:
    """A compiled document, for the events of one organization."""

    def __init__(self, organization: str, rules: list[tuple[Protocol, CompiledRule]]) -> None:
        self.organization = organization
        self._rules: dict[str, list[CompiledRule]] = {}
        for protocol, rule in rules:
            self._rules.setdefault(protocol, []).append(rule)

    @property
    def protocols(self) -> set[str]:
        """The protocols that the mapping has rules for."""
        return set(self._rules)

    def place(self, protocol: str, foreign: Foreign) -> Usage | Ignored:
        """What the first rule that matches says. The usage is valid and canonical. Raises Unplaced."""
        rules = self._rules.get(protocol)
        if rules is None:
            raise Unplaced("", "", "", f"the key's mapping has no rule for {protocol}")
        for rule in rules:
            if rule.matches(foreign.event):
                return Ignored(rule.name) if rule.ignores else rule.place(foreign, self.organization)
        raise Unplaced("", "", "", f"no rule of the key's mapping for {protocol} matches the event")


def compile_mapping(document: Document, organization: str | None = None) -> Mapping:
    """Compile a document. `organization` is the key's only organization, for a document that names none. Raises
    InvalidMapping."""
    named = organization if isinstance(document.organization, UnsetType) else document.organization
    if named is None:
        raise InvalidMapping("name the organization: the key is for several", "/organization")
    rules = [(rule.protocol, CompiledRule(rule, f"/rules/{index}")) for index, rule in enumerate(document.rules)]
    return Mapping(named, rules)
