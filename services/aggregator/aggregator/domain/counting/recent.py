"""Remembers the latest identities, as a hint which of them the ledger may have. Pure."""

import numpy as np
from numpy.typing import NDArray

BITS = 27
"""Bits of the identity that are the place in the field: 16 MiB for each of two generations."""
GENERATION = 2_000_000
"""Identities in a generation. About 3 in 100 new identities seem known at the end of two; each costs a lookup."""


class RecentIdentities:
    """A Bloom filter with one hash and two generations. It may miss a copy, such as one from before a restart, and may
    take a new identity for a copy: only the ledger's index decides."""

    def __init__(self) -> None:
        self._now, self._before = (np.zeros(1 << BITS - 3, np.uint8) for _ in range(2))
        self._added = 0

    def meet(self, high: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Which of these identities were probably met before, by their first 64 bits. All are remembered."""
        place = (high >> np.uint64(64 - BITS)).astype(np.int64)
        byte, bit = place >> 3, np.left_shift(1, place & 7).astype(np.uint8)
        met: NDArray[np.bool_] = ((self._now[byte] | self._before[byte]) & bit) != 0
        np.bitwise_or.at(self._now, byte, bit)
        self._added += len(high)
        if self._added > GENERATION:
            self._before, self._now, self._added = self._now, np.zeros_like(self._now), 0
        return met
