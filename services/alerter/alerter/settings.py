"""What the environment says."""

from typing import Literal, Self
from urllib.parse import unquote, urlsplit

from pydantic import Field, SecretStr, model_validator
from runtime.kafka import KafkaSettings

from alerter.mail import MailServer


class Settings(KafkaSettings):
    """Read from the environment under these names in upper case."""

    postgres_dsn: SecretStr
    probe_host: str = "127.0.0.1"
    probe_port: int
    flexcredits_env: str = "production"
    """Anything else allows a mail server without TLS on another machine."""
    log_format: Literal["json", "console"] = "json"

    totals_topic: str = "usage.totals.v1"
    consumer_group: str = "alerter"
    consumer_instance: str | None = None
    """A name that survives restarts, such as the pod's: a restarted process then gets its partitions back at once."""

    smtp_url: SecretStr
    """smtp://user:password@host:port. smtp takes STARTTLS where the server offers it, smtp+starttls insists on it,
    smtps begins with TLS. Without STARTTLS and TLS only on this machine, or outside production."""
    mail_from: str = Field(pattern=r"^[^@\s,;<>\"]+@[^@\s,;<>\"]+$")
    dashboard_url: str = Field(pattern=r"^https?://[^\s\"<>]+$")
    """Where the mails' button leads."""
    billing_moderator_enabled: bool = True
    """Whether Billing Moderators of this deployment are mailed, where their organization enables them too."""

    sweep_interval_s: float = Field(default=15.0, gt=0)
    """The longest that a lost message or a stalled consumer delays an alert."""
    wakeup_interval_s: float = Field(default=0.25, gt=0)
    mail_interval_s: float = Field(default=0.25, gt=0)
    stall_s: float = Field(default=60.0, gt=0)
    """A stream or a timer that stands still for longer ends the process."""

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
        return MailServer(parts.hostname, parts.port or port, tls, username, SecretStr(password or ""))
