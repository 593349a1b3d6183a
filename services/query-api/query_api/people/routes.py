"""GET /api/v1/usage/people and /api/v1/usage/drivers: who used what. POST /api/v1/people/reveal: who an alias is."""

from collections.abc import Mapping, Sequence
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from flexcredits_schemas.credits import decimal_text

from query_api.access.audit import audit
from query_api.access.dependencies import CurrentUser, SuperAdminAccess, UsageAccess
from query_api.access.state import app_state
from query_api.attributions.book import books_of
from query_api.attributions.domain.tally import PeopleRow, RowKey
from query_api.attributions.months import Kept
from query_api.attributions.queries import select_people_settings, select_revealed
from query_api.attributions.selection import refuse_people
from query_api.calendar import today_in
from query_api.freshness.queries import select_watermark
from query_api.http.answers import answer_json
from query_api.http.fields import date_range
from query_api.http.problems import ApiProblem, problems
from query_api.people.compute import count_rows, find_rows, read_names, read_people
from query_api.people.domain.distribution import Band
from query_api.people.schemas import (
    Drivers,
    DriversQuery,
    People,
    PeopleBand,
    PeopleMover,
    PeopleQuery,
    PeopleTableRow,
    PeopleView,
    RevealedPerson,
    RevealRequest,
)
from query_api.turns import compute
from query_api.usage.breakdown.answers import change_text, read_after
from query_api.usage.breakdown.domain.cursor import cut_page, write_position
from query_api.usage.breakdown.domain.rows import share

router = APIRouter(prefix="/api/v1")


@router.get("/usage/people", response_model=People)
async def get_people(request: Request, session: UsageAccess, query: Annotated[PeopleQuery, Query()]) -> Response:
    """Usage by person, group or label, for any range and filters."""
    app, organization = app_state(request), session.organization
    after = read_after(query.after)
    table = await read_people(
        session, Kept(books_of(request), app.cache), query, query, today_in(organization.time_zone, app.now())
    )
    if query.search is not None:
        table = table._replace(rows=await find_rows(session, table, query.search))
    page = cut_page(table.rows, after, query.limit, table.order)
    rows = [table.build(row) for row in page.rows]
    names = await read_names(session, [*rows, *table.movers])
    watermark = await select_watermark(session, app.topic)
    await session.finish()
    total, before = table.total, table.days_before
    answer = People(
        by=query.by,
        label_key=query.label_key,
        membership=query.membership,
        people_mode=table.settings.people,
        label_keys=list(table.settings.label_keys),
        range=date_range(*table.days),
        previous_range=date_range(*before) if before else None,
        time_zone=organization.time_zone,
        total=decimal_text(total.credits),
        events=total.events,
        previous=decimal_text(total.previous) if before else None,
        change=change_text(total.credits, total.previous if before else 0),
        people=total.people,
        pinned=answer_rows(table.pinned, names, total.credits, has_previous=before is not None),
        rows=await compute(
            session.organization_id, count_rows(rows), answer_rows, rows, names, total.credits, has_previous=before is not None
        ),
        next=write_position(page.place) if page.place else None,
        moved=page.moved,
        bands=answer_bands(table.bands),
        movers=[
            PeopleMover(
                row.kind, row.id, names.get(row.key, row.name), decimal_text(row.tally.credits), decimal_text(row.tally.previous),
                decimal_text(row.tally.credits - row.tally.previous),
            )
            for row in table.movers
        ],
        complete_to=watermark.complete_to,
    )  # fmt: skip
    return answer_json(answer)


@router.get("/usage/drivers", response_model=Drivers)
async def get_drivers(request: Request, session: UsageAccess, query: Annotated[DriversQuery, Query()]) -> Response:
    """The people or groups with most usage of an agent, a feature or other usage."""
    app, organization = app_state(request), session.organization
    today = today_in(organization.time_zone, app.now())
    table = await read_people(session, Kept(books_of(request), app.cache), query, PeopleView(by=query.by), today)
    top = [table.build(row) for row in table.rows[: query.limit]]
    names = await read_names(session, top)
    watermark = await select_watermark(session, app.topic)
    await session.finish()
    total = table.total
    for row in top:
        row.rows = []
    return answer_json(
        Drivers(
            people_mode=table.settings.people,
            range=date_range(*table.days),
            time_zone=organization.time_zone,
            total=decimal_text(total.credits),
            events=total.events,
            people=total.people,
            rows=answer_rows(top, names, total.credits, has_previous=table.days_before is not None),
            others=decimal_text(total.credits - sum(row.tally.credits for row in (*top, *table.pinned))),
            other_rows=len(table.rows) - len(top),
            pinned=answer_rows(table.pinned, names, total.credits, has_previous=table.days_before is not None),
            complete_to=watermark.complete_to,
        )
    )


@router.post("/people/reveal", responses=problems(409))
async def reveal_person(session: SuperAdminAccess, principal: CurrentUser, asked: RevealRequest) -> RevealedPerson:
    """Who an alias is, in an organization that shows aliases. For Super Admins; each request is audited."""
    settings = await select_people_settings(session)
    refuse_people(settings.people)
    if settings.people == "named":
        raise ApiProblem("nothing-to-reveal", "This organization shows names.")
    person = await select_revealed(session, asked.alias)
    if person is None:
        raise ApiProblem("no-such-person", "No usage of this organization is by a person with this alias.")
    # Admins read the audit log, so it has the alias only.
    await audit(session, principal, "people.reveal", {"alias": asked.alias})
    return RevealedPerson(alias=asked.alias, id=person.actor_id, name=person.display_name, email=person.email)


def answer_rows(
    rows: Sequence[PeopleRow], names: Mapping[RowKey, str], total: int, *, has_previous: bool
) -> list[PeopleTableRow]:
    return [
        PeopleTableRow(
            row.kind,
            row.id,
            names.get(row.key, row.name),
            decimal_text(row.tally.credits),
            row.tally.events,
            decimal_text(share(row.tally.credits, total)),
            decimal_text(row.tally.previous) if has_previous else None,
            change_text(row.tally.credits, row.tally.previous) if has_previous else None,
            len(row.tally.people),
            answer_rows(row.rows, names, total, has_previous=has_previous) if row.rows else [],
        )
        for row in rows
    ]


def answer_bands(bands: Sequence[Band]) -> list[PeopleBand]:
    total = sum(band.credits for band in bands)
    return [
        PeopleBand(
            band.from_percent, band.to_percent, band.people, decimal_text(band.credits), decimal_text(share(band.credits, total)),
            None if band.least is None else decimal_text(band.least),
        )
        for band in bands
    ]  # fmt: skip
