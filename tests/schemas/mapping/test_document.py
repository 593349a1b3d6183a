"""Documents of mappings: schema and types agree, and errors say where."""

import json
from contextlib import suppress
from copy import deepcopy
from typing import Any

import jsonschema_rs
import pytest
from flexcredits_schemas import SCHEMAS
from flexcredits_schemas.mapping.apply import compile_mapping
from flexcredits_schemas.mapping.document import (
    DOCUMENT_BYTES_MAX,
    PROTOCOLS,
    InvalidMapping,
    decode_document,
    encode_document,
)
from flexcredits_schemas.mapping.foreign import InvalidJson, decode_json
from flexcredits_schemas.mapping.ready_made import ready_made
from hypothesis import given
from hypothesis import strategies as st
from ingest.domain.mapped import compile_mapped
from support.data.mappings import document, rule, usage_sources

SCHEMA = json.loads((SCHEMAS / "mappings" / "flexcredits.mapping.v1.json").read_text())
VALIDATOR = jsonschema_rs.Draft202012Validator(SCHEMA)
FULL = document(
    rule(
        when=[
            {"at": "/type", "is": "call"},
            {"at": "/data/n", "in": [1, None, True]},
            {"at": "/data/m", "exists": True},
        ],
        usage=usage_sources(
            product={"value": "agents"},
            surface={"at": ["/data/surface", "/data/0/~1a~0"], "default": "web"},
            agent={"id": {"at": "/data/agent"}, "name": {"at": "/data/name"}, "kind": {"value": "saved"}},
            actor={"id": {"at": "/subject"}, "kind": {"value": "service_account"}},
            group={"value": "sales"},
            run={"id": {"at": "/run"}, "parent_id": {"at": "/parent"}},
            labels={"stream": {"at": "/data/stream", "default": False}},
            credits={"at": "/data/cost"},
            times="100",
        ),
        time={"at": "/time"},
    ),
    rule("tokens", usage=usage_sources(quantities={"input_tokens": {"at": "/data/in"}, "calls": {"value": 1}})),
    rule(
        "minutes",
        "lago",
        repeated_id="duplicate",
        usage=usage_sources(quantity={"at": "/q"}, unit={"value": "minutes"}),
    ),
    rule("rest", "otlp_metrics", ignore=True),
)


def verdict(changed: Any) -> str:
    """`accepted`, or the pointer to what is invalid."""
    try:
        compile_mapping(
            decode_document(changed if isinstance(changed, bytes) else json.dumps(changed).encode()), "org_acme"
        )
    except InvalidMapping as error:
        return error.pointer
    return "accepted"


def test_a_document_with_everything_is_valid_and_is_written_as_it_was_read() -> None:
    VALIDATOR.validate(FULL)
    assert verdict(FULL) == "accepted"
    assert json.loads(encode_document(decode_document(json.dumps(FULL).encode()))) == FULL


@pytest.mark.parametrize("name", ready_made())
def test_ready_made_mappings_are_valid_for_a_key_of_one_organization(name: str) -> None:
    made = ready_made()[name]
    VALIDATOR.validate(json.loads(made.text))
    assert compile_mapping(made.document, "org_acme").protocols <= set(PROTOCOLS)
    assert made.title
    with pytest.raises(InvalidMapping, match="for several, at /organization"):
        compile_mapping(made.document)


def paths(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for name, item in members for found in paths(item, (*path, name)))]


junk = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from([
        "", "/a", "/~", "~1", "/" * 33, "/" * 32, "x" * 501, "a\u0000b", "a\n", "100", "0", "1e3", "assistant", "api", "model", "namespace", "duplicate",
        "agents", "otlp_logs", [], ["/a"], ["/a"] * 11, {}, {"value": "web"}, {"at": "/a"}, {"at": []}, {"at": "/a", "default": "x"},
        {"default": "x"}, {"value": "x", "at": "/a"}, {"value": None}, {"at": "/a", "is": []}, {"at": "/a", "exists": True, "is": 1},
    ]),
)  # fmt: skip
names = st.sampled_from([
    "type", "organization", "rules", "name", "protocol", "when", "usage", "time", "ignore", "at", "is", "in", "exists", "value", "default",
    "repeated_id", "product", "agent", "actor", "id", "kind", "run", "labels", "credits", "quantity", "unit", "quantities", "times", "other", "a b", "x" * 65,
])  # fmt: skip


@given(st.data())
def test_schema_and_types_give_the_same_verdict(data: st.DataObject) -> None:
    changed = json.loads(json.dumps(FULL))
    for _ in range(data.draw(st.integers(1, 2))):
        *parents, last = data.draw(st.sampled_from([path for path in paths(changed) if path]))
        parent = changed
        for step in parents:
            parent = parent[step]
        match data.draw(st.sampled_from(["replace", "remove", "add"])):
            case "remove":
                del parent[last]
            case "add" if isinstance(parent, dict):
                parent[data.draw(names)] = deepcopy(data.draw(junk))
            case _:
                parent[last] = deepcopy(data.draw(junk))
    accepted = verdict(changed) == "accepted"
    if accepted != VALIDATOR.is_valid(changed):
        # The schema does not know the types of constants, what product and kind allow, nor that names differ.
        assert not accepted
        with pytest.raises(InvalidMapping) as refused:
            compile_mapping(decode_document(json.dumps(changed).encode()), "org_acme")
        assert refused.value.pointer.endswith(("/value", "/default", "/name", "/usage")), refused.value


SOURCE = "/rules/0/usage/feature"


@pytest.mark.parametrize(
    ("sent", "pointer", "detail"),
    [
        (document(rule(usage=usage_sources(feature={"att": "/a"}))), f"{SOURCE}/att", "unknown field"),
        (document(rule(usage=usage_sources(feature=None))), SOURCE, "missing required field"),
        (document(rule(usage=usage_sources(feature={"at": "a"}))), f"{SOURCE}/at", "matching regex"),
        (document(rule(usage=usage_sources(feature={}))), SOURCE, "either `value`, or `at`"),
        (document(rule(usage=usage_sources(feature={"value": "x" * 201}))), f"{SOURCE}/value", "length <= 200"),
        (document(rule(usage=usage_sources(product={"value": "assistent"}))), "/rules/0/usage/product/value", "enum"),
        (document(rule(usage=usage_sources(product={"value": "api"}))), "/rules/0/usage", "namespace"),
        (document(rule(usage=usage_sources(product={"value": "agents"}))), "/rules/0/usage", "needs an `agent`"),
        (document(rule(usage=usage_sources(credits={"value": "0.0000001"}))), "/rules/0/usage/credits/value", "places"),
        (document(rule(usage=usage_sources(quantity={"at": "/q"}))), "/rules/0/usage", "need each other"),
        (document(rule(usage=usage_sources(quantities={"t": {"at": "/q"}}, times="2"))), "/rules/0/usage/times", "factor"),
        (document(rule(usage=usage_sources(quantities={"t": {"a": "/q"}}))), "/rules/0/usage/quantities", "unknown field"),
        (document(rule(), rule()), "/rules/1/name", "two rules"),
        (document(rule(protocol="kafka")), "/rules/0/protocol", "Invalid enum"),
        (document(rule(when=[{"at": "/type"}])), "/rules/0/when/0", "exactly one"),
        (document(rule(when=[{"at": "/type", "in": ["a", {}]}])), "/rules/0/when/0", "compares with"),
        (json.dumps(document(rule(when=[{"at": "/type", "is": 7}]))).replace("7", "1e100000").encode(), "/rules/0/when/0/is", "at most 40 digits"),
        (json.dumps(document(rule(when=[{"at": "/type", "is": 7}]))).replace("7", "1e-41").encode(), "/rules/0/when/0/is", "at most 40 digits"),
        (document(rule(when=[{"at": "/type", "in": [10**40]}])), "/rules/0/when/0/in/0", "at most 40 digits"),
        (document(rule(when=[{"at": "/type", "is": "a"}] * 21)), "/rules/0/when", "length <= 20"),
        (document(*[rule(str(number)) for number in range(51)]), "/rules", "length <= 50"),
        (document(rule(name="a\u0000")), "/rules/0/name", "regex"),
        (document(rule(usage=usage_sources(surface={"value": "a\u0000"}))), "/rules/0/usage/surface/value", "control"),
        (document(organization="*"), "/organization", "regex"),
        (b"[]", "", "Expected `object`"),
        (b"{", "", "not valid JSON"),
        (b'{"type":"flexcredits.mapping.v1","rules":[{"name":"a","protocol":"lago","when":[{"at":"","is":' + b"[" * 5000, "", "nested"),
        (b" " * 65537, "", "at most 65536 bytes"),
        (json.dumps(document()).replace('"1"', "1e99999999999999999999").encode(), "", "out of range"),
    ],
)  # fmt: skip
def test_errors_say_where_and_why(sent: Any, pointer: str, detail: str) -> None:
    with pytest.raises(InvalidMapping) as refused:
        compile_mapping(decode_document(sent if isinstance(sent, bytes) else json.dumps(sent).encode()))
    assert refused.value.pointer == pointer
    assert detail in refused.value.detail


def test_the_largest_document_is_usable_as_postgres_writes_it() -> None:
    """Postgres writes a space after each colon and comma."""
    condition = {"at": "/type", "in": [10**40 - 1] * 20}
    rules = [rule(str(number), when=[condition]) for number in range(50)]
    sent = json.dumps(document(*rules), separators=(",", ":")).encode()
    sent += b" " * (DOCUMENT_BYTES_MAX - len(sent))
    decode_document(sent)
    stored = json.dumps(json.loads(sent)) + " " * DOCUMENT_BYTES_MAX
    assert compile_mapped(stored, "org_acme").problem == ""


@given(st.binary(max_size=200) | st.text(max_size=50).map(str.encode))
def test_any_bytes_are_a_value_or_a_clear_error(sent: bytes) -> None:
    with suppress(InvalidJson):
        decode_json(sent)
    assert verdict(sent) == "" or sent  # InvalidMapping is the only error


@pytest.mark.parametrize(
    "sent", [b"[" * 100_000, b"1e99999999999999999999", b"9" * 5000, b'"\xff"', b'"\\ud800"', b"", b"{} {}"]
)
def test_bombs_are_refused(sent: bytes) -> None:
    with pytest.raises(InvalidJson):
        decode_json(sent)
