"""The alerter's settings, read from the environment."""

import socket
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Literal, Self
from urllib.parse import unquote, urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from runtime.kafka.clients import KafkaSettings
from runtime.process import ProcessSettings

from alerter.email.message import MailConfig, address
from alerter.email.smtp import MailServer


class Settings(KafkaSettings, ProcessSettings):
    """Settings from environment variables with these names in upper case."""

    flexcredits_env: str = "production"
    """Any value except `production` allows a remote mail server without TLS."""
    usage_events_topic: str = "usage.events.v1"
    """Projections need the watermark of its totals."""
    totals_topic: str = "usage.totals.v1"
    alerts_topic: str = "usage.alerts.v1"
    consumer_group: str = "alerter"
    consumer_instance: str | None = None
    """A name that survives restarts, such as the pod's name. A restarted process then gets its partitions back at
    once."""

    smtp_url: SecretStr
    """smtp://user:password@host:port. smtp uses STARTTLS if the server offers it, smtp+starttls requires STARTTLS, and
    smtps starts with TLS. Mail without TLS is allowed to this machine, and outside production."""
    smtp_ca_file: Path | None = None
    """PEM file of the authorities that sign the mail server's certificate. Default: the system's authorities."""
    smtp_answer_s: float = Field(default=10.0, gt=0)
    """Time limit in seconds for connecting, and for each answer of the mail server."""
    smtp_send_s: float = Field(default=20.0, gt=0, le=45)
    """Time limit in seconds for a whole mail. Sending it and storing the result must fit into the minute for which it
    is claimed."""
    smtp_helo_name: str = Field(default="", pattern=r"^(|[A-Za-z0-9.-]{1,255}|\[[0-9A-Fa-f.:IPv]{2,}\])$")
    """The alerter's fully qualified name in EHLO, such as alerts.example.com. Default: this machine's name if it is
    fully qualified, otherwise the domain of MAIL_FROM."""
    mail_from: str = Field(pattern=r"^[^@\s,;<>\"]+@[^@\s,;<>\"]+$")
    dashboard_url: str = Field(pattern=r"^https?://[^\s\"<>]+$")
    """The base of the links in mails."""
    flexcredits_unsubscribe_secret: SecretStr = SecretStr("")
    """Seals the unsubscribe links of additional recipients. The query API has the same secret. Without one, mails have
    no such links."""
    billing_moderator_enabled: bool = True
    """Whether this deployment sends mail to Billing Moderators. Their organization must enable them, too."""

    webhook_ca_file: Path | None = None
    """PEM file of the authorities that sign the certificates of webhook receivers. Default: the system's
    authorities."""
    webhook_networks: list[IPv4Network | IPv6Network] = Field(default=[])
    """JSON list of networks that webhooks may reach although they are not public, such as ["10.20.0.0/16"]."""

    sweep_interval_s: float = Field(default=15.0, gt=0)
    """The longest delay of an alert after a lost message or a stalled consumer."""
    wakeup_interval_s: float = Field(default=0.25, gt=0)
    mail_interval_s: float = Field(default=0.25, gt=0)
    stall_s: float = Field(default=60.0, gt=0)
    """A stream or timer that makes no progress for longer ends the process."""

    @field_validator("flexcredits_unsubscribe_secret")
    @classmethod
    def check_secret(cls, secret: SecretStr) -> SecretStr:
        if 0 < len(secret.get_secret_value().encode()) < 32:  # RFC 7518 3.2, for HMAC with SHA-256
            raise ValueError("FLEXCREDITS_UNSUBSCRIBE_SECRET must have at least 32 bytes")
        return secret

    @field_validator("mail_from")
    @classmethod
    def check_sender(cls, sender: str) -> str:
        if not address(sender).username.isascii():
            raise ValueError("MAIL_FROM must be ASCII before the @: a server without SMTPUTF8 would refuse every mail")
        return sender

    @model_validator(mode="after")
    def check_mail_server(self) -> Self:
        server = self.mail_server()
        if self.flexcredits_env == "production" and server.tls == "offered" and not server.is_local:
            raise ValueError("SMTP_URL: in production, mail leaves this machine by smtp+starttls or smtps only")
        return self

    def mail_server(self) -> MailServer:
        parts = urlsplit(self.smtp_url.get_secret_value())
        kinds: dict[str, tuple[Literal["offered", "required", "implicit"], int]] = {
            "smtp": ("offered", 25),
            "smtp+starttls": ("required", 587),
            "smtps": ("implicit", 465),
        }
        if parts.scheme not in kinds or not parts.hostname:
            raise ValueError("SMTP_URL must be smtp://, smtp+starttls:// or smtps:// and name a host")
        tls, port = kinds[parts.scheme]
        username, password = (unquote(part) if part else None for part in (parts.username, parts.password))
        return MailServer(
            parts.hostname, parts.port or port, tls, username, SecretStr(password or ""),
            send_within_s=self.smtp_send_s, answer_within_s=self.smtp_answer_s, ca_file=self.smtp_ca_file,
            helo_name=self.helo_name,
        )  # fmt: skip

    @property
    def mail_domain(self) -> str:
        return self.mail_from.rpartition("@")[2]

    @property
    def helo_name(self) -> str:
        name = self.smtp_helo_name or socket.gethostname()
        return name if "." in name.strip(".") or self.smtp_helo_name else address(self.mail_from).domain

    def mail_config(self) -> MailConfig:
        secret = self.flexcredits_unsubscribe_secret.get_secret_value()
        return MailConfig(self.mail_from, self.dashboard_url.rstrip("/"), secret)
