"""The document of a mapping, `flexcredits.mapping.v1`. schemas/mappings/flexcredits.mapping.v1.json describes the same."""

import re
from decimal import Decimal
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, field

from flexcredits_schemas.decoding.pointers import point_to
from flexcredits_schemas.events import LabelKey, OrganizationId, Word

DOCUMENT_BYTES_MAX = 64 * 1024
DIGITS_MAX = 40
TEXT_MAX = 500
"""Maximum length of a text in a document, in characters."""

Protocol = Literal["openmeter", "otlp_traces", "otlp_logs", "otlp_metrics", "litellm", "lago"]
PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)
Pointer = Annotated[str, Meta(max_length=TEXT_MAX, pattern=r"^(?:/(?:[^/~\x00-\x1f\x7f]|~[01])*){0,32}$")]
"""A JSON Pointer (RFC 6901) into the foreign event, with at most 32 steps; "" is the whole event."""
Times = Annotated[str, Meta(pattern=r"^(?=[0-9.]*[1-9])[0-9]{1,9}(?:\.[0-9]{1,12})?$")]
RuleName = Annotated[str, Meta(min_length=1, max_length=60, pattern=r"^[^\x00-\x1f\x7f]+$")]
Constant = Any
"""A text, number or boolean. Numbers are int or Decimal."""


class Source(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, frozen=True):
    """Where a field of usage comes from: the constant `value`, or the first pointer of `at` that has a value, else
    `default`."""

    value: Constant | UnsetType = UNSET
    at: Pointer | Annotated[list[Pointer], Meta(min_length=1, max_length=10)] | UnsetType = UNSET
    default: Constant | UnsetType = UNSET

    @property
    def pointers(self) -> list[str]:
        if isinstance(self.at, UnsetType):
            return []
        return [self.at] if isinstance(self.at, str) else self.at


class Condition(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, frozen=True):
    """What an event must have at a pointer: exactly one of `is`, `in` and `exists`."""

    at: Pointer
    is_: Constant | UnsetType = field(name="is", default=UNSET)
    in_: Annotated[list[Constant], Meta(min_length=1, max_length=100)] | UnsetType = field(name="in", default=UNSET)
    exists: bool | UnsetType = UNSET


class AgentSources(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, frozen=True):
    id: Source
    name: Source | UnsetType = UNSET
    kind: Source


class ActorSources(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, frozen=True):
    id: Source
    kind: Source | UnsetType = UNSET


class RunSources(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, frozen=True):
    id: Source
    parent_id: Source | UnsetType = UNSET


class UsageSources(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, frozen=True):
    """The fields of UsageData. Of the amounts there is exactly one: `credits`, `quantity` with `unit`, or
    `quantities`."""

    product: Source
    feature_kind: Source
    feature: Source
    surface: Source | UnsetType = UNSET
    agent: AgentSources | UnsetType = UNSET
    actor: ActorSources | UnsetType = UNSET
    group: Source | UnsetType = UNSET
    run: RunSources | UnsetType = UNSET
    labels: Annotated[dict[LabelKey, Source], Meta(min_length=1, max_length=5)] | UnsetType = UNSET
    credits: Source | UnsetType = UNSET
    quantity: Source | UnsetType = UNSET
    unit: Source | UnsetType = UNSET
    quantities: Annotated[dict[Word, Source], Meta(min_length=1, max_length=16)] | UnsetType = UNSET
    times: Times | UnsetType = UNSET


class Rule(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, frozen=True):
    """Applies to events of `protocol` for which all conditions hold: places usage, or ignores the event."""

    name: RuleName
    protocol: Protocol
    when: Annotated[list[Condition], Meta(max_length=20)] = []
    usage: UsageSources | UnsetType = UNSET
    time: Source | UnsetType = UNSET
    repeated_id: Literal["conflict", "duplicate"] = "conflict"
    """What a later event with the same identity and other content is: a conflict, which becomes a dead letter, or
    a duplicate of the first."""
    ignore: bool = False


class Document(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, frozen=True):
    """The mapping of an API key: the first rule that matches an event applies."""

    type: Literal["flexcredits.mapping.v1"]
    organization: OrganizationId | UnsetType = UNSET
    rules: Annotated[list[Rule], Meta(min_length=1, max_length=50)]


class InvalidMapping(ValueError):
    """A document that cannot be used. `pointer` (RFC 6901) is relative to the document."""

    def __init__(self, detail: str, pointer: str = "") -> None:
        super().__init__(f"{detail}, at {pointer}" if pointer else detail)
        self.detail = detail
        self.pointer = pointer


_decoder = msgspec.json.Decoder(Document, float_hook=Decimal)
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]|\[\.\.\.\]")
_FIELD = re.compile(r"(?:missing required|unknown) field `(.*)`")


def decode_document(text: bytes) -> Document:
    """Decode a document and check what its types express; `compile_mapping` checks the rest. Raises InvalidMapping."""
    if len(text) > DOCUMENT_BYTES_MAX:
        raise InvalidMapping(f"a mapping has at most {DOCUMENT_BYTES_MAX} bytes")
    return decode_stored(text)


def decode_stored(text: bytes) -> Document:
    """Decode a document that Postgres has written: with more spaces than it was sent with. Raises InvalidMapping."""
    try:
        document = _decoder.decode(text)
        _check_values(msgspec.to_builtins(document, builtin_types=(Decimal,)), "")
    except msgspec.ValidationError as error:
        raise InvalidMapping(*_locate(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidMapping(f"not valid JSON: {error}") from None
    except RecursionError:
        raise InvalidMapping("nested too deeply") from None
    except ArithmeticError:
        raise InvalidMapping("a number is out of range") from None
    _check_names(document)
    return document


def encode_document(document: Document) -> bytes:
    """The document as JSON. Its decimals are written as numbers, digit for digit."""
    return msgspec.json.Encoder(decimal_format="number").encode(document)


def _locate(error: msgspec.ValidationError) -> tuple[str, str]:
    """Detail and pointer of msgspec's error. In an object with names of the sender the pointer ends at the object."""
    detail, _, path = str(error).partition(" - at `")
    pointer = ""
    for step in _STEP.finditer(path):
        name = step[1] or step[2]
        if name is None:
            break
        pointer = point_to(pointer, name)
    if not path.endswith("[...]`") and (found := _FIELD.search(detail)):
        pointer = point_to(pointer, found[1])
    return detail, pointer


def _check_values(value: object, pointer: str) -> None:
    """Refuse texts that are too long or that Postgres cannot keep, and numbers that it writes with many digits."""
    match value:
        case dict():
            for name, item in value.items():
                _check_values(name, point_to(pointer, name))
                _check_values(item, point_to(pointer, name))
        case list():
            for index, item in enumerate(value):
                _check_values(item, f"{pointer}/{index}")
        case str() if len(value) > TEXT_MAX:
            raise InvalidMapping(f"a text has at most {TEXT_MAX} characters", pointer)
        case str() if any(character < " " or character == "\x7f" for character in value):
            raise InvalidMapping("control characters are not allowed", pointer)
        case int() | Decimal() if not is_short(Decimal(value)):
            raise InvalidMapping(f"a number has at most {DIGITS_MAX} digits before and after its point", pointer)


def is_short(number: Decimal) -> bool:
    exponent = number.as_tuple().exponent
    return isinstance(exponent, int) and exponent >= -DIGITS_MAX and number.adjusted() < DIGITS_MAX


def _check_names(document: Document) -> None:
    names: set[str] = set()
    for index, rule in enumerate(document.rules):
        if rule.name in names:
            raise InvalidMapping(f"two rules have the name {rule.name!r}", f"/rules/{index}/name")
        names.add(rule.name)
