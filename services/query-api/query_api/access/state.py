"""Application state, shared by all routes."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from fastapi import Request
from flexcredits_schemas.zones import ACCEPTED_ZONES, TZ_VERSION, offset_at
from runtime.postgres.pool import Pool
from runtime.postgres.time_zones import ZoneRules

from query_api.access.presence import Presence
from query_api.access.refusals import Refusals
from query_api.auth.cookies import Cookies
from query_api.auth.minisign import SigningKey
from query_api.auth.oidc import Issuer
from query_api.auth.tokens import Verifier
from query_api.db.cache import VersionedCache
from query_api.db.replica import Replica
from query_api.turns import OneByOne


@dataclass(frozen=True)
class SignIn:
    """Configuration of browser sign-in."""

    issuer: Issuer
    cookies: Cookies


def zone_rules() -> ZoneRules:
    """Time zone rules of this process, not yet compared with those of Postgres."""
    return ZoneRules(TZ_VERSION, sorted(ACCEPTED_ZONES), offset_at)


class ExportLimits(NamedTuple):
    """What is kept of an organization's exported files, and how long a comparison may take. The newest are kept."""

    manifests: int = 2000
    """Four files a day for as long as the ledger is kept, and some more."""
    kept_for: timedelta = timedelta(days=466)
    """As long as the ledger: older files are the first to go."""
    organization_bytes: int = 256 * 1024 * 1024
    """Of lines; what several files have counts once. Beyond it, room is made for several files at once: an eighth."""
    file_bytes: int = 16 * 1024 * 1024
    """Of lines of one file, which are in memory until it is sent. Of a larger file only the manifest is kept."""
    of_request: int = 12
    """Files of a request that compete by age with those of others; its older ones are the first to go."""
    compare_within_s: float = 45.0


@dataclass(frozen=True)
class AppState:
    """What routes need besides their session."""

    pool: Pool
    long_pool: Pool
    """For reads that take seconds, so that they do not delay the others."""
    verifier: Verifier
    billing_moderator_enabled: bool
    topic: str
    now: Callable[[], datetime]
    export_pool: Pool
    """For file downloads, which take as long as the client reads."""
    provider_name: str = "FlexCredits"
    """The company that sells the credits, as named in FOCUS files."""
    sign_in: SignIn | None = None
    """None: only bearer tokens are accepted."""
    unsubscribe_secret: str | None = None
    """None: no unsubscribe link is valid."""
    export_key: SigningKey | None = None
    """Signs manifests of files. None: they are unsigned."""
    export_limits: ExportLimits = field(default_factory=ExportLimits)
    recording: OneByOne = field(default_factory=OneByOne)
    """Files are recorded one by one."""
    zones: ZoneRules = field(default_factory=zone_rules)
    refusals: Refusals = field(default_factory=Refusals)
    presence: Presence = field(default_factory=Presence)
    cache: VersionedCache = field(default_factory=VersionedCache)
    replica: Replica | None = None
    """Serves reads of usage. Settings, sessions and all writes are the primary's."""


def app_state(request: Request) -> AppState:
    state: AppState = request.app.state.query_api
    return state


def utc_now() -> datetime:
    return datetime.now(UTC)
