"""What the datasets of FOCUS have in common: parameters, contracts, days and usage."""

from collections.abc import Mapping
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
from query_api.exports.parts import LINES_OF_ONE, read_account
from query_api.exports.who import WhoFilter, read_who_filter
from query_api.http.problems import invalid_parameter

Version = Literal["1.2", "1.4"]


class FocusQuery(RangeQuery, WhoQuery):
    dataset: Literal["cost-and-usage"] = Field(
        "cost-and-usage",
        description="The dataset of FOCUS: usage, purchases and corrections.",
    )
    split: Literal["people"] | SkipJsonSchema[None] = Field(
        None,
        description="people: a row for each actor and group, in the columns x_Actor and x_Group (1.4: x_ActorId, x_GroupId), "
        "empty for usage without them. Corrections are in the rows of who used it, without a ChargeClass. All sums stay the "
        "same. Refused if the organization shows groups only. Only then a file may be filtered by actor, group and label; it "
        "has no purchases and no corrections of prices, which are of all usage together.",
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
    used = await sum_days(session, Days(begins_on, max(begins_on, days.last)))
    by_period = await sum_periods(session) if version == "1.4" else {}
    add_ons = await select_add_ons(session) if version == "1.4" else {}
    account = read_account(request, session, principal, rules)
    book = ContractBook(contracts, periods, add_ons, by_period, today)
    is_split = query.split is not None
    return FocusData(
        account, days, book, used, overage_by_day(used, periods), who if is_split else None, query.names_who
    )
