"""Computes usage by group or label while only groups are shown."""

from collections.abc import Awaitable, Callable, Sequence

from query_api.attributions.book import BookKey
from query_api.attributions.cells import Split, count_items, read_filtered, refuse_crossed
from query_api.attributions.domain.privacy import Published
from query_api.attributions.domain.spans import PeopleGroup
from query_api.attributions.domain.tally import NO_VALUE, UNATTRIBUTED, RowKey, Tally
from query_api.attributions.months import Kept, View, read_groups, read_kept, read_versions
from query_api.attributions.queries import PeopleVersion, sum_totals
from query_api.attributions.selection import refuse_now, select_who
from query_api.calendar import Days
from query_api.db.session import ReadSession
from query_api.http.problems import ApiProblem
from query_api.people.schemas import PeopleFilter
from query_api.people.table import KEYS_OF, Asked, PeopleTable, build_table
from query_api.turns import compute


def split_of(query: PeopleFilter) -> Split:
    """By what the filters divide usage."""
    given = {
        "product": query.product, "feature_kind": query.view, "surface": query.surface, "agent": query.agent,
        "feature": query.feature,
    }  # fmt: skip
    return Split(frozenset(name for name, value in given.items() if value is not None))


async def read_shown(session: ReadSession, kept: Kept, people: PeopleVersion, asked: Asked) -> PeopleTable:
    """Usage of the request's filters by group or label, while only groups are shown. `people` is the version of the session's
    snapshot."""
    query, view, split = asked.query, asked.view, split_of(asked.query)
    is_by_group, label_key = view.by == "group", view.label_key
    refuse_crossed(query, view.by, label_key)
    groups: Sequence[PeopleGroup] = []
    if query.names_who:
        selection = await select_who(session, query, asked.today, with_groups=is_by_group, label_key=label_key)
        groups = selection.groups
        tallies, before = await read_ranges(
            asked, lambda days: read_filtered(session, selection, days, asked.today, asked.series, split)
        )
    else:
        if is_by_group:
            refuse_now(query, people.settings)
            groups = await read_groups(session, kept.cache, people)
        key = BookKey(session.organization_id or 0, view.by, "then" if is_by_group else None, label_key, None)
        rows = View(key, KEYS_OF[view.by], groups if is_by_group else None)
        versions = await read_versions(session, people, asked.ranges, asked.today)
        tallies, before = await read_ranges(
            asked, lambda days: read_kept(session, kept, rows, versions, days, asked.today, asked.series, split)
        )
        *earlier, total = await sum_totals(session, versions.of, asked.ranges, asked.series)
        rest = tallies.setdefault(UNATTRIBUTED if is_by_group else NO_VALUE, Tally())
        others = [tally for tally in tallies.values() if tally is not rest]
        rest.credits = total.credits - sum(tally.credits for tally in others)
        rest.events = total.events - sum(tally.events for tally in others)
        if before is not None:
            rest.previous = earlier[0].credits - sum(tally.previous for tally in others)
    used = {key: tally for key, tally in tallies.items() if tally.credits or tally.events or tally.previous}
    return await compute(
        session.organization_id, count_items([used]), build_table, people.settings, asked, before, used, groups, []
    )


async def read_ranges(
    asked: Asked, read: Callable[[Days], Awaitable[Published]]
) -> tuple[dict[RowKey, Tally], Days | None]:
    """Tallies of the range with the usage before, and the range before. It is None, and its usage left out, unless all of it
    may be shown. Raises ApiProblem."""
    tallies = (await read(asked.stretch)).tallies
    if asked.before is None:
        return tallies, None
    try:
        published = await read(asked.before)
    except ApiProblem as problem:
        if problem.problem != "too-few-people":
            raise
        return tallies, None
    if published.merged:
        return tallies, None
    for key, tally in published.tallies.items():
        tallies.setdefault(key, Tally()).previous += tally.credits
    return tallies, asked.before
