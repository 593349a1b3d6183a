"""What we read about contracts: their periods, terms and add-ons, and what was used in them."""

from runtime.postgres import Connection, load_sql

from query_api.periods import PRODUCTS, Contract, CreditPeriod, PeriodKey, Span
from query_api.terms import AccountTeam, AddOn, Terms

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
                    AccountTeam(*row[7:]) if any(row[7:]) else None,
                ),
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
