"""Decides from a mail server's refusal whether to retry. Pure.

A 5xx code alone does not show whether the recipient or our setup is at fault: a default Postfix (`smtpd_delay_reject =
yes`) refuses our HELO name, sender, client and relaying only in its answer to RCPT TO. The enhanced status code shows
it (RFC 3463, RFC 5248).
"""

import re
import ssl

import aiosmtplib

from alerter.domain.attempts import Attempt, reschedule, truncate

_ENHANCED = re.compile(r"(?:^|\n)5\.(\d{1,3})\.(\d{1,3})\b")
_RECIPIENT_AFTER_DATA = {(1, 1), (1, 2), (1, 3), (1, 6), (1, 10), (2, 1), (2, 2)}
"""Subjects and details of status codes about the recipient: unknown, no such domain, bad syntax, moved, null MX;
mailbox disabled, full. Other 5.2.x codes may be about us: Microsoft 365's 5.2.0 (submission quota) and 5.2.252
(SendAsDenied)."""
_RECIPIENT = _RECIPIENT_AFTER_DATA | {(2, 3), (2, 4)}
"""In answers to RCPT TO, two more: a limit of the mailbox, and a list that does not expand."""
_MESSAGE_TOO_BIG = (3, 4)
_STRICT = re.compile(
    r"key identifier|key usage|basic constraints|not marked critical|marked critical|serial number", re.IGNORECASE
)
"""OpenSSL's messages for checks that only VERIFY_X509_STRICT makes. Python sets it from 3.13 on."""


def classify_failure(error: Exception, waited_s: float) -> Attempt:
    """A mail is refused only if the server names this recipient or this mail as the reason. Otherwise it is deferred,
    until it has waited for too long.

    A refusal without an enhanced status code is deferred: "550 relay not permitted" (Exim) and "550 no such user"
    cannot be distinguished. A mail that is wrongly deferred costs a few attempts; one that is wrongly refused is lost.
    """
    detail = truncate(describe(error))
    match error:
        case aiosmtplib.SMTPRecipientsRefused(recipients=[refusal]) if read_status(refusal) in _RECIPIENT:
            return Attempt("refused", detail)
        case aiosmtplib.SMTPDataError() if read_status(error) in _RECIPIENT_AFTER_DATA or is_about_message(error):
            return Attempt("refused", detail)
        case aiosmtplib.SMTPSenderRefused() if read_status(error) == _MESSAGE_TOO_BIG:  # MAIL announces the size
            return Attempt("refused", detail)
        case aiosmtplib.SMTPNotSupported():  # a recipient's local part beyond ASCII, and a server without SMTPUTF8
            return Attempt("refused", detail)
    return reschedule(detail, waited_s)


def is_about_message(refusal: aiosmtplib.SMTPResponseException) -> bool:
    """The mail is too big, or has content that the server does not accept (5.6.x)."""
    status = read_status(refusal)
    return refusal.code == 552 if status is None else status == _MESSAGE_TOO_BIG or status[0] == 6


def read_status(refusal: aiosmtplib.SMTPResponseException) -> tuple[int, int] | None:
    """Subject and detail of a permanent refusal's enhanced status code: (7, 1) for "550 5.7.1 ...". None without
    one."""
    found = _ENHANCED.search(refusal.message) if refusal.code >= 500 else None
    return (int(found[1]), int(found[2])) if found else None


def describe(error: Exception) -> str:
    """The server's answer, or the error that happened before any answer."""
    match error:
        case aiosmtplib.SMTPRecipientsRefused():
            return "; ".join(describe(each) for each in error.recipients)
        case aiosmtplib.SMTPResponseException():
            return f"{error.code} {error.message}"
        case ssl.SSLError():
            return f"TLS failed: {explain_certificate(str(error))}"
    return (
        f"{type(error).__name__}: {explain_certificate(str(error))}" if str(error) else "the mail server took too long"
    )


def explain_certificate(text: str) -> str:
    """Add instructions if only the strict checks of a certificate failed."""
    if "certificate verify failed" not in text or not _STRICT.search(text):
        return text
    return (
        f"{text}. Python 3.13 and later check certificates strictly: create it again with the extension that is named here,"
        ' see "A private certificate authority" in docs/configuration.md'
    )
