"""Compiled rules of a mapping: build usage from a foreign event with the sources of one rule. Pure."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw, UnsetType

from flexcredits_schemas.codec import InvalidEvent, decode
from flexcredits_schemas.decoding.decimals import canonical_decimal
from flexcredits_schemas.decoding.pointers import point_to
from flexcredits_schemas.events import (
    ActorId,
    ActorKind,
    AgentKind,
    FeatureKind,
    GroupId,
    Instant,
    LabelValue,
    Product,
    RunId,
    Text,
    Usage,
    Word,
)
from flexcredits_schemas.mapping.conditions import compile_condition, holds_all, texts_of
from flexcredits_schemas.mapping.document import InvalidMapping, Rule, Source, UsageSources
from flexcredits_schemas.mapping.foreign import Foreign, Unplaced
from flexcredits_schemas.mapping.sources import CompiledSource, scale_by, to_amount, to_label, to_text, to_time
from flexcredits_schemas.mapping.usual import UnusualRule, UsualRule

Convert = Callable[[Any], str]
_TEXTS: dict[str, Any] = {
    "product": Product, "feature_kind": FeatureKind, "feature": Text, "surface": Word, "group": GroupId, "unit": Word,
}  # fmt: skip
_OBJECTS: dict[str, dict[str, Any]] = {
    "agent": {"id": Word, "name": Text, "kind": AgentKind},
    "actor": {"id": ActorId, "kind": ActorKind},
    "run": {"id": RunId, "parent_id": RunId},
}
"""The fields of usage that are texts, with their types: constants that no event could have are refused."""
_DATA = "/data"
_AMOUNTS = ("/data/credits", "/data/quantity", "/data/quantities/")


class Field(NamedTuple):
    """A field of usage. `pointer` is relative to the usage event, `name` to the object that the field is a part of."""

    name: str
    pointer: str
    source: CompiledSource


class CompiledRule:
    """A rule of a document. A rule that ignores events has no fields."""

    def __init__(self, rule: Rule, pointer: str) -> None:
        """Compile the rule at `pointer` in its document. Raises InvalidMapping."""
        self.name = rule.name
        self.protocol = rule.protocol
        self.ignores = rule.ignore
        self._first_wins = rule.repeated_id == "duplicate"
        self.matches = holds_all(
            [compile_condition(condition, f"{pointer}/when/{index}") for index, condition in enumerate(rule.when)]
        )
        """Whether all conditions hold for an event."""
        self.texts = {condition.at: texts for condition in rule.when if (texts := texts_of(condition))}
        """By pointer, the texts of which one must be there."""
        self._members: list[Field] = []
        self._constant_members: list[Field] = []
        self._objects: list[tuple[str, list[Field]]] = []
        self._maps: list[tuple[str, list[Field]]] = []
        self._time: CompiledSource | None = None
        self._constants: dict[str, str] = {}
        self._usual: UsualRule | None = None
        self._checked_organization = ""
        if rule.ignore:
            if not isinstance(rule.usage, UnsetType) or not isinstance(rule.time, UnsetType) or self._first_wins:
                raise InvalidMapping("a rule that ignores events has no `usage`, `time` or `repeated_id`", pointer)
        elif isinstance(rule.usage, UnsetType):
            raise InvalidMapping("a rule has `usage`, or `ignore`: true", pointer)
        else:
            self._compile_usage(rule.usage, f"{pointer}/usage")
            if not isinstance(rule.time, UnsetType):
                self._time = compile_source(rule.time, to_time, check_type(Instant), f"{pointer}/time")
            else:
                self._compile_usual()
        sources = [field.source for field in self._fields()]
        self.pointers = {condition.at for condition in rule.when}.union(*(source.pointers for source in sources))
        """Where the rule reads events."""

    def _compile_usage(self, usage: UsageSources, pointer: str) -> None:
        check_amounts(usage, pointer)
        check_dimensions(usage, pointer)

        def compile_field(name: str, source: Source, convert: Convert, check: Convert, parent: str = "") -> Field:
            place = point_to(parent, name)
            return Field(name, _DATA + place, compile_source(source, convert, check, pointer + place))

        for name, type_ in _TEXTS.items():
            if not isinstance(source := getattr(usage, name), UnsetType):
                self._members.append(compile_field(name, source, to_text, check_type(type_)))
        for name, convert in (("credits", credits_converter(usage)), ("quantity", to_amount)):
            if not isinstance(source := getattr(usage, name), UnsetType):
                self._members.append(compile_field(name, source, convert, check_amount))
        for name, types in _OBJECTS.items():
            if not isinstance(sources := getattr(usage, name), UnsetType):
                given = {member: getattr(sources, member) for member in types}
                fields = [
                    compile_field(member, source, to_text, check_type(types[member]), f"/{name}")
                    for member, source in given.items()
                    if not isinstance(source, UnsetType)
                ]
                self._objects.append((name, fields))
        for name, convert, check in (
            ("labels", to_label, check_type(LabelValue)),
            ("quantities", to_amount, check_quantity),
        ):
            if not isinstance(sources := getattr(usage, name), UnsetType):
                fields = [compile_field(key, source, convert, check, f"/{name}") for key, source in sources.items()]
                self._maps.append((name, fields))

        self._constant_members = [field for field in self._members if field.source.constant is not None]
        self._members = [field for field in self._members if field.source.constant is None]
        self._constants = {field.name: field.source.constant or "" for field in self._constant_members}

    def _compile_usual(self) -> None:
        def by_name(fields: Iterable[Field]) -> dict[str, CompiledSource]:
            return {field.name: field.source for field in fields}

        members = by_name((*self._members, *self._constant_members))
        objects = {name: by_name(fields) for name, fields in self._objects}
        with suppress(UnusualRule):
            self._usual = UsualRule(members, objects, {name: by_name(fields) for name, fields in self._maps})

    def first_wins(self, foreign: Foreign, usage: Usage) -> bool:
        """Whether a later event with the same identity is a duplicate, whatever it contains: the rule says so, or the
        time is that of receipt, which differs in every copy."""
        return self._first_wins or (not foreign.timed and usage.time == foreign.time)

    def place(self, foreign: Foreign, organization: str) -> Usage:
        """The usage that the event stands for, valid and canonical as the codec decodes it. Raises Unplaced."""
        if foreign.uncountable:
            raise Unplaced(self.name, "", "", f"rule `{self.name}`: {foreign.uncountable}")
        if self._usual and organization == self._checked_organization:
            found = self._usual.place(foreign, organization)
            if found is not None:
                return found
        try:
            usage = decode(msgspec.json.encode(self._build(foreign, organization)))
        except InvalidEvent as error:
            raise self._explain_invalid(error, foreign) from None
        except ValueError as error:  # of a converter, or a text with lone surrogates, which cannot be encoded
            raise self._explain_refused(error, foreign) from None
        assert isinstance(usage, Usage)
        self._checked_organization = organization
        return usage

    def _build(self, foreign: Foreign, organization: str) -> dict[str, Any]:
        event = foreign.event
        data: dict[str, Any] = self._constants.copy()
        read_into(data, self._members, event)
        for name, fields in self._objects:
            members: dict[str, str] = {}
            read_into(members, fields, event)
            if "id" in members:
                data[name] = members
        for name, fields in self._maps:
            members = {}
            read_into(members, fields, event)
            if members:
                data[name] = members
        return {
            "specversion": "1.0",
            "type": "flexcredits.usage.v1",
            "id": foreign.id,
            "source": foreign.source,
            "subject": organization,
            "time": (self._time and self._time.read(event)) or foreign.time,
            "data": data,
        }

    def _fields(self) -> Iterable[Field]:
        yield from (*self._members, *self._constant_members)
        for _, fields in (*self._objects, *self._maps):
            yield from fields
        if self._time:
            yield Field("time", "/time", self._time)

    def _explain_invalid(self, error: InvalidEvent, foreign: Foreign) -> Unplaced:
        """The field of a codec's error, and where its value stands in the foreign event."""
        pointer = error.pointer
        if pointer == _DATA:  # no amount
            pointer = next(field.pointer for field in self._fields() if field.pointer.startswith(_AMOUNTS))
        for field in self._fields():
            if field.pointer in (pointer, f"{pointer}/id"):
                if field.source.read(foreign.event) is None:
                    missing = " or ".join(field.source.pointers)
                    return self._unplaced(field.pointer, field.source.pointers[0], f"{missing} is missing")
                return self._unplaced(field.pointer, field.source.pointer_of(foreign.event), error.detail)
        return self._unplaced(pointer, "", error.detail)

    def _explain_refused(self, error: ValueError, foreign: Foreign) -> Unplaced:
        """The field whose value cannot be converted or encoded."""
        for field in self._fields():
            try:
                msgspec.json.encode(field.source.read(foreign.event))
            except ValueError as refused:
                detail = "not valid Unicode" if isinstance(refused, UnicodeError) else str(refused)
                return self._unplaced(field.pointer, field.source.pointer_of(foreign.event), detail)
        return self._unplaced("/id or /source", "", "not valid Unicode")

    def _unplaced(self, field_pointer: str, pointer: str, detail: str) -> Unplaced:
        field = field_pointer.removeprefix(_DATA).removeprefix("/")
        where = "" if not pointer or detail.endswith("is missing") else f"{pointer}: "
        return Unplaced(self.name, field, pointer, f"rule `{self.name}`: {where}{detail} ({field})")


def read_into(members: dict[str, Any], fields: list[Field], event: Any) -> None:
    """Add the fields that have a value. Raises Refused."""
    for name, _, source in fields:
        text = source.read(event)
        if text is not None:
            members[name] = text


def compile_source(source: Source, convert: Convert, check: Convert, pointer: str) -> CompiledSource:
    """Compile the source at `pointer` in its document. Raises InvalidMapping, also for a constant that `check`
    refuses."""
    has_pointers, has_constant = source.pointers != [], not isinstance(source.value, UnsetType)
    if has_pointers == has_constant or (has_constant and not isinstance(source.default, UnsetType)):
        raise InvalidMapping("a source has either `value`, or `at` with an optional `default`", pointer)
    for name in ("value", "default"):
        if not isinstance(constant := getattr(source, name), UnsetType):
            try:
                check(convert(constant))
            except ValueError as error:
                raise InvalidMapping(str(error), f"{pointer}/{name}") from None
    return CompiledSource(source, convert)


def check_type(type_: Any) -> Convert:
    return lambda text: msgspec.convert(text, type_) and text


def check_amount(text: str) -> str:
    canonical_decimal(Raw(msgspec.json.encode(text)), digits=9)
    return text


def check_quantity(text: str) -> str:
    canonical_decimal(Raw(msgspec.json.encode(text)), zero=True, digits=9)
    return text


def credits_converter(usage: UsageSources) -> Convert:
    return to_amount if isinstance(usage.times, UnsetType) else scale_by(Decimal(usage.times))


def check_amounts(usage: UsageSources, pointer: str) -> None:
    """Raise InvalidMapping unless the sources have one amount."""
    given = [name for name in ("credits", "quantity", "quantities") if not isinstance(getattr(usage, name), UnsetType)]
    if len(given) != 1:
        raise InvalidMapping("usage has exactly one of `credits`, `quantity` and `quantities`", pointer)
    if isinstance(usage.quantity, UnsetType) != isinstance(usage.unit, UnsetType):
        raise InvalidMapping("`quantity` and `unit` need each other", pointer)
    if not isinstance(usage.times, UnsetType) and isinstance(usage.credits, UnsetType):
        raise InvalidMapping("`times` is a factor of `credits`", f"{pointer}/times")


def check_dimensions(usage: UsageSources, pointer: str) -> None:
    """Raise InvalidMapping for constants that contradict each other in every event."""
    product, kind = usage.product.value, usage.feature_kind.value
    if product == "agents" and isinstance(usage.agent, UnsetType):
        raise InvalidMapping("product `agents` needs an `agent`", pointer)
    if isinstance(product, str) and isinstance(kind, str) and (product == "api") != (kind == "namespace"):
        raise InvalidMapping("product `api` has only the feature kind `namespace`; no other product has it", pointer)
