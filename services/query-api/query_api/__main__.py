"""python -m query_api: settings, logs, probes, Postgres, signing keys, and an HTTP server that runs until SIGTERM."""

import asyncio
import gc
import socket
from collections.abc import Mapping
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import structlog
from runtime.http.server import Server, bind, listen, serve
from runtime.observability.build import build_of
from runtime.observability.logs import configure_logs
from runtime.observability.probes import serve_probes
from runtime.observability.tracing import open_tracing
from runtime.postgres.pool import Pool, open_pool, trace_statements
from runtime.process import run_process
from runtime.processes import run_processes

from query_api.access.presence import Presence
from query_api.access.state import AppState, ExportLimits, SignIn, utc_now
from query_api.app import build_app
from query_api.auth.cookies import Cookies
from query_api.auth.minisign import SigningKey
from query_api.auth.oidc import Issuer
from query_api.auth.signing_keys import SigningKeys, fetch_from
from query_api.auth.tokens import Verifier
from query_api.db.replica import Lag, Replica
from query_api.db.session import LastAnswer, measure_statements
from query_api.db.statements import SQL
from query_api.health import Health
from query_api.http.middleware import RequestObserver
from query_api.live.hub import LiveHub
from query_api.settings import Settings
from query_api.web.files import BuiltFile, read_dashboard

log = structlog.get_logger()

STATEMENT_TIMEOUT_S, LONG_STATEMENT_TIMEOUT_S = 15, 20
"""Reads take about 1 % of it. The limit ends statements that hang, and leaves room for a machine under ten times its load."""
EXPORT_STATEMENT_TIMEOUT_S = 120  # a statement copies one month, as fast as the client reads it
POOLS = {
    "query-api": (8, STATEMENT_TIMEOUT_S),
    "query-api-long": (3, LONG_STATEMENT_TIMEOUT_S),
    "query-api-export": (3, EXPORT_STATEMENT_TIMEOUT_S),
}
"""Number of connections, of which an organization gets at most three quarters and at least one, and the timeout of a
statement."""
GC_CONTAINERS = 20_000
"""A large response has thousands of containers and no cycles: at the default of 700, one is searched several times."""


async def run(settings: Settings, stop: asyncio.Event, bound: socket.socket | None = None) -> None:
    """Serve until `stop`, then finish open requests. `bound` is a socket that several processes share."""
    primary = settings.postgres_dsn.get_secret_value()
    keys = SigningKeys(fetch_from(settings.jwks_url))
    async with AsyncExitStack() as stack:
        build = build_of("flexcredits-query-api", settings.revision)
        tracing = await stack.enter_async_context(open_tracing(build, settings.otel_exporter_otlp_endpoint))
        traced = trace_statements(tracing, SQL)
        answer, of_replica = LastAnswer(), LastAnswer()

        async def open_one(application: str, size: int, timeout_s: float, dsn: str = primary) -> Pool:
            noted = answer if dsn == primary else of_replica
            opening = open_pool(
                dsn,
                application=application,
                size=size,
                at_least=0,
                statement_timeout_s=timeout_s,
                on_statement=measure_statements(application, noted, traced),
            )
            return await stack.enter_async_context(opening)

        verifier = Verifier(keys, settings.token_issuer, settings.token_audience)
        pools = {name: await open_one(name, *limits) for name, limits in POOLS.items()}
        replica = None
        if settings.postgres_read_dsn:
            read_dsn = settings.postgres_read_dsn.get_secret_value()
            beside = {pools[name]: await open_one(name, *limits, read_dsn) for name, limits in POOLS.items()}
            watching = [await open_one("query-api-replica", 1, STATEMENT_TIMEOUT_S, at) for at in (primary, read_dsn)]
            replica = Replica(beside, (watching[0], watching[1]), Lag(settings.read_lag_max_s))
        state = AppState(
            pool=pools["query-api"],
            long_pool=pools["query-api-long"],
            export_pool=pools["query-api-export"],
            replica=replica,
            verifier=verifier,
            billing_moderator_enabled=settings.billing_moderator_enabled,
            topic=settings.usage_events_topic,
            now=utc_now,
            sign_in=make_sign_in(settings, verifier),
            provider_name=settings.provider_name,
            unsubscribe_secret=settings.flexcredits_unsubscribe_secret.get_secret_value(),
            export_key=make_export_key(settings),
            export_limits=ExportLimits(organization_bytes=settings.export_kept_mib * 1024 * 1024),
            presence=Presence(settings.connections_max),
        )
        hub = LiveHub()
        asking = await open_one("query-api-health", 1, STATEMENT_TIMEOUT_S)
        health = Health(asking, answer, keys, state.zones, replica)
        probes = await stack.enter_async_context(
            serve_probes(settings.probe_host, settings.probe_port, health.checks, build, build_info=health.about)
        )
        api = build_app(state, hub=hub, dashboard=find_dashboard(settings.dashboard_folder))
        server = Server(
            RequestObserver(api, tracing),
            connections_max=settings.connections_max,
            head_wait_s=settings.head_wait_s,
            shutdown_s=settings.shutdown_s,
        )
        gc.freeze()  # without it, a large response triggers full collections of all imported modules, 80 ms each
        gc.set_threshold(GC_CONTAINERS)
        background = [keys.keep_fresh(), health.watch(), hub.close_after(stop)]
        if replica:
            background.append(replica.watch())
        listener = bound or listen(settings.http_host, settings.http_port)
        probes.started = True
        await serve(server, listener, stop, *background)


def make_sign_in(settings: Settings, verifier: Verifier) -> SignIn | None:
    """Browser sign-in, if it is configured. Settings checks that its four values are set together or not at all."""
    origin, authorization_url, token_url = settings.dashboard_url, settings.authorization_url, settings.token_url
    if not (origin and authorization_url and token_url and settings.client_id):
        return None
    secret = settings.client_secret.get_secret_value() if settings.client_secret else None
    redirect_url = f"{origin}/login/callback"
    return SignIn(
        Issuer(verifier, authorization_url, token_url, settings.client_id, secret, redirect_url),
        Cookies(origin, timedelta(seconds=settings.session_idle_s), timedelta(seconds=settings.session_max_s)),
    )


def make_export_key(settings: Settings) -> SigningKey | None:
    if settings.export_signing_key is None:
        log.warning("manifests of files are unsigned: EXPORT_SIGNING_KEY is not set")
        return None
    return SigningKey(bytes.fromhex(settings.export_signing_key.get_secret_value()))


def find_dashboard(folder: Path | None) -> Mapping[str, BuiltFile] | None:
    """The files of the built dashboard. Without them only the API is served, and `/` says that the dashboard is missing."""
    files = read_dashboard(folder) if folder else None
    if files:
        log.info("serving the dashboard", folder=str(folder), files=len(files))
    else:
        log.warning("no dashboard: DASHBOARD_FOLDER has no built dashboard", folder=str(folder))
    return files


def main() -> None:
    settings = Settings()
    configure_logs("query-api", settings.log_format)
    structlog.contextvars.bind_contextvars(environment=settings.flexcredits_env)
    if settings.http_processes == 1:
        run_process(lambda stop: run(settings, stop))
        return
    bound = bind(settings.http_host, settings.http_port)

    def run_one(index: int) -> None:
        structlog.contextvars.bind_contextvars(process=index)
        run_process(lambda stop: run(settings.for_process(index), stop, bound))

    run_processes(settings.http_processes, run_one)


if __name__ == "__main__":
    main()
