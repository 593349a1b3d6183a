"""What people may ask of the alerter's mails: a test, a mail again, and what became of them."""

import math

from fastapi import APIRouter, Request
from flexcredits_schemas.alerts import Rule as RuleName

from query_api.access.audit import audit
from query_api.access.dependencies import Change, Known, Look, parts_of
from query_api.alerts.domain.email_address import InvalidAddress, key_of
from query_api.alerts.domain.firings import SentTo
from query_api.alerts.routes import AlertId, find_firing
from query_api.alerts.schemas import Delivery, ResendAsked, TestMailAsked, TestMails
from query_api.alerts.settings.schemas import AskedResend, AskedTestMail
from query_api.http.fields import Refused, problems

router = APIRouter(prefix="/api/v1/alerts")

TEST_MAIL = "alert.test_mail"
TEST_EVERY_S = 60.0
TESTS_SHOWN = 5


@router.post("/test-mail", status_code=202, responses=problems(409, 429))
async def ask_for_test_mail(request: Request, person: Known, writing: Change, asked: AskedTestMail) -> TestMailAsked:
    """Have a mail sent to your own address, as one of this rule would be. At most one a minute."""
    try:
        key_of(person.email)
    except InvalidAddress as error:
        raise Refused("no-address", f"Your account has no email address that can receive mail: {error}") from None
    await writing.lock_person(person.subject)
    wait_s = math.ceil(await writing.select_wait(person.subject, TEST_MAIL, TEST_EVERY_S))
    if wait_s:
        raise Refused(
            "too-soon",
            f"One test email per minute. Try again in {wait_s} seconds.",
            headers={"Retry-After": str(wait_s)},
        )
    rule: RuleName = "usage" if asked.rule == "usage" else "budget"
    await writing.insert_mail_request(rule, None, person.email)
    await audit(writing, person, TEST_MAIL, {"rule": rule, "recipient": person.email})
    return TestMailAsked(recipient=person.email, requested_at=parts_of(request).now())


@router.get("/test-mail")
async def get_test_mails(person: Known, reading: Look) -> TestMails:
    """What became of your latest test mails."""
    mails = await reading.select_test_mails(person.email, TESTS_SHOWN)
    return TestMails(mails=[Delivery.model_validate(mail) for mail in mails])


@router.post("/{id}/resend", status_code=202, responses=problems(409))
async def resend_alert(
    request: Request, person: Known, writing: Change, alert_id: AlertId, asked: AskedResend
) -> ResendAsked:
    """Have an alert's mail sent again to one recipient, or to all, whom it failed to reach."""
    firing = await find_firing(writing.reading, alert_id)
    mails = (await writing.reading.select_deliveries([firing.firing_id])).get(firing.firing_id, [])
    recipients = choose_recipients(mails, asked.recipient)
    await writing.insert_mail_request(firing.rule, firing.firing_id, recipients[0] if asked.recipient else None)
    await audit(writing, person, "alert.resend", {"alert": alert_id, "recipients": recipients})
    return ResendAsked(recipients=recipients, requested_at=parts_of(request).now())


def choose_recipients(mails: list[SentTo], recipient: str | None) -> list[str]:
    """Whom to mail again, as the alerter wrote them. Raises Refused when there is nothing to send again."""
    latest = {mail.recipient.lower(): mail for mail in mails}
    if recipient is None:
        failed = [mail.recipient for mail in latest.values() if mail.state == "failed"]
        if not failed:
            raise Refused("nothing-to-resend", "No email of this alert has failed.")
        return failed
    mail = latest.get(recipient.lower())
    if mail is None:
        raise Refused("nothing-to-resend", "This alert was not sent to this address.")
    if mail.state != "failed":
        what = "is still being sent" if mail.state == "pending" else "was delivered to the mail server"
        raise Refused("nothing-to-resend", f"The email to {mail.recipient} {what}.")
    return [mail.recipient]
