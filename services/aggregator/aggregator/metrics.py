"""Every metric of the aggregator, with its unit."""

from prometheus_client import Counter, Gauge, Histogram

EVENTS = Counter("flexcredits_aggregator_events_total", "Records of usage.events.v1 by what became of them.", ["fate"])
BATCH_EVENTS = Histogram(
    "flexcredits_aggregator_batch_events", "Records per transaction.", buckets=(1, 10, 100, 1000, 5000, 10_000, 20_000)
)
BATCH_SECONDS = Histogram("flexcredits_aggregator_batch_seconds", "Seconds from a fetched batch to its commit.")
RERUNS = Counter("flexcredits_aggregator_reruns_total", "Transactions run again after a passing failure.", ["code"])
LAG = Gauge("flexcredits_aggregator_lag_records", "Records of this process's partitions that are not applied yet.")
CATALOG_OFFSET = Gauge("flexcredits_aggregator_catalog_offset", "Catalog offset that this process rates with.")
RELEASED = Counter("flexcredits_aggregator_released_total", "Held events that were counted at last.")
RELAYED = Counter("flexcredits_aggregator_relayed_total", "Messages that the relay has published.", ["topic"])
