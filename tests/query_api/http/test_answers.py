"""Overview, breakdown, freshness and proof, from rows in a real database."""

from datetime import timedelta
from typing import Any

from support.data.table_rows import NOW, TableRows, local
from support.services.query_api import Api


async def acme(db: TableRows, time_zone: str = "UTC", name: str = "org_acme") -> int:
    """An organization with a yearly contract in two credit periods, and usage around their boundary."""
    acme = await db.organization(name, time_zone)
    await db.contract(acme, "c1", "2026-06-15", "2027-06-15")
    await db.period(acme, "c1", "first", "2026-06-15", "2026-09-15", assistant=100)
    await db.period(
        acme, "c1", "second", "2026-09-15", "2026-12-15", assistant=300, agents=100, add_ons=[(20, True), (999, False)]
    )
    for day, credits in (("2026-06-14", 1), ("2026-09-14", 20), ("2026-09-15", 300), ("2026-11-22", 4000)):
        await db.use(acme, "assistant", "tool", "search", day, credits * 1_000_000, partition=credits % 3)
    await db.use(acme, "api", "namespace", "search", "2026-10-01", 500_001)
    return acme


async def test_overview(api: Api, db: TableRows) -> None:
    await acme(db)
    await db.progress(0, NOW - timedelta(seconds=3))
    await db.progress(1, NOW - timedelta(seconds=2))
    assert await api.get("/api/v1/overview") == {
        "credits_used": "4300.500001",
        "credits_available": "420.000000",
        "remaining": "0.000000",
        "overage": "3880.500001",
        "percent_used": "1023.92",
        "contract_period_used": "4320.500001",
        "products": [
            {"product": "assistant", "used": "4300.000000", "contracted": "300.000000", "overage": "4000.000000"},
            {"product": "agents", "used": "0.000000", "contracted": "100.000000", "overage": "0.000000"},
            {"product": "api", "used": "0.500001", "contracted": None, "overage": None},
        ],
        "credit_period": {
            "id": "second",
            "contract_id": "c1",
            "key": "c1/second",
            "from": "2026-09-15",
            "to": "2026-12-15",
        },
        "contract_period": {"id": "c1", "from": "2026-06-15", "to": "2027-06-15"},
        "period_elapsed": "0.752747",
        "recommended_monthly_budget": {"credits": "0.000000", "remaining_credits": "0.000000", "remaining_months": 2},
        "unallocated": "0.000000",
        "add_ons": "20.000000",
        "account_team": None,
        "time_zone": "UTC",
        "complete_to": "2026-11-22T11:59:57Z",
        "updated_at": "2026-11-22T12:00:00Z",
    }


async def test_overview_without_a_contract_has_usage_and_no_overage(api: Api, db: TableRows) -> None:
    await db.use(await db.organization(), "agents", "model", "opus", "2025-01-01", 7_000_000, agent="a")
    overview = await api.get("/api/v1/overview")
    assert (overview["credits_used"], overview["overage"]) == ("7.000000", "0.000000")
    for field in ("credits_available", "remaining", "percent_used", "contract_period_used", "credit_period", "contract_period", "period_elapsed", "recommended_monthly_budget", "unallocated", "add_ons", "account_team"):  # fmt: skip
        assert overview[field] is None
    assert overview["products"][1] == {"product": "agents", "used": "7.000000", "contracted": None, "overage": None}


async def test_overview_between_two_credit_periods_counts_what_no_period_holds(api: Api, db: TableRows) -> None:
    acme = await db.organization()
    await db.contract(acme, "c1", "2026-01-01", "2027-01-01")
    await db.period(acme, "c1", "past", "2026-01-01", "2026-11-01", total=10)
    await db.period(acme, "c1", "next", "2026-12-01", "2027-01-01", total=10)
    for day, credits in (("2026-10-31", 1), ("2026-11-01", 20), ("2026-11-30", 300), ("2026-12-01", 4000)):
        await db.use(acme, "api", "namespace", "search", day, credits * 1_000_000)
    overview = await api.get("/api/v1/overview")
    assert overview["credit_period"] is None
    assert overview["credits_used"] == "320.000000"
    assert overview["contract_period_used"] == "4321.000000"


async def test_a_credit_period_begins_at_the_organizations_midnight(api: Api, db: TableRows) -> None:
    for zone in ("Asia/Kathmandu", "America/St_Johns", "Europe/Berlin", "Pacific/Apia", "UTC"):
        name = zone.replace("/", ":")
        await acme(db, zone, name)
        begins = local(zone, "2026-09-15")
        api.now = begins - timedelta(microseconds=1)
        before = await api.get("/api/v1/overview", organization=name)
        api.now = begins
        after = await api.get("/api/v1/overview", organization=name)
        assert (before["credit_period"]["id"], before["credits_used"]) == ("first", "20.000000"), zone
        assert before["period_elapsed"] == "0.999999"
        assert (after["credit_period"]["id"], after["credits_used"]) == ("second", "4300.500001"), zone
        assert after["period_elapsed"] == "0.000000"
        assert after["time_zone"] == zone


async def test_a_credit_period_of_a_day_on_which_clocks_change(api: Api, db: TableRows) -> None:
    acme = await db.organization(time_zone="Europe/Berlin")
    await db.contract(acme, "c1", "2026-01-01", "2027-01-01")
    for day, next_day in (("2026-03-29", "2026-03-30"), ("2026-10-25", "2026-10-26")):
        await db.period(acme, "c1", day, day, next_day, total=1)
        await db.use(acme, "api", "namespace", "search", day, 1)
        api.now = local("Europe/Berlin", day, "23:59")
        assert (await api.get("/api/v1/overview"))["credits_used"] == "0.000001"
        api.now += timedelta(minutes=1)
        assert (await api.get("/api/v1/overview"))["credit_period"] is None


async def test_an_unknown_organization_has_no_numbers_and_no_zone(api: Api) -> None:
    overview = await api.get("/api/v1/overview", organization="org_unknown")
    assert (overview["credits_used"], overview["time_zone"], overview["credit_period"]) == ("0.000000", None, None)
    breakdown = await api.get("/api/v1/breakdown?product=api&view=namespaces&range=all", organization="org_unknown")
    assert (breakdown["rows"], breakdown["total"], breakdown["range"]) == (
        [], "0.000000", {"from": "2026-11-22", "to": "2026-11-22"}
    )  # fmt: skip
    assert (await api.get("/api/v1/freshness", organization="org_unknown"))["held"] == 0
    assert (await api.get("/api/v1/proof", organization="org_unknown"))["credits"]["equal"] is True


async def test_usage_of_an_organization_without_a_catalog_event_is_held_and_shown(api: Api, db: TableRows) -> None:
    newcomer = await db.organization("org_new", time_zone=None)
    await db.hold(newcomer, await db.series(newcomer, "api", "namespace", "search"))
    assert (await api.get("/api/v1/freshness", organization="org_new"))["held"] == 1
    assert (await api.get("/api/v1/overview", organization="org_new"))["time_zone"] is None
    assert (await api.get("/api/v1/proof", organization="org_new"))["credits"]["equal"] is True


RANGES = {
    "from=2026-09&to=2026-09": ("2026-09-01", "2026-09-30", "320.000000"),
    "from=2026-09&to=2026-11": ("2026-09-01", "2026-11-30", "4320.000000"),
    "from=2026-09-14&to=2026-09-14": ("2026-09-14", "2026-09-14", "20.000000"),
    "from=2026-09-14&to=2026-09-15": ("2026-09-14", "2026-09-15", "320.000000"),
    "credit_period=first": ("2026-06-15", "2026-09-14", "20.000000"),
    "credit_period=second": ("2026-09-15", "2026-12-14", "4300.000000"),
    "credit_period=current": ("2026-09-15", "2026-12-14", "4300.000000"),
    "": ("2026-09-15", "2026-12-14", "4300.000000"),
    "range=all": ("2026-06-14", "2026-11-22", "4321.000000"),
    "from=0001-01&to=9999-12": ("0001-01-01", "9999-12-31", "4321.000000"),
}


async def test_ranges_are_inclusive_and_say_their_exact_dates(api: Api, db: TableRows) -> None:
    await acme(db)
    for query, expected in RANGES.items():
        breakdown = await api.get(f"/api/v1/breakdown?product=assistant&view=tools&{query}")
        assert (breakdown["range"]["from"], breakdown["range"]["to"], breakdown["total"]) == expected, query
        assert breakdown["rows"][0]["share"] == "1.000000"


async def test_without_a_current_credit_period_the_default_is_this_month_and_asking_for_one_is_refused(
    api: Api, db: TableRows
) -> None:
    await db.organization()
    breakdown = await api.get("/api/v1/breakdown?product=assistant&view=tools")
    assert breakdown["range"] == {"from": "2026-11-01", "to": "2026-11-30"}

    for period in ("current", "first"):
        answer = await api.ask(f"/api/v1/breakdown?product=assistant&view=tools&credit_period={period}")
        assert (answer.status_code, answer.json()["type"]) == (404, "/problems/no-credit-period")


def outline(rows: list[dict[str, Any]]) -> list[Any]:
    """Kind, id, name, credits, events and nested rows, in a short form to compare."""
    return [
        (row["kind"], row["id"], row["name"], row["credits"], row["events"], *([outline(row["rows"])] if row["rows"] else []))
        for row in rows
    ]  # fmt: skip


async def every_view(db: TableRows) -> int:
    acme = await db.organization()
    for since, category in (("2026-01-01", "Writing"), ("2026-10-01", "Coding")):
        await db.feature(0, "assistant", "feature", "code", since, category, "Code Writer")
        await db.feature(0, "agents", "feature", "code", since, category, "Code Writer")
    await db.feature(acme, "assistant", "tool", "jira", "2026-01-01", "Connectors", "Jira")
    await db.feature(0, "assistant", "tool", "jira", "2026-10-15", "Wide", "Wide name")
    await db.feature(0, "assistant", "model", "opus", "2026-01-01", "Ignored", "Opus 5")
    await db.agent(acme, "a1", "saved", "Renamed")
    await db.sighting(acme, "a1", "saved", "Old name", ever_saved=True)
    await db.agent(acme, "d1", "deleted", "Gone")
    await db.sighting(acme, "d1", "saved", "Gone, still used", ever_saved=True)
    await db.agent(acme, "d2", "deleted", None, ever_saved=False)
    await db.sighting(acme, "d2", "saved", "Seen saved", ever_saved=True)
    await db.agent(acme, "u1", "deleted", "Draft", ever_saved=False)
    await db.sighting(acme, "u2", "unsaved", "Another draft")
    await db.sighting(acme, "s1", "system", "Deep Research")
    await db.agent(acme, "s2", "system", "Chat", ever_saved=False)
    for number, agent in enumerate(("a1", "d1", "d2", "u1", "u2", "s1", "s2")):
        for day in ("2026-09-30", "2026-10-01"):
            await db.use(acme, "agents", "feature", "code", day, 10**number, agent=agent, surface="web")
        await db.use(acme, "agents", "model", "opus", "2026-10-01", 5, agent=agent, surface="slack")
    await db.use(acme, "assistant", "feature", "code", "2026-09-30", 1_000_000, events=3)
    await db.use(acme, "assistant", "feature", "code", "2026-10-01", 2_000_000, agent="d1", events=2)
    await db.use(acme, "assistant", "feature", "code", "2026-10-31", 500_000, events=1)
    await db.use(acme, "assistant", "feature", "new", "2026-10-01", 5)
    await db.use(acme, "assistant", "tool", "jira", "2026-10-01", 3, surface="web")
    await db.use(acme, "assistant", "tool", "jira", "2026-10-20", 4, surface="slack")
    await db.use(acme, "assistant", "model", "opus", "2026-10-01", 1, agent="a1")
    await db.use(acme, "assistant", "model", "haiku", "2026-10-01", 2)
    await db.use(acme, "api", "namespace", "search", "2026-10-01", 7)
    return acme


AGENT_ROWS = [
    ("system", "s2", "Chat", "1.000000", 1),
    ("system", "s1", "Deep Research", "0.100000", 1),
    ("unsaved", "unsaved", "Unsaved workflows", "0.011000", 2),
    ("deleted", "deleted", "Deleted agents", "0.000110", 2, [
        ("agent", "d2", "Seen saved", "0.000100", 1),
        ("agent", "d1", "Gone", "0.000010", 1),
    ]),
    ("agent", "a1", "Renamed", "0.000001", 1),
]  # fmt: skip
CODE_ROW = ("feature", "code", "Code Writer", "1.111111", 7, AGENT_ROWS)

VIEWS: dict[tuple[str, str], list[Any]] = {
    ("assistant", "models"): [("model", "haiku", "haiku", "0.000002", 1), ("model", "opus", "Opus 5", "0.000001", 1)],
    ("assistant", "tools"): [
        ("category", "Connectors", "Connectors", "0.000007", 2, [("tool", "jira", "Jira", "0.000007", 2)]),
    ],
    ("assistant", "other_features"): [
        ("category", "Coding", "Coding", "2.500000", 3, [("feature", "code", "Code Writer", "2.500000", 3, [
            ("deleted", "deleted", "Deleted agents", "2.000000", 2, [("agent", "d1", "Gone", "2.000000", 2)]),
            ("feature", "code", "No agent", "0.500000", 1),
        ])]),
        ("category", "Writing", "Writing", "1.000000", 3, [("feature", "code", "Code Writer", "1.000000", 3)]),
        ("feature", "new", "new", "0.000005", 1),
    ],
    ("agents", "agents"): [
        ("system", "s2", "Chat", "2.000005", 3),
        ("system", "s1", "Deep Research", "0.200005", 3),
        ("unsaved", "unsaved", "Unsaved workflows", "0.022010", 6),
        ("deleted", "deleted", "Deleted agents", "0.000230", 6, [
            ("agent", "d2", "Seen saved", "0.000205", 3),
            ("agent", "d1", "Gone", "0.000025", 3),
        ]),
        ("agent", "a1", "Renamed", "0.000007", 3),
    ],
    ("agents", "features"): [
        ("category", "Coding", "Coding", "1.111111", 7, [CODE_ROW]),
        ("category", "Writing", "Writing", "1.111111", 7, [CODE_ROW]),
        ("model", "opus", "opus", "0.000035", 7, [
            ("deleted", "deleted", "Deleted agents", "0.000010", 2, [
                ("agent", "d1", "Gone", "0.000005", 1),
                ("agent", "d2", "Seen saved", "0.000005", 1),
            ]),
            ("unsaved", "unsaved", "Unsaved workflows", "0.000010", 2),
            ("system", "s2", "Chat", "0.000005", 1),
            ("system", "s1", "Deep Research", "0.000005", 1),
            ("agent", "a1", "Renamed", "0.000005", 1),
        ]),
    ],
    ("api", "namespaces"): [("namespace", "search", "search", "0.000007", 1)],
}  # fmt: skip


async def test_breakdown_in_every_view(api: Api, db: TableRows) -> None:
    await every_view(db)
    for (product, view), rows in VIEWS.items():
        breakdown = await api.get(f"/api/v1/breakdown?product={product}&view={view}&from=2026-09&to=2026-10")
        assert outline(breakdown["rows"]) == rows, view
        assert (breakdown["product"], breakdown["view"], breakdown["time_zone"]) == (product, view, "UTC")

    # Views of a product sum to its part of the overview.
    used = {product["product"]: product["used"] for product in (await api.get("/api/v1/overview"))["products"]}
    sums: dict[str, int] = {}
    for product, view in VIEWS:
        breakdown = await api.get(f"/api/v1/breakdown?product={product}&view={view}&range=all")
        rows = sum(micro(row["credits"]) for row in breakdown["rows"])
        assert rows == micro(breakdown["total"])
        if product == "assistant":
            sums[product] = sums.get(product, 0) + rows
        else:
            assert rows == micro(used[product])
    assert sums["assistant"] == micro(used["assistant"])


def micro(text: str) -> int:
    return int(text.replace(".", ""))


INVALID = [
    ("product=api&view=models", "view"),
    ("product=assistant&view=agents", "view"),
    ("product=agents&view=other_features", "view"),
    ("view=models", "product"),
    ("product=assistant", "view"),
    ("product=chat&view=models", "product"),
    ("product=assistant&view=everything", "view"),
    ("product=assistant&view=models&from=2026-09", "to"),
    ("product=assistant&view=models&to=2026-09", "from"),
    ("product=assistant&view=models&from=2026-09&to=2026-08", "to"),
    ("product=assistant&view=models&from=2026-09&to=2026-09-30", "to"),
    ("product=assistant&view=models&from=yesterday&to=today", "from"),
    ("product=assistant&view=models&from=2026-09&to=2026-10&range=all", "range"),
    ("product=assistant&view=models&credit_period=current&range=all", "range"),
    ("product=assistant&view=models&range=some", "range"),
    ("product=assistant&view=models&organization=org_other", "organization"),
]


async def test_a_parameter_that_is_not_valid_is_named(api: Api, db: TableRows) -> None:
    await acme(db)
    for query, parameter in INVALID:
        answer = await api.ask(f"/api/v1/breakdown?{query}")
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json"), query
        problem = answer.json()
        assert (problem["type"], problem["status"]) == ("/problems/invalid-parameter", 422)
        assert [error["parameter"] for error in problem["errors"]] == [parameter]
        assert parameter in problem["detail"]


CAUGHT_UP: list[tuple[list[int | None], str, int | None]] = [
    ([], "no_data", None),
    ([3, 1], "current", 3),
    ([1, 61], "delayed", 61),
    ([1, None], "delayed", None),
    ([-5], "current", 0),
]


async def test_freshness(api: Api, db: TableRows) -> None:
    acme, other = await db.organization(), await db.organization("org_other")
    await db.hold(acme, await db.series(acme, "api", "namespace", "search"))
    await db.hold(other, await db.series(other, "api", "namespace", "search"))
    for ages_s, state, lag_s in CAUGHT_UP:
        await db.execute("DELETE FROM partition_progress")
        for partition, age_s in enumerate(ages_s):
            await db.progress(partition, None if age_s is None else NOW - timedelta(seconds=age_s))
        freshness = await api.get("/api/v1/freshness")
        assert (freshness["state"], freshness["lag_seconds"], freshness["held"]) == (state, lag_s, 1)
        assert (freshness["updated_at"] is None) == (state == "no_data")
        for path in ("/api/v1/overview", "/api/v1/breakdown?product=api&view=namespaces"):
            assert (await api.get(path))["complete_to"] == freshness["complete_to"]
