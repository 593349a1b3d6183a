"""What is kept of files, without a database: parts end on fixed days, and usage finds its labels again."""

from datetime import date, timedelta
from hashlib import sha256
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from query_api.access.state import ExportLimits
from query_api.calendar import Days
from query_api.exports.domain.labels import Label, UsedSeries, fixed_pieces, months_of
from query_api.exports.formats.rows import LabelIndex, Rows
from query_api.exports.manifests.keeping import Keeper
from query_api.exports.manifests.kept import (
    AnotherForm,
    keep_json,
    keep_labels,
    keep_rows,
    read_about,
    read_kept_rows,
    read_labels,
    read_other_lines,
)
from query_api.exports.parts import ROWS_AT_ONCE
from query_api.usage.domain.catalog import Feature

FIRST = date(2025, 12, 20)
days = st.integers(0, 420).map(lambda after: FIRST + timedelta(days=after))
ranges = st.tuples(days, days).map(lambda both: Days(min(both), max(both)))


@given(ranges, ranges, st.integers(0, 100))
def test_pieces_of_other_days_end_on_the_same_days(one: Days, other: Days, most: int) -> None:
    pieces = [list(fixed_pieces(each, most)) for each in (one, other)]
    for asked, found in zip((one, other), pieces, strict=True):
        assert (found[0].first, found[-1].last) == asked
        assert all(a.last + timedelta(days=1) == b.first for a, b in pairwise(found))
        assert all((piece.last - piece.first).days < max(1, most) for piece in found)
        assert all(piece.first.month == piece.last.month for piece in found)
    both = Days(max(one.first, other.first), min(one.last, other.last))
    ends = [{piece.last for piece in found if both.first <= piece.last < both.last} for found in pieces]
    assert ends[0] == ends[1]


def test_the_last_days_of_the_calendar_have_pieces() -> None:
    assert list(fixed_pieces(Days(date(9999, 12, 30), date.max), 1)) == [
        Days(date(9999, 12, day), date(9999, 12, day)) for day in (30, 31)
    ]


SERIES = [UsedSeries(id_, "api", Feature("namespace", f"f{10 - id_}"), "", "") for id_ in range(1, 5)]
texts = st.sampled_from([None, "A", "B"])
months = st.lists(
    st.dictionaries(st.sampled_from(SERIES), st.lists(texts, min_size=1, max_size=2), min_size=1),
    min_size=3,
    max_size=3,
)


@given(months, st.randoms(use_true_random=False))
def test_usage_finds_the_labels_that_it_had(found: list[dict[UsedSeries, list[str | None]]], chance: object) -> None:
    """Whatever categories its series had in other months, in the order in which the file had them."""
    keeper = Keeper("Asia/Kathmandu", 1 << 30)
    keeper.begin(SERIES)
    written = []
    span = months_of(Days(date(2026, 1, 1), date(2026, 3, 31)), Days(date(2026, 1, 1), date(2026, 3, 31)))
    for month, categories in zip(span, found, strict=True):
        middle = month.first + timedelta(days=10)
        labels = []
        for series in sorted(categories, key=lambda each: each[1:]):
            halves = [month] if len(categories[series]) == 1 else [Days(month.first, middle - timedelta(days=1)), Days(middle, month.last)]  # fmt: skip
            for half, category in zip(halves, categories[series], strict=True):
                labels.append(Label(series.series_id, *half, "api", "namespace", category, None, "f", "f", None, None, None, None))  # fmt: skip
        keeper.begin_month(labels)
        day = np.repeat(np.arange(31 if month.last.day == 31 else 28, dtype=np.int32), len(labels))
        label = np.tile(np.arange(len(labels), dtype=np.int32), len(day) // len(labels))
        on = day + month.first.toordinal()
        valid = np.array(
            [labels[at].first.toordinal() <= d <= labels[at].last.toordinal() for at, d in zip(label, on, strict=True)]
        )
        day, label = day[valid], label[valid]
        rows = Rows(day, label, np.zeros(len(day), np.int32), np.arange(len(day)), np.ones(len(day), np.int64))
        keeper.add_usage(month, rows)
        written.append((month, labels, rows))
    kept = keeper.finish()
    assert kept is not None
    assert keeper.events == sum(len(rows.day) for _, _, rows in written)
    head, *parts = kept.parts
    assert head.labels_block is not None
    labels_again = read_labels(kept.blocks[head.labels_block])
    index = LabelIndex(labels_again)
    for (month, labels, rows), part in zip(written, parts, strict=True):
        assert part.lines_block is not None
        again = read_kept_rows(kept.blocks[part.lines_block], month, index)
        for name in ("day", "is_correction", "credits", "events"):
            assert getattr(again, name).tolist() == getattr(rows, name).tolist()
        texts_then = [labels[at][3:] for at in rows.label]
        assert [labels_again[at][3:] for at in again.label] == texts_then
        assert [labels_again[at].series_id for at in again.label] == [labels[at].series_id for at in rows.label]
        # Batches have the texts of the labels that they use, in the order of labels.
        used = [
            [of[at] for at in np.unique(index)] for of, index in ((labels, rows.label), (labels_again, again.label))
        ]
        then, now = ([(label.series_id, label[3:]) for label in each] for each in used)
        assert list(dict.fromkeys(then)) == list(dict.fromkeys(now))


def test_nothing_is_kept_of_a_file_that_is_too_large() -> None:
    most = len(keep_labels([])) + 100
    keeper = Keeper(None, most)
    for _ in range(2):
        keeper.add_lines([["x" * 60]])  # the same block
    assert len(keeper.finish().parts) == 3  # type: ignore[union-attr]
    keeper = Keeper(None, most)
    keeper.add_lines([[sha256(bytes([at])).hexdigest() for at in range(100)]])
    keeper.add_lines([["more"]])
    assert keeper.finish() is None


@pytest.mark.parametrize("data", [b"", b"no zlib", keep_json("text")])
def test_lines_of_another_form_are_refused(data: bytes) -> None:
    for read in (read_about, read_other_lines):
        with pytest.raises(AnotherForm):
            read(data)
    assert (read_about(None), read_other_lines(None)) == ({}, [])
    assert read_other_lines(keep_json([["ä", None, 5]])) == [["ä", None, 5]]


def agent_label(number: int, name: int) -> Label:
    about = (f"Category {number % 7}", f"Category {number % 7}", f"feature_{number % 97}", f"Feature {number % 97}")
    agent = sha256(f"{number}".encode()).hexdigest()[:24]
    return Label(
        number, date.min, date.max, "agents", "tool", *about, agent, f"Agent {agent[:5]} {name}", "saved", "web"
    )


def test_daily_files_fit_for_as_long_as_the_ledger_is_kept() -> None:
    """Of this month and of the last 387 days as usage and as FOCUS, of 1,500 series with random amounts. Each day an agent gets
    another name, and late usage changes one in fifty series on each of the three days before, and all series of a day of the last month."""
    limits, chance = ExportLimits(), np.random.default_rng(22)
    series = np.arange(1, 1501, dtype=np.int32)
    labels = [agent_label(at, 0) for at in series.tolist()]
    begin = date(2025, 1, 1)
    amounts = chance.integers(1, 10**9, (387 + limits.kept_for.days, len(series)))
    blocks: dict[bytes, int] = {}

    def keep(data: bytes) -> None:
        blocks[sha256(data).digest()] = len(data)

    def keep_piece(piece: Days) -> None:
        first, number = (piece.first - begin).days, (piece.last - piece.first).days + 1
        credits = amounts[first : first + number].ravel()
        day = np.repeat(np.arange(number, dtype=np.int32), len(series))
        label = np.tile(np.arange(len(series), dtype=np.int32), number)
        keep(keep_rows(Rows(day, label, np.zeros(len(day), np.int32), credits, credits % 50), series))

    def pieces_of(first: date, last: date) -> list[Days]:
        months = months_of(Days(first, last), Days(begin, last))
        return [piece for month in months for piece in fixed_pieces(month, ROWS_AT_ONCE // len(series))]

    for piece in pieces_of(begin, begin + timedelta(days=386)):
        keep_piece(piece)
    for after in range(387, 387 + limits.kept_for.days):
        today = begin + timedelta(days=after)
        late = {after - 1, after - 2, after - 3, after - int(chance.integers(1, 31))}
        for day in late:
            some = slice(None) if day < after - 3 else chance.integers(0, len(series), 30)
            amounts[day, some] += 1
        changed = {*late, after, after - 386, after - 387}
        for piece in pieces_of(today - timedelta(days=386), today):
            if any(piece.first <= begin + timedelta(days=day) <= piece.last for day in changed):
                keep_piece(piece)
        at = int(chance.integers(len(labels)))
        labels[at] = agent_label(at + 1, after)
        keep(keep_labels(labels))
        keep(keep_labels(labels[: len(labels) // 2 + after % 700]))  # other series have usage in this month
        days = [f"{today - timedelta(days=ago)}T18:15:00Z" for ago in range(387)]
        keep(
            keep_json(
                [[day, day, day, day, 20_000, 30_000, "EUR", "c1", "p1", "c1/p1", "c1/p1/usage", "{}"] for day in days]
            )
        )
        keep(keep_json([{"TimeSectorStart": day, "TimeSectorEnd": day, "TimeSectorComplete": True, "TimeSectorLastUpdated": days[0]} for day in days]))  # fmt: skip
    assert sum(blocks.values()) < limits.organization_bytes
