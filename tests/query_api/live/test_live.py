"""Server-sent events from a real server: within a second, only for the own organization, and ended with the
permission."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import httpx
import pytest
from prometheus_client import REGISTRY
from query_api.access.state import AppState, SignIn
from query_api.app import build_app
from query_api.auth.cookies import Cookies, hash_id
from query_api.auth.oidc import Issuer
from query_api.auth.queries import insert_session
from query_api.auth.signing_keys import SigningKeys, fetch_from
from query_api.auth.tokens import Verifier
from query_api.db.session import write_as
from query_api.http.middleware import RequestObserver
from query_api.live.hub import LiveHub, LiveLimits
from runtime.http.server import Server, listen, serve
from runtime.postgres.line import LineFull
from runtime.postgres.pool import Pool, line_of
from support.data.table_rows import NOW, TOPIC, TableRows
from support.infra.service_process import eventually, free_port
from support.services.query_api import AUDIENCE, ISSUER, IdentityProvider

QUICK = LiveLimits(poll_s=0.4, heartbeat_s=0.5, recheck_s=0.3, per_organization_max=3, in_all_max=4)
WITHIN_S = 20.0
"""Deadline on a machine that does other work. That a change takes less than a second follows from `poll_s`."""


SHUTDOWN_S = 60.0
"""Much longer than the deadlines here: a stream that a stop does not end fails the test."""


class Event(NamedTuple):
    name: str
    event_id: str
    data: Any


@dataclass
class Stream:
    """A client of the stream."""

    answer: httpx.Response
    lines: AsyncIterator[str]
    heartbeats: int = 0

    async def next(self, within_s: float = WITHIN_S) -> Event:
        """The next event; StopAsyncIteration at the end of the stream."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(within_s):
            async for line in self.lines:
                if line.startswith(":"):
                    self.heartbeats += 1
                elif line:
                    name, _, value = line.partition(": ")
                    fields[name] = value
                elif fields:
                    return Event(fields["event"], fields.get("id", ""), json.loads(fields["data"]))
        raise StopAsyncIteration

    async def is_silent(self, heartbeats: int = 3) -> None:
        """Wait for so many heartbeats. Raises AssertionError when an event comes."""
        until = self.heartbeats + heartbeats
        async with asyncio.timeout(WITHIN_S):
            async for line in self.lines:
                assert not line.startswith(("event", "data")), line
                self.heartbeats += line.startswith(":")
                if self.heartbeats == until:
                    return
        raise AssertionError("the stream has ended")

    async def both(self, within_s: float = WITHIN_S) -> tuple[Any, Any, str]:
        """Overview and banner, and the id of their event."""
        overview, banner = await self.next(within_s), await self.next(within_s)
        assert (overview.name, overview.event_id, banner.name) == ("overview", "", "banner")
        return overview.data, banner.data, banner.event_id

    async def ends(self, within_s: float = WITHIN_S) -> None:
        try:
            while True:
                await self.next(within_s)
        except StopAsyncIteration:
            return


@dataclass
class Served:
    """A real server; `now` is its clock."""

    url: str
    state: AppState
    hub: LiveHub
    provider: IdentityProvider
    stop: asyncio.Event
    now: datetime = NOW

    @asynccontextmanager
    async def listen(self, last_event_id: str = "", cookie: str = "", **claims: Any) -> AsyncIterator[Stream]:
        headers = {"Cookie": cookie} if cookie else {"Authorization": f"Bearer {self.provider.token(**claims)}"}
        if last_event_id:
            headers["Last-Event-ID"] = last_event_id
        async with (
            httpx.AsyncClient(base_url=self.url, timeout=20, trust_env=False) as client,
            client.stream("GET", "/api/v1/live", headers=headers) as answer,
        ):
            yield Stream(answer, answer.aiter_lines())


@pytest.fixture
async def served(pool: Pool, provider: IdentityProvider) -> AsyncIterator[Served]:
    verifier, stop, port = (
        Verifier(SigningKeys(fetch_from(provider.url)), ISSUER, AUDIENCE),
        asyncio.Event(),
        free_port(),
    )
    url = f"http://127.0.0.1:{port}"
    issuer = Issuer(verifier, f"{url}/authorize", f"{url}/token", "client", None, f"{url}/login/callback")
    sign_in = SignIn(issuer, Cookies(url, timedelta(hours=1), timedelta(hours=12)))
    state, hub = AppState(pool, pool, verifier, True, TOPIC, lambda: running.now, pool, sign_in=sign_in), LiveHub(QUICK)
    running = Served(url, state, hub, provider, stop)
    server = Server(
        RequestObserver(build_app(state, hub=hub)), connections_max=100, head_wait_s=5, shutdown_s=SHUTDOWN_S
    )
    serving = asyncio.create_task(serve(server, listen("127.0.0.1", port), stop, hub.close_after(stop)))
    yield running
    stop.set()
    async with asyncio.timeout(WITHIN_S):  # open streams do not delay the stop
        await serving


async def acme(db: TableRows, name: str = "org_acme") -> int:
    number = await db.organization(name)
    await db.contract(number, "c1", "2026-01-01", "2027-01-01")
    await db.period(number, "c1", "p1", "2026-01-01", "2027-01-01", total=100)
    await db.use(number, "api", "namespace", "search", "2026-11-01", 1_000_000)
    return number


def test_a_poll_leaves_time_to_be_within_a_second() -> None:
    assert LiveLimits().poll_s == QUICK.poll_s <= 0.5


async def test_the_present_comes_at_once_and_every_change_within_a_second(served: Served, db: TableRows) -> None:
    number = await acme(db)
    async with served.listen(exp=NOW + timedelta(days=365)) as stream:
        assert stream.answer.status_code == 200
        assert stream.answer.headers["content-type"].startswith("text/event-stream")
        assert stream.answer.headers["cache-control"] == "no-store"
        overview, banner, first = await stream.both()
        assert (overview["credits_used"], overview["credit_period"]["from"]) == ("1.000000", "2026-01-01")
        assert banner["active"] is False
        await db.use(number, "api", "namespace", "search", "2026-11-01", 89_000_000)
        overview, banner, second = await stream.both()
        assert overview["credits_used"] == "90.000000"
        await db.banner(number, 90)
        overview, banner, third = await stream.both()
        assert (banner["active"], banner["threshold"]) == (True, 90)
        await db.execute("UPDATE credit_periods SET total = 200000000")
        await db.execute("UPDATE contracts SET event_offset = 7")
        overview, banner, fourth = await stream.both()
        assert overview["credits_available"] == "200.000000"
        # An event from the quarantine may have a lower offset than the newest one.
        await db.execute("UPDATE credit_periods SET total = 300000000")
        await db.execute("UPDATE contracts SET event_at = event_at + interval '1 second'")
        await db.execute("INSERT INTO catalog_reloads (organization_id) VALUES ($1)", number)
        overview, banner, fifth = await stream.both()
        assert overview["credits_available"] == "300.000000"
        served.now += timedelta(days=60)
        overview, banner, sixth = await stream.both()
        assert overview["credit_period"] is None
        assert len({first, second, third, fourth, fifth, sixth}) == 6


async def test_what_the_client_has_is_not_sent_again(served: Served, db: TableRows) -> None:
    number = await acme(db)
    await db.progress(0, NOW)
    async with served.listen() as stream:
        _, _, has = await stream.both()
    async with served.listen(last_event_id=has) as stream:
        await db.execute("UPDATE partition_progress SET caught_up_at = now(), updated_at = now()")
        served.now += timedelta(seconds=9)  # time alone is not a change
        await stream.is_silent()
    async with served.listen(last_event_id=has) as stream:
        await db.use(number, "api", "namespace", "search", "2026-11-01", 1)
        overview, _, later = await stream.both()
        assert (overview["credits_used"], later != has) == ("1.000001", True)


async def test_no_stream_reports_another_organization(served: Served, db: TableRows) -> None:
    await acme(db)
    other = await acme(db, "org_other")
    async with served.listen() as ours, served.listen(organization="org_other") as theirs:
        await ours.both()
        await theirs.both()
        await db.use(other, "api", "namespace", "search", "2026-11-01", 41_000_000)
        assert (await theirs.both())[0]["credits_used"] == "42.000000"
        await ours.is_silent()


async def test_a_banner_is_hidden_from_who_dismissed_it_and_shown_to_the_others(served: Served, db: TableRows) -> None:
    number = await acme(db)
    firing = await db.firing(number, 75, "suppressed")
    await db.banner(number, 75)
    async with served.listen() as ours, served.listen(sub="user-2") as others:
        for stream in (ours, others):
            assert (await stream.both())[1]["dismissed"] is False
        await db.execute("INSERT INTO banner_dismissals VALUES ($1, 'user-1', $2)", number, firing)
        assert (await ours.both())[1]["dismissed"] is True
        assert (await others.both())[1]["dismissed"] is False
        await db.firing(number, 90, "suppressed")
        await db.banner(number, 90)
        for stream in (ours, others):
            banner = (await stream.both())[1]
            assert (banner["threshold"], banner["dismissed"]) == (90, False)


async def test_a_removed_member_is_no_longer_notified(served: Served, db: TableRows) -> None:
    number = await acme(db)
    insert = "INSERT INTO members VALUES ($1, 'ada@acme.example', NULL, 'super_admin', true, now(), 0)"
    async with served.listen() as gone, served.listen(email="ben@acme.example") as stays:
        await gone.both()
        await stays.both()
        await db.execute(insert, number)
        await gone.ends()
        await db.use(number, "api", "namespace", "search", "2026-11-01", 1)
        await stays.both()


async def test_the_stream_ends_with_the_token(served: Served, db: TableRows) -> None:
    await acme(db)
    served.now = datetime.now(UTC)
    async with served.listen(exp=served.now + timedelta(seconds=30)) as stream:
        await stream.both()
        served.now += timedelta(seconds=31)
        await stream.ends()


async def test_the_stream_ends_with_the_session_and_does_not_keep_it_alive(served: Served, db: TableRows) -> None:
    await acme(db)
    assert served.state.sign_in
    verified = await served.state.verifier.identify("bearer", served.provider.token())
    session_id, signed_in = served.state.sign_in.cookies.begin(verified, served.now)
    async with write_as(served.state.pool, "org_acme") as session:
        await insert_session(session, hash_id(session_id), signed_in)
    async with served.listen(cookie=f"flexcredits={session_id}") as stream:
        await stream.both()
        served.now += timedelta(minutes=59)
        await asyncio.sleep(2 * QUICK.recheck_s)
        (row,) = await db.fetch("SELECT last_seen_at FROM sessions")
        assert row[0] == NOW
        served.now += timedelta(minutes=2)
        await stream.ends()


async def test_a_user_who_may_not_read_receives_nothing(served: Served, db: TableRows) -> None:
    await acme(db)
    async with served.listen(role="member") as stream:
        assert stream.answer.status_code == 403
        assert stream.answer.headers["content-type"] == "application/problem+json"


async def test_watchers_are_bounded_and_places_become_free(served: Served, db: TableRows) -> None:
    await acme(db)
    await acme(db, "org_other")
    async with served.listen() as one, served.listen() as two:
        async with served.listen() as three:
            for stream in (one, two, three):
                await stream.both()
            async with served.listen() as fourth:
                assert (fourth.answer.status_code, fourth.answer.headers["retry-after"]) == (503, "15")
            async with served.listen(organization="org_other") as other:
                await other.both()
                async with served.listen(organization="org_other") as fifth:  # four streams in total
                    assert fifth.answer.status_code == 503
        await eventually(lambda: not served.hub.is_full("org_acme"), what="a place is free")
        async with served.listen() as again:
            await again.both()


async def test_watchers_share_one_loop_and_hold_no_connection(served: Served, db: TableRows) -> None:
    await acme(db)
    async with served.listen() as one, served.listen() as two, served.listen() as three:
        for stream in (one, two, three):
            await stream.both()
        polls = [task for task in asyncio.all_tasks() if "_keep_polling" in repr(task.get_coro())]
        assert len(polls) == 1
        await eventually(
            lambda: served.state.pool.get_size() == served.state.pool.get_idle_size(), what="no connection in use"
        )
    await eventually(lambda: all(task.done() for task in polls), what="no poll without a stream")


async def test_watching_outlasts_a_lost_connection(served: Served, db: TableRows) -> None:
    number = await acme(db)
    async with served.listen() as stream:
        await stream.both()
        await db.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'test'")
        await db.use(number, "api", "namespace", "search", "2026-11-01", 1)
        assert (await stream.both())[0]["credits_used"] == "1.000001"


async def test_a_stop_ends_every_stream_at_once(served: Served, db: TableRows) -> None:
    await acme(db)
    async with served.listen() as stream:
        await stream.both()
        served.stop.set()
        await stream.ends()


async def test_a_poll_that_raises_is_repeated_and_the_other_streams_continue(
    served: Served, db: TableRows, expected_errors: list[str]
) -> None:
    """An error in org_broken's rows silences only its own stream, which sends all changes after the rows are fixed."""
    expected_errors.append("live poll failed")
    number = await acme(db)
    broken = await acme(db, "org_broken")
    await db.execute(
        "CREATE POLICY broken ON credit_periods AS RESTRICTIVE FOR SELECT TO flexcredits_api USING"
        f" (CASE WHEN organization_id = {broken} THEN 1 / (organization_id - {broken}) = 0 ELSE true END)"
    )
    failed = "flexcredits_query_api_live_failures_total"
    before = REGISTRY.get_sample_value(failed, {"kind": "failed"}) or 0
    async with served.listen(organization="org_broken") as theirs, served.listen() as ours:
        await ours.both()
        await eventually(
            lambda: (REGISTRY.get_sample_value(failed, {"kind": "failed"}) or 0) >= before + 3, what="it is tried again"
        )
        await db.use(number, "api", "namespace", "search", "2026-11-01", 1_000_000)
        await ours.both()
        await db.execute("DROP POLICY broken ON credit_periods")
        overview, _, _ = await theirs.both()
        assert overview["credits_used"] == "1.000000"


async def test_polls_that_hang_on_some_organizations_data_leave_the_others_their_turns(
    served: Served, db: TableRows
) -> None:
    number = await acme(db)
    slow = [await acme(db, f"org_slow_{at}") for at in range(2)]
    await db.execute(
        "CREATE POLICY slow ON credit_periods AS RESTRICTIVE FOR SELECT TO flexcredits_api USING"
        f" (CASE WHEN organization_id IN ({slow[0]}, {slow[1]}) THEN pg_sleep(30) IS NOT NULL ELSE true END)"
    )
    async with (
        served.listen(organization="org_slow_0"),
        served.listen(organization="org_slow_1"),
        served.listen() as ours,
    ):
        await ours.both()
        for more in range(2, 5):
            await db.use(number, "api", "namespace", "search", "2026-11-01", 1_000_000)
            assert (await ours.both())[0]["credits_used"] == f"{more}.000000"


async def test_a_poll_that_waits_for_a_connection_is_not_cancelled(served: Served, db: TableRows) -> None:
    number = await acme(db)
    served.hub.limits = replace(QUICK, poll_within_s=0.3)
    failed, kind = "flexcredits_query_api_live_failures_total", {"kind": "waiting"}
    before = REGISTRY.get_sample_value(failed, kind) or 0
    async with served.listen() as stream, AsyncExitStack() as taken:
        await stream.both()
        with suppress(LineFull):
            for other in itertools.count():
                await taken.enter_async_context(line_of(served.state.pool).place(f"org_{other}", wait_s=0.2))
        await db.use(number, "api", "namespace", "search", "2026-11-01", 1_000_000)
        await asyncio.sleep(1)  # longer than the time limit of a poll
        await taken.aclose()
        assert (await stream.both())[0]["credits_used"] == "2.000000"
    assert (REGISTRY.get_sample_value(failed, kind) or 0) == before
