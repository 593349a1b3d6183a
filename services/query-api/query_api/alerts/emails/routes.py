"""/api/v1/alerts/test-mail and /resend: test mails, and resending failed mails."""

import math

from fastapi import APIRouter, Request
from flexcredits_schemas.alerts import Rule

from query_api.access.audit import audit
from query_api.access.dependencies import CurrentUser, ReadAccess, WriteAccess
from query_api.access.queries import lock_principal, select_wait
from query_api.access.state import app_state
from query_api.alerts.domain.email_address import InvalidAddress, key_of
from query_api.alerts.domain.firings import StoredMail
from query_api.alerts.emails.queries import insert_mail_request, select_test_mails
from query_api.alerts.emails.schemas import ResendAccepted, ResendRequest, TestMailAccepted, TestMailRequest, TestMails
from query_api.alerts.find import AlertId, find_firing
from query_api.alerts.queries import select_deliveries
from query_api.alerts.schemas import Delivery
from query_api.http.problems import ApiProblem, problems

router = APIRouter(prefix="/api/v1/alerts")

TEST_MAIL = "alert.test_mail"
TEST_MAIL_EVERY_S = 60.0
TESTS_SHOWN = 5


@router.post("/test-mail", status_code=202, responses=problems(409, 429))
async def send_test_mail(
    request: Request, principal: CurrentUser, session: WriteAccess, asked: TestMailRequest
) -> TestMailAccepted:
    """Send a test mail of this rule to your own address. At most one per minute."""
    try:
        key_of(principal.email)
    except InvalidAddress as error:
        raise ApiProblem("no-address", f"Your account has no email address that can receive mail: {error}") from None
    await lock_principal(session, principal.subject)
    wait_s = math.ceil(await select_wait(session, principal.subject, TEST_MAIL, TEST_MAIL_EVERY_S))
    if wait_s:
        raise ApiProblem(
            "too-soon",
            f"One test email per minute. Try again in {wait_s} seconds.",
            headers={"Retry-After": str(wait_s)},
        )
    rule: Rule = "usage" if asked.rule == "usage" else "budget"
    await insert_mail_request(session, rule, None, principal.email)
    await audit(session, principal, TEST_MAIL, {"rule": rule, "recipient": principal.email})
    return TestMailAccepted(recipient=principal.email, requested_at=app_state(request).now())


@router.get("/test-mail")
async def get_test_mails(principal: CurrentUser, session: ReadAccess) -> TestMails:
    """Your latest test mails, with their delivery state."""
    mails = await select_test_mails(session, principal.email, TESTS_SHOWN)
    return TestMails(mails=[Delivery.model_validate(mail) for mail in mails])


@router.post("/{id}/resend", status_code=202, responses=problems(409))
async def resend_alert(
    request: Request, principal: CurrentUser, session: WriteAccess, alert_id: AlertId, asked: ResendRequest
) -> ResendAccepted:
    """Resend an alert's mail to one recipient, or to all, whose mail failed."""
    firing = await find_firing(session, alert_id)
    mails = (await select_deliveries(session, [firing.firing_id])).get(firing.firing_id, [])
    recipients = choose_recipients(mails, asked.recipient)
    await insert_mail_request(session, firing.rule, firing.firing_id, recipients[0] if asked.recipient else None)
    await audit(session, principal, "alert.resend", {"alert": alert_id, "recipients": recipients})
    return ResendAccepted(recipients=recipients, requested_at=app_state(request).now())


def choose_recipients(mails: list[StoredMail], recipient: str | None) -> list[str]:
    """Recipients of the resend, as stored. Raises ApiProblem if there is nothing to resend."""
    latest = {mail.recipient.lower(): mail for mail in mails}
    if recipient is None:
        failed = [mail.recipient for mail in latest.values() if mail.state == "failed"]
        if not failed:
            raise ApiProblem("nothing-to-resend", "No email of this alert has failed.")
        return failed
    mail = latest.get(recipient.lower())
    if mail is None:
        raise ApiProblem("nothing-to-resend", "This alert was not sent to this address.")
    if mail.state != "failed":
        what = "is still being sent" if mail.state == "pending" else "was delivered to the mail server"
        raise ApiProblem("nothing-to-resend", f"The email to {mail.recipient} {what}.")
    return [mail.recipient]
