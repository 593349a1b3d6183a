"""GET /api/v1/explain: why usage changed between two ranges."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query, Request

from query_api.access.dependencies import UsageAccess
from query_api.access.state import app_state
from query_api.attributions.book import books_of
from query_api.attributions.queries import select_actor_names
from query_api.calendar import today_in
from query_api.explain.compute import Explained, read_explanation
from query_api.explain.domain.decompose import find_movers
from query_api.explain.domain.items import Contribution, FeatureKey, Part, PartKind, Subject
from query_api.explain.names import NameBook
from query_api.explain.schemas import ExplainedPart, ExplainQuery, Explanation, Unpriced
from query_api.http.fields import date_range
from query_api.turns import compute
from query_api.usage.breakdown.answers import change_text
from query_api.usage.breakdown.names import names_of
from query_api.usage.domain.catalog import Feature
from query_api.usage.versions import select_usage_version

router = APIRouter(prefix="/api/v1")

UNPRICED_MAX = 100

Top = Sequence[tuple[Subject, Contribution]]


@router.get("/explain")
async def get_explanation(
    request: Request, session: UsageAccess, query: Annotated[ExplainQuery, Query()]
) -> Explanation:
    """Why usage changed between two ranges, in parts that add up to the change."""
    app, time_zone = app_state(request), session.organization.time_zone
    now = app.now()
    today = today_in(time_zone, now)
    version = await select_usage_version(session, app.topic)
    explained = await read_explanation(
        session, names_of(request), books_of(request), app.cache, query, today, now, version
    )
    tops = {kind: part.top(query.limit) for kind, part in explained.parts.items()}
    people = [subject.person.id for top in tops.values() for subject, _ in top if subject.person]
    person_names = await select_actor_names(session, people)
    await session.finish()
    items = len(explained.before) + len(explained.now)
    movers = await compute(session.organization_id, items, find_movers, explained.before, explained.now, query.limit)
    unpriced = explained.unpriced[:UNPRICED_MAX]
    names = NameBook.of(
        features_of([*tops.values(), movers], unpriced), explained.names, explained.agents, person_names, today
    )
    before, after = explained.totals
    return Explanation(
        before_range=date_range(*explained.compared.before),
        range=date_range(*explained.compared.now),
        before_days=explained.compared.lengths.before,
        days=explained.compared.lengths.now,
        time_zone=time_zone,
        previous=before.credits,
        total=after.credits,
        change=after.credits - before.credits,
        relative_change=change_text(after.credits, before.credits),
        uses_before=before.uses,
        uses=after.uses,
        parts=[answer_part(kind, part, tops[kind], explained, names) for kind, part in explained.parts.items()],
        movers=[names.contributor(*mover) for mover in movers],
        unpriced=[
            Unpriced(**key._asdict(), feature_name=names.name(key.product, Feature(*key[1:]))) for key in unpriced
        ],
        complete_to=version.watermark.complete_to,
    )


def features_of(tops: Sequence[Top], unpriced: Sequence[FeatureKey]) -> set[FeatureKey]:
    found = set(unpriced)
    for top in tops:
        for subject, _ in top:
            if subject.product and subject.feature_kind and subject.feature is not None:
                found.add(FeatureKey(subject.product, subject.feature_kind, subject.feature))
    return found


def answer_part(kind: PartKind, part: Part, top: Top, explained: Explained, names: NameBook) -> ExplainedPart:
    return ExplainedPart(
        kind=kind,
        amount=part.amount,
        known=kind not in explained.unknown,
        contributors=[names.contributor(*each) for each in top],
        others=part.amount - sum(contribution.amount for _, contribution in top),
        other_rows=part.rows - len(top),
    )
