"""python -m query_api: settings, logs, probes, Postgres, signing keys, and an HTTP server that runs until SIGTERM."""

import asyncio
import gc
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import structlog
from runtime.build import build_of
from runtime.http import Server, listen, serve
from runtime.logs import configure_logs
from runtime.periodic import every
from runtime.postgres import Pool, open_pool, trace_statements
from runtime.probes import serve_probes
from runtime.process import run_process
from runtime.time_zones import ZoneRules
from runtime.tracing import open_tracing

from query_api.access.dependencies import Parts, SignIn, utc_now
from query_api.app import Observed, build_app
from query_api.auth.cookies import Cookies
from query_api.auth.oidc import Issuer
from query_api.auth.tokens import SigningKeys, Verifier, fetch_from
from query_api.db.session import SQL, find_problem
from query_api.settings import Settings
from query_api.web.files import BuiltFile, read_dashboard

log = structlog.get_logger()

POOL_SIZE, LONG_POOL_SIZE, EXPORT_POOL_SIZE = 8, 3, 3  # one organization has at most three quarters, at least one
STATEMENT_TIMEOUT_S, LONG_STATEMENT_TIMEOUT_S = 15, 20
"""Reads take a hundredth of it. A machine that is loaded ten times over answers late, and a read that hangs still ends."""
EXPORT_STATEMENT_TIMEOUT_S = 120  # a statement copies one month, at the pace at which the client takes it
CHECK_EVERY_S = 2.0
ANSWER_WITHIN_S = 10.0
"""A loaded machine answers the readiness probe's question later than usual, and a database that hangs does not."""


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Serve until `stop`, then finish what has begun."""
    dsn = settings.postgres_dsn.get_secret_value()
    keys = SigningKeys(fetch_from(settings.jwks_url))
    async with AsyncExitStack() as stack:
        build = build_of("flexcredits-query-api", settings.revision)
        tracing = await stack.enter_async_context(open_tracing(build, settings.otel_exporter_otlp_endpoint))
        tell = trace_statements(tracing, SQL)
        pool = await stack.enter_async_context(
            open_pool(
                dsn,
                application="query-api",
                size=POOL_SIZE,
                at_least=0,
                statement_timeout_s=STATEMENT_TIMEOUT_S,
                tell=tell,
            )
        )
        long_pool = await stack.enter_async_context(
            open_pool(
                dsn,
                application="query-api-long",
                size=LONG_POOL_SIZE,
                at_least=0,
                statement_timeout_s=LONG_STATEMENT_TIMEOUT_S,
                tell=tell,
            )
        )
        verifier = Verifier(keys, settings.token_issuer, settings.token_audience)
        export_pool = await stack.enter_async_context(
            open_pool(
                dsn,
                application="query-api-export",
                size=EXPORT_POOL_SIZE,
                at_least=0,
                statement_timeout_s=EXPORT_STATEMENT_TIMEOUT_S,
                tell=tell,
            )
        )
        parts = Parts(
            pool=pool,
            long_pool=long_pool,
            verifier=verifier,
            billing_moderator_enabled=settings.billing_moderator_enabled,
            topic=settings.usage_events_topic,
            now=utc_now,
            sign_in=make_sign_in(settings, verifier),
            export_pool=export_pool,
            provider_name=settings.provider_name,
            dashboard=find_dashboard(settings.dashboard_folder),
            unsubscribe_secret=settings.flexcredits_unsubscribe_secret.get_secret_value(),
        )
        health_pool = await stack.enter_async_context(
            open_pool(
                dsn,
                application="query-api-health",
                size=1,
                at_least=0,
                statement_timeout_s=STATEMENT_TIMEOUT_S,
                tell=tell,
            )
        )
        health = Health(health_pool, keys, parts.zones)
        probes = await stack.enter_async_context(
            serve_probes(settings.probe_host, settings.probe_port, health.checks, build, about=health.about)
        )
        server = Server(
            Observed(build_app(parts), tracing),
            connections_max=settings.connections_max,
            head_wait_s=settings.head_wait_s,
            shutdown_s=settings.shutdown_s,
        )
        gc.freeze()  # else a large answer's objects set off searches through everything that was imported, 80 ms each
        background = (keys.keep_fresh(), health.watch(), parts.live.close_after(stop))
        listener = listen(settings.http_host, settings.http_port)
        probes.started = True
        await serve(server, listener, stop, *background)


def make_sign_in(settings: Settings, verifier: Verifier) -> SignIn | None:
    """How browsers sign in, where the settings say it; they say all of it or nothing."""
    origin, authorization_url, token_url = settings.dashboard_url, settings.authorization_url, settings.token_url
    if not (origin and authorization_url and token_url and settings.client_id):
        return None
    secret = settings.client_secret.get_secret_value() if settings.client_secret else None
    redirect_url = f"{origin}/login/callback"
    return SignIn(
        Issuer(verifier, authorization_url, token_url, settings.client_id, secret, redirect_url),
        Cookies(origin, timedelta(seconds=settings.session_idle_s), timedelta(seconds=settings.session_max_s)),
    )


def find_dashboard(folder: Path | None) -> Mapping[str, BuiltFile] | None:
    """The built dashboard; without it the API serves, and says at `/` what is missing."""
    files = read_dashboard(folder) if folder else None
    if files:
        log.info("the dashboard is served", folder=str(folder), files=len(files))
    else:
        log.warning("no dashboard: DASHBOARD_FOLDER names no folder that it was built into", folder=str(folder))
    return files


class Health:
    """Whether we can answer. Keys count only until they were read once: an identity provider may rest without us."""

    def __init__(self, pool: Pool, keys: SigningKeys, zones: ZoneRules) -> None:
        self._pool = pool
        self._keys = keys
        self._zones = zones
        self._problem: str | None = "Postgres: not asked yet"
        self._asking_since: float | None = None

    async def watch(self) -> None:
        """Ask Postgres now and again, for ever; once it answers, compare its rules of time zones with ours."""
        await every(CHECK_EVERY_S, self._check)

    async def _check(self) -> None:
        self._asking_since = time.monotonic()
        problem = await find_problem(self._pool)
        self._asking_since = None
        if problem != self._problem:
            if problem is None:
                log.info("Postgres can be used")
            else:
                log.warning("Postgres cannot be used", reason=problem)
        self._problem = problem
        if problem is None and self._zones.differing is None:
            await self._zones.compare(self._pool)

    def about(self) -> dict[str, object]:
        return {"time_zones": self._zones.about()}

    def checks(self) -> dict[str, str | None]:
        """For the readiness probe."""
        since = self._asking_since
        waits = since is not None and time.monotonic() - since > ANSWER_WITHIN_S
        problem = f"Postgres: no answer for {ANSWER_WITHIN_S:g} s" if waits else self._problem
        unread = None if self._keys.known else "the signing keys could not be read yet"
        return {"postgres": problem, "signing_keys": unread}


def main() -> None:
    settings = Settings()
    configure_logs("query-api", settings.log_format)
    structlog.contextvars.bind_contextvars(environment=settings.flexcredits_env)
    run_process(lambda stop: run(settings, stop))


if __name__ == "__main__":
    main()
