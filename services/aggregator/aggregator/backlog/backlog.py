"""Work that waits beside the batches: catalog events and usage in quarantine, and held usage."""

from runtime.postgres.pool import Pool

from aggregator import metrics
from aggregator.backlog.held import Passes, release_held
from aggregator.backlog.quarantined import CatalogPlace, retry_catalog_events, retry_due
from aggregator.backlog.turns import Turns
from aggregator.catalog.reader import CatalogReader
from aggregator.db.catalog_cache import StaleCatalog


class Backlog:
    """Applies the waiting work and remembers between sweeps how far this process has come."""

    def __init__(self, pool: Pool, topic: str, catalog_reader: CatalogReader) -> None:
        self._pool = pool
        self._topics = topic, catalog_reader.topic
        self._catalog_reader = catalog_reader
        self._applying = Turns[CatalogPlace]()
        self._releasing = Passes()
        self._retrying = Turns[None]()

    async def work_off(self) -> bool:
        """Apply the waiting work that can be applied now, for half a second per kind. Returns whether more may be
        possible at once."""
        catalog = self._catalog_reader.catalog
        while True:
            try:
                known, has_catalog_events = await retry_catalog_events(
                    self._pool, self._catalog_reader.topic, self._applying
                )
                if known:
                    await self._catalog_reader.take_over()
                released, has_held = await release_held(self._pool, self._topics, catalog, self._releasing)
                metrics.RELEASED.inc(released)
                applied, has_records = await retry_due(self._pool, self._topics, catalog, self._retrying)
                # An original that was applied releases its corrections.
                return has_catalog_events or has_held or has_records or bool(applied)
            except StaleCatalog:
                await self._catalog_reader.take_over()
