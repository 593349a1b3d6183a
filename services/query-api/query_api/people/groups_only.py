"""Computes usage by group or label while only groups are shown."""

from contextlib import suppress

from query_api.attributions.cells import Split, read_filtered, read_published, refuse_crossed
from query_api.attributions.domain.privacy import Published
from query_api.attributions.domain.spans import PeopleSettings
from query_api.attributions.domain.tally import NO_VALUE, UNATTRIBUTED, RowKey, Tally
from query_api.attributions.queries import Sum, sum_totals
from query_api.attributions.selection import select_who
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


async def read_shown(session: ReadSession, settings: PeopleSettings, asked: Asked) -> PeopleTable:
    """Usage of the request's filters by group or label, while only groups are shown."""
    query, view, split = asked.query, asked.view, split_of(asked.query)
    is_by_group = view.by == "group"
    refuse_crossed(query, view.by, view.label_key)
    selection = await select_who(session, query, asked.today, with_groups=is_by_group, label_key=view.label_key)

    async def read(days: Days) -> Published:
        if query.names_who:
            return await read_filtered(session, selection, days, asked.today, asked.series, split)
        groups = selection.groups if is_by_group else None
        return await read_published(
            session, selection.spans, KEYS_OF[view.by], groups, days, asked.today, asked.series, split
        )

    tallies, before = (await read(asked.stretch)).tallies, None
    earlier: dict[RowKey, Tally] = {}
    if asked.before is not None:
        with suppress(ApiProblem):  # of too few people
            published = await read(asked.before)
            before, earlier = (None, {}) if published.merged else (asked.before, published.tallies)
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
    return build_table(settings, asked, before, used, selection.groups, [])
