"""Entity tags: an unchanged answer is not sent again, and every changed one is."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest
from query_api.http.etags import digest, digest_sources, names_tag
from query_api.usage.breakdown.etag import COMPLETE_TO
from starlette.datastructures import Headers
from support.data.table_rows import NOW, TableRows, local
from support.services.query_api import Api

BREAKDOWN = "/api/v1/breakdown?product=agents&view=agents"
PATHS = ["/api/v1/overview", BREAKDOWN, "/api/v1/freshness", "/api/v1/proof", "/api/v1/banner", "/api/v1/alerts"]


async def acme(db: TableRows) -> int:
    number = await db.organization(billing_moderators=True)
    await db.contract(number, "c1", "2026-01-01", "2027-01-01")
    await db.period(number, "c1", "p1", "2026-01-01", "2027-01-01", total=100)
    await db.use(number, "agents", "tool", "search", "2026-11-01", 5, agent="a1")
    await db.agent(number, "a1", "saved", "First")
    await db.sighting(number, "a2", "saved", "Second")
    await db.progress(0, NOW, counted=1)
    return number


async def status(api: Api, path: str, tag: str, **claims: object) -> int:
    token = api.provider.token(**claims)
    answer = await api.client.get(path, headers={"Authorization": f"Bearer {token}", "If-None-Match": tag})
    if answer.status_code == 304:
        assert answer.content == b""
        assert "content-type" not in answer.headers
        assert answer.headers["etag"] == tag
    assert answer.headers["cache-control"] == "private, no-cache"
    assert answer.headers["vary"] == "Authorization, Cookie"
    return answer.status_code


async def test_the_same_answer_is_not_sent_again(api: Api, db: TableRows) -> None:
    await acme(db)
    for path in PATHS:
        tag = (await api.ask(path)).headers["etag"]
        assert await status(api, path, tag) == 304, path
        assert await status(api, path, '"another"') == 200, path
        assert await status(api, path, "") == 200, path


Change = Callable[[Api, TableRows, int], Awaitable[None]]


async def use_more(api: Api, db: TableRows, number: int) -> None:
    await db.use(number, "agents", "tool", "search", "2026-11-01", 5, agent="a1")


async def correct_and_correct_back(api: Api, db: TableRows, number: int) -> None:
    """Sums of credits and events stay the same, but rows of the table change."""
    one = await db.series(number, "agents", "tool", "search", "a1")
    two = await db.use(number, "agents", "tool", "search", "2026-11-01", 0, agent="a2", events=0)
    for series, credits in ((one, -5), (two, 5)):
        await db.execute("UPDATE usage_daily SET credits = credits + $2 WHERE series_id = $1", series, credits)
        await db.execute("INSERT INTO usage_corrections VALUES ($1, '2026-11-01', $2, $3, 1)", number, series, credits)


async def amend_the_contract(api: Api, db: TableRows, number: int) -> None:
    await db.execute("UPDATE credit_periods SET starts_on = '2026-11-15', total = 1")
    await db.execute("UPDATE contracts SET event_offset = 7")


async def rename_the_agent(api: Api, db: TableRows, number: int) -> None:
    await db.execute("UPDATE agents SET name = 'Renamed', event_offset = 7")


async def see_an_agent_under_another_name(api: Api, db: TableRows, number: int) -> None:
    await db.execute("UPDATE agent_sightings SET name = 'Renamed', seen_at = seen_at + interval '1 millisecond'")


async def see_an_agent_saved(api: Api, db: TableRows, number: int) -> None:
    await db.execute("UPDATE agent_sightings SET ever_saved = true")


async def change_a_deployment_wide_feature(api: Api, db: TableRows, number: int) -> None:
    await db.feature(0, "agents", "tool", "search", "2026-01-01", "Category")
    await db.execute("UPDATE features SET event_offset = 7")


async def rename_the_agent_late(api: Api, db: TableRows, number: int) -> None:
    """As an event from the quarantine does: its offset is lower than the newest."""
    await db.execute("UPDATE agents SET name = 'Renamed'")
    await db.execute("INSERT INTO catalog_reloads (organization_id) VALUES ($1)", number)


async def change_a_deployment_wide_feature_late(api: Api, db: TableRows, number: int) -> None:
    await db.feature(0, "agents", "tool", "search", "2026-01-01", "Category")
    await db.execute("INSERT INTO catalog_reloads (organization_id) VALUES (0)")


async def set_rows_right(api: Api, db: TableRows, number: int) -> None:
    """As a rebuild does: credits move from one row to another, and every sum stays the same."""
    await db.execute("INSERT INTO rebuilds (organization_id, first_on, last_on) VALUES ($1, now(), now())", number)


async def let_a_day_begin(api: Api, db: TableRows, number: int) -> None:
    api.now = local("UTC", "2026-11-23")


@pytest.mark.parametrize(
    "change",
    [
        use_more, correct_and_correct_back, amend_the_contract, rename_the_agent, see_an_agent_under_another_name,
        see_an_agent_saved, change_a_deployment_wide_feature, rename_the_agent_late, change_a_deployment_wide_feature_late,
        set_rows_right, let_a_day_begin,
    ],
)  # fmt: skip
async def test_what_changes_the_breakdown_changes_its_tag(api: Api, db: TableRows, change: Change) -> None:
    number = await acme(db)
    before = await api.ask(BREAKDOWN)
    await change(api, db, number)
    assert await status(api, BREAKDOWN, before.headers["etag"]) == 200
    if change is rename_the_agent_late:
        assert "Renamed" in (await api.ask(BREAKDOWN)).text


async def test_what_does_not_change_the_breakdown_does_not_change_its_tag(api: Api, db: TableRows) -> None:
    await acme(db)
    tag = (await api.ask(BREAKDOWN)).headers["etag"]
    other = await db.organization("org_other")
    await db.use(other, "agents", "tool", "search", "2026-11-01", 5)
    await db.agent(other, "a1", "saved", "Renamed")
    api.now = local("UTC", "2026-11-22", "23:59")
    await db.execute("UPDATE partition_progress SET caught_up_at = $1", NOW + timedelta(seconds=1))
    token = api.provider.token()
    answer = await api.client.get(BREAKDOWN, headers={"Authorization": f"Bearer {token}", "If-None-Match": tag})
    assert answer.status_code == 304
    assert answer.headers[COMPLETE_TO] == "2026-11-22T12:00:01Z"  # may be newer than in the client's cached answer


async def test_a_tag_is_one_persons_role_and_organization_and_one_address(api: Api, db: TableRows) -> None:
    await acme(db)
    await db.organization("org_other")
    tag = (await api.ask(BREAKDOWN)).headers["etag"]
    assert await status(api, BREAKDOWN, tag, role="admin") == 200
    assert await status(api, BREAKDOWN, tag, role="billing_moderator") == 200
    assert await status(api, BREAKDOWN, tag, organization="org_other") == 200
    assert await status(api, BREAKDOWN.replace("=agents&view=agents", "=api&view=namespaces"), tag) == 200


async def test_a_user_who_may_no_longer_read_is_refused_without_304(api: Api, db: TableRows) -> None:
    number = await acme(db)
    for path in PATHS:
        tag = (await api.ask(path)).headers["etag"]
        headers = {"Authorization": f"Bearer {api.provider.token(role='member')}", "If-None-Match": tag}
        assert (await api.client.get(path, headers=headers)).status_code == 403
        assert (await api.client.get(path, headers={"If-None-Match": tag})).status_code == 401
    await db.execute("INSERT INTO members VALUES ($1, 'ada@acme.example', NULL, 'super_admin', true, now(), 0)", number)  # fmt: skip
    headers = {"Authorization": f"Bearer {api.provider.token()}", "If-None-Match": tag}
    refused = await api.client.get(BREAKDOWN, headers=headers)
    assert (refused.status_code, refused.headers["cache-control"]) == (403, "no-store")
    assert "etag" not in refused.headers


async def test_a_known_breakdown_is_not_made_again(api: Api, db: TableRows) -> None:
    await acme(db)
    tag = (await api.ask(BREAKDOWN)).headers["etag"]
    await db.execute("REVOKE SELECT ON usage_daily FROM flexcredits_api")  # summing it fails from now on
    assert await status(api, BREAKDOWN, tag) == 304


async def test_small_answers_are_tagged_by_every_byte(api: Api, db: TableRows) -> None:
    await acme(db)
    answer = await api.ask("/api/v1/overview")
    assert answer.headers["etag"] == f'"{digest(answer.content)}"'
    await db.execute("UPDATE partition_progress SET caught_up_at = $1", NOW + timedelta(seconds=1))
    assert await status(api, "/api/v1/overview", answer.headers["etag"]) == 200


def test_another_module_or_statement_in_any_folder_is_another_build(tmp_path: Path) -> None:
    for folder in ("", "usage", "usage/breakdown", "__pycache__"):
        (tmp_path / folder).mkdir(exist_ok=True)
    for path in ("app.py", "usage/queries.py", "usage/queries.sql", "usage/breakdown/routes.py"):
        (tmp_path / path).write_text("as it was")
        before = digest_sources(tmp_path)
        (tmp_path / path).write_text("changed")
        assert digest_sources(tmp_path) != before, path
    before = digest_sources(tmp_path)
    (tmp_path / "usage" / "queries.py").rename(tmp_path / "usage" / "breakdown" / "queries.py")
    assert digest_sources(tmp_path) != before
    before = digest_sources(tmp_path)
    (tmp_path / "__pycache__" / "app.pyc").write_text("made of app.py")
    assert digest_sources(tmp_path) == before


@pytest.mark.parametrize(
    ("asked", "is_known"),
    [
        ('"a"', True), ('W/"a"', True), ('"b", W/"a"', True), ('"b","a"', True),
        ("a", False), ('"A"', False), ('"b"', False), ('"ab"', False), ('"', False), ("", False),
    ],
)  # fmt: skip
def test_if_none_match_is_a_list_of_tags_compared_weakly(asked: str, is_known: bool) -> None:
    headers = Headers({"If-None-Match": asked})
    assert names_tag(headers, '"a"') is is_known
    assert names_tag(headers, 'W/"a"') is is_known
