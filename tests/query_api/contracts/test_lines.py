"""Lines of an export compared with the tables, and the text of cells. Pure."""

import csv
import io
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from query_api.calendar import Days
from query_api.exports.domain.cells import end_lines, file_name, guard, guard_id, text_cell, unguard_id, write_lines
from query_api.exports.domain.labels import Catalog, LabelBook, UsedSeries, build_labels, months_of
from query_api.usage.domain.catalog import Agent, Feature, FeatureEntry, Features

DAY = date(2026, 2, 27)
MONTH = Days(DAY, DAY + timedelta(days=40))

features = st.builds(Feature, st.sampled_from(["tool", "feature"]), st.sampled_from(["a", "b"]))
days = st.integers(0, 40).map(lambda after: DAY + timedelta(days=after))
entries = st.lists(
    st.builds(
        FeatureEntry,
        features,
        st.booleans(),
        st.integers(-5, 45).map(lambda after: DAY + timedelta(days=after)),
        st.none(),
        st.sampled_from(["X", "Y", "=Z", None]),
    ),
    max_size=12,
    unique_by=lambda entry: (entry.feature, entry.deployment_wide, entry.effective_from),
)


@given(entries, st.lists(features, max_size=4), days)
def test_every_day_of_a_series_has_one_label_with_the_category_of_that_day(
    entries: list[FeatureEntry], used: list[Feature], today: date
) -> None:
    known = Features(entries, today)
    series = [UsedSeries(number, "agents", feature, f"a{number}", "") for number, feature in enumerate(used)]
    labels = build_labels(series, MONTH, Catalog({"agents": known}, {}, today))
    for number, _, feature, *_ in series:
        for after in range(41):
            day = DAY + timedelta(days=after)
            (label,) = [each for each in labels if each.series_id == number and each.first <= day <= each.last]
            category, now = known.category(feature, day), known.category(feature, today)
            assert (label.category, label.category_now) == (category, now)
            assert (label.feature, label.feature_name) == (feature.feature, known.name(feature))
    assert sorted({label.series_id for label in labels}) == list(range(len(used)))
    book = LabelBook(MONTH, Catalog({"agents": known}, {}, today))
    for some in (series[:2], series, series[1:]):  # those of a series are the same whenever they are asked for
        assert book.find(some) == [label for each in some for label in labels if label.series_id == each.series_id]


def test_the_order_of_labels_does_not_depend_on_the_numbers_of_series() -> None:
    tool = Feature("tool", "a")
    keys = [
        ("api", tool, "", "web"),
        ("agents", tool, "x", ""),
        ("agents", tool, "x", "web"),
        ("agents", tool, "b", ""),
    ]
    catalog = Catalog({"api": Features([], DAY), "agents": Features([], DAY)}, {"b": Agent("deleted", "B")}, DAY)
    orders = [
        [label[3:] for label in build_labels([UsedSeries(n, *key) for n, key in zip(numbers, keys, strict=True)], MONTH, catalog)]
        for numbers in ([1, 2, 3, 4], [4, 3, 2, 1], [3, 1, 4, 2])
    ]  # fmt: skip
    assert orders[0] == orders[1] == orders[2]


@given(days, days, days, days)
def test_months_cover_what_was_used_of_the_range_once(a: date, b: date, c: date, d: date) -> None:
    asked, used = Days(min(a, b), max(a, b)), Days(min(c, d), max(c, d))
    covered = [
        first + timedelta(days=after)
        for first, last in months_of(asked, used)
        for after in range((last - first).days + 1)
    ]
    both = [DAY + timedelta(days=after) for after in range(41)]
    assert covered == [day for day in both if asked.first <= day <= asked.last and used.first <= day <= used.last]
    assert all((first.year, first.month) == (last.year, last.month) for first, last in months_of(asked, used))


def test_months_end_with_the_calendar() -> None:
    assert months_of(Days(date.min, date.max), None) == []
    assert months_of(Days(date.min, date.max), Days(date(9999, 12, 1), date.max)) == [Days(date(9999, 12, 1), date.max)]


dangerous = st.sampled_from("=+-@\t\r\n\0＝＋－＠")
spaces = st.text(st.sampled_from(" \xa0\u3000\u2009\u200b\ufeff\u202e\x0b\x1f"), max_size=4)


@given(spaces, dangerous, st.text(max_size=8))
def test_what_a_spreadsheet_would_calculate_gets_an_apostrophe(before: str, start: str, rest: str) -> None:
    assert guard(before + start + rest) == "'" + before + start + rest


@given(st.text())
def test_a_guard_adds_one_apostrophe_or_nothing(text: str) -> None:
    assert guard(text) in (text, "'" + text)
    assert guard(guard(text)) == guard(text)


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("@modelcontextprotocol/server", "@modelcontextprotocol/server"), ("-1", "-1"), ("+49 30 1", "+49 30 1"), ("a=(b)", "a=(b)"),
        ("=1", "'=1"), ("＝1", "'＝1"), (" =1", "' =1"), ("@SUM(1)", "'@SUM(1)"), ("+cmd|'/c calc'!A1", "'+cmd|'/c calc'!A1"),
        ("-[x]", "'-[x]"), ("'=1", "''=1"), ("''=1", "'''=1"), ("'a", "'a"), ("'-1", "'-1"),
    ],
)  # fmt: skip
def test_an_id_stays_as_it_is_unless_a_spreadsheet_would_run_it(text: str, cell: str) -> None:
    assert guard_id(text) == cell


@given(st.text(st.sampled_from("'=+-@(|! ax\t＝"), max_size=6))
def test_an_id_can_be_had_back_and_no_two_make_one_cell(text: str) -> None:
    assert unguard_id(guard_id(text)) == text
    assert not guard_id(text).lstrip(" ").startswith(("=", "\t", "＝"))


def test_harmless_texts_stay_as_they_are() -> None:
    for text in ("", "a=b", "a-1", "1+1", "  x", "é", "'=1", '"=1"', "(-1)", "user@x.example", "#1", "日本"):
        assert guard(text) == text
    assert text_cell("") is None
    assert text_cell(None) is None


@given(st.lists(st.lists(st.text(), min_size=2, max_size=4), max_size=5))
def test_lines_are_read_back_as_they_were(lines: list[list[str]]) -> None:
    text = write_lines(lines).decode("utf-8", "surrogatepass") if lines else ""
    assert list(csv.reader(io.StringIO(text, newline=""), strict=True)) == lines


def test_line_ends_and_names() -> None:
    assert write_lines([["a", 1, None], ['say "x"', "b,c", ""]]) == b'a,1,\r\n"say ""x""","b,c",\r\n'
    assert end_lines(b"a\nb\n") == b"a\r\nb\r\n"
    name = file_name("org:a.b-c_d", Days(date(2026, 1, 1), date(2026, 1, 31)), "usage")
    assert name == "flexcredits_org-a.b-c_d_2026-01-01_2026-01-31_usage.csv"
