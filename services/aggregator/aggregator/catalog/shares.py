"""The share of each organization in a transaction that applies catalog events. What is beyond it waits for its turn. Pure."""

from collections.abc import Iterable

from aggregator.domain.record import Record

SHARE = 100_000
"""Of an organization in a transaction: about a tenth of a second, in which no aggregator counts."""
EVENT_COST = 2_500
"""An event takes as long as so many bytes of a contract, some 3 ms: it is applied alone, in a savepoint."""


class Shares:
    """What is left of the share of each organization. The first event of an organization is always within its share."""

    def __init__(self, waiting: Iterable[str] = ()) -> None:
        """`waiting` are organizations with earlier events that wait: further ones wait behind them."""
        self._left = dict.fromkeys(waiting, 0)

    def take(self, organization: str, record: Record) -> bool:
        """Whether the event may be applied now. After one that may not, none of the organization may."""
        left = self._left.get(organization, SHARE)
        self._left[organization] = left - EVENT_COST - len(record.value or b"")
        return left > 0
