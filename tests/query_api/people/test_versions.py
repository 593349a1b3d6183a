"""What is kept by version follows catalog events that are applied late, and what the organization shows of people."""

import pytest
from support.data.people_usage import PeopleRows
from support.data.table_rows import TableRows
from support.services.query_api import Api

NOVEMBER = "from=2026-11&to=2026-11"
FILTERED = f"/api/v1/breakdown?product=agents&view=agents&{NOVEMBER}&label=project:apollo"


@pytest.fixture
async def acme(db: TableRows) -> PeopleRows:
    rows = PeopleRows(db, await db.organization())
    await rows.configure(label_keys=["project"])
    await rows.actor("ada")
    await rows.use("ada", "2026-11-01", 10, labels={"project": "apollo"}, agent="a1")
    return rows


async def test_people_follow_an_event_that_is_applied_late(api: Api, acme: PeopleRows) -> None:
    path = f"/api/v1/usage/people?{NOVEMBER}"
    assert [row["kind"] for row in (await api.get(path))["rows"]] == ["person"]
    # A late event has a lower offset than the newest.
    await acme.db.execute("UPDATE actors SET removed = true")
    await acme.db.execute("INSERT INTO catalog_reloads (organization_id) VALUES ($1)", acme.organization)
    answer = await api.get(path)
    assert (answer["rows"], [row["kind"] for row in answer["pinned"]]) == ([], ["removed"])


@pytest.mark.parametrize(
    "change",
    [
        "INSERT INTO catalog_reloads (organization_id) VALUES ($1)",
        "UPDATE organizations SET people = 'pseudonymous' WHERE organization_id = $1",
        "UPDATE organizations SET label_keys = '{project,team}' WHERE organization_id = $1",
    ],
)
async def test_the_tag_of_a_filtered_breakdown_follows_what_is_shown_of_people(
    api: Api, acme: PeopleRows, change: str
) -> None:
    tag = (await api.ask(FILTERED)).headers["etag"]
    assert (await api.ask(FILTERED)).headers["etag"] == tag
    await acme.db.execute(change, acme.organization)
    assert (await api.ask(FILTERED)).headers["etag"] != tag
