"""Applies a mapping to foreign events. Pure."""

from typing import NamedTuple

from msgspec import UnsetType

from flexcredits_schemas.events import Usage
from flexcredits_schemas.mapping.document import Document, InvalidMapping
from flexcredits_schemas.mapping.foreign import Foreign, Unplaced
from flexcredits_schemas.mapping.rules import CompiledRule


class Ignored(NamedTuple):
    """The event is not stored, because the rule says so."""

    rule: str


class Mapping:
    """A compiled document, for the events of one organization."""

    def __init__(self, organization: str, rules: list[CompiledRule]) -> None:
        self.organization = organization
        self._rules: dict[str, list[CompiledRule]] = {}
        for rule in rules:
            self._rules.setdefault(rule.protocol, []).append(rule)

    @property
    def protocols(self) -> set[str]:
        """The protocols that the mapping has rules for."""
        return set(self._rules)

    def place(self, protocol: str, foreign: Foreign) -> Usage | Ignored:
        """What the first rule that matches says. The usage is valid and canonical. Raises Unplaced."""
        rule = self.find_rule(protocol, foreign)
        return Ignored(rule.name) if rule.ignores else rule.place(foreign, self.organization)

    def find_rule(self, protocol: str, foreign: Foreign) -> CompiledRule:
        """The first rule that matches the event. Raises Unplaced with the reason `unmapped`."""
        for rule in self._rules.get(protocol, ()):
            if rule.matches(foreign.event):
                return rule
        raise Unplaced("", "", "", f"no rule of the key's mapping for {protocol} matches the event")


def compile_mapping(document: Document, organization: str | None = None) -> Mapping:
    """Compile a document. `organization` is the key's only organization, for a document that names none. Raises
    InvalidMapping."""
    named = organization if isinstance(document.organization, UnsetType) else document.organization
    if named is None:
        raise InvalidMapping("name the organization: the key is for several", "/organization")
    return Mapping(named, [CompiledRule(rule, f"/rules/{index}") for index, rule in enumerate(document.rules)])
