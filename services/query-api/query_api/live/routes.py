"""GET /api/v1/live: the overview and the banner as they change, as server-sent events (HTML Standard, 9.2)."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from fastapi.responses import StreamingResponse

from query_api.access.dependencies import Known, Look, Parts, look_as, parts_of
from query_api.alerts.routes import answer_banner, show_to
from query_api.auth.tokens import Person
from query_api.contracts.domain.periods import today_in
from query_api.contracts.range import answer_overview
from query_api.db.session import WAIT_S, Level, Reading, Unavailable, read_as
from query_api.http.etags import digest
from query_api.http.fields import Refused
from query_api.live.hub import Live, Snapshot, Watched
from query_api.live.hub import Look as LookAgain

router = APIRouter(prefix="/api/v1")

PASSES = {"complete_to", "updated_at", "period_elapsed"}
"""What changes with time alone; `freshness` tells it."""

RETRY_AFTER_S = "15"


class EventStream(StreamingResponse):
    media_type = "text/event-stream"


DESCRIPTION: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Events `overview` and `banner`, each with the body of the path of that name, at once and whenever one "
        "of them changes; a comment every 15 s. The stream ends with the session or token.",
        "content": {
            "text/event-stream": {
                "schema": {"type": "string"},
                "example": 'event: overview\ndata: {"credits_used":"420.750001"}\n\n',
            }
        },
    }
}


@router.get("/live", response_class=EventStream, responses=DESCRIPTION)
async def get_live(
    request: Request,
    person: Known,
    _may_look: Look,
    last_event_id: Annotated[str, Header(description="Of the last event received: it is not sent again.")] = "",
) -> EventStream:
    """Totals and banner, live: within a second of their change."""
    parts = parts_of(request)
    if parts.live.is_full(person.organization):
        raise Refused(
            "unavailable", "Too many live connections. Try again in a moment.", headers={"Retry-After": RETRY_AFTER_S}
        )
    return EventStream(watch(parts, person, last_event_id), headers={"X-Accel-Buffering": "no"})


async def watch(parts: Parts, person: Person, last_event_id: str) -> AsyncIterator[bytes]:
    """Events, for as long as the person may look. No connection to Postgres is held meanwhile."""
    live, limits = parts.live, parts.live.limits
    clock = asyncio.get_running_loop().time
    recheck_at, sent_at, sent = clock() + limits.recheck_s, clock(), last_event_id
    async with live.watch(person.organization, look_at(parts, person.organization)) as watched:
        yield b": live\n\n"
        while is_going_on(live, watched, parts, person):
            changed = watched.changed
            if watched.snapshot is not None and watched.snapshot.tag != sent:
                sent, sent_at = watched.snapshot.tag, clock()
                yield watched.snapshot.events_for(person.subject)
                continue  # it may have changed while the client took its time
            if clock() >= recheck_at:
                if not await may_still_look(parts, person):
                    return
                recheck_at = clock() + limits.recheck_s
            if clock() >= sent_at + limits.heartbeat_s:
                sent_at = clock()
                yield b":\n\n"
            expires_s = (person.expires_at - parts.now()).total_seconds() if person.expires_at else limits.recheck_s
            until = min(recheck_at, sent_at + limits.heartbeat_s, clock() + max(0.0, expires_s))
            try:
                async with asyncio.timeout_at(until):
                    await changed.wait()
            except TimeoutError:
                pass


def is_going_on(live: Live, watched: Watched, parts: Parts, person: Person) -> bool:
    looking = watched.looking is not None and not watched.looking.done()
    return looking and not live.is_closing and (person.expires_at is None or parts.now() < person.expires_at)


async def may_still_look(parts: Parts, person: Person) -> bool:
    """Whether the session goes on and the role is still enough. While Postgres is away nothing is known, nor shown."""
    try:
        if person.session_sha256 and parts.sign_in:
            cookies = parts.sign_in.cookies
            if await cookies.find_person(parts.pool, person.session_sha256, parts.now(), in_use=False) is None:
                return False
        async with look_as(parts, parts.pool, person, WAIT_S):
            return True
    except Refused:
        return False
    except Unavailable:
        return True


def look_at(parts: Parts, organization: str) -> LookAgain:
    """Looks at an organization's level, and makes a snapshot only when that has changed."""
    before: tuple[Level, date] | None = None

    @asynccontextmanager
    async def look() -> AsyncIterator[Callable[[], Awaitable[Snapshot | None]]]:
        nonlocal before
        level = before
        async with read_as(parts.pool, organization, "") as reading:

            async def find_news() -> Snapshot | None:
                nonlocal level
                level = (await reading.select_level(), today_in(reading.organization.time_zone, parts.now()))
                return None if level == before else await make_snapshot(parts, reading)

            yield find_news
        before = level  # only now: what failed on the way is looked at again

    return look


async def make_snapshot(parts: Parts, reading: Reading) -> Snapshot:
    overview = await answer_overview(parts, reading)
    banner, dismissed_by = await answer_banner(parts, reading)
    shown = f"{overview.model_dump_json(exclude=PASSES)}{banner.model_dump_json()}{sorted(dismissed_by)}"
    tag = digest(shown.encode())

    def events_for(subject: str) -> bytes:
        its_banner = show_to(subject, banner, dismissed_by)
        # The id comes with the last one: a stream that breaks between them begins with both again.
        return write_event("overview", overview.model_dump_json(by_alias=True)) + write_event(
            "banner", its_banner.model_dump_json(by_alias=True), tag
        )

    return Snapshot(tag, events_for)


def write_event(name: str, data: str, event_id: str | None = None) -> bytes:
    """`data` is one line, as JSON without indentation is."""
    its_id = f"id: {event_id}\n" if event_id else ""
    return f"event: {name}\n{its_id}data: {data}\n\n".encode()
