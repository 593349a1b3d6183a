"""The columns read what the exact path reads, or leave the record to it."""

import gc
import json
import os
import random
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aggregator.domain.columns import heads as heads_module
from aggregator.domain.columns.heads import Heads
from aggregator.domain.columns.read import read
from aggregator.domain.columns.texts import parse_amounts, parse_times
from aggregator.domain.columns.usage_columns import concatenate, empty_columns
from aggregator.domain.decode import read_record
from hypothesis import given
from hypothesis import strategies as st
from support.data.factories import FakeRecord, correction, usage
from support.data.mutated_usage import compare, compare_mutated, exact_row, mutate, row_of, seeds
from support.data.usual_usage import USUAL, records_of
from support.faults.mutants import COLUMNS, make_mutant
from support.faults.simulation_runs import TESTS


def test_usual_usage_needs_no_exact_path() -> None:
    records = records_of(USUAL * 2)
    columns, rest = read(records, Heads())
    assert not rest
    assert [row_of(columns, row) for row in range(len(columns))] == [exact_row(read_record(at)) for at in records]


@pytest.mark.parametrize("indent", ["compact", "reordered"])
def test_producers_that_write_to_the_topic_themselves_may_order_attributes_as_they_like(indent: str) -> None:
    event = usage()
    if indent == "reordered":
        event = {name: event[name] for name in ("data", "time", "subject", "type", "source", "id", "specversion")}
    columns, rest = read(records_of([json.dumps(event, separators=(",", ":")).encode()]), Heads())
    assert (len(columns), rest) == (1, [])


def test_what_is_not_usual_is_left_in_order() -> None:
    values = [usage(), b"{", correction(usage(), "-1"), usage(), json.dumps(usage()).encode(), usage()]
    columns, rest = read(records_of(values), Heads())
    assert columns.offset.tolist() == [0, 3, 5]
    assert [record.offset for record in rest] == [1, 2, 4]


def test_no_records_are_no_rows() -> None:
    columns, rest = read([], Heads())
    assert (len(columns), rest) == (0, [])


def test_both_decoders_agree_on_mutated_records() -> None:
    found = compare_mutated(1, 10_000)
    assert found.fast > 2_000, "most changes made the records unusual"


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2, 3])
def test_both_decoders_agree_on_many_mutated_records(seed: int) -> None:
    assert compare_mutated(seed, 120_000).fast > 24_000


@pytest.mark.slow
@pytest.mark.parametrize("mutant", COLUMNS)
def test_columns_without_a_check_are_caught(tmp_path: Path, mutant: str) -> None:
    folders = [make_mutant("aggregator", COLUMNS[mutant], tmp_path), TESTS]
    run = subprocess.run(
        [sys.executable, "-m", "support.data.mutated_usage", "1", "30000"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, folders))}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 1
    assert "AssertionError" in run.stderr


@given(st.data(), st.randoms(use_true_random=False))
def test_both_decoders_agree_on_any_sequence_of_changes(data: st.DataObject, chance: random.Random) -> None:
    values, heads = seeds(), Heads()
    for offset in range(data.draw(st.integers(1, 4))):
        value = mutate(chance, data.draw(st.sampled_from(values)), values)
        compare([FakeRecord(value, offset)], heads)
        values.append(value)


@given(st.integers(1, 10**15 - 1), st.integers(0, 6))
def test_canonical_amounts_are_exact(millionths: int, places: int) -> None:
    whole, fraction = divmod(millionths, 10**6)
    text = f"{whole}.{fraction:06}"
    shortest = text.rstrip("0").rstrip(".")
    cut = text[: len(text) - 6 + places] if places else f"{whole}"
    value = int(whole * 10**6 + int(f"{fraction:06}"[:places].ljust(6, "0")))
    amounts = parse_amounts([at.encode() + b'"}' for at in (text, shortest, cut, "1")])
    assert amounts.tolist() == [millionths, millionths, value or -1, 10**6]


@given(st.datetimes(datetime(1971, 1, 1), datetime(2099, 12, 31, 23, 59, 59, 999_999)), st.integers(0, 6))  # noqa: DTZ001 - written with Z
def test_times_are_exact(instant: datetime, places: int) -> None:
    text = instant.isoformat(timespec="microseconds")[: 20 + places].rstrip(".") + "Z"
    expected = datetime.fromisoformat(text.replace("Z", "+00:00")) - datetime(1970, 1, 1, tzinfo=UTC)
    microseconds = (expected.days * 86_400 + expected.seconds) * 10**6 + expected.microseconds
    assert parse_times([text, "x", text]).tolist() == [microseconds, -1, microseconds]


def test_rows_can_be_taken_and_joined() -> None:
    heads = Heads()
    columns, _ = read(records_of(USUAL), heads)
    odd = np.arange(len(columns)) % 2 == 1
    parts = [columns.take(~odd), columns.take(np.flatnonzero(odd)[::-1]), empty_columns(heads)]
    joined = concatenate(parts)
    assert [row_of(joined, row) for row in range(len(joined))] == [
        row_of(columns, int(offset)) for offset in joined.offset
    ]
    assert sorted(joined.offset.tolist()) == columns.offset.tolist()
    assert [record.offset for record in joined.records] == joined.offset.tolist()


def names(number: int) -> str:
    return f"feature-{number:0150}"


UNIQUE: dict[str, Callable[[int], dict[str, Any]]] = {
    "feature": lambda number: usage(feature=names(number), envelope={"subject": "org_greedy"}),
    "agent": lambda number: usage(
        agent={"id": f"a{number}", "name": names(number), "kind": "saved"}, envelope={"subject": "org_greedy"}
    ),
    "unit": lambda number: usage(quantity="1", unit=f"unit {number}", envelope={"subject": "org_greedy"}),
    "source": lambda number: usage(envelope={"subject": "org_greedy", "source": f"/{number:0100}"}),
}
"""Usage that differs in one field in each event."""


@pytest.mark.parametrize("changed", UNIQUE.values(), ids=UNIQUE)
def test_an_organization_that_changes_with_each_event_takes_no_room_from_others(
    changed: Callable[[int], dict[str, Any]],
) -> None:
    heads = Heads(400_000)
    others = [usage(feature=f"f{number}", envelope={"subject": f"org_{number}"}) for number in range(40)]
    read(records_of([usage(envelope={"subject": "org_greedy"}), *others[:20]]), heads)
    known = len(heads)
    for start in range(0, 1_000, 100):
        read(records_of([changed(number) for number in range(start, start + 100)]), heads)
    columns, rest = read(records_of(others), heads)
    assert (len(columns), rest) == (40, []), "others keep their heads and find room for new ones"
    assert heads.organizations["org_greedy"].bytes <= 200_000
    assert heads.bytes <= 400_000
    assert len(heads) >= known


@pytest.mark.parametrize("changed", UNIQUE.values(), ids=UNIQUE)
def test_heads_take_no_more_memory_than_they_may(changed: Callable[[int], dict[str, Any]]) -> None:
    values = [{**changed(number), "subject": f"org_{number % 7}"} for number in range(3_000)]
    batches = [records_of(values[start : start + 100]) for start in range(0, len(values), 100)]
    tracemalloc.start()
    try:
        heads = Heads(1_000_000)
        for records in batches:
            read(records, heads)
        del records
        gc.collect()
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert heads.bytes <= 1_000_000
    assert taken < heads.bytes * 1.1 + 50_000


def test_usage_without_room_takes_the_exact_path() -> None:
    columns, rest = read(records_of(USUAL), Heads(0))
    assert (len(columns), len(rest)) == (0, len(USUAL))


def test_long_heads_are_not_kept() -> None:
    agent = {"id": "日" * 64, "name": "日" * 200, "kind": "saved"}
    longest = usage(feature="日" * 200, surface="日" * 64, agent=agent)
    _, rest = read(records_of([longest, longest]), Heads())
    assert len(rest) == 2


def test_heads_are_used_up_after_many_records() -> None:
    heads = Heads()
    read(records_of(USUAL), heads)
    assert not heads.is_used_up
    heads.records = heads_module.RECORDS_MAX
    assert heads.is_used_up
