"""Builds usage of usual events without the codec, in half of the time. Pure.

Usual: fixed product and kinds, printable ASCII texts within their limits, whole quantities, and the event's own time. Everything
else returns None and takes the exact path, which is the specification: a test compares both.
"""

from collections.abc import Callable, Sequence
from datetime import UTC
from typing import Any

from msgspec import Raw

from flexcredits_schemas.events import Usage, UsageActor, UsageAgent, UsageData, UsageRun
from flexcredits_schemas.mapping.foreign import ID_MAX, Foreign
from flexcredits_schemas.mapping.sources import CompiledSource, compile_pointer

LENGTHS = {"feature": 200, "surface": 64, "group": 128}
OBJECTS: dict[str, tuple[type, dict[str, int]]] = {
    "agent": (UsageAgent, {"id": 64, "name": 200}),
    "actor": (UsageActor, {"id": 254}),
    "run": (UsageRun, {"id": 128, "parent_id": 128}),
}
"""Members that can come from the event, with their maximum lengths. Kinds are constants."""
QUANTITY_MAX = 10**9
Sources = dict[str, CompiledSource]
Places = Sequence[tuple[int, str]]
"""Members of objects that can have a value: the position of the object in a rule's list of them, and the name."""
Get = Callable[[str], Any]


class UnusualRule(Exception):
    """Every event of the rule takes the exact path."""


class UsualRule:
    """The sources of a rule, ordered for usual events."""

    def __init__(self, members: Sources, objects: dict[str, Sources], maps: dict[str, Sources]) -> None:
        """Raises UnusualRule."""
        self._source = ""
        """The last one that is usual."""
        self._inside: list[tuple[int, str]] = []
        self._positions: dict[tuple[str, ...], int] = {(): 0}
        self._constants, self._members = self._divide(members, LENGTHS)
        if self._constants.get("product") == "agents" or set(maps) != {"quantities"}:
            raise UnusualRule
        self._objects = [
            (name, OBJECTS[name][0], *self._divide(sources, OBJECTS[name][1])) for name, sources in objects.items()
        ]
        quantities = sorted(maps["quantities"].items())
        if any(not is_usual(unit, 64) or source.constant is not None for unit, source in quantities):
            raise UnusualRule
        self._quantities = [(unit, self._places(source), source.default) for unit, source in quantities]

    def _divide(
        self, sources: Sources, lengths: dict[str, int]
    ) -> tuple[dict[str, str], list[tuple[str, Places, str | None, int]]]:
        """Constants, and names with places, default and maximum length. Raises UnusualRule."""
        constants, read = {}, []
        for name, source in sources.items():
            if source.constant is not None:
                if not is_usual(source.constant, 64):
                    raise UnusualRule
                constants[name] = source.constant
            elif name in lengths:
                read.append((name, self._places(source), source.default, lengths[name]))
            else:
                raise UnusualRule
        return constants, read

    def _places(self, source: CompiledSource) -> Places:
        """Raises UnusualRule."""
        places = []
        for pointer in source.pointers:
            names = tuple(name for name, _ in compile_pointer(pointer))
            if not names:
                raise UnusualRule
            for end in range(1, len(names)):
                if names[:end] not in self._positions:
                    self._inside.append((self._positions[names[: end - 1]], names[end - 1]))
                    self._positions[names[:end]] = len(self._positions)
            places.append((self._positions[names[:-1]], names[-1]))
        return places

    def place(self, foreign: Foreign, organization: str) -> Usage | None:
        """The usage, or None for an unusual event. `organization` is a valid one."""
        event, time = foreign.event, foreign.time
        if type(event) is not dict or time.tzinfo is not UTC:
            return None
        event_id, source = foreign.id, foreign.source
        if not (0 < len(event_id) <= ID_MAX and event_id.isascii() and event_id.isprintable()):
            return None
        if source != self._source:  # most protocols have one
            if not is_usual(source, ID_MAX):
                return None
            self._source = source
        gets: list[Get] = [event.get]  # of each object that the rule reads from
        for position, name in self._inside:
            inner = gets[position](name)
            if type(inner) is list:
                return None
            gets.append(inner.get if type(inner) is dict else _NOTHING)
        quantities = self._read_quantities(gets)
        if not quantities:
            return None
        data: dict[str, Any] = self._constants.copy()
        data["quantities"] = quantities
        if not read_texts(data, self._members, gets) or "feature" not in data:
            return None
        for name, type_, constants, members in self._objects:
            fields = constants.copy()
            if not read_texts(fields, members, gets):
                return None
            if "id" in fields:
                data[name] = type_(**fields)
        return Usage(
            specversion="1.0",
            id=event_id,
            source=source,
            subject=organization,
            time=time,
            data=UsageData(**data),
        )

    def _read_quantities(self, gets: Sequence[Get]) -> dict[str, Raw] | None:
        """The quantities that are not 0, or None if one is unusual."""
        quantities = {}
        for unit, places, default in self._quantities:
            for position, name in places:
                value = gets[position](name)
                if type(value) is int and 0 < value < QUANTITY_MAX:
                    quantities[unit] = Raw(b'"%d"' % value)
                    break
                if value is not None and value != "":  # `has_value`
                    if type(value) is int and value == 0:
                        break
                    return None
            else:
                if default is not None:
                    return None
        return quantities


def read_texts(
    fields: dict[str, Any], sources: Sequence[tuple[str, Places, str | None, int]], gets: Sequence[Get]
) -> bool:
    """Add the texts that have a value. False if one of them is unusual."""
    for field, places, default, length in sources:
        for position, name in places:
            value = gets[position](name)
            if value is not None and value != "":
                break
        else:
            value = default
            if value is None:
                continue
        if type(value) is not str or not (0 < len(value) <= length and value.isascii() and value.isprintable()):
            return False
        fields[field] = value
    return True


def is_usual(text: str, length: int) -> bool:
    return 0 < len(text) <= length and text.isascii() and text.isprintable()


_EMPTY: dict[str, Any] = {}
_NOTHING: Get = _EMPTY.get
