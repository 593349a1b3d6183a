"""The read replica: which reads it serves, and when it is left because it lags or does not answer. Decision 96."""

import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NoReturn

import asyncpg
import structlog
from runtime.periodic import every
from runtime.postgres.pool import Pool
from runtime.postgres.pooler import ThroughPooler
from runtime.postgres.schema import SchemaTooOld

from query_api.db.session import (
    WAIT_S,
    Busy,
    NoSession,
    NotIsolated,
    ReadSession,
    Unavailable,
    ask_position,
    begin_read,
    check_release,
    leaving_broken,
    reaching_postgres,
    read_as,
)
from query_api.metrics import READS, REPLICA_LAG_SECONDS

log = structlog.get_logger()

CHECK_EVERY_S = 2.0
ANSWER_WITHIN_S = 5.0
"""A replica that hangs is left after this time. Requests that it has already taken wait."""
POSITIONS_MAX = 1800
"""An hour: a longer lag is reported as one hour."""
FAILURES = (
    Unavailable, NotIsolated, ThroughPooler,
    asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError,
)  # fmt: skip
"""Whatever fails on the replica, also lasting failures such as a refused password or a table that it does not have yet: the
primary serves the reads."""


class Lag:
    """How far a replica is behind: positions of the primary in its write-ahead log, with the time of each.

    It does not depend on clocks of servers, and an idle primary causes no lag. As long as no position is as old as the limit,
    such as after the start of this process, a replica must have the first one: nothing older is known.
    """

    def __init__(self, max_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_s = max_s
        self._clock = clock
        self._positions = deque[tuple[float, int]](maxlen=POSITIONS_MAX)
        self._required: int | None = None

    def note(self, position: int) -> None:
        """Record that the primary has come to this position by now."""
        now = self._clock()
        if self._positions and position < self._positions[-1][1]:
            self._positions.clear()  # another server is the primary: its log goes on from before the end of the old one's
        self._positions.append((now, position))
        old = (at for since, at in self._positions if since <= now - self._max_s)
        self._required = max(old, default=self._positions[0][1])

    def allows(self, position: int) -> bool:
        """Whether a server at this position lacks nothing that is older than the limit. False until the primary answered."""
        return self._required is not None and position >= self._required

    def seconds(self, position: int) -> float:
        """For how long the server lacks something that the primary had."""
        return next((self._clock() - since for since, at in self._positions if at > position), 0.0)


class Replica:
    """A replica of Postgres, with a pool beside each of the primary's. Reads of usage use it while `problem` is None."""

    def __init__(self, pools: Mapping[Pool, Pool], watching: tuple[Pool, Pool], lag: Lag) -> None:
        """`watching`: pools of primary and replica for the check, so busy pools do not count."""
        self.lag_s = 0.0
        self._problem: str | None = "not checked yet"
        self._asking_since: float | None = None
        self._pools = pools
        self._primary, self._replica = watching
        self._lag = lag

    async def watch(self) -> NoReturn:
        """Check both servers at intervals, until cancelled."""
        await every(CHECK_EVERY_S, self.check, name="check_replica")

    @property
    def problem(self) -> str | None:
        """Why the replica is not used, or None."""
        since = self._asking_since
        waits = since is not None and time.monotonic() - since > ANSWER_WITHIN_S
        return f"no answer for {ANSWER_WITHIN_S:g} s" if waits else self._problem

    async def check(self) -> None:
        """Compare the positions of primary and replica. Without the primary, nothing is committed that the replica lacks.

        Only positions after the newest migration count: so a replica within the limit has its tables, too.
        """
        try:
            await check_release(self._primary)
            self._lag.note(await ask_position(self._primary))
        except SchemaTooOld as error:
            self._set_problem(str(error))
            return
        except (Unavailable, NotIsolated) as error:
            log.info("the primary's position is unknown", reason=str(error))
        self._asking_since = time.monotonic()
        try:
            position = await ask_position(self._replica)
        except FAILURES as error:
            self._set_problem(str(error) if isinstance(error, Unavailable) else f"{type(error).__name__}: {error}")
            return
        finally:
            self._asking_since = None
        self.lag_s = self._lag.seconds(position)
        REPLICA_LAG_SECONDS.set(self.lag_s)
        self._set_problem(None if self._lag.allows(position) else f"it is at least {self.lag_s:.1f} s behind")

    def about(self) -> dict[str, object]:
        """For the readiness probe: a replica that is left does not make the process unready."""
        return {"used": self.problem is None, "lag_seconds": round(self.lag_s, 1), "problem": self.problem}

    @asynccontextmanager
    async def read_as(
        self, pool: Pool, organization: str, email: str, *, wait_s: float = WAIT_S
    ) -> AsyncIterator[ReadSession]:
        """As read_as of this pool of the primary, on the replica if it is usable. Raises Unavailable."""
        if self.problem is None:
            is_broken = False
            session: ReadSession | None = None
            # It ignores the failure of a broken session, also that of a `return` within the block: the code after it runs then.
            with reaching_postgres(lambda: is_broken):
                async with AsyncExitStack() as held:
                    session = await self._begin(held, self._pools[pool], organization, email, wait_s)
                    if session:
                        READS.labels("replica").inc()
                        async with leaving_broken(session, held):
                            yield session
                        is_broken = session.is_broken
            if session:
                return
        READS.labels("primary").inc()
        async with read_as(pool, organization, email, wait_s=wait_s) as session:
            yield session

    async def _begin(
        self, held: AsyncExitStack, pool: Pool, organization: str, email: str, wait_s: float
    ) -> ReadSession | None:
        """A session of the replica, or None if this server cannot be used: a name may stand for several replicas."""
        try:
            with reaching_postgres():
                async with AsyncExitStack() as trying:
                    connection, found = await begin_read(trying, pool, organization, email, wait_s=wait_s)
                    if not self._lag.allows(found.position):
                        return None
                    kept = await held.enter_async_context(trying.pop_all())
        except NoSession:
            return None
        except Busy:
            raise
        except Unavailable as error:
            self._set_problem(f"{error}")
            return None
        except FAILURES:
            return None  # the check finds what lasts; the request of one organization does not take the replica from others
        return ReadSession(connection, found, kept.aclose, on_replica=True)

    def _set_problem(self, problem: str | None) -> None:
        if (problem is None) != (self._problem is None):
            if problem is None:
                log.info("reads use the replica")
            else:
                log.warning("reads use the primary", reason=problem)
        self._problem = problem
