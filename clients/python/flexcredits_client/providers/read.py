"""The usage of an answer, as an object of the provider's SDK or as the dict of its JSON."""

import logging
from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from flexcredits_client.errors import FlexCreditsError
from flexcredits_client.providers.rules import INPUT, MODELS, OUTPUT, PART_OF, PLACES, REASONING, RULES, UNITS, Rule

COUNT_MAX = 10**9
"""What an event can have."""
LOG = logging.getLogger("flexcredits_client")


class UnknownUsage(FlexCreditsError):
    """An answer has no usage that a rule fits."""


class ReadUsage(NamedTuple):
    """`provider` is the key of the rule; `model` is "" if the answer does not name it; a unit of 0 is left out."""

    provider: str
    model: str
    quantities: dict[str, Decimal | int]


def read_usage(answer: object, provider: str | None = None, units: Collection[str] = UNITS) -> ReadUsage:
    """The usage of a whole answer. Without `provider` the form of the usage decides. Raises UnknownUsage."""
    return read_chunks([answer], provider, units)


def read_chunks(chunks: Iterable[object], provider: str | None = None, units: Collection[str] = UNITS) -> ReadUsage:
    """The usage of a stream's events. What they report is cumulative, so that the last value of each field counts.
    Raises UnknownUsage."""
    collected = Collected()
    for chunk in chunks:
        collected.add(chunk)
    return collected.read(provider, units)


class Collected:
    """Usage while a stream is read: only the usage is kept, not the chunks."""

    def __init__(self) -> None:
        self._usage: dict[str, object] = {}
        self._model = ""

    @property
    def is_empty(self) -> bool:
        return not self._usage

    def add(self, chunk: object) -> None:
        """Take the usage of a chunk, if it has one."""
        self._model = self._model or model_of(chunk)
        if (usage := find_usage(chunk)) is not None:
            self._usage |= {name: value for name in FIELDS if (value := get(usage, name)) is not None}

    def read(self, provider: str | None, units: Collection[str]) -> ReadUsage:
        """Raises UnknownUsage."""
        if provider is not None and provider not in RULES:
            raise UnknownUsage(f"there is no provider {provider!r}, only {', '.join(RULES)}")
        name = provider or next((name for name, rule in RULES.items() if has_mark(self._usage, rule.marks)), None)
        if not self._usage or name is None:
            raise UnknownUsage("the answer has no usage (OpenAI's streams need stream_options={'include_usage': True})")
        usages = [self._usage, *beside(self._usage, RULES[name])]
        counts = {
            unit: sum((first_number(usage, path) for usage in usages for path in paths), start=0)
            for unit, paths in RULES[name].units.items()
        }
        if is_beside_the_output(counts, first_number(self._usage, RULES[name].total)):
            counts[OUTPUT] += counts[REASONING]
        if not any(counts.values()):
            raise UnknownUsage(f"the usage of {name} has no count above 0")
        return ReadUsage(name, self._model, chosen(consistent(counts), units))


def is_beside_the_output(counts: Mapping[str, Decimal | int], total: Decimal | int) -> bool:
    """Whether the total of all tokens counts the reasoning beside the output."""
    reasoning = counts.get(REASONING, 0)
    return reasoning > 0 and total == counts[INPUT] + counts[OUTPUT] + reasoning


def beside(usage: object, rule: Rule) -> list[object]:
    """Entries of the usage whose counts are not in its own."""
    if rule.beside is None:
        return []
    entries, kind = get(usage, rule.beside[0]), rule.beside[1]
    return [entry for entry in entries if get(entry, "type") == kind] if isinstance(entries, list) else []


def find_usage(chunk: object) -> object | None:
    """The part of an answer or event that has the counts; None if there is none."""
    for place in PLACES:
        usage: object = get(chunk, place)
        if usage is not None and has_mark(usage, MARKS):
            return usage
    return chunk if has_mark(chunk, MARKS) else None


def has_mark(usage: object, marks: Iterable[str]) -> bool:
    return any(get(usage, mark) is not None for mark in marks)


def model_of(chunk: object) -> str:
    for place in MODELS:
        if isinstance(name := get(chunk, place), str) and name:
            return name
    return ""


def get(container: object, path: str) -> Any:
    """The value at a path of names, in objects and dicts. `name[key=value]` is an entry of a list."""
    for step in path.split("."):
        name, _, entry = step.partition("[")
        container = container.get(name) if isinstance(container, Mapping) else getattr(container, name, None)
        if entry:
            key, _, value = entry.rstrip("]").partition("=")
            entries = container if isinstance(container, list) else []
            container = next((each for each in entries if get(each, key) == value), None)
        if container is None:
            return None
    return container


def first_number(usage: object, alternatives: str) -> Decimal | int:
    """The first of the alternatives that is a count; 0 if none is. Mistral's SDK has a marker for fields that are unset."""
    for path in alternatives.split("|"):
        number = get(usage, path)
        if isinstance(number, int | float | Decimal) and not isinstance(number, bool) and 0 <= number < COUNT_MAX:
            if isinstance(number, float):  # Cohere's SDK
                return int(number) if number.is_integer() else Decimal(str(number))
            return number
    return 0


def consistent(counts: dict[str, Decimal | int]) -> dict[str, Decimal | int]:
    """Without parts that are more than their whole: the event would be a dead letter. The whole is what is charged then."""
    for whole in (INPUT, OUTPUT):
        parts = [unit for unit in counts if PART_OF.get(unit) == whole]
        if sum((counts[unit] for unit in parts), start=0) > counts.get(whole, 0):
            LOG.warning("%s is less than its parts, which are left out: %s", whole, counts)
            counts = {unit: number for unit, number in counts.items() if unit not in parts}
    return counts


def chosen(counts: Mapping[str, Decimal | int], units: Collection[str]) -> dict[str, Decimal | int]:
    return {unit: counts[unit] for unit in units if counts.get(unit)}


MARKS = (*{mark for rule in RULES.values() for mark in rule.marks} - {"tokens"}, "tokens.input_tokens")
FIELDS = tuple(
    dict.fromkeys(
        path.partition(".")[0].partition("[")[0]
        for rule in RULES.values()
        for field in (
            *rule.marks,
            rule.total,
            *(rule.beside or ())[:1],
            *(path for paths in rule.units.values() for path in paths),
        )
        for path in field.split("|")
        if path
    )
)
"""Top-level fields of a usage that a rule reads."""
