"""Writes the message that goes to the mail server for a mail of the outbox. Pure."""

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
"""These characters end an SMTP command; aiosmtplib raises ValueError for them."""
_UNFIT_FOR_HEADERS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]|=\?")


class NotAnAddress(ValueError):
    """No mail server can send to this text."""


@dataclass(frozen=True)
class MailConfig:
    """Settings that all mails of a deployment share."""

    sender: str
    dashboard_url: str
    """Without a trailing slash."""
    unsubscribe_secret: str = field(default="", repr=False)
    """If it is empty, mails have no unsubscribe links."""


class Unbroken(UnstructuredHeader, BaseHeader):
    """A header with an ASCII address, on one line of any length. Python would split it into encoded words."""

    def fold(self, *, policy: Policy) -> str:
        return f"{self.name}: {self}{policy.linesep}"


class Subject(UniqueUnstructuredHeader, BaseHeader):  # type: ignore[misc]
    """A subject that starts on the line of its name. Python leaves that line empty if the text fills the whole next
    line."""

    def fold(self, *, policy: Policy) -> str:
        folded: str = super().fold(policy=policy)
        empty = f"{self.name}:{policy.linesep}"
        return super().fold(policy=policy.clone(max_line_length=998)) if folded.startswith(empty) else folded


_headers = HeaderRegistry()
_headers.map_to_type("subject", Subject)
_headers.map_to_type("list-unsubscribe", Unbroken)
_POLICY = SMTP.clone(header_factory=_headers)


def write_message(mail: Mail, config: MailConfig) -> EmailMessage:
    """The message. The same arguments give the same bytes. Raises NotAnAddress."""
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
    # Derived from the Message-ID, so that copies are equal byte for byte.
    message.set_boundary(f"=_{mail.message_id.strip('<>').partition('@')[0]}")
    return message


def add_list_headers(message: EmailMessage, mail: Mail, config: MailConfig, unsubscribe_url: str | None) -> None:
    """Add headers for mail programs: they group alerts, mark them as automatic, and offer to unsubscribe."""
    context, domain = mail.context, config.sender.rpartition("@")[2]
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: prevents out-of-office answers
    message["X-Auto-Response-Suppress"] = "All"  # the same for Exchange
    organization = re.sub(r"[^a-z0-9]+", "-", context["organization"].lower()).strip("-")
    message["List-Id"] = f"<{context['rule']}.{organization}.flexcredits.{domain}>"  # RFC 2919
    if "threshold" in context:
        period = context["period"]
        # The mails of one period form a thread, below a first mail that does not exist.
        root = identify_mail(
            "period", context["organization"], context["rule"], period["contract"], period["id"], domain=domain
        )
        message["References"] = root
    if unsubscribe_url:
        message["List-Unsubscribe"] = f"<{unsubscribe_url}>"
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"  # RFC 8058


def write_unsubscribe_url(mail: Mail, config: MailConfig) -> str | None:
    """Only for additional recipients. Others get mail because of their role, for as long as they have it."""
    if not mail.is_additional or not config.unsubscribe_secret:
        return None
    what = Unsubscription(mail.context["organization"], mail.context["rule"], mail.recipient)
    token = seal(what, config.unsubscribe_secret, written_at=mail.created_at)
    return f"{config.dashboard_url}/unsubscribe?token={token}"


def identify_mail(kind: str, *parts: str, domain: str) -> str:
    """A Message-ID (RFC 5322)."""
    return f"<{identify(kind, *parts)}@{domain}>"


def address(text: str, display_name: str = "") -> Address:
    """Exactly one address, quoted where needed. Its domain is encoded in ASCII (RFC 5890), which every server accepts.
    A local part beyond ASCII needs support by the server (RFC 6531). Raises NotAnAddress."""
    username, _, domain = text.rpartition("@")
    if not username or not domain or _UNFIT_FOR_HEADERS.search(text):  # Python decodes encoded words in addresses too
        raise NotAnAddress(f"{text!r}")
    try:
        if not domain.isascii():
            domain = idna.encode(domain, uts46=True).decode()
        if _UNFIT_FOR_DOMAINS.search(domain):
            raise NotAnAddress(f"{text!r}")
        return Address(display_name, username, domain)
    except ValueError as error:  # raised by idna or Address
        raise NotAnAddress(f"{text!r}: {error}") from error


def header_text(text: str) -> str:
    """Text that a mail program cannot mistake for another header.

    Control characters end a header. Python's own email package would decode an encoded word (RFC 2047) in a name into
    control characters (CPython gh-121650).
    """
    return " ".join(_UNFIT_FOR_HEADERS.sub(" ", text).split())
