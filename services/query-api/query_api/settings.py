"""What the environment says."""

from ipaddress import ip_address
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator
from runtime.process import ProcessSettings


class Settings(ProcessSettings):
    """Read from the environment under these names in upper case."""

    http_host: str = "127.0.0.1"
    http_port: int
    flexcredits_env: str = "production"
    """Anything else allows a JWKS_URL without TLS on this machine."""

    jwks_url: str
    """Where the identity provider publishes the keys that sign tokens."""
    token_issuer: str
    token_audience: str
    billing_moderator_enabled: bool = True
    """Whether Billing Moderators of this deployment may read, where their organization enables them too."""

    dashboard_url: str | None = None
    """Where browsers reach us, without a path. With the next three it lets them sign in; without, there are only tokens."""
    authorization_url: str | None = None
    """The identity provider's authorization endpoint, to which browsers are sent."""
    token_url: str | None = None
    """Its token endpoint, which we ask. It must know `DASHBOARD_URL/login/callback`."""
    client_id: str | None = None
    client_secret: SecretStr | None = None
    """Where the identity provider wants one beside PKCE."""
    session_idle_s: float = Field(default=3600, gt=0)
    """A browser that was left alone for a meeting stays signed in, one left for the night does not."""
    session_max_s: float = Field(default=12 * 3600, gt=0)
    """A working day: no role outlives its withdrawal at the identity provider by more, however busy the browser."""
    dashboard_folder: Path | None = None
    """What `npm run build` made of the dashboard; without it there is only the API."""
    provider_name: str = "FlexCredits"
    """The company that sells the credits, as files for finance name it."""

    flexcredits_unsubscribe_secret: SecretStr = Field(min_length=32)
    """Seals the links by which additional recipients unsubscribe; the alerter's too."""

    usage_events_topic: str = "usage.events.v1"
    connections_max: int = Field(default=1000, gt=0)
    head_wait_s: float = Field(default=10, gt=0)
    shutdown_s: float = Field(default=15, gt=0)

    @model_validator(mode="after")
    def check_addresses(self) -> Self:
        # A server at these addresses decides who is an administrator, or sees an administrator's cookie.
        for name in ("jwks_url", "authorization_url", "token_url", "dashboard_url"):
            value = getattr(self, name)
            if value is not None and not self.is_protected(value):
                raise ValueError(f"{name.upper()} must be https, except on the loopback interface outside production")
        together = (self.dashboard_url, self.authorization_url, self.token_url, self.client_id)
        if any(together) != all(together):
            raise ValueError("DASHBOARD_URL, AUTHORIZATION_URL, TOKEN_URL and CLIENT_ID come together or not at all")
        if self.dashboard_url and urlsplit(self.dashboard_url)[2:] != ("", "", ""):
            raise ValueError("DASHBOARD_URL is scheme, host and port alone")
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
        return False  # a name can be made to mean anything
