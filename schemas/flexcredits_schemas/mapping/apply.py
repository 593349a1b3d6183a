"""Applies a mapping to foreign events. Pure."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from msgspec import UnsetType

from flexcredits_schemas.events import Usage
from flexcredits_schemas.mapping.document import Document, InvalidMapping
from flexcredits_schemas.mapping.foreign import Foreign, Unplaced
from flexcredits_schemas.mapping.rules import CompiledRule
from flexcredits_schemas.mapping.sources import compile_getter

INDEXED_RULES = 4
"""From this number of rules on, the text that they want gives the candidates."""


class Ignored(NamedTuple):
    """The event is not stored, because the rule says so."""

    rule: str


class Rules:
    """The rules of one protocol, in their order.

    Where many of them want a certain text at one place, such as the event's type, that text gives the few that can match:
    50 rules take as long as one.
    """

    def __init__(self, rules: Sequence[CompiledRule]) -> None:
        self.pointers = frozenset[str]().union(*(rule.pointers for rule in rules))
        self._others = tuple(rules)
        self._by_text: dict[str, tuple[CompiledRule, ...]] = {}
        self._get: Callable[[Any], Any] | None = None
        wanted: dict[str, set[str]] = {}
        for pointer, count in Counter(pointer for rule in rules for pointer in rule.texts).items():
            if count >= INDEXED_RULES:
                wanted[pointer] = set().union(*(rule.texts.get(pointer, ()) for rule in rules))
        if wanted:
            pointer = max(wanted, key=lambda pointer: len(wanted[pointer]))
            self._get = compile_getter(pointer)
            known: dict[tuple[CompiledRule, ...], tuple[CompiledRule, ...]] = {}
            for text in wanted[pointer]:
                found = tuple(rule for rule in rules if text in rule.texts.get(pointer, (text,)))
                self._by_text[text] = known.setdefault(found, found)
            self._others = tuple(rule for rule in rules if pointer not in rule.texts)

    def find(self, event: Any) -> CompiledRule | None:
        """The first rule that matches."""
        candidates = self._others
        if self._get:
            value = self._get(event)
            if isinstance(value, str):
                candidates = self._by_text.get(value, candidates)
        for rule in candidates:
            if rule.matches(event):
                return rule
        return None


class Mapping:
    """A compiled document, for the events of one organization."""

    def __init__(self, organization: str, rules: Sequence[CompiledRule]) -> None:
        self.organization = organization
        self._rules: dict[str, Rules] = {
            protocol: Rules([rule for rule in rules if rule.protocol == protocol])
            for protocol in dict.fromkeys(rule.protocol for rule in rules)
        }

    @property
    def protocols(self) -> set[str]:
        """The protocols that the mapping has rules for."""
        return set(self._rules)

    def pointers(self, protocol: str) -> frozenset[str]:
        """The JSON Pointers by which the rules of a protocol read events. A reader may leave everything else out."""
        return self._rules[protocol].pointers

    def place(self, protocol: str, foreign: Foreign) -> Usage | Ignored:
        """What the first rule that matches says. The usage is valid and canonical. Raises Unplaced."""
        rule = self.find_rule(protocol, foreign)
        return Ignored(rule.name) if rule.ignores else rule.place(foreign, self.organization)

    def find_rule(self, protocol: str, foreign: Foreign) -> CompiledRule:
        """The first rule that matches the event. Raises Unplaced with the reason `unmapped`."""
        rules = self._rules.get(protocol)
        rule = None if rules is None else rules.find(foreign.event)
        if rule is None:
            raise Unplaced("", "", "", f"no rule of the key's mapping for {protocol} matches the event")
        return rule


def compile_mapping(document: Document, organization: str | None = None) -> Mapping:
    """Compile a document. `organization` is the key's only organization, for a document that names none. Raises
    InvalidMapping."""
    named = organization if isinstance(document.organization, UnsetType) else document.organization
    if named is None:
        raise InvalidMapping("name the organization: the key is for several", "/organization")
    return Mapping(named, [CompiledRule(rule, f"/rules/{index}") for index, rule in enumerate(document.rules)])
