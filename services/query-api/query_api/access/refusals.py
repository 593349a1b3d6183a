"""Recent refusals, so that repeated ones are audited once."""

import time
from collections.abc import Callable

from query_api.auth.principal import Principal

REFUSAL_AUDITED_EVERY_S = 60.0
REFUSALS_REMEMBERED_MAX = 10_000


class Refusals:
    """Recent refusals. A page that repeats its requests must not fill the audit log."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._audited_at: dict[Principal, float] = {}

    def is_news(self, principal: Principal) -> bool:
        who, now = principal._replace(expires_at=None, session_sha256=""), self._clock()
        if now - self._audited_at.get(who, float("-inf")) < REFUSAL_AUDITED_EVERY_S:
            return False
        if len(self._audited_at) >= REFUSALS_REMEMBERED_MAX:
            self._audited_at.clear()
        self._audited_at[who] = now
        return True
