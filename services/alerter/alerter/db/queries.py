"""Organizations, their levels, firings and banners in Postgres. Levels come from the rollups."""

import json
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any

from flexcredits_schemas.alerts import Resolution, Rule
from flexcredits_schemas.calendar import local_date
from flexcredits_schemas.events import PRODUCTS
from runtime.postgres.pool import Connection, Pool
from runtime.postgres.statements import from_record

from alerter.db.projection_queries import read_projections
from alerter.db.statements import SQL
from alerter.domain.firings import Firing, Kind, Organization, identify_firing
from alerter.domain.organization_state import Banner, OrganizationState
from alerter.domain.projected import PassedOn
from alerter.domain.thresholds import Latest, NewFiring, Period, UsageLevel

NO_DATES = PassedOn(None, None, None)


async def read_states(
    connection: Connection, organization_ids: Sequence[int] | None, begun_by: date, ended_after: date
) -> list[OrganizationState]:
    """Levels by both rules, firings and banners of these organizations (None: all), for periods that end after
    `ended_after`. A period has a level of its projected use if it has thresholds or firings of that kind."""
    states: dict[int, OrganizationState] = {}
    projections = await read_projections(connection, organization_ids)
    with_projected: list[tuple[UsageLevel, Sequence[int]]] = []

    def state(number: int) -> OrganizationState:
        return states.setdefault(number, OrganizationState(number))

    statements: dict[Rule, str] = {"usage": SQL["select_levels"], "budget": SQL["select_budgets"]}
    for rule, statement in statements.items():
        for row in await connection.fetch(statement, organization_ids, begun_by, ended_after):
            if rule == "budget" and row["starts_on"] < local_date(row["saved_at"], row["time_zone"]).replace(day=1):
                continue
            period = Period(rule, row["contract_id"], row["period_id"])
            level = UsageLevel(
                organization_id=row["organization_id"],
                time_zone=row["time_zone"],
                thresholds=row["thresholds"],
                period=period,
                starts_on=row["starts_on"],
                ends_on=row["ends_on"],
                available=row["available"],
                used=row["used"],
                projection=projections.get((row["organization_id"], *period[:3])),
            )
            state(row["organization_id"]).levels.append(level)
            with_projected.append((level, row["projected_thresholds"]))
    for row in await connection.fetch(SQL["select_firings"], organization_ids, ended_after):
        period = Period(row["rule"], row["contract_id"], row["period_id"], row["kind"])
        latest = Latest(
            episode=row["episode"],
            is_open=row["is_open"],
            fired_at=row["fired_at"],
            mailed_at=row["mailed_at"],
        )
        state(row["organization_id"]).latest[period][row["threshold"]] = latest
    for level, thresholds in with_projected:
        period, of = level.period._replace(kind="projected"), states[level.organization_id]
        if thresholds or period in of.latest:
            of.levels.append(level._replace(period=period, thresholds=thresholds))
    for row in await connection.fetch(SQL["select_banners"], organization_ids):
        state(row["organization_id"]).banner = Banner(
            period=Period("usage", row["contract_id"], row["period_id"], row["kind"]),
            threshold=row["threshold"],
            episode=row["episode"],
            fired_at=row["fired_at"],
        )
    return list(states.values())


async def limit_statements(connection: Connection, timeout_s: float) -> None:
    """Limit each following statement of this transaction to `timeout_s` seconds."""
    await connection.execute(SQL["limit_statements"], f"{timeout_s:g}s")


async def number_organizations(pool: Pool, names: Iterable[str]) -> list[int]:
    """Numbers of the known organizations among these names."""
    return [row["organization_id"] for row in await pool.fetch(SQL["select_numbers"], sorted(names))]


async def list_organizations(pool: Pool) -> list[int]:
    """The numbers of all organizations."""
    return [row["organization_id"] for row in await pool.fetch(SQL["select_organizations"])]


async def list_crowded(
    pool: Pool, organization_ids: Sequence[int] | None, begun_by: date, ended_after: date, most: int
) -> set[int]:
    """Those of these organizations (None: all) for which read_states would read more than `most` credit periods and firings."""
    rows = await pool.fetch(SQL["select_crowded"], organization_ids, begun_by, ended_after, most)
    return {row["organization_id"] for row in rows}


async def lock_organization(connection: Connection, organization_id: int, now: datetime) -> None:
    """Lock out other changes of this organization's firings until the transaction ends. Read the levels after this
    call."""
    if not await connection.fetchval(SQL["lock_state"], organization_id):
        await connection.execute(SQL["create_state"], organization_id, now)
        await connection.fetchval(SQL["lock_state"], organization_id)


async def adopt_firings(connection: Connection, organization_id: int) -> None:
    """If a contract was sent again with other ids for the same credit periods, its firings move to the new ids, so no
    threshold fires again. Call it under the lock."""
    await connection.execute(SQL["displace_firings"], organization_id)
    await connection.execute(SQL["adopt_firings"], organization_id)


async def free_episode(connection: Connection, kind: Kind, organization: str, about: Firing) -> int:
    """The firing's episode, or the next one whose id no alert event has. Ids of adopted firings contain the period in
    which they fired, and another period may have that id now."""
    episode = about.episode
    while await connection.fetchval(SQL["find_notice"], identify_firing(kind, organization, about, episode)):
        episode += 1
    return episode


async def mark_evaluated(connection: Connection, organization_id: int, now: datetime) -> None:
    await connection.execute(SQL["mark_evaluated"], organization_id, now)


async def insert_firing(
    connection: Connection, level: UsageLevel, firing: NewFiring, now: datetime, context: dict[str, Any] | None,
    passed_on: PassedOn | None,
) -> int:  # fmt: skip
    """Returns the firing's number."""
    number: int = await connection.fetchval(
        SQL["insert_firing"],
        level.organization_id, *level.period, firing.threshold, firing.episode, level.starts_on, level.ends_on, now,
        level.used, level.available, firing.notification, None if context is None else json.dumps(context),
        *(passed_on or NO_DATES),
    )  # fmt: skip
    return number


async def resolve_firing(
    connection: Connection, organization_id: int, period: Period, threshold: int, resolution: Resolution, now: datetime
) -> tuple[int, Firing]:
    """Returns the resolved firing and its number."""
    row = await connection.fetchrow(SQL["resolve_firing"], organization_id, *period, threshold, now, resolution)
    assert row is not None
    return row["firing_id"], Firing(
        period=period,
        starts_on=row["starts_on"],
        ends_on=row["ends_on"],
        threshold=threshold,
        episode=row["episode"],
        notification=row["notification"],
        fired_at=row["fired_at"],
        passed_on=PassedOn(row["p10"], row["p50"], row["p90"]) if period.kind == "projected" else None,
    )


async def set_banner(connection: Connection, organization_id: int, banner: Banner | None) -> None:
    if banner is None:
        await connection.execute(SQL["lower_banner"], organization_id)
    else:
        await connection.execute(
            SQL["raise_banner"],
            organization_id, *banner.period[1:], banner.threshold, banner.episode, banner.fired_at,
        )  # fmt: skip


async def read_usage(connection: Connection, level: UsageLevel, today: date) -> dict[str, Any]:
    """Usage of each product in the level's period, and the features that used most. Micro-credits."""
    row = await connection.fetchrow(
        SQL["select_mail_context"],
        level.organization_id, level.period.contract_id, level.period.period_id, level.starts_on, level.ends_on,
    )  # fmt: skip
    assert row is not None
    drivers = await connection.fetch(
        SQL["select_drivers"], level.organization_id, level.starts_on, level.ends_on, today
    )
    return {
        "products": [
            {"product": product, "contracted": row[product], "used": row[f"{product}_used"]} for product in PRODUCTS
        ],
        "drivers": [dict(driver) for driver in drivers],
    }


async def name_organization(connection: Connection, organization_id: int) -> Organization:
    row = await connection.fetchrow(SQL["select_name"], organization_id)
    assert row is not None
    return from_record(Organization, row)


async def claim_wakeups(connection: Connection, limit: int) -> set[int]:
    """Claim about `limit` wake-ups; returns their organizations, which are all that have one. 0 means all
    organizations. The wake-ups remain if the transaction fails."""
    return {row["organization_id"] for row in await connection.fetch(SQL["claim_wakeups"], limit)}
