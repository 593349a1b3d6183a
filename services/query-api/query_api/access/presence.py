"""Requests in progress of each organization. The process has connections for a limited number of them."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from query_api.http.problems import ApiProblem

SHARE = 0.3
"""Of a process's connections, for the requests of one organization with its live streams and files: 300 of 1,000."""
RETRY_AFTER_S = "2"


class Presence:
    """Counts the requests in progress of each organization."""

    def __init__(self, connections_max: int = 1000) -> None:
        self._each_max = max(1, int(SHARE * connections_max))
        self._present: Counter[str] = Counter()

    @contextmanager
    def enter(self, organization: str) -> Iterator[None]:
        """Count a request until the block ends. Raises ApiProblem if the organization has too many in progress."""
        if self._present[organization] >= self._each_max:
            raise ApiProblem(
                "busy",
                f"{self._each_max} requests of your organization are in progress here. Try again in a moment.",
                headers={"Retry-After": RETRY_AFTER_S, "Connection": "close"},
            )
        self._present[organization] += 1
        try:
            yield
        finally:
            self._present[organization] -= 1
            if not self._present[organization]:
                del self._present[organization]
