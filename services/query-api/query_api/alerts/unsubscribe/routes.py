"""GET and POST /unsubscribe: additional recipients remove their address by the link in a mail, without signing in."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from query_api.access.audit import audit
from query_api.access.dependencies import LinkAccess
from query_api.alerts.settings.queries import lock_alert_settings, save_alert_settings, select_alert_settings
from query_api.alerts.settings.schemas import audit_details
from query_api.alerts.unsubscribe.page import UNSUBSCRIBE_POLICY, ask_page, done_page, refused_page
from query_api.auth.principal import Principal

router = APIRouter(include_in_schema=False)  # for people and mail programs


@router.get("/unsubscribe")
async def ask_to_unsubscribe(link: LinkAccess) -> HTMLResponse:
    """Asks for confirmation and changes nothing, because malware scanners open links in mails."""
    wish, session = link
    return page(ask_page(session.organization.name or wish.organization, wish.rule, wish.recipient))


@router.post("/unsubscribe")
async def unsubscribe(link: LinkAccess) -> HTMLResponse:
    """Remove the address. For the page's button and for mail programs (RFC 8058); the body is ignored. Safe to repeat."""
    wish, session = link
    await lock_alert_settings(session)
    before = await select_alert_settings(session)
    after = before.without(wish.rule, wish.recipient)
    if after is not before and await save_alert_settings(session, after, wish.recipient):
        saved = await select_alert_settings(session)
        principal = Principal(wish.recipient, wish.organization, "", wish.recipient)
        changes = {"rule": wish.rule, "before": audit_details(before), "after": audit_details(saved)}
        await audit(session, principal, "alert_settings.unsubscribe", changes)
    return page(done_page(session.organization.name or wish.organization, wish.rule, wish.recipient))


def page(html: str, status: int = 200) -> HTMLResponse:
    return HTMLResponse(html, status, headers={"Content-Security-Policy": UNSUBSCRIBE_POLICY})


async def answer_invalid_link(request: Request, error: Exception) -> HTMLResponse:
    return page(refused_page(), 400)
