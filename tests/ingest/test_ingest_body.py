"""Bodies in bounded memory."""

import gzip
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ingest.answers import Refused
from ingest.body import BATCH, ONE, allowed_forms, inflate, split


@given(st.binary(max_size=5000), st.integers(1, 5))
def test_inflate_undoes_gzip(body: bytes, members: int) -> None:
    size = len(body) // members + 1
    parts = [body[start : start + size] for start in range(0, len(body), size)] or [b""]
    assert inflate(b"".join(map(gzip.compress, parts)), 5000) == body


@given(st.binary(max_size=200))
def test_bytes_that_are_not_gzip_are_refused(body: bytes) -> None:
    with pytest.raises(Refused):
        inflate(gzip.compress(b"x") + b"\0" + body, 100)


def test_bomb_is_inflated_no_further_than_allowed() -> None:
    bomb = gzip.compress(b"\0" * 200_000_000, 9)
    tracemalloc.start()
    with pytest.raises(Refused) as refused:
        inflate(bomb, 1_000_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert refused.value.status == 413
    assert peak < 4_000_000


def test_body_may_be_exactly_as_large_as_allowed() -> None:
    assert len(inflate(gzip.compress(b"x" * 1000), 1000)) == 1000
    with pytest.raises(Refused):
        inflate(gzip.compress(b"x" * 1001), 1000)


@pytest.mark.parametrize("body", [b'{"a":1}', b' \n {"a":1} ', b'[{"a":1}]', b'\t[ {"a":1} ]\r\n'])
def test_split_finds_the_events_as_they_came(body: bytes) -> None:
    assert [bytes(element) for element in split(body, ONE + BATCH, 1)] == [b'{"a":1}']


def test_split_bounds_the_number_of_events() -> None:
    assert len(split(b"[{},{}]", BATCH, 2)) == 2
    with pytest.raises(Refused) as refused:
        split(b"[{},{},{}]", BATCH, 2)
    assert refused.value.status == 413


def test_array_of_millions_is_refused_in_little_memory() -> None:
    body = b"[" + b"1," * 4_000_000 + b"1]"
    tracemalloc.start()
    with pytest.raises(Refused):
        split(body, BATCH, 10_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


@pytest.mark.parametrize(
    "content_type",
    ["", "json", "application/json; charset=utf-16", "text/json", "application/cloudevents", "a/b/c", ";", "\x00"],
)
def test_other_content_types_are_refused(content_type: str) -> None:
    with pytest.raises(Refused) as refused:
        allowed_forms({"content-type": content_type})
    assert refused.value.status == 415
