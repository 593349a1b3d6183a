"""python -m query_api: settings, logs, probes, Postgres, signing keys, and an HTTP server that runs until SIGTERM."""

import asyncio
import gc
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Any

import structlog
import uvicorn
import uvloop
from runtime.logs import configure_logs
from runtime.postgres import Pool, open_pool
from runtime.probes import serve_probes

from query_api.access import SigningKeys, Verifier, fetch_from
from query_api.app import Observed, build_app
from query_api.policies import Parts, utc_now
from query_api.settings import Settings
from query_api.store import find_problem

log = structlog.get_logger()

KEEP_ALIVE_S = 75  # longer than load balancers keep a connection, so that it is never we who close a reused one
POOL_SIZE, LONG_POOL_SIZE = 8, 2
STATEMENT_TIMEOUT_S, LONG_STATEMENT_TIMEOUT_S = 5, 20
CHECK_EVERY_S = 2.0


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Serve until `stop`, then finish what has begun."""
    dsn = settings.postgres_dsn.get_secret_value()
    keys = SigningKeys(fetch_from(settings.jwks_url))
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(
            open_pool(dsn, application="query-api", size=POOL_SIZE, at_least=0, statement_timeout_s=STATEMENT_TIMEOUT_S)
        )
        long_pool = await stack.enter_async_context(
            open_pool(
                dsn,
                application="query-api-long",
                size=LONG_POOL_SIZE,
                at_least=0,
                statement_timeout_s=LONG_STATEMENT_TIMEOUT_S,
            )
        )
        parts = Parts(
            pool=pool,
            long_pool=long_pool,
            verifier=Verifier(keys, settings.token_issuer, settings.token_audience),
            billing_moderator_enabled=settings.billing_moderator_enabled,
            topic=settings.usage_events_topic,
            now=utc_now,
        )
        health = Health(pool, keys)
        await stack.enter_async_context(serve_probes(settings.probe_host, settings.probe_port, health.why_not_ready))
        server = Server(settings, Observed(build_app(parts)))
        gc.freeze()  # else a large answer's objects set off searches through everything that was imported, 80 ms each
        background = [asyncio.create_task(keys.keep_fresh()), asyncio.create_task(health.watch())]
        serving = asyncio.create_task(server.serve([bind(settings)]))
        stopping = asyncio.create_task(stop.wait())
        try:
            tasks: list[asyncio.Task[Any]] = [serving, stopping, *background]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            server.should_exit = True
            await serving
            for ended in background:
                if ended.done():
                    ended.result()
        finally:
            for task in (stopping, *background):
                task.cancel()
            await asyncio.gather(stopping, *background, return_exceptions=True)


class Health:
    """Whether we can answer. Keys count only until they were read once: an identity provider may rest without us."""

    def __init__(self, pool: Pool, keys: SigningKeys) -> None:
        self._pool = pool
        self._keys = keys
        self._problem: str | None = "Postgres: not asked yet"

    async def watch(self) -> None:
        """Ask Postgres now and again, for ever."""
        while True:
            problem = await find_problem(self._pool)
            if problem != self._problem:
                log.info("postgres", problem=problem)
            self._problem = problem
            await asyncio.sleep(CHECK_EVERY_S)

    def why_not_ready(self) -> str | None:
        return self._problem or (None if self._keys.known else "the signing keys could not be read yet")


class Server(uvicorn.Server):
    """uvicorn without signal handlers of its own, which would end the process before the pools are closed."""

    def __init__(self, settings: Settings, app: Observed) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http="h11",  # ends a request whose headers grow past 64 KiB; httptools keeps them all
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=int(settings.shutdown_s),
                limit_concurrency=settings.connections_max,
            )
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def bind(settings: Settings) -> socket.socket:
    """The listening socket; OSError says that the port is taken."""
    family = socket.AF_INET6 if ":" in settings.http_host else socket.AF_INET
    return socket.create_server((settings.http_host, settings.http_port), family=family, backlog=2048)


async def run_until_signal(settings: Settings) -> None:
    stop = asyncio.Event()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signal_number, stop.set)
    await run(settings, stop)


def main() -> None:
    settings = Settings()
    configure_logs("query-api", settings.log_format)
    structlog.contextvars.bind_contextvars(environment=settings.flexcredits_env)
    try:
        uvloop.run(run_until_signal(settings))
    except Exception:
        log.critical("stopped", exc_info=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
