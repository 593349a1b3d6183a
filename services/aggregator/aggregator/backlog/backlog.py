"""Work that waits beside the batches: catalog events and usage in quarantine, and held usage."""

from runtime.postgres.pool import Pool

from aggregator import metrics
from aggregator.backlog.held import Place, release_held
from aggregator.backlog.quarantined import FactPlace, retry_due, retry_facts
from aggregator.backlog.turns import Turns
from aggregator.catalog.reader import CatalogReader
from aggregator.db.catalog_cache import StaleCatalog


class Backlog:
    """Applies the waiting work and remembers between sweeps how far this process has come."""

    def __init__(self, pool: Pool, topic: str, facts: CatalogReader) -> None:
        self._pool = pool
        self._topics = topic, facts.topic
        self._facts = facts
        self._applying = Turns[FactPlace]()
        self._releasing = Turns[Place]()
        self._retrying = Turns[None]()

    async def work_off(self) -> bool:
        """Apply the waiting work that can be applied now, for half a second per kind. Returns whether more may be
        possible at once."""
        catalog = self._facts.catalog
        while True:
            try:
                known, has_facts = await retry_facts(self._pool, self._facts.topic, self._applying)
                if known:
                    await self._facts.take_over()
                released, has_held = await release_held(self._pool, self._topics, catalog, self._releasing)
                metrics.RELEASED.inc(released)
                applied, has_records = await retry_due(self._pool, self._topics, catalog, self._retrying)
                # An original that was applied releases its corrections.
                return has_facts or has_held or has_records or bool(applied)
            except StaleCatalog:
                await self._facts.take_over()
