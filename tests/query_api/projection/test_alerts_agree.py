"""Alerts on projected use have the dates of GET /api/v1/projection: the alerter reads other statements than the query API."""

from datetime import timedelta

from alerter.evaluation.evaluator import Evaluator
from alerter.evaluation.projector import Projector
from runtime.postgres.pool import open_pool
from support.data.table_rows import MICRO, NOW, TableRows
from support.infra.stack import Database
from support.services.query_api import Api

TODAY = NOW.date()
USED = (100, 110, 90, 130, 70, 20, 10)


async def test_the_alerter_projects_what_the_page_shows(api: Api, db: TableRows, database: Database) -> None:
    number = await db.organization(time_zone="Asia/Kathmandu")
    await db.contract(number, "c1", "2026-10-01", "2027-04-01")
    await db.period(number, "c1", "p1", "2026-10-01", "2027-04-01", total=9_000, add_ons=[(500, True), (70, False)])
    for before in range(75):
        day = TODAY - timedelta(days=before)
        used = USED[day.weekday()] * MICRO + before
        await db.use(number, "agents", "model", "opus", f"{day}", used, agent="a1")
        await db.use(number, "api", "namespace", "search", f"{day}", used // 7)
    await db.progress(0, NOW)
    await db.execute(
        "INSERT INTO alert_settings (organization_id, usage_projected_thresholds) VALUES ($1, '{100}')", number
    )
    async with open_pool(
        database.roles["flexcredits_alerter"], application="test", size=2, statement_timeout_s=10
    ) as pool:
        evaluator = Evaluator(pool, billing_moderator_enabled=True, mail_domain="flex.example", now=lambda: NOW)
        await evaluator.evaluate(None, trigger="sweep")
        await Projector(pool, evaluator, "usage.events.v1", lambda: NOW).tick()
    shown = (await api.get("/api/v1/projection"))["projection"]["run_out"]
    assert shown["p10"] is not None
    assert (await api.get("/api/v1/alerts/settings"))["projections"]["usage"]["thresholds"] == [
        {"threshold": 100} | shown
    ]
