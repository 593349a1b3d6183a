"""The state of the application: what routes work with."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from fastapi import Request
from flexcredits_schemas.zones import ACCEPTED_ZONES, TZ_VERSION, offset_at
from runtime.postgres.pool import Pool
from runtime.postgres.time_zones import ZoneRules

from query_api.access.refusals import Refusals
from query_api.auth.cookies import Cookies
from query_api.auth.oidc import Issuer
from query_api.auth.tokens import Verifier


@dataclass(frozen=True)
class SignIn:
    """How browsers sign in."""

    issuer: Issuer
    cookies: Cookies


def zone_rules() -> ZoneRules:
    """Those of this process, not compared with Postgres yet."""
    return ZoneRules(TZ_VERSION, sorted(ACCEPTED_ZONES), offset_at)


@dataclass(frozen=True)
class AppState:
    """What routes work with."""

    pool: Pool
    long_pool: Pool
    """For reads of seconds, so that they never keep the others waiting."""
    verifier: Verifier
    billing_moderator_enabled: bool
    topic: str
    now: Callable[[], datetime]
    export_pool: Pool
    """For files, whose reads last for as long as the client takes to receive them."""
    provider_name: str = "FlexCredits"
    """Whose invoice it is, in files for finance."""
    sign_in: SignIn | None = None
    """None: there are only bearer tokens."""
    unsubscribe_secret: str | None = None
    """None: no link is valid."""
    zones: ZoneRules = field(default_factory=zone_rules)
    refusals: Refusals = field(default_factory=Refusals)


def app_state(request: Request) -> AppState:
    state: AppState = request.app.state.query_api
    return state


def utc_now() -> datetime:
    return datetime.now(UTC)
