"""GET and POST /unsubscribe: who was put on a list by an admin leaves it by the link of a mail, without signing in."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from query_api.access.audit import audit
from query_api.access.dependencies import HoldLink
from query_api.alerts.settings.schemas import write_down
from query_api.alerts.unsubscribe.page import POLICY, ask_page, done_page, refused_page
from query_api.auth.tokens import Person
from query_api.db.writes import Writing

router = APIRouter(include_in_schema=False)  # for people and mail programs


@router.get("/unsubscribe")
async def ask_to_unsubscribe(link: HoldLink) -> HTMLResponse:
    """Changes nothing: programs that look for malware follow the links of mails."""
    wish, writing = link
    return page(ask_page(await name_of(writing, wish.organization), wish.rule, wish.recipient))


@router.post("/unsubscribe")
async def unsubscribe(link: HoldLink) -> HTMLResponse:
    """For the page's button, and for mail programs (RFC 8058), whatever they send. Safe to repeat."""
    wish, writing = link
    await writing.lock_alert_settings()
    before = await writing.reading.select_alert_settings()
    after = before.without(wish.rule, wish.recipient)
    if after is not before and await writing.save_alert_settings(after, wish.recipient):
        saved = await writing.reading.select_alert_settings()
        person = Person(wish.recipient, wish.organization, "", wish.recipient)
        changes = {"rule": wish.rule, "before": write_down(before), "after": write_down(saved)}
        await audit(writing, person, "alert_settings.unsubscribe", changes)
    return page(done_page(await name_of(writing, wish.organization), wish.rule, wish.recipient))


async def name_of(writing: Writing, organization: str) -> str:
    return await writing.reading.select_name() or organization


def page(html: str, status: int = 200) -> HTMLResponse:
    return HTMLResponse(html, status, headers={"Content-Security-Policy": POLICY})


async def answer_invalid_link(request: Request, error: Exception) -> HTMLResponse:
    return page(refused_page(), 400)
