"""What the environment says."""

from ipaddress import ip_address
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Read from the environment under these names in upper case."""

    model_config = SettingsConfigDict(frozen=True)

    postgres_dsn: SecretStr
    http_host: str = "127.0.0.1"
    http_port: int
    probe_host: str = "127.0.0.1"
    probe_port: int
    flexcredits_env: str = "production"
    """Anything else allows a JWKS_URL without TLS on this machine."""
    log_format: Literal["json", "console"] = "json"

    jwks_url: str
    """Where the identity provider publishes the keys that sign tokens."""
    token_issuer: str
    token_audience: str
    billing_moderator_enabled: bool = True
    """Whether Billing Moderators of this deployment may look, where their organization enables them too."""

    usage_events_topic: str = "usage.events.v1"
    connections_max: int = Field(default=1000, gt=0)
    head_wait_s: float = Field(default=10, gt=0)
    shutdown_s: float = Field(default=15, gt=0)

    @model_validator(mode="after")
    def check_jwks_url(self) -> Self:
        # Whoever answers this address decides who is an administrator.
        address = urlsplit(self.jwks_url)
        development = self.flexcredits_env != "production" and address.scheme == "http"
        if not address.hostname or (address.scheme != "https" and not (development and is_loopback(address.hostname))):
            raise ValueError("JWKS_URL must be https, except on the loopback interface outside production")
        return self


def is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False  # a name can be made to mean anything
