"""Settings from the environment."""

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from runtime.process import ProcessSettings

PROCESSES_MAX = 16
PROBE_PORT_STEP = 100
"""Larger than one, because the next port may be that of another service."""


class Settings(ProcessSettings):
    """Each field is the environment variable of the same name in upper case."""

    http_host: str = "127.0.0.1"
    http_port: int
    flexcredits_env: str = "production"
    """Any other value allows addresses without TLS on the loopback interface."""

    postgres_read_dsn: SecretStr | None = None
    """A streaming replica for reads of usage. Settings, sessions and all writes use POSTGRES_DSN."""
    read_lag_max_s: float = Field(default=10, gt=0)
    """A replica that lacks something older is left: for people, what they see is then still "a moment ago"."""

    jwks_url: str
    """URL of the identity provider's signing keys (JWKS)."""
    token_issuer: str
    token_audience: str
    billing_moderator_enabled: bool = True
    """Whether Billing Moderators may read in this deployment. Their organization must enable them too."""

    dashboard_url: str | None = None
    """Origin of the dashboard, without a path. Set with the next three to enable browser sign-in; without, only tokens work."""
    authorization_url: str | None = None
    """The identity provider's authorization endpoint."""
    token_url: str | None = None
    """Its token endpoint. Register `DASHBOARD_URL/login/callback` as the redirect URL."""
    client_id: str | None = None
    client_secret: SecretStr | None = None
    """Optional: only if the identity provider requires one in addition to PKCE."""
    session_idle_s: float = Field(default=3600, gt=0)
    """Idle time after which a session ends: long enough for a meeting, shorter than a night."""
    session_max_s: float = Field(default=12 * 3600, gt=0)
    """Maximum lifetime of a session, a working day. Until then, a role revoked at the identity provider may stay valid."""
    dashboard_folder: Path | None = None
    """The dashboard's `dist` folder, written by `npm run build`. Without it, only the API is served."""
    provider_name: str = "FlexCredits"
    """The company that sells the credits, as named in FOCUS files."""

    flexcredits_unsubscribe_secret: SecretStr = Field(min_length=32)
    """Signs the unsubscribe links of additional recipients. The alerter needs the same value."""

    export_signing_key: SecretStr | None = None
    """Signs the manifests of files: the seed of an Ed25519 key, 64 hex digits. Without it, or if empty, they are unsigned."""

    export_kept_mib: int = Field(default=256, gt=0)
    """MiB that are kept of each organization's exported files, so that they can be written again."""

    usage_events_topic: str = "usage.events.v1"
    http_processes: int = Field(default=1, gt=0, le=PROCESSES_MAX)
    """Processes that share the port, for hosts with several cores. The first one's probe port is PROBE_PORT, and each further
    one's is higher by PROBE_PORT_STEP."""
    connections_max: int = Field(default=1000, gt=0)
    head_wait_s: float = Field(default=10, gt=0)
    shutdown_s: float = Field(default=15, gt=0)

    def for_process(self, index: int) -> Self:
        """The settings of one of the processes."""
        return self.model_copy(update={"probe_port": self.probe_port + index * PROBE_PORT_STEP})

    @field_validator("export_signing_key")
    @classmethod
    def check_key(cls, value: SecretStr | None) -> SecretStr | None:
        text = value.get_secret_value().strip() if value else ""
        if text and not re.fullmatch("[0-9a-fA-F]{64}", text):
            raise ValueError("EXPORT_SIGNING_KEY must be 64 hex digits")
        return SecretStr(text) if text else None

    @model_validator(mode="after")
    def check_addresses(self) -> Self:
        # A server at these addresses decides who is an administrator, or receives an administrator's cookie.
        for name in ("jwks_url", "authorization_url", "token_url", "dashboard_url"):
            value = getattr(self, name)
            if value is not None and not self.is_protected(value):
                raise ValueError(f"{name.upper()} must be https, except on the loopback interface outside production")
        together = (self.dashboard_url, self.authorization_url, self.token_url, self.client_id)
        if any(together) != all(together):
            raise ValueError("set all of DASHBOARD_URL, AUTHORIZATION_URL, TOKEN_URL and CLIENT_ID, or none of them")
        if self.dashboard_url and urlsplit(self.dashboard_url)[2:] != ("", "", ""):
            raise ValueError("DASHBOARD_URL must be scheme, host and port only")
        return self

    def is_protected(self, url: str) -> bool:
        address = urlsplit(url)
        development = self.flexcredits_env != "production" and address.scheme == "http"
        return bool(address.hostname) and (
            address.scheme == "https" or (development and is_loopback(address.hostname or ""))
        )


def is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False  # other names may resolve to any address
