"""Times of foreign events."""

from datetime import UTC, datetime, timedelta

from flexcredits_schemas.mapping.readers.times import of_microseconds
from hypothesis import given
from hypothesis import strategies as st

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
BORDER = 2**32 * 1_000_000


@given(
    st.integers(-62_000_000_000_000_000, 253_000_000_000_000_000)
    | st.integers(-2, 2).map(lambda n: BORDER + n)
    | st.integers(0, BORDER)
)
def test_microseconds_are_exact(microseconds: int) -> None:
    time = of_microseconds(microseconds)
    assert time == EPOCH + timedelta(0, 0, microseconds)
    assert time.tzinfo is UTC
