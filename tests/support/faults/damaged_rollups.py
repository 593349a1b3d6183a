"""Rollups and runs, changed by hand as only a superuser can."""

import random

import asyncpg
from support.invariants.rollups import TABLES


async def damage(owner: asyncpg.Connection, chance: random.Random) -> None:
    """Change, delete and invent rows in every table, as only a superuser can."""
    for table, (key, _, _) in TABLES.items():
        number = "corrections" if table == "usage_corrections" else "events"
        rows = await owner.fetch(f"SELECT ctid, tableoid FROM {table}")
        for row in chance.sample(rows, min(len(rows), 6)):
            change = chance.choice(
                [
                    f"UPDATE {table} SET credits = credits + {chance.randrange(-(10**7), 10**7)}",
                    f"UPDATE {table} SET {number} = {number} + {chance.randrange(1, 9)}",
                    f"DELETE FROM {table}",
                ]
            )
            await owner.execute(f"{change} WHERE ctid = $1 AND tableoid = $2", row["ctid"], row["tableoid"])
        made_up = {
            "series_id": "(SELECT min(series_id) FROM usage_series s WHERE s.organization_id = o.organization_id)"
        }
        made_up |= {
            "product": "'api'",
            "month": "date_trunc('month', now())::date",
            "bucket_at": "date_trunc('hour', now())",
        }
        made_up |= {"day": "current_date - 3", "received_on": "current_date", "organization_id": "o.organization_id"}
        names = key.split(", ") + (["kafka_partition"] if "product" in key and table != "usage_late" else [])
        values = ", ".join(made_up.get(name, "3") for name in names)
        await owner.execute(
            f"INSERT INTO {table} ({', '.join(names)}, credits, {number}) SELECT {values}, 77, 7 FROM organizations o"
            " WHERE organization IN ('org_a') ON CONFLICT DO NOTHING"
        )

    await damage_runs(owner, chance)


RUN_DAMAGE = [
    "UPDATE usage_runs SET credits = credits - 1",
    "UPDATE usage_runs SET events = events + 1",
    "UPDATE usage_runs SET first_at = first_at + interval '1 minute'",
    "UPDATE usage_runs SET last_at = last_at + interval '1 minute'",
    "UPDATE usage_runs SET agent_id = 'agt_other', attribution_id = attribution_id + 1",
    "UPDATE usage_runs SET run_id = 'another'",
    "UPDATE usage_runs SET parent_id = ''",
    "DELETE FROM usage_runs",
]


async def damage_runs(owner: asyncpg.Connection, chance: random.Random) -> None:
    rows = await owner.fetch("SELECT ctid FROM usage_runs ORDER BY organization_id, run_id")
    for statement, row in zip(RUN_DAMAGE, chance.sample(rows, len(RUN_DAMAGE)), strict=True):
        await owner.execute(f"{statement} WHERE ctid = $1", row["ctid"])
    await owner.execute(
        "INSERT INTO usage_runs SELECT organization_id, gen_random_uuid(), 'invented', '', 5, 1, now(), now(), '', 0"
        " FROM organizations WHERE organization = 'org_a'"
    )
