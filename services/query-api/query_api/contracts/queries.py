"""What we read about contracts: their periods, terms and add-ons, and what was used in them."""

import json
from datetime import date, datetime
from typing import Any

from flexcredits_schemas.events import PRODUCTS
from runtime.postgres import Connection, load_sql

from query_api.contracts.domain.periods import Contract, CreditPeriod, PeriodKey, Span, today_in
from query_api.contracts.domain.terms import AccountTeam, AddOn, Price, Step, Terms, Version

SQL = load_sql("query_api")


class ContractReads:
    """The part of `store.Reading` that knows contracts. Credits are micro-credits."""

    _connection: Connection
    _id: int | None

    async def select_contracts(self) -> list[Contract]:
        rows = await self._connection.fetch(SQL["select_contracts"], self._id)
        return [
            Contract(
                row["contract_id"],
                Span(row["starts_on"], row["ends_on"]),
                Terms(
                    row["minimum_commitment"],
                    row["overage_price"],
                    row["credit_price"],
                    row["currency"],
                    AccountTeam(*row[7:10]) if any(row[7:10]) else None,
                ),
                read_versions(row["price_versions"], row["time_zone"]),
            )
            for row in rows
        ]

    async def select_credit_periods(self) -> list[CreditPeriod]:
        rows = await self._connection.fetch(SQL["select_credit_periods"], self._id)
        return [
            CreditPeriod(
                row["contract_id"],
                row["credit_period_id"],
                Span(row["starts_on"], row["ends_on"]),
                row["total"],
                (row["assistant"], row["agents"], row["api"]),
                row["add_ons"],
            )
            for row in rows
        ]

    async def select_add_ons(self) -> dict[PeriodKey, list[AddOn]]:
        """By credit period, in the order of the contract; nothing for a period without any."""
        by_period: dict[PeriodKey, list[AddOn]] = {}
        for contract_id, period_id, *add_on in await self._connection.fetch(SQL["select_add_ons"], self._id):
            by_period.setdefault(PeriodKey(contract_id, period_id), []).append(AddOn(*add_on))
        return by_period

    async def sum_periods(self) -> dict[PeriodKey, dict[str, int]]:
        """Credits by product in each credit period; every period with usage is there, with every product."""
        by_period: dict[PeriodKey, dict[str, int]] = {}
        for contract_id, period_id, product, credits in await self._connection.fetch(SQL["sum_periods"], self._id):
            by_period.setdefault(PeriodKey(contract_id, period_id), dict.fromkeys(PRODUCTS, 0))[product] = credits
        return by_period

    async def sum_adjustments(self, span: Span) -> tuple[int, int]:
        """Credits that corrections add to a span, and credits in it that were received after its end."""
        row = await self._connection.fetchrow(SQL["sum_adjustments"], self._id, *span)
        assert row is not None
        return row["corrections"], row["late"]


def read_versions(text: str, time_zone: str | None) -> list[Version]:
    """As the aggregator writes them (facts.py): None for a price that a step leaves out."""
    return [
        Version(
            today_in(time_zone, datetime.fromisoformat(version["received_at"])),
            version["is_list"],
            read_steps(version["steps"], version["currency"]),
        )
        for version in json.loads(text)
    ]


def read_steps(steps: list[dict[str, Any]], currency: str | None) -> list[Step]:
    return [
        Step(
            date.fromisoformat(step["from"]) if step["from"] else date.min,
            Price(step["overage"], step["credit"], currency),
        )
        for step in steps
    ]
