"""What the datasets of FOCUS have in common: parameters, contracts, days and usage."""

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Literal, NamedTuple

from fastapi import Request
from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from query_api.access.state import app_state
from query_api.attributions.schemas import WhoQuery
from query_api.attributions.selection import refuse_people
from query_api.auth.principal import Principal
from query_api.calendar import Days, today_in
from query_api.contracts.domain.balance import overage_by_day
from query_api.contracts.queries import (
    select_add_ons,
    select_contracts,
    select_credit_periods,
    sum_days,
    sum_periods,
)
from query_api.contracts.range import RangeQuery, choose_days
from query_api.db.session import ReadSession
from query_api.exports.domain.cells import CellRules
from query_api.exports.domain.focus import BillingAccount
from query_api.exports.focus.domain.charges import ContractBook
from query_api.exports.focus.domain.columns import TABLES, Dataset
from query_api.exports.focus.domain.commitments import billing_lines, commitment_lines, invoice_lines
from query_api.exports.parts import LINES_OF_ONE, read_account
from query_api.exports.who import WhoFilter, read_who_filter
from query_api.http.problems import invalid_parameter

Version = Literal["1.2", "1.4"]


class FocusQuery(RangeQuery, WhoQuery):
    dataset: Dataset = Field(
        "cost-and-usage",
        description="cost-and-usage: usage, purchases and corrections. contract-commitment: contracted credits and "
        "minimum commitments. billing-period: credit periods. invoice-detail: the lines of `reconcile` that bill credits. "
        "All but the first need version 1.4, have the rows of credit periods that the days touch, and cannot be split.",
    )
    split: Literal["people"] | SkipJsonSchema[None] = Field(
        None,
        description="people: a row for each actor and group, in the columns x_Actor and x_Group (1.4: x_ActorId, x_GroupId), "
        "empty for usage without them; x_ActorKind is that of people.csv. Corrections are in the rows of who used it, without a "
        "ChargeClass. All sums stay the same. Refused if the organization shows groups only. Only then a file may be filtered by "
        "actor, group and label; it has no purchases and no corrections of prices, which are of all usage together.",
    )


class FocusData(NamedTuple):
    """Read before the file begins. `used`, `overage`: micro-credits by day."""

    account: BillingAccount
    days: Days
    book: ContractBook
    used: Mapping[date, int]
    overage: Mapping[date, int]
    who: WhoFilter | None
    names_who: bool


async def read_focus(
    request: Request, session: ReadSession, principal: Principal, query: FocusQuery, version: Version, rules: CellRules
) -> FocusData:
    """Raises ApiProblem."""
    if query.dataset != "cost-and-usage":
        if version == "1.2":
            raise invalid_parameter("dataset", "needs `version=1.4`")
        if query.split is not None or query.names_who:
            raise invalid_parameter("dataset", "not together with `split`, `actor`, `group` and `label`")
    if query.split is not None:
        refuse_people(session.organization.people, LINES_OF_ONE)
    elif query.names_who:
        raise invalid_parameter("split", "must be `people` with `actor`, `group` or `label`")
    who = await read_who_filter(session, query)
    today = today_in(session.organization.time_zone, app_state(request).now())
    periods = await select_credit_periods(session)
    days = await choose_days(session, query, today, periods)
    contracts = await select_contracts(session)
    spans = [*(contract.span for contract in contracts), *(period.span for period in periods)]
    begins_on = min((span.starts_on for span in spans), default=days.first)
    if version == "1.4" and query.range == "all":
        days = Days(
            min(days.first, begins_on), days.last
        )  # the first contracted credits are purchased before any usage
    needed = Days(begins_on, max(begins_on, days.last))
    if query.dataset != "cost-and-usage":
        needed = Days(date.min, date.max)  # their lines are about whole credit periods
    used = await sum_days(session, needed)
    by_period = await sum_periods(session) if version == "1.4" else {}
    add_ons = await select_add_ons(session) if version == "1.4" else {}
    account = read_account(request, session, principal, rules)
    book = ContractBook(contracts, periods, add_ons, by_period, today)
    is_split = query.split is not None
    return FocusData(
        account, days, book, used, overage_by_day(used, periods), who if is_split else None, query.names_who
    )


def reference_lines(data: FocusData, dataset: Dataset, rules: CellRules) -> Iterator[list[str | None]]:
    """Lines of a dataset other than Cost and Usage, in the order of its columns."""
    account, book, days = data.account, data.book, data.days
    if dataset == "contract-commitment":
        lines = commitment_lines(book, days, account, rules)
    elif dataset == "billing-period":
        lines = billing_lines(book, data.used, days, account, rules)
    else:
        lines = invoice_lines(book, data.used, data.overage, days, account, rules)
    for cells in lines:
        yield [cells.get(column) for column in TABLES[dataset].columns]
