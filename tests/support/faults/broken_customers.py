"""Organizations whose rows make the alerter fail, and its quarantine."""

from collections.abc import Callable
from ipaddress import ip_network
from typing import Any

from runtime.postgres.pool import Connection
from support.data.table_rows import TableRows
from support.services.alerter import (
    Customer,
    make_customer,
)

LOOPBACK = [ip_network("127.0.0.0/8")]


async def make_customers(db: TableRows, many: int = 4) -> list[Customer]:
    """Organizations that have used 95 %. The last one is broken."""
    customers = [await make_customer(db, f"org_{at}") for at in range(many - 1)]
    customers.append(await make_customer(db, "org_broken"))
    for customer in customers:
        await customer.use(95)
    return customers


async def raise_for(owner: Connection, customer: Customer, table: str, when: str = "INSERT") -> Callable[[], Any]:
    """Create a trigger that fails for this organization's rows; returns a function that removes it."""
    await owner.execute(
        f"CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" IF NEW.organization_id = {customer.number} THEN RAISE 'broken row\nof a secret'; END IF; RETURN NEW; END $$;"
        f" CREATE TRIGGER broken BEFORE {when} ON {table} FOR EACH ROW EXECUTE FUNCTION broken()"
    )

    async def heal() -> None:
        await owner.execute(f"DROP TRIGGER broken ON {table}; DROP FUNCTION broken")

    return heal


async def rows(owner: Connection) -> list[tuple[Any, ...]]:
    """Organization, step and attempts of all quarantined organizations."""
    found = await owner.fetch(
        "SELECT organization, step, attempts FROM quarantine JOIN organizations USING (organization_id)"
        " WHERE component = 'alerter' ORDER BY 1, 2"
    )
    return [tuple(row) for row in found]


async def come_due(owner: Connection) -> None:
    """Make quarantined organizations due, as `flexcredits quarantine release` does."""
    await owner.execute("UPDATE quarantine SET retry_at = now()")


async def add_slack(customer: Customer, url: str) -> None:
    await customer.db.execute(
        "INSERT INTO alert_channels (organization_id, kind, name, masked_url, url, created_by) VALUES ($1, 'slack', 'Ops', $2, $2, 'ada')",
        customer.number, url,
    )  # fmt: skip
