"""The banner: for the current credit period, while the threshold is met. Each person dismisses it separately."""

from datetime import timedelta
from typing import Any

import pytest
from support.data.table_rows import MICRO, TableRows, local
from support.services.query_api import Api

from .test_alerts import FIRED_AT, acme, use

NO_BANNER = {
    "id": None, "active": False, "dismissed": False, "kind": None, "passed_on": None, "threshold": None, "percent_used": None, "fired_at": None, "products_over": [], "credit_period": None,
}  # fmt: skip


async def test_the_banner_of_the_current_credit_period(api: Api, db: TableRows) -> None:
    number = await acme(db)
    await use(db, number, "assistant", 310 * MICRO)
    await use(db, number, "api", 2_599_999)
    firing = await db.firing(number, 75, period="second")
    await db.firing(number, 75, period="second", rule="budget")
    await db.banner(number, 75, period="second", fired_at=FIRED_AT)
    assert await api.get("/api/v1/banner") == {
        "id": str(firing),
        "active": True,
        "dismissed": False,
        "kind": "used",
        "threshold": 75,
        "passed_on": None,
        "percent_used": "78.14",
        "fired_at": "2026-11-22T07:00:00Z",
        "products_over": [
            {"product": "assistant", "used": "310.000000", "contracted": "300.000000", "overage": "10.000000"}
        ],
        "credit_period": {
            "id": "second",
            "contract_id": "c1",
            "key": "c1/second",
            "from": "2026-09-15",
            "to": "2026-12-15",
        },
    }


@pytest.mark.parametrize(("contract", "period"), [("c1", "first"), ("c0", "second"), ("c1", "third")])
async def test_the_banner_of_another_credit_period_is_not_active(
    api: Api, db: TableRows, contract: str, period: str
) -> None:
    number = await acme(db)
    await use(db, number, "assistant", 300 * MICRO)
    await db.banner(number, 75, contract=contract, period=period)
    assert await api.get("/api/v1/banner") == NO_BANNER | {
        "percent_used": "75.00",
        "credit_period": {
            "id": "second",
            "contract_id": "c1",
            "key": "c1/second",
            "from": "2026-09-15",
            "to": "2026-12-15",
        },
    }


async def test_the_banner_ends_with_its_period_at_the_organizations_midnight(api: Api, db: TableRows) -> None:
    for zone in ("Asia/Kathmandu", "America/St_Johns", "UTC"):
        name = zone.replace("/", ":")
        await db.banner(await acme(db, zone, name), 90, period="first")
        ends = local(zone, "2026-09-15")
        api.now = ends - timedelta(microseconds=1)
        before = await api.get("/api/v1/banner", organization=name)
        api.now = ends
        after = await api.get("/api/v1/banner", organization=name)
        assert (before["active"], before["threshold"], before["credit_period"]["id"]) == (True, 90, "first"), zone
        assert (after["active"], after["threshold"], after["credit_period"]["id"]) == (False, None, "second"), zone


async def test_percent_used_is_todays_and_the_overviews(api: Api, db: TableRows) -> None:
    number = await acme(db)
    await db.banner(number, 75, period="second")
    for credits, percent in ((300, "75.00"), (59, "89.75"), (-200, "39.75"), (1000, "289.75")):
        await use(db, number, "agents", credits * MICRO)
        banner, overview = await api.get("/api/v1/banner"), await api.get("/api/v1/overview")
        assert (banner["threshold"], banner["percent_used"]) == (75, percent)
        for same in ("percent_used", "credit_period"):
            assert banner[same] == overview[same]
        over = [product for product in overview["products"] if product["overage"] not in (None, "0.000000")]
        assert banner["products_over"] == over


async def test_products_over_their_own_amount_show_without_a_banner(api: Api, db: TableRows) -> None:
    number = await acme(db)
    await use(db, number, "assistant", 300 * MICRO)  # exactly its amount is not over
    await use(db, number, "agents", 100 * MICRO + 1)
    await use(db, number, "api", 50 * MICRO)  # has no own amount
    banner = await api.get("/api/v1/banner")
    assert (banner["active"], banner["threshold"], banner["fired_at"]) == (False, None, None)
    assert banner["products_over"] == [
        {"product": "agents", "used": "100.000001", "contracted": "100.000000", "overage": "0.000001"}
    ]


async def test_without_a_contract_there_is_no_banner(api: Api, db: TableRows) -> None:
    number = await db.organization()
    await use(db, number, "assistant", 5 * MICRO)
    for organization in ("org_acme", "org_unknown"):
        assert await api.get("/api/v1/banner", organization=organization) == NO_BANNER
    await db.banner(number, 75)  # its contract has just been withdrawn
    assert await api.get("/api/v1/banner") == NO_BANNER


async def test_a_period_without_contracted_credits_has_no_percentage(api: Api, db: TableRows) -> None:
    number = await db.organization()
    await db.contract(number, "c1", "2026-01-01", "2027-01-01")
    await db.period(number, "c1", "p1", "2026-01-01", "2027-01-01")
    await use(db, number, "assistant", 5 * MICRO)
    period = {"id": "p1", "contract_id": "c1", "key": "c1/p1", "from": "2026-01-01", "to": "2027-01-01"}
    assert await api.get("/api/v1/banner") == NO_BANNER | {"credit_period": period}


async def dismiss(api: Api, banner: str | None, **claims: Any) -> int:
    return (await api.send("POST", "/api/v1/banner/dismiss", {"id": banner}, **claims)).status_code


async def test_a_banner_is_dismissed_by_one_person_until_another_fires(api: Api, db: TableRows) -> None:
    number = await acme(db)
    first = str(await db.firing(number, 75, period="second"))
    await db.banner(number, 75, period="second")
    assert [await dismiss(api, first) for _ in range(2)] == [204, 204]
    banner = await api.get("/api/v1/banner")
    assert (banner["id"], banner["active"], banner["dismissed"]) == (first, True, True)
    assert (await api.get("/api/v1/banner", sub="user-2"))["dismissed"] is False
    for threshold, episode in ((90, 1), (75, 2)):  # the next threshold, and this one in a new episode
        await db.execute("UPDATE alert_firings SET resolved_at = now(), resolution = 'level'")
        firing = str(await db.firing(number, threshold, period="second", episode=episode))
        await db.banner(number, threshold, period="second", episode=episode)
        banner = await api.get("/api/v1/banner")
        assert (banner["id"], banner["dismissed"]) == (firing, False)
        assert await dismiss(api, first) == 409
        assert await dismiss(api, firing, sub="user-2") == 204
    assert await db.count("SELECT count(*) FROM banner_dismissals WHERE organization_id = $1", number) == 3


async def test_only_the_current_banner_of_ones_organization_is_dismissed(api: Api, db: TableRows) -> None:
    number, other = await acme(db), await acme(db, name="org_other")
    ended = await db.firing(number, 75, period="first")
    await db.banner(number, 75, period="first")
    foreign = await db.firing(other, 75, period="second")
    await db.banner(other, 75, period="second")
    for banner in (ended, foreign, 0, "x", "", "\0", 2**63):
        assert await dismiss(api, str(banner)) == 409, banner
    assert await dismiss(api, None) == 422
    assert await dismiss(api, str(foreign), organization="org_unknown") == 404
    assert await db.count("SELECT count(*) FROM banner_dismissals") == 0
