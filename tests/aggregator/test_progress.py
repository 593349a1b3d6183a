"""A partition's progress after a batch: its next offset, and the offset after its last known record."""

import pytest
from aggregator.db.progress import drop_replayed
from aggregator.domain.batch_result import BatchResult
from aggregator.domain.decode import empty_batch


@pytest.mark.parametrize(
    ("position", "span", "gaps", "next_offset", "records_end"),
    [
        (0, (0, 4), [], 5, 5),
        (5, (5, 7), [(0, 7, 8)], 8, 7),  # a marker at the end: the records end before it
        (8, (3, 5), [], 8, None),  # a replay alone: a marker may lie before the position
        (8, (3, 7), [(0, 7, 8)], 8, None),
        (8, (8, 8), [(0, 8, 9)], 9, None),  # a marker alone does not move the end of the records
        (8, (5, 9), [], 10, 10),
    ],
)
def test_the_end_of_the_records_is_only_moved_by_records(
    position: int, span: tuple[int, int], gaps: list[tuple[int, int, int]], next_offset: int, records_end: int | None
) -> None:
    reading, outcome = empty_batch(), BatchResult()
    reading.spans[0] = span
    reading.gaps.extend(gaps)
    drop_replayed(reading, {0: position}, outcome)
    assert (outcome.next_offsets[0], outcome.records_end[0]) == (next_offset, records_end)
