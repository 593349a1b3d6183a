"""Builds usage of usual events without the codec, in half of the time. Pure.

Usual: fixed product and kinds, printable ASCII texts within their limits, whole quantities, and the event's own time. Everything
else returns None and takes the exact path, which is the specification: a test compares both.
"""

from collections.abc import Sequence
from datetime import UTC
from typing import Any

from msgspec import Raw

from flexcredits_schemas.events import Usage, UsageActor, UsageAgent, UsageData, UsageRun
from flexcredits_schemas.mapping.foreign import ID_MAX, Foreign
from flexcredits_schemas.mapping.sources import MISSING, CompiledSource

LENGTHS = {"feature": 200, "surface": 64, "group": 128}
OBJECTS: dict[str, tuple[type, dict[str, int]]] = {
    "agent": (UsageAgent, {"id": 64, "name": 200}),
    "actor": (UsageActor, {"id": 254}),
    "run": (UsageRun, {"id": 128, "parent_id": 128}),
}
"""Members that can come from the event, with their maximum lengths. Kinds are constants."""
QUANTITY_MAX = 10**9
Sources = dict[str, CompiledSource]


class UnusualRule(Exception):
    """Every event of the rule takes the exact path."""


class UsualRule:
    """The sources of a rule, ordered for usual events."""

    def __init__(self, members: Sources, objects: dict[str, Sources], maps: dict[str, Sources]) -> None:
        """Raises UnusualRule."""
        self._constants, self._members = divide(members, LENGTHS)
        if self._constants.get("product") == "agents" or set(maps) != {"quantities"}:
            raise UnusualRule
        self._objects = [
            (name, OBJECTS[name][0], *divide(sources, OBJECTS[name][1])) for name, sources in objects.items()
        ]
        self._quantities = sorted(maps["quantities"].items())
        if any(not is_usual(unit, 64) or source.constant is not None for unit, source in self._quantities):
            raise UnusualRule

    def place(self, foreign: Foreign, organization: str) -> Usage | None:
        """The usage, or None for an unusual event. `organization` is a valid one."""
        event, time = foreign.event, foreign.time
        if time.tzinfo is not UTC or not is_usual(foreign.id, ID_MAX) or not is_usual(foreign.source, ID_MAX):
            return None
        quantities = {}
        for unit, source in self._quantities:
            value = source.find(event)
            if value is not MISSING:
                if type(value) is not int or not 0 <= value < QUANTITY_MAX:
                    return None
                if value:
                    quantities[unit] = Raw(b'"%d"' % value)
        if not quantities:
            return None
        data: dict[str, Any] = self._constants.copy()
        data["quantities"] = quantities
        if not read_texts(data, self._members, event) or "feature" not in data:
            return None
        for name, type_, constants, members in self._objects:
            fields = constants.copy()
            if not read_texts(fields, members, event):
                return None
            if "id" in fields:
                data[name] = type_(**fields)
        return Usage(
            specversion="1.0",
            id=foreign.id,
            source=foreign.source,
            subject=organization,
            time=time,
            data=UsageData(**data),
        )


def read_texts(fields: dict[str, Any], sources: Sequence[tuple[str, CompiledSource, int]], event: Any) -> bool:
    """Add the texts that have a value. False if one of them is unusual."""
    for name, source, length in sources:
        value = source.find(event)
        if value is not MISSING:
            if type(value) is not str or not is_usual(value, length):
                return False
            fields[name] = value
    return True


def is_usual(text: str, length: int) -> bool:
    return 0 < len(text) <= length and text.isascii() and text.isprintable()


def divide(sources: Sources, lengths: dict[str, int]) -> tuple[dict[str, str], list[tuple[str, CompiledSource, int]]]:
    """Constants, and sources that read the event. Raises UnusualRule."""
    constants, read = {}, []
    for name, source in sources.items():
        if source.constant is not None:
            if not is_usual(source.constant, 64):
                raise UnusualRule
            constants[name] = source.constant
        elif name in lengths:
            read.append((name, source, lengths[name]))
        else:
            raise UnusualRule
    return constants, read
