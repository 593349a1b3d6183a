"""Bodies in bounded memory."""

import gzip
import json
import tracemalloc
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ingest.http.binary import is_binary, to_structured
from ingest.http.body import inflate, split
from ingest.http.media_types import BATCH, ONE, allowed_forms
from ingest.http.responses import IngestProblem
from starlette.datastructures import Headers


@given(st.binary(max_size=5000), st.integers(1, 5))
def test_inflate_undoes_gzip(body: bytes, members: int) -> None:
    size = len(body) // members + 1
    parts = [body[start : start + size] for start in range(0, len(body), size)] or [b""]
    assert inflate(b"".join(map(gzip.compress, parts)), 5000) == body


@given(st.binary(max_size=200))
def test_bytes_that_are_not_gzip_are_refused(body: bytes) -> None:
    with pytest.raises(IngestProblem):
        inflate(gzip.compress(b"x") + b"\0" + body, 100)


def test_bomb_is_inflated_no_further_than_allowed() -> None:
    bomb = gzip.compress(b"\0" * 200_000_000, 9)
    tracemalloc.start()
    with pytest.raises(IngestProblem) as refused:
        inflate(bomb, 1_000_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert refused.value.status == 413
    assert peak < 4_000_000


def test_body_may_be_exactly_as_large_as_allowed() -> None:
    assert len(inflate(gzip.compress(b"x" * 1000), 1000)) == 1000
    with pytest.raises(IngestProblem):
        inflate(gzip.compress(b"x" * 1001), 1000)


@pytest.mark.parametrize("body", [b'{"a":1}', b' \n {"a":1} ', b'[{"a":1}]', b'\t[ {"a":1} ]\r\n'])
def test_split_finds_the_events_as_they_came(body: bytes) -> None:
    assert [bytes(element) for element in split(body, ONE + BATCH, 1)] == [b'{"a":1}']


def test_split_bounds_the_number_of_events() -> None:
    assert len(split(b"[{},{}]", BATCH, 2)) == 2
    with pytest.raises(IngestProblem) as refused:
        split(b"[{},{},{}]", BATCH, 2)
    assert refused.value.status == 413


def test_array_of_millions_is_refused_in_little_memory() -> None:
    body = b"[" + b"1," * 4_000_000 + b"1]"
    tracemalloc.start()
    with pytest.raises(IngestProblem):
        split(body, BATCH, 10_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


@pytest.mark.parametrize(
    "content_type",
    ["", "json", "application/json; charset=utf-16", "text/json", "application/cloudevents", "a/b/c", ";", "\x00"],
)
def test_other_content_types_are_refused(content_type: str) -> None:
    with pytest.raises(IngestProblem) as refused:
        allowed_forms({"content-type": content_type})
    assert refused.value.status == 415


@pytest.mark.parametrize(
    ("content_type", "forms"),
    [
        ("application/json; charset=utf-8", ONE + BATCH),
        ("Application/JSON;charset=UTF-8", ONE + BATCH),
        ("APPLICATION/CLOUDEVENTS+JSON; charset=utf-8", ONE),
        ('application/cloudevents-batch+json; charset="utf-8"', BATCH),
    ],
)
def test_content_types_may_have_any_case_and_parameters(content_type: str, forms: str) -> None:
    assert allowed_forms({"content-type": content_type}) == forms


@pytest.mark.parametrize("body", [b'{"a":1}', b'[{"a":1}]'])
def test_a_byte_order_mark_before_the_body_is_ignored(body: bytes) -> None:
    assert [bytes(element) for element in split(b"\xef\xbb\xbf" + body, ONE + BATCH, 1)] == [b'{"a":1}']


HEADERS = {"content-type": "application/json", "ce-specversion": "1.0", "ce-id": "1", "ce-source": "/a", "ce-type": "t"}


def structured(body: bytes = b'{"a":1}', **changed: str | None) -> dict[str, Any]:
    given = HEADERS | {name.replace("_", "-"): value for name, value in changed.items()}  # type: ignore[operator]
    headers = {name: value for name, value in given.items() if value is not None}
    event: dict[str, Any] = json.loads(bytes(to_structured(Headers(headers), body)))
    return event


def test_attributes_in_headers_become_a_structured_event() -> None:
    assert structured(ce_subject="org_acme", ce_time="2026-11-22T10:00:00Z", ce_extension="ignored") == {
        "specversion": "1.0", "id": "1", "source": "/a", "type": "t", "subject": "org_acme", "time": "2026-11-22T10:00:00Z",
        "datacontenttype": "application/json", "data": {"a": 1},
    }  # fmt: skip
    assert "data" not in structured(b"")
    assert "datacontenttype" not in structured(content_type=None)
    assert structured(b"\xef\xbb\xbf 7 ")["data"] == 7


@pytest.mark.parametrize(
    ("header", "text"),
    [
        ("plain", "plain"),
        ("Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀"),
        ("a%2520b", "a%20b"),
        ("100%", "100%"),
        ('"quoted \\"text\\""', 'quoted "text"'),
        ("%22quoted%22", '"quoted"'),
        ("Größe".encode().decode("latin-1"), "Größe"),
    ],
)
def test_attributes_are_unquoted_and_percent_decoded_once(header: str, text: str) -> None:
    assert structured(ce_id=header)["id"] == text


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_percent_encoded_attributes_come_back(text: str) -> None:
    assert structured(ce_id=quote(text, safe="/:"))["id"] == text


@pytest.mark.parametrize("body", [b'{},"subject":"org_other"', b"1}", b"{", b"\xff", b'{"a":1}{}', b"[" * 100_000])
def test_the_data_of_binary_mode_cannot_change_the_envelope(body: bytes) -> None:
    with pytest.raises(IngestProblem) as refused:
        structured(body)
    assert refused.value.status == 400


def test_an_attribute_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(IngestProblem):
        structured(ce_id="%ff")


@pytest.mark.parametrize("name", ["ce-id", "CE-ID", "ce-subject"])
def test_an_attribute_that_is_there_twice_is_refused(name: str) -> None:
    twice = [*HEADERS.items(), ("ce-subject", "org_acme"), (name, "2")]
    raw = [(key.lower().encode(), value.encode()) for key, value in twice]  # as servers give them
    with pytest.raises(IngestProblem, match=f"header {name.lower()} is there 2 times") as refused:
        to_structured(Headers(raw=raw), b"{}")
    assert refused.value.status == 400


def test_binary_mode_is_recognized_by_headers_and_content_type() -> None:
    assert is_binary(HEADERS)
    assert is_binary({"ce-id": "1"})
    assert not is_binary({"content-type": "application/json"})
    assert not is_binary({**HEADERS, "content-type": "Application/CloudEvents+json"})
