"""Statements about contracts: periods, terms, add-ons, and usage in periods. Credits are micro-credits."""

import json
from datetime import date, datetime
from typing import Any

import asyncpg
from flexcredits_schemas.events import PRODUCTS

from query_api.calendar import Days, Span, grain_bounds, today_in
from query_api.contracts.domain.periods import Contract, CreditPeriod, PeriodKey
from query_api.contracts.domain.terms import AddOn, Price, PriceStep, PriceVersion, TeamContact, Terms
from query_api.db.session import ReadSession
from query_api.db.statements import SQL


async def select_contracts(session: ReadSession) -> list[Contract]:
    rows = await session.connection.fetch(SQL["select_contracts"], session.organization_id)
    return [read_contract(row) for row in rows]


def read_contract(row: asyncpg.Record) -> Contract:
    team = TeamContact(row["account_team_name"], row["account_team_email"], row["account_team_url"])
    terms = Terms(
        minimum_commitment=row["minimum_commitment"],
        overage_price=row["overage_price"],
        credit_price=row["credit_price"],
        currency=row["currency"],
        account_team=team if any(team) else None,
    )
    versions = read_versions(row["price_versions"], row["time_zone"])
    return Contract(row["contract_id"], Span(row["starts_on"], row["ends_on"]), terms, versions)


async def select_credit_periods(session: ReadSession) -> list[CreditPeriod]:
    rows = await session.connection.fetch(SQL["select_credit_periods"], session.organization_id)
    return [
        CreditPeriod(
            contract_id=row["contract_id"],
            credit_period_id=row["credit_period_id"],
            span=Span(row["starts_on"], row["ends_on"]),
            total=row["total"],
            products=(row["assistant"], row["agents"], row["api"]),
            add_ons=None if row["add_ons"] is None else int(row["add_ons"]),  # a numeric: the sum may exceed a bigint
        )
        for row in rows
    ]


async def select_add_ons(session: ReadSession) -> dict[PeriodKey, list[AddOn]]:
    """By credit period, in the order of the contract. Periods without add-ons are left out."""
    by_period: dict[PeriodKey, list[AddOn]] = {}
    for row in await session.connection.fetch(SQL["select_add_ons"], session.organization_id):
        key = PeriodKey(row["contract_id"], row["credit_period_id"])
        by_period.setdefault(key, []).append(AddOn(row["name"], row["credits"], row["included"]))
    return by_period


async def select_days(session: ReadSession) -> Days | None:
    """First and last day with usage."""
    row = await session.connection.fetchrow(SQL["select_days"], session.organization_id)
    return Days(row["first"], row["last"]) if row and row["first"] else None


async def sum_days(session: ReadSession, days: Days) -> dict[date, int]:
    """By day. Days without usage are left out."""
    rows = await session.connection.fetch(SQL["sum_days"], session.organization_id, *days)
    return {row["day"]: row["credits"] for row in rows}


async def sum_products(session: ReadSession, *stretches: Days) -> list[dict[str, int]]:
    """By product, for each range of days. Includes products without usage."""
    columns = zip(*(grain_bounds(days) for days in stretches), strict=True)
    sums: list[dict[str, int]] = [dict.fromkeys(PRODUCTS, 0) for _ in stretches]
    for row in await session.connection.fetch(SQL["sum_products"], session.organization_id, *columns):
        sums[row["number"] - 1][row["product"]] = row["credits"]
    return sums


async def sum_periods(session: ReadSession) -> dict[PeriodKey, dict[str, int]]:
    """By product, for each credit period with usage. Includes products without usage."""
    by_period: dict[PeriodKey, dict[str, int]] = {}
    for row in await session.connection.fetch(SQL["sum_periods"], session.organization_id):
        key = PeriodKey(row["contract_id"], row["credit_period_id"])
        by_period.setdefault(key, dict.fromkeys(PRODUCTS, 0))[row["product"]] = row["credits"]
    return by_period


async def sum_adjustments(session: ReadSession, span: Span) -> tuple[int, int]:
    """Credits of corrections in a span, and credits in it that were received after its end."""
    row = await session.connection.fetchrow(SQL["sum_adjustments"], session.organization_id, *span)
    assert row is not None
    return row["corrections"], row["late"]


def read_versions(text: str, time_zone: str | None) -> list[PriceVersion]:
    """Parse the JSON that the aggregator stores. A price is None if the step leaves it out."""
    return [
        PriceVersion(
            today_in(time_zone, datetime.fromisoformat(version["received_at"])),
            version["is_list"],
            read_steps(version["steps"], version["currency"]),
        )
        for version in json.loads(text)
    ]


def read_steps(steps: list[dict[str, Any]], currency: str | None) -> list[PriceStep]:
    return [
        PriceStep(
            date.fromisoformat(step["from"]) if step["from"] else date.min,
            Price(step["overage"], step["credit"], currency),
        )
        for step in steps
    ]
