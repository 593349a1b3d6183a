"""The runs that a request selects."""

from datetime import UTC, datetime

from flexcredits_schemas.calendar import midnight

from query_api.actors.queries import select_large_groups
from query_api.calendar import Days, span_of
from query_api.db.session import ReadSession
from query_api.http.problems import ApiProblem, invalid_parameter
from query_api.runs.queries import RunFilter, select_label_keys, select_matching_attributions
from query_api.runs.schemas import RunsQuery

ALWAYS = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)


async def read_filter(session: ReadSession, query: RunsQuery, days: Days) -> RunFilter:
    """Raises ApiProblem."""
    zone, span = session.organization.time_zone, span_of(days)
    wanted = RunFilter(midnight(span.starts_on, zone), midnight(span.ends_on, zone), query.agent, None)
    if query.actor is None and query.group is None and query.label is None:
        return wanted
    if session.organization.people == "groups_only" and (query.actor is not None or query.label is not None):
        raise ApiProblem(
            "people-not-shown",
            "This organization shows usage by group only: runs have no filter by person or label. A Super Admin can change this.",
        )
    groups = None if query.group is None else await select_large_groups(session, days)
    labels = None if query.label is None else await read_label(session, query.label)
    matching = await select_matching_attributions(session, query.actor, labels, query.group, groups)
    if groups is not None and not matching:
        raise invalid_parameter(
            "group", "has no group of five people or more in the range, and the organization shows only such groups"
        )
    return wanted._replace(
        attributions=[
            (
                attribution_id,
                ALWAYS[0] if first is None else midnight(first, zone),
                ALWAYS[1] if end is None else midnight(end, zone),
            )
            for attribution_id, first, end in matching
        ]
    )


async def read_label(session: ReadSession, text: str) -> dict[str, str]:
    """The label of `KEY:VALUE`. Raises ApiProblem."""
    key, colon, value = text.partition(":")
    if not colon:
        raise invalid_parameter("label", "must be KEY:VALUE")
    keys = await select_label_keys(session)
    if key not in keys:
        declared = ", ".join(f"`{each}`" for each in keys) or "none"
        raise invalid_parameter("label", f"the organization does not declare this key; declared keys: {declared}")
    return {key: value}
