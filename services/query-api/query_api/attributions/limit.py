"""How many attributions a request may read. An organization with more would slow down all others of the process."""

from query_api.db.session import ReadSession
from query_api.db.statements import SQL
from query_api.http.problems import ApiProblem

ATTRIBUTIONS_MAX = 100_000
"""With usage in a range: 20,000 people with 5 combinations of labels each. Statements read one more, for each of up to two
ranges, as a constant: with a parameter, Postgres would plan for a tenth of the rows."""
SPANS_MAX = 2 * ATTRIBUTIONS_MAX
"""That filters select: an attribution has a span for each group of its person."""


async def check_number(session: ReadSession, number: int, most: int = ATTRIBUTIONS_MAX) -> None:
    """Raises ApiProblem if there are more than `most`. Names the label keys with most values."""
    if number <= most:
        return
    keys = await session.connection.fetch(SQL["select_largest_label_keys"], session.organization_id)
    detail = (
        f"The usage asked for has more than {most:,} combinations of actor, group and labels. Choose a shorter "
        "range or another filter."
    )
    if keys:
        named = ", ".join(f"`{row['key']}`" for row in keys)
        detail += f" Labels with most values: {named}. A label should have few values; what differs in each use belongs in `run`."
    raise ApiProblem("too-many-attributions", detail)
