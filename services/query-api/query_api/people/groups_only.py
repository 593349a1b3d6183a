"""Computes usage by group or label while only groups are shown."""

from query_api.attributions.book import BookKey
from query_api.attributions.cells import Split, read_filtered, refuse_crossed
from query_api.attributions.domain.privacy import Published
from query_api.attributions.domain.spans import PeopleGroup, PeopleSettings
from query_api.attributions.domain.tally import NO_VALUE, UNATTRIBUTED, RowKey, Tally
from query_api.attributions.months import Kept, View, read_kept
from query_api.attributions.queries import Sum, select_people_groups, sum_totals
from query_api.attributions.selection import refuse_now, select_who
from query_api.calendar import Days
from query_api.db.session import ReadSession
from query_api.http.problems import ApiProblem
from query_api.people.schemas import PeopleFilter
from query_api.people.table import KEYS_OF, Asked, PeopleTable, build_table


def split_of(query: PeopleFilter) -> Split:
    """By what the filters divide usage."""
    given = {
        "product": query.product, "feature_kind": query.view, "surface": query.surface, "agent": query.agent,
        "feature": query.feature,
    }  # fmt: skip
    return Split(frozenset(name for name, value in given.items() if value is not None))


async def read_shown(session: ReadSession, kept: Kept, settings: PeopleSettings, asked: Asked) -> PeopleTable:
    """Usage of the request's filters by group or label, while only groups are shown."""
    query, view, split = asked.query, asked.view, split_of(asked.query)
    is_by_group, label_key = view.by == "group", view.label_key
    refuse_crossed(query, view.by, label_key)
    selection, groups = None, list[PeopleGroup]()
    if query.names_who:
        selection = await select_who(session, query, asked.today, with_groups=is_by_group, label_key=label_key)
        groups = [*selection.groups]
    elif is_by_group:
        refuse_now(query, settings)
        groups = await select_people_groups(session)

    async def read(days: Days) -> Published:
        if selection is not None:
            return await read_filtered(session, selection, days, asked.today, asked.series, split)
        key = BookKey(session.organization_id or 0, view.by, "then" if is_by_group else None, label_key, None)
        rows = View(key, KEYS_OF[view.by], groups if is_by_group else None)
        return await read_kept(session, kept, rows, days, asked.today, asked.series, split)

    tallies, before = (await read(asked.stretch)).tallies, None
    earlier: dict[RowKey, Tally] = {}
    if asked.before is not None:
        try:
            published = await read(asked.before)
            before, earlier = (None, {}) if published.merged else (asked.before, published.tallies)
        except ApiProblem as problem:
            if problem.problem != "too-few-people":
                raise
    for key, tally in earlier.items():
        tallies.setdefault(key, Tally()).previous += tally.credits
    if not query.names_who:
        totals = await sum_totals(session, asked.ranges, asked.series)
        rest = tallies.setdefault(UNATTRIBUTED if is_by_group else NO_VALUE, Tally())
        total = totals.get(asked.stretch.first, Sum(0, 0))
        others = [tally for tally in tallies.values() if tally is not rest]
        rest.credits = total.credits - sum(tally.credits for tally in others)
        rest.events = total.events - sum(tally.events for tally in others)
        if before is not None:
            rest.previous = totals.get(before.first, Sum(0, 0)).credits - sum(tally.previous for tally in others)
    used = {key: tally for key, tally in tallies.items() if tally.credits or tally.events or tally.previous}
    return build_table(settings, asked, before, used, groups, [])
