"""The runs that a request selects."""

from datetime import date, datetime, timedelta

from flexcredits_schemas.calendar import midnight

from query_api.attributions.domain.groups import find_parents, find_subtree
from query_api.attributions.queries import select_attributions, select_people_groups, select_people_settings
from query_api.attributions.selection import read_label, refuse_people
from query_api.calendar import Days, span_of
from query_api.db.session import ReadSession
from query_api.runs.queries import RunFilter
from query_api.runs.schemas import RunsQuery

FIRST_DAY, LAST_DAY, ONE_DAY = date(1970, 1, 1), date(9999, 12, 29), timedelta(days=1)


async def read_filter(session: ReadSession, query: RunsQuery, days: Days, today: date) -> RunFilter:
    """Raises ApiProblem."""
    zone, span = session.organization.time_zone, span_of(days)
    wanted = RunFilter(midnight(span.starts_on, zone), midnight(span.ends_on, zone), query.agent)
    if query.actor is None and query.group is None and query.label is None:
        return wanted
    refuse_people(
        session.organization.people,
        "This organization shows usage by group only, and a run is one person's: runs have no filter by person, group or label. "
        "A Super Admin can change this.",
    )
    label = read_label(query.label, await select_people_settings(session))
    groups = None
    if query.group is not None:
        groups = find_subtree(query.group, find_parents(await select_people_groups(session)))
    spans = await select_attributions(
        session,
        "then" if groups is not None else "none",
        today,
        actor=query.actor,
        groups=groups,
        label=label or ("", None),
    )
    if query.actor is not None:
        spans = [span for span in spans if not span.removed]
    spans = [span for span in spans if span.first_on <= days.last and days.first <= span.last_on]
    limited = [span for span in spans if span.first_on > days.first or span.last_on < days.last]
    return wanted._replace(
        attributions=[
            span.attribution_id for span in spans if span.first_on <= days.first and days.last <= span.last_on
        ],
        limited=[
            (span.attribution_id, begin_of(span.first_on, zone), begin_of(span.last_on, zone, ONE_DAY))
            for span in limited
        ],
    )


def begin_of(day: date, zone: str | None, plus: timedelta = timedelta()) -> datetime:
    """The instant at which a day begins. Without a limit, one that no run reaches."""
    return midnight(min(max(day, FIRST_DAY), LAST_DAY) + plus, zone)
