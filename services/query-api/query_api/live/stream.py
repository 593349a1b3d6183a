"""One live stream: server-sent events (HTML Standard, 9.2) with overview and banner."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import date

from fastapi.sse import format_sse_event

from query_api.access.dependencies import read_as_principal, read_usage_as
from query_api.access.state import AppState
from query_api.alerts.banner import compute_banner, show_to
from query_api.auth.principal import Principal
from query_api.calendar import today_in
from query_api.db.session import WAIT_S, ReadSession, Unavailable, read_as
from query_api.http.etags import digest
from query_api.http.problems import ApiProblem
from query_api.live.hub import LiveHub, Poll, Snapshot, WatchedOrganization
from query_api.live.queries import LiveVersion, select_live_version
from query_api.overview.overview import compute_overview

TIME_DEPENDENT_FIELDS = {"complete_to", "updated_at", "period_elapsed"}
"""Fields of the overview that change with time only; `freshness` has them."""


async def watch(app: AppState, hub: LiveHub, principal: Principal, last_event_id: str) -> AsyncIterator[bytes]:
    """Events while the principal may read. Holds no Postgres connection while waiting."""
    limits = hub.limits
    clock = asyncio.get_running_loop().time
    recheck_at, sent_at, sent = clock() + limits.recheck_s, clock(), last_event_id
    async with hub.watch(principal.organization, poll_changes(app, principal.organization)) as watched:
        yield b": live\n\n"
        while is_open(hub, watched, app, principal):
            changed = watched.changed
            if watched.snapshot is not None and watched.snapshot.tag != sent:
                sent, sent_at = watched.snapshot.tag, clock()
                yield watched.snapshot.events_for(principal.subject)
                continue  # it may have changed while the client was reading
            if clock() >= recheck_at:
                if not await may_still_read(app, principal):
                    return
                recheck_at = clock() + limits.recheck_s
            if clock() >= sent_at + limits.heartbeat_s:
                sent_at = clock()
                yield b":\n\n"
            expires_s = (principal.expires_at - app.now()).total_seconds() if principal.expires_at else limits.recheck_s
            until = min(recheck_at, sent_at + limits.heartbeat_s, clock() + max(0.0, expires_s))
            try:
                async with asyncio.timeout_at(until):
                    await changed.wait()
            except TimeoutError:
                pass


def is_open(hub: LiveHub, watched: WatchedOrganization, app: AppState, principal: Principal) -> bool:
    is_polled = watched.polling is not None and not watched.polling.done()
    return is_polled and not hub.is_closing and (principal.expires_at is None or app.now() < principal.expires_at)


async def may_still_read(app: AppState, principal: Principal) -> bool:
    """Whether session and role are still valid. True while Postgres is unavailable: no events are sent then."""
    try:
        if principal.session_sha256 and app.sign_in:
            cookies = app.sign_in.cookies
            if await cookies.find_principal(app.pool, principal.session_sha256, app.now(), in_use=False) is None:
                return False
        async with read_as_principal(app, app.pool, principal, WAIT_S):
            return True
    except ApiProblem:
        return False
    except Unavailable:
        return True


def poll_changes(app: AppState, organization: str) -> Poll:
    """Polls the version, and computes a snapshot only if it has changed."""
    before: tuple[LiveVersion, date] | None = None

    @asynccontextmanager
    async def poll() -> AsyncIterator[Callable[[], Awaitable[Snapshot | None]]]:
        nonlocal before
        level = before
        async with read_usage_as(app, app.pool, organization, "", wait_s=WAIT_S) as session:

            async def find_news() -> Snapshot | None:
                nonlocal level
                level = (await select_live_version(session), today_in(session.organization.time_zone, app.now()))
                return None if level == before else await make_snapshot(app, organization, session)

            yield find_news
        before = level  # only after success, so that a failed computation is retried

    return poll


async def make_snapshot(app: AppState, organization: str, session: ReadSession) -> Snapshot:
    overview = await compute_overview(app, session)
    if session.on_replica:  # which may lack a dismissal that a person has just made
        async with read_as(app.pool, organization, "") as current:
            banner, dismissed_by = await compute_banner(app, current)
    else:
        banner, dismissed_by = await compute_banner(app, session)
    shown = f"{overview.model_dump_json(exclude=TIME_DEPENDENT_FIELDS)}{banner.model_dump_json()}{sorted(dismissed_by)}"
    tag = digest(shown.encode())

    def events_for(subject: str) -> bytes:
        its_banner = show_to(subject, banner, dismissed_by)
        # The id is on the last event: if the stream breaks between the two, both are sent again.
        return format_sse_event(event="overview", data_str=overview.model_dump_json(by_alias=True)) + format_sse_event(
            event="banner", data_str=its_banner.model_dump_json(by_alias=True), id=tag
        )

    return Snapshot(tag, events_for)
