"""A mail of the outbox -> the message that goes to the mail server. Pure."""

import re
from dataclasses import dataclass, field
from email.headerregistry import (
    Address,
    BaseHeader,
    HeaderRegistry,
    UniqueUnstructuredHeader,
    UnstructuredHeader,
)
from email.message import EmailMessage
from email.policy import SMTP, Policy
from email.utils import format_datetime

import idna
from flexcredits_schemas.unsubscribe import Unsubscription, seal
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from alerter.domain.identity import identify
from alerter.domain.mails import Mail
from alerter.email.text import describe

_environment = Environment(
    loader=PackageLoader("alerter.email"),
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
_UNFIT_FOR_DOMAINS = re.compile(r'[\s<>"]')
"""Ends a command of SMTP: aiosmtplib raises ValueError for it."""
_UNFIT_FOR_HEADERS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]|=\?")


class NotAnAddress(ValueError):
    """Text to which no mail can be sent, whatever the server."""


@dataclass(frozen=True)
class MailConfig:
    """What all mails of a deployment share."""

    sender: str
    dashboard_url: str
    """Without a slash at its end."""
    unsubscribe_secret: str = field(default="", repr=False)
    """Without one there are no unsubscribe links."""


class Unbroken(UnstructuredHeader, BaseHeader):
    """An address in ASCII, on one line however long: Python would break it into encoded words."""

    def fold(self, *, policy: Policy) -> str:
        return f"{self.name}: {self}{policy.linesep}"


class Subject(UniqueUnstructuredHeader, BaseHeader):  # type: ignore[misc]
    """Begins on the line of its name: Python would leave that line empty when the text alone fills the next one."""

    def fold(self, *, policy: Policy) -> str:
        folded: str = super().fold(policy=policy)
        empty = f"{self.name}:{policy.linesep}"
        return super().fold(policy=policy.clone(max_line_length=998)) if folded.startswith(empty) else folded


_headers = HeaderRegistry()
_headers.map_to_type("subject", Subject)
_headers.map_to_type("list-unsubscribe", Unbroken)
_POLICY = SMTP.clone(header_factory=_headers)


def write_message(mail: Mail, config: MailConfig) -> EmailMessage:
    """The message; the same bytes for the same arguments. Raises NotAnAddress."""
    texts = describe(mail.context, config.dashboard_url) | {
        "is_additional": mail.is_additional,
        "unsubscribe_url": write_unsubscribe_url(mail, config),
    }
    message = EmailMessage(policy=_POLICY)
    message["From"] = address(config.sender, "FlexCredits")
    message["To"] = address(mail.recipient)
    message["Subject"] = header_text(texts["subject"])
    message["Date"] = format_datetime(mail.created_at)
    message["Message-ID"] = mail.message_id
    add_list_headers(message, mail, config, texts["unsubscribe_url"])
    kind = mail.context["rule"] if mail.context["used"] is not None else "silent"
    message.set_content(_environment.get_template(f"{kind}.txt").render(texts))
    message.add_alternative(_environment.get_template(f"{kind}.html").render(texts), subtype="html")
    # Derived from the identity, so that a copy is a copy byte for byte.
    message.set_boundary(f"=_{mail.message_id.strip('<>').partition('@')[0]}")
    return message


def add_list_headers(message: EmailMessage, mail: Mail, config: MailConfig, unsubscribe_url: str | None) -> None:
    """What mail programs go by: which alerts belong together, that nobody wrote this, and how to get no more of it."""
    context, domain = mail.context, config.sender.rpartition("@")[2]
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers
    message["X-Auto-Response-Suppress"] = "All"  # Exchange's word for the same
    organization = re.sub(r"[^a-z0-9]+", "-", context["organization"].lower()).strip("-")
    message["List-Id"] = f"<{context['rule']}.{organization}.flexcredits.{domain}>"  # RFC 2919
    if "threshold" in context:
        period = context["period"]
        # The mails of one period form a thread, under a first one that nobody ever got.
        root = identify_mail(
            "period", context["organization"], context["rule"], period["contract"], period["id"], domain=domain
        )
        message["References"] = root
    if unsubscribe_url:
        message["List-Unsubscribe"] = f"<{unsubscribe_url}>"
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"  # RFC 8058


def write_unsubscribe_url(mail: Mail, config: MailConfig) -> str | None:
    """Only for additional recipients: who is told for a role is told as long as the role lasts."""
    if not mail.is_additional or not config.unsubscribe_secret:
        return None
    what = Unsubscription(mail.context["organization"], mail.context["rule"], mail.recipient)
    token = seal(what, config.unsubscribe_secret, written_at=mail.created_at)
    return f"{config.dashboard_url}/unsubscribe?token={token}"


def identify_mail(kind: str, *parts: str, domain: str) -> str:
    """A Message-ID (RFC 5322)."""
    return f"<{identify(kind, *parts)}@{domain}>"


def address(text: str, display_name: str = "") -> Address:
    """Always one address, quoted where it must be. Its domain is in ASCII (RFC 5890), which every server takes; a name
    beyond ASCII is a matter for the server (RFC 6531). Raises NotAnAddress."""
    username, _, domain = text.rpartition("@")
    if not username or not domain or _UNFIT_FOR_HEADERS.search(text):  # an encoded word is decoded in addresses too
        raise NotAnAddress(f"{text!r}")
    try:
        if not domain.isascii():
            domain = idna.encode(domain, uts46=True).decode()
        if _UNFIT_FOR_DOMAINS.search(domain):
            raise NotAnAddress(f"{text!r}")
        return Address(display_name, username, domain)
    except ValueError as error:  # of idna, and of Address
        raise NotAnAddress(f"{text!r}: {error}") from error


def header_text(text: str) -> str:
    """Text that no mail program can take for another header.

    Control characters end a header; and an encoded word (RFC 2047) that somebody put into a name would be decoded into
    them by this Python's own email package (CPython gh-121650).
    """
    return " ".join(_UNFIT_FOR_HEADERS.sub(" ", text).split())
