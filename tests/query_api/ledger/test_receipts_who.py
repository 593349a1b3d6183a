"""Who used what, in a receipt, as the organization shows people; and receipts by key."""

from datetime import UTC, datetime

import pytest
from flexcredits_schemas.identity import bucket_of, identity_of, run_identity_of
from support.data.people_rows import SOURCE, actor, attribution, group, run_use, show
from support.data.people_usage import PeopleRows
from support.data.table_rows import MICRO, TableRows
from support.services.query_api import Api

AT = datetime(2026, 11, 9, 20, tzinfo=UTC)  # in Kathmandu the next day, on which Ada is in another group
PATH = f"/api/v1/receipt?source={SOURCE}&id=e1"


async def fill(db: TableRows, people: str) -> int:
    acme = await db.organization(time_zone="Asia/Kathmandu")
    await group(db, acme, "ops", "Operations")
    await actor(
        db, acme, "ada@acme.example", "Ada Lovelace", groups={"2026-01-01": ["web"], "2026-11-10": ["ops", "web"]}
    )
    await show(db, acme, people, label_keys=["project"])
    ada = await attribution(db, acme, "ada@acme.example", labels={"project": "apollo", "hidden": "x"})
    await run_use(db, acme, "org_acme", "r 1", "e1", AT, MICRO, attribution=ada, parent="up", zone="Asia/Kathmandu")
    return acme


async def test_a_receipt_names_actor_group_declared_labels_and_run(api: Api, db: TableRows) -> None:
    await fill(db, "named")
    receipt = await api.get(PATH)
    assert {name: receipt[name] for name in ("actor", "group", "labels", "run")} == {
        "actor": {"kind": "user", "id": "ada@acme.example", "name": "Ada Lovelace"},
        "group": {"id": "ops", "name": "Operations"}, "labels": {"project": "apollo"},
        "run": {"id": "r 1", "key": run_identity_of("r 1").hex(), "parent_id": "up"},
    }  # fmt: skip


@pytest.mark.parametrize("people", ["pseudonymous", "groups_only"])
async def test_a_receipt_shows_people_as_the_organization_does(api: Api, db: TableRows, people: str) -> None:
    await fill(db, people)
    answer = await api.ask(PATH)
    assert "ada" not in answer.text.lower()
    receipt = answer.json()
    if people == "pseudonymous":
        assert receipt["actor"]["name"].startswith("Person ")
        assert receipt["group"]["id"] == "ops"
    else:
        assert (receipt["actor"], receipt["group"], receipt["labels"]) == (None, None, {})
        assert receipt["run"]["id"] == "r 1"


async def test_what_is_beyond_the_limit_of_attributions_is_other(api: Api, db: TableRows) -> None:
    acme = await fill(db, "named")
    rows = PeopleRows(db, acme)
    for name, who in (
        ("folded", await rows.attribution("ada@acme.example", labels={"": ""})),
        ("other", await rows.attribution("", labels={"": ""}, kind="other")),
    ):
        await run_use(db, acme, "org_acme", name, name, AT, MICRO, attribution=who, zone="Asia/Kathmandu")
    for path in (f"/api/v1/receipt?source={SOURCE}&id=", "/api/v1/usage/runs/"):
        folded, other = await api.get(f"{path}folded"), await api.get(f"{path}other")
        assert (folded["actor"]["name"], folded["group"]["id"], folded["labels"]) == (
            "Ada Lovelace",
            "ops",
            {"project": ""},
        )
        assert (other["actor"], other["group"], other["labels"]) == (
            {"kind": "other", "id": None, "name": "Other"}, None, {"project": ""}
        )  # fmt: skip


async def test_held_usage_has_who_and_its_run(api: Api, db: TableRows) -> None:
    acme = await fill(db, "named")
    robot = await attribution(db, acme, "robot", kind="service_account")
    await run_use(db, acme, "org_acme", "held", "e2", AT, 0, attribution=robot, held=True)
    receipt = await api.get(f"/api/v1/receipt?source={SOURCE}&id=e2")
    assert receipt["state"] == "held"
    assert receipt["actor"] == {"kind": "service_account", "id": "robot", "name": "robot"}
    assert receipt["run"] == {"id": "held", "key": run_identity_of("held").hex(), "parent_id": None}


async def test_a_key_finds_the_same_receipt_in_its_organization_only(api: Api, db: TableRows) -> None:
    await fill(db, "named")
    await db.organization("org_other")
    identity = identity_of("org_acme", SOURCE, "e1")
    path = f"/api/v1/receipt?key={bucket_of('e1', identity)}-{identity.hex()}"
    assert await api.get(path) == await api.get(PATH) | {"source": None, "id": None}
    assert (await api.ask(path, organization="org_other")).status_code == 404


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("", "source"),
        ("source=/x", "id"),
        ("id=1", "source"),
        (f"key=-1-{'0' * 32}&id=1", "key"),
        ("key=1-00", "key"),
        ("key=x", "key"),
    ],
)
async def test_a_receipt_is_asked_by_source_and_id_or_by_key(
    api: Api, db: TableRows, query: str, parameter: str
) -> None:
    answer = await api.ask(f"/api/v1/receipt?{query}")
    assert answer.status_code == 422
    assert [error["parameter"] for error in answer.json()["errors"]] == [parameter]
