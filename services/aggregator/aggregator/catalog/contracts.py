"""Writes contract events: the contract, its price history, credit periods and add-ons."""

import json
from datetime import datetime

from flexcredits_schemas.codec import InvalidEvent
from flexcredits_schemas.decoding.decimals import micro
from flexcredits_schemas.events import Contract, ContractData, CreditPeriod, ProductAmounts
from msgspec import Raw
from runtime.postgres.pool import Connection

from aggregator.db.statements import SQL


async def apply_contract(
    connection: Connection, organization_id: int, event: Contract, offset: int, received_at: datetime
) -> None:
    """Write the contract and its periods if the event is newer. Raises InvalidEvent if a period overlaps one of another
    contract."""
    data, team = event.data, event.data.account_team
    newer = await connection.fetchval(
        SQL["upsert_contract"], organization_id, data.contract_id, data.from_, data.to, _amount(data.minimum_commitment),
        _amount(data.overage_price), _amount(data.credit_price), data.currency, team and team.name, team and team.email,
        team and team.url, event.time, offset, _price_version(data, received_at),
    )  # fmt: skip
    if newer is None:
        return
    starts, ends = [period.from_ for period in data.credit_periods], [period.to for period in data.credit_periods]
    other = await connection.fetchrow(SQL["select_overlapping_period"], organization_id, data.contract_id, starts, ends)
    if other is not None:
        raise InvalidEvent(
            f"overlaps credit period {other['credit_period_id']!r} of contract {other['contract_id']!r}",
            "/data/credit_periods",
        )
    await connection.execute(SQL["delete_credit_periods"], organization_id, data.contract_id)
    # Few statements: no aggregator counts meanwhile, and a contract may have thousands of add-ons.
    key = organization_id, data.contract_id
    await connection.executemany(
        SQL["insert_credit_period"], [(*key, *_period_columns(period)) for period in data.credit_periods]
    )
    add_ons = [
        (*key, period.id, position, add_on.name, micro(add_on.credits), add_on.included)
        for period in data.credit_periods
        for position, add_on in enumerate(period.add_ons or [])
    ]
    await connection.executemany(SQL["insert_add_on"], add_ons)


def _price_version(data: ContractData, received_at: datetime) -> str:
    """The JSON from which the query API builds its price history (query_api/contracts/domain/prices.py)."""
    steps: list[tuple[str | None, Raw, Raw]] = [(None, data.overage_price, data.credit_price)]
    steps += [(f"{price.effective_from}", price.overage_price, price.credit_price) for price in data.prices or []]
    return json.dumps(
        {
            "received_at": received_at.isoformat(),
            "currency": data.currency,
            "is_list": data.prices is not None,
            "steps": [
                {"from": begins_on, "overage": _amount(overage), "credit": _amount(credit)}
                for begins_on, overage, credit in steps
            ],
        }
    )


def _period_columns(period: CreditPeriod) -> tuple[object, ...]:
    products = period.products or ProductAmounts()
    amounts = [_amount(products.assistant), _amount(products.agents), _amount(products.api)]
    given = [amount for amount in amounts if amount is not None]
    total = _amount(period.total) if period.total else (sum(given) if given else None)
    return period.id, period.from_, period.to, total, *amounts


def _amount(raw: Raw) -> int | None:
    return micro(raw) if raw else None
