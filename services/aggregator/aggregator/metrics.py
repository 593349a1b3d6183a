"""Every metric of the aggregator, with its unit. No label names an organization, because their number has no bound."""

from prometheus_client import Counter, Gauge, Histogram

from aggregator.domain.decode import Kind

DISPOSITIONS = ("counted", "held", "duplicate", "rejected", "replayed")
EVENTS = Counter("flexcredits_aggregator_events_total", "Records of usage.events.v1 by disposition.", ["disposition"])
DEAD_LETTERS = Counter(
    "flexcredits_aggregator_dead_letters_total", "Records that could not be counted, by the kind of reason.", ["reason"]
)
LATE = Counter(
    "flexcredits_aggregator_late_events_total", "Counted events that Kafka received after their local day was over."
)
VISIBLE = Counter(
    "flexcredits_aggregator_visible_events_total",
    "Counted events by whether their transaction was committed within 2 s of Kafka's receipt: yes or no.",
    ["within_2s"],
)
VISIBLE_SECONDS = Histogram(
    "flexcredits_aggregator_visible_seconds",
    "Seconds from Kafka's receipt of a transaction's oldest counted event to its commit, by Kafka's clock and ours.",
    buckets=(0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30, 60, 300, 3600),
)
CREDITS = Counter(
    "flexcredits_aggregator_credits_total",
    "Credits that batches added to totals, and that their corrections took back, by product.",
    ["product", "direction"],
)
BATCH_EVENTS = Histogram(
    "flexcredits_aggregator_batch_events", "Records per transaction.", buckets=(1, 10, 100, 1000, 5000, 10_000, 20_000)
)
BATCH_SECONDS = Histogram(
    "flexcredits_aggregator_batch_seconds",
    "Seconds from a fetched batch to its commit.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30),
)
RERUNS = Counter(
    "flexcredits_aggregator_transaction_retries_total", "Transactions run again after a passing failure.", ["code"]
)
LAG = Gauge("flexcredits_aggregator_lag_records", "Records of this process's partitions that are not applied yet.")
COMPLETE_TO = Gauge(
    "flexcredits_aggregator_complete_to_timestamp_seconds",
    "Up to when totals are complete in every partition, with any owner, as Unix time; 0 while that is unknown.",
)
HELD = Gauge("flexcredits_aggregator_held_events", "Events that wait for their organization, rate or original.")
HELD_OLDEST_SECONDS = Gauge(
    "flexcredits_aggregator_oldest_held_seconds", "Seconds that the oldest held event has waited."
)
SKIPPED = Gauge(
    "flexcredits_aggregator_skipped_offsets",
    "Offsets that held no record: markers of transactions, records of aborted ones, and what compaction took.",
)
UNACCOUNTED = Gauge(
    "flexcredits_aggregator_unaccounted_records",
    "Records by which offsets applied, dispositions, hours and held rows differ; anything but 0 breaks the proof.",
)
PARTITIONS_AHEAD_DAYS = Gauge(
    "flexcredits_aggregator_partitions_ahead_days", "Days from today for which Postgres has all time partitions."
)
CROWDED_DAYS = Gauge(
    "flexcredits_aggregator_unpartitioned_days",
    "Days, from a week ago on, of which more than 100,000 ids came before the ledger had a partition: it gets none.",
)
DATABASE_BYTES = Gauge("flexcredits_aggregator_database_bytes", "Bytes of the database on disk.")
CATALOG_OFFSET = Gauge("flexcredits_aggregator_catalog_offset", "Catalog offset that this process rates with.")
OUTDATED_ZONES = Gauge(
    "flexcredits_aggregator_outdated_zone_organizations",
    "Organizations whose days were counted by other rules of their time zone than today's, when this process started.",
)
RELEASED = Counter("flexcredits_aggregator_released_total", "Held events that were counted at last.")
QUARANTINES = Counter(
    "flexcredits_aggregator_quarantines_total",
    "Times that something failed for one organization alone and was set aside for it.",
    ["component"],
)
QUARANTINED = Gauge(
    "flexcredits_quarantined_organizations",
    "Organizations for which a component fails and tries again, by component; every aggregator sees all of them.",
    ["component"],
)
QUARANTINED_RECORDS = Gauge(
    "flexcredits_quarantined_records", "Records that wait because their organization is in quarantine."
)
FOLDED_ATTRIBUTIONS = Counter(
    "flexcredits_aggregator_folded_attributions_total",
    "Combinations of actor, group and labels beyond an organization's limit of the month, which count together.",
)
FOLDED_SERIES = Counter(
    "flexcredits_aggregator_folded_series_total",
    "Combinations of feature, agent and surface beyond an organization's limit of the month, which count together.",
)
RELAYED = Counter("flexcredits_aggregator_relayed_total", "Messages that the relay has published.", ["topic"])

# Initialise every label set to 0, so that `rate()` sees the first increment.
for _disposition in DISPOSITIONS:
    EVENTS.labels(_disposition)
for _kind in Kind:
    DEAD_LETTERS.labels(_kind)
COMPONENTS = ("aggregator", "alerter", "rebuild", "retention")
for _component in COMPONENTS:
    QUARANTINED.labels(_component)
QUARANTINES.labels("aggregator")
for _within in ("yes", "no"):
    VISIBLE.labels(_within)
