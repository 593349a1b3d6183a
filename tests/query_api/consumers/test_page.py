"""docs/files.md: its regular expression and its versions."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from query_api.exports.domain.cells import guard_id
from support.clients.consumers import APOSTROPHE, LOCKED, PAGE


@given(st.text("'=+-@＝＋－＠([|!a1 \"", max_size=8))
def test_the_pages_regular_expression_gives_the_id(text: str) -> None:
    assert re.sub(APOSTROPHE, r"\1", guard_id(text)) == text


@pytest.mark.parametrize("library", ["pandas", "polars", "DuckDB"])
def test_the_pages_versions_are_those_that_the_tests_install(library: str) -> None:
    (version,) = (each.split("==")[1] for each in LOCKED if each.startswith(f"{library.lower()}=="))
    assert f"| {library} {version} |" in PAGE
