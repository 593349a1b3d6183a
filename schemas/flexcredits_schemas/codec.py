"""Decodes and encodes events. Ingest and aggregator share it, so both accept and reject the same events."""

import re
from datetime import UTC, date, datetime
from itertools import pairwise
from unicodedata import normalize

import msgspec
from msgspec import Raw

from flexcredits_schemas.decoding.decimals import canonical_decimal, is_canonical, micro
from flexcredits_schemas.decoding.labels import labels_in
from flexcredits_schemas.decoding.pointers import locate, point_to
from flexcredits_schemas.events import (
    PRODUCTS,
    Contract,
    Correction,
    CorrectionData,
    CreditPeriod,
    Event,
    Organization,
    Price,
    ProductAmounts,
    Rate,
    Usage,
    UsageData,
)
from flexcredits_schemas.zones import canonical_zone

BYTE_ORDER_MARK = b"\xef\xbb\xbf"

FIRST_CONTRACT_DAY = date(2000, 1, 1)
"""Earliest first day of a contract: from it on, instants can be computed in every zone."""

LABEL_VALUE_MAX = 64
"""Maximum length of a label's value in characters."""

_MANY_DIGITS = re.compile(rb"\.\d{7}")
_INSTANT = re.compile(rb'("(?:time|effective_from)"\s*:\s*"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d\.\d{6})\d+')
_JSON_TYPE = re.compile(r"(?:application|text)/(?:[a-z0-9!#$&^_.+-]+\+)?json[ \t]*(?:;.*)?", re.IGNORECASE)
_NAMES = {"feature": 200, "surface": 64, "unit": 64, "part_of": 64, "name": 200, "display_name": 200, "category": 200}
"""Names in `data` and `agent` that are normalized to NFC, with their maximum lengths. Ids are not normalized."""

_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)
_encoder = msgspec.json.Encoder()
encode = _encoder.encode
"""Canonical bytes of an event: known fields only, decimals as plain strings."""


class InvalidEvent(Exception):
    """An event that can never be accepted. It becomes a dead letter and is never retried."""

    def __init__(self, detail: str, pointer: str = "") -> None:
        super().__init__(detail)
        self.detail = _presentable(detail)
        self.pointer = _presentable(pointer)  # JSON Pointer (RFC 6901); "" refers to the whole event


def _presentable(text: str) -> str:
    """Replace unprintable characters from an event's content: Postgres accepts no NUL, and logs no line break."""
    shown = (
        text if text.isprintable() else "".join(at if at.isprintable() else "\N{REPLACEMENT CHARACTER}" for at in text)
    )
    return shown if len(shown) <= 500 else f"{shown[:499]}…"


def decode(message: bytes) -> Event:
    """Decode and validate an event. Raises InvalidEvent.

    In the result decimals are canonical strings, names are in NFC, and instants are cut to microseconds.
    """
    given = message
    if _MANY_DIGITS.search(message):
        # msgspec rounds to microseconds, possibly into the next month. Java, Go and .NET send 7 to 9 digits.
        message = _INSTANT.sub(rb"\1", message)
    try:
        event = _decoder.decode(message)
        if len(given) > len(message) and isinstance(event, Usage) and event.data.labels:
            message = given
            event.data.labels = labels_in(message)  # one may be called `time`
    except msgspec.ValidationError as error:
        raise InvalidEvent(*locate(error, message)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        if message.startswith(BYTE_ORDER_MARK):  # RFC 8259 8.1 lets a reader ignore it
            return decode(message.removeprefix(BYTE_ORDER_MARK))
        raise InvalidEvent(f"not valid JSON: {error}") from None
    except RecursionError:
        raise InvalidEvent("nested too deeply") from None
    # JSON strings contain control characters and lone surrogates only as escapes, so most messages need no further check.
    has_escapes = b"\\" in message
    if has_escapes or b"\x7f" in message:
        _check_characters(msgspec.to_builtins(event, builtin_types=(Raw, date)), "")
    if has_escapes or not message.isascii():
        _normalize_names(event)
    if event.datacontenttype is not None and event.datacontenttype != "application/json":
        _check_content_type(event)
    if event.time.tzinfo is not UTC:
        event.time = _in_utc(event.time, "/time")
    _check_rules(event)
    return event


def _normalize_names(event: Event) -> None:
    """Normalize names to Unicode NFC, so that different encodings of a name give one series."""
    data = event.data
    _normalize_fields(data, "/data")
    if isinstance(data, UsageData | CorrectionData) and data.agent is not None:
        _normalize_fields(data.agent, "/data/agent")
    if isinstance(data, UsageData) and data.labels:
        data.labels = {key: normalize("NFC", value) for key, value in data.labels.items()}
        for key, value in data.labels.items():
            if len(value) > LABEL_VALUE_MAX:
                raise InvalidEvent(
                    f"Expected `str` of length <= {LABEL_VALUE_MAX} in Unicode NFC", f"/data/labels/{key}"
                )


def _normalize_fields(data: msgspec.Struct, pointer: str) -> None:
    for field, length_max in _NAMES.items():
        name = getattr(data, field, None)
        if isinstance(name, str) and not name.isascii():
            normal = normalize("NFC", name)
            if len(normal) > length_max:  # NFC makes a few characters longer
                raise InvalidEvent(f"Expected `str` of length <= {length_max} in Unicode NFC", f"{pointer}/{field}")
            setattr(data, field, normal)


def _check_content_type(event: Event) -> None:
    """Accept any JSON media type, with parameters, case-insensitively (RFC 2045 5.1)."""
    if not _JSON_TYPE.fullmatch(event.datacontenttype or ""):
        raise InvalidEvent("`data` is JSON: use `application/json`, or omit the attribute", "/datacontenttype")
    event.datacontenttype = "application/json"


def _check_rules(event: Event) -> None:
    """Check rules that the types do not express, and make decimals canonical."""
    match event:
        case Usage():
            _check_usage(event)
        case Correction():
            _check_dimensions(event)
            event.data.credits = _canonical(event.data.credits, "/data/credits", signed=True, digits=9)
        case Organization():
            event.data.time_zone = _accepted_zone(event.data.time_zone)
            if event.data.label_keys:
                event.data.label_keys = sorted(set(event.data.label_keys))
        case Contract():
            _check_contract(event)
        case Rate():
            if event.data.part_of == event.data.unit:
                raise InvalidEvent("a unit is not part of itself", "/data/part_of")
            event.data.credits = _canonical(event.data.credits, "/data/credits", zero=True)
            if event.data.per:
                event.data.per = _canonical(event.data.per, "/data/per", digits=9)
            if event.data.effective_from is not None:
                event.data.effective_from = _in_utc(event.data.effective_from, "/data/effective_from")


def _in_utc(instant: datetime, pointer: str) -> datetime:
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise InvalidEvent("out of range", pointer) from None


def _accepted_zone(name: str) -> str:
    zone = canonical_zone(name)
    if zone is None:
        raise InvalidEvent(
            f"time zone {name!r} is not accepted: use an IANA name of the form Area/Location, such as Europe/Berlin, or UTC",
            "/data/time_zone",
        )
    return zone


def _check_usage(event: Usage) -> None:
    _check_dimensions(event)
    data = event.data
    if data.labels is not None:
        data.labels = dict(sorted(data.labels.items())) or None
    if data.quantities is not None:
        _check_quantities(data)
    elif data.credits:
        if data.quantity or data.unit is not None:
            raise InvalidEvent("either `credits`, or `quantity` with `unit`, not both", "/data/credits")
        data.credits = _canonical(data.credits, "/data/credits", digits=9)
    elif not data.quantity:
        raise InvalidEvent("`credits`, `quantity` with `unit`, or `quantities` is missing", "/data")
    elif data.unit is None:
        raise InvalidEvent("`quantity` needs a `unit`", "/data/unit")
    else:
        data.quantity = _canonical(data.quantity, "/data/quantity", digits=9)


def _check_quantities(data: UsageData) -> None:
    """Make quantities canonical: sorted by unit, without zeros."""
    if data.credits or data.quantity or data.unit is not None:
        raise InvalidEvent("`quantities` excludes `credits`, `quantity` and `unit`", "/data/quantities")
    quantities: dict[str, Raw] = {}
    for unit, amount in sorted((data.quantities or {}).items()):
        name = unit if unit.isascii() else normalize("NFC", unit)
        if len(name) > _NAMES["unit"] or name in quantities:
            raise InvalidEvent(f"unit {unit!r} is there twice or too long in Unicode NFC", "/data/quantities")
        canonical = amount
        if not is_canonical(amount):
            canonical = _canonical(amount, point_to("/data/quantities", unit), zero=True, digits=9)
        if bytes(canonical).strip(b'"0.'):
            quantities[name] = canonical
    if not quantities:
        raise InvalidEvent("at least one quantity is above 0", "/data/quantities")
    data.quantities = dict(sorted(quantities.items()))


def _check_dimensions(event: Usage | Correction) -> None:
    data = event.data
    if data.product == "agents" and data.agent is None:
        raise InvalidEvent("product `agents` needs an `agent`", "/data/agent")
    # The dashboard's API tab lists namespaces, and the other tabs list the other kinds, so each credit is in exactly one view.
    if (data.feature_kind == "namespace") != (data.product == "api"):
        raise InvalidEvent(
            "product `api` has only the feature kind `namespace`; no other product has it", "/data/feature_kind"
        )


def _check_contract(event: Contract) -> None:
    data = event.data
    for name in ("minimum_commitment", "overage_price", "credit_price"):
        if amount := getattr(data, name):
            setattr(data, name, _canonical(amount, f"/data/{name}", zero=True))
    _check_prices(data.prices or [])
    team = data.account_team
    if team is not None and team.name is team.email is team.url is None:
        raise InvalidEvent("an account team has a `name`, an `email` or a `url`", "/data/account_team")
    if data.from_ < FIRST_CONTRACT_DAY:
        raise InvalidEvent("a contract begins on 2000-01-01 or later", "/data/from")
    if data.from_ >= data.to:
        raise InvalidEvent("a contract ends after it begins", "/data/to")
    for index, period in enumerate(data.credit_periods):
        _check_credit_period(period, data.from_, data.to, f"/data/credit_periods/{index}")
    by_start = sorted(data.credit_periods, key=lambda period: period.from_)
    for earlier, later in pairwise(by_start):
        if later.from_ < earlier.to:
            raise InvalidEvent(f"credit periods {earlier.id!r} and {later.id!r} overlap", "/data/credit_periods")
    if len({period.id for period in by_start}) < len(by_start):
        raise InvalidEvent("credit period ids must differ", "/data/credit_periods")


def _check_prices(prices: list[Price]) -> None:
    for index, price in enumerate(prices):
        for name in ("overage_price", "credit_price"):
            if amount := getattr(price, name):
                setattr(price, name, _canonical(amount, f"/data/prices/{index}/{name}", zero=True))
    for index, (earlier, later) in enumerate(pairwise(prices), 1):
        if later.effective_from <= earlier.effective_from:
            raise InvalidEvent(
                "each price takes effect later than the one before it", f"/data/prices/{index}/effective_from"
            )


def _check_credit_period(period: CreditPeriod, contract_from: date, contract_to: date, pointer: str) -> None:
    if not contract_from <= period.from_ < period.to <= contract_to:
        raise InvalidEvent("a credit period begins before it ends, inside its contract", f"{pointer}/from")
    for add_on_index, add_on in enumerate(period.add_ons or []):
        add_on.credits = _canonical(add_on.credits, f"{pointer}/add_ons/{add_on_index}/credits", zero=True)
    products = period.products or ProductAmounts()
    total_of_products = 0
    for name in PRODUCTS:
        if amount := getattr(products, name):
            canonical = _canonical(amount, f"{pointer}/products/{name}", zero=True)
            setattr(products, name, canonical)
            total_of_products += micro(canonical)
    if period.total:
        period.total = _canonical(period.total, f"{pointer}/total", zero=True)
        if micro(period.total) < total_of_products:
            raise InvalidEvent("the total is below the sum of the products", f"{pointer}/total")


def _canonical(amount: Raw, pointer: str, *, signed: bool = False, zero: bool = False, digits: int = 12) -> Raw:
    """The decimal as `canonical_decimal` writes it. Raises InvalidEvent."""
    if is_canonical(amount):
        return amount  # the format that ingest writes, so this is the usual case
    try:
        return canonical_decimal(amount, signed=signed, zero=zero, digits=digits)
    except ValueError as error:
        raise InvalidEvent(str(error), pointer) from None


def _check_characters(value: object, pointer: str) -> None:
    match value:
        case dict():
            for name, item in value.items():
                _check_characters(name, point_to(pointer, name))
                _check_characters(item, point_to(pointer, name))
        case list():
            for index, item in enumerate(value):
                _check_characters(item, f"{pointer}/{index}")
        case str():
            if any(character < " " or character == "\x7f" or "\ud800" <= character <= "\udfff" for character in value):
                raise InvalidEvent("control characters are not allowed", pointer)
