"""GET /api/v1/reconcile/people: lines of a credit period's reconciliation by who used the credits."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, NamedTuple

from fastapi import APIRouter, Query, Request, Response
from flexcredits_schemas.credits import decimal_text

from query_api.access.dependencies import UsageAccess
from query_api.access.state import app_state
from query_api.attributions.book import books_of
from query_api.attributions.domain.tally import PeopleRow, RowKey
from query_api.attributions.months import Kept
from query_api.calendar import days_of, today_in
from query_api.chargeback.domain.allot import Part, add_parts, divide_lines
from query_api.chargeback.schemas import Chargeback, ChargebackQuery, ChargebackRow
from query_api.contracts.reading import read_reconciliation
from query_api.freshness.queries import select_watermark
from query_api.http.answers import answer_json
from query_api.people.compute import count_rows, read_names, read_people
from query_api.people.schemas import PeopleFilter, PeopleView
from query_api.people.table import PeopleTable
from query_api.turns import compute
from query_api.usage.breakdown.answers import read_after
from query_api.usage.breakdown.domain.cursor import cut_page, write_position
from query_api.usage.breakdown.domain.rows import share

router = APIRouter(prefix="/api/v1")


@router.get("/reconcile/people", response_model=Chargeback)
async def get_chargeback(
    request: Request, session: UsageAccess, query: Annotated[ChargebackQuery, Query()]
) -> Response:
    """Used credits, overage and the amount due of a credit period by person or group."""
    app, organization = app_state(request), session.organization
    after, today = read_after(query.after), today_in(organization.time_zone, app.now())
    found = await read_reconciliation(session, query.credit_period, today)
    filters = PeopleFilter.model_validate({"membership": query.membership})
    view = PeopleView(by=query.by)
    table = await read_people(session, Kept(books_of(request), app.cache), filters, view, today, days_of(found.span))
    lines = {line.kind: line for line in found.lines}
    total, due = lines["feature_total"].credits, lines["contract_total"].money
    overage = total - lines["within_available"].credits
    size = count_rows(table.rows)
    parts = await compute(session.organization_id, size, divide_table, table, overage, due)
    page = cut_page(table.rows, after, query.limit, table.order)
    rows = [table.build(row) for row in page.rows]
    names = await read_names(session, rows)
    watermark = await select_watermark(session, app.topic)
    await session.finish()
    return answer_json(
        Chargeback(
            credit_period=found.period.address if found.period else None,
            by=query.by,
            membership=query.membership,
            people_mode=table.settings.people,
            feature_total=decimal_text(total),
            within_available=decimal_text(total - overage),
            overage=decimal_text(overage),
            amount_due=None if due is None else decimal_text(due),
            currency=found.currency,
            pinned=answer_rows(table.pinned, parts, names, total),
            rows=await compute(session.organization_id, size, answer_rows, rows, parts, names, total),
            next=write_position(page.place) if page.place else None,
            moved=page.moved,
            time_zone=organization.time_zone,
            complete_to=watermark.complete_to,
        )
    )


Path = tuple[RowKey, ...]
"""Keys of a row and of the rows that it is in: rows of small groups have the same key in each group."""


def divide_table(table: PeopleTable, overage: int, due: int | None) -> dict[Path, Part]:
    """The part of each row without other rows in it."""
    own: dict[Path, int] = {}
    for row in (*table.rows, *table.pinned):
        if isinstance(row, PeopleRow):
            own |= {path: leaf.tally.credits for path, leaf in leaves_of(row)}
        else:  # not built yet
            less, _, row_id, kind = table.order(row)
            own[((kind, row_id),)] = -less  # type: ignore[index]  # the order has the kind as text
    return dict(zip(own, divide_lines([*own.values()], overage, due), strict=True))


def leaves_of(row: PeopleRow, above: Path = ()) -> Iterator[tuple[Path, PeopleRow]]:
    path = (*above, row.key)
    if not row.rows:
        yield path, row
    for inside in row.rows:
        yield from leaves_of(inside, path)


class Summed(NamedTuple):
    """A row and its part, which is the sum of those of the rows in it."""

    row: ChargebackRow
    part: Part


def sum_row(
    row: PeopleRow, parts: Mapping[Path, Part], names: Mapping[RowKey, str], total: int, above: Path = ()
) -> Summed:
    path = (*above, row.key)
    inside = [sum_row(each, parts, names, total, path) for each in row.rows]
    part = add_parts([each.part for each in inside]) if inside else parts[path]
    answer = ChargebackRow(
        row.kind,
        row.id,
        names.get(row.key, row.name),
        decimal_text(part.credits),
        decimal_text(share(part.credits, total)),
        decimal_text(part.within_available),
        decimal_text(part.overage),
        None if part.amount is None else decimal_text(part.amount),
        [each.row for each in inside],
    )
    return Summed(answer, part)


def answer_rows(
    rows: Sequence[PeopleRow], parts: Mapping[Path, Part], names: Mapping[RowKey, str], total: int
) -> list[ChargebackRow]:
    return [sum_row(row, parts, names, total).row for row in rows]
