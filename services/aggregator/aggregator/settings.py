"""Settings of the aggregator, read from the environment."""

from typing import Literal

from runtime.kafka.clients import KafkaSettings
from runtime.process import ProcessSettings

from aggregator.domain.limits.admission import ATTRIBUTIONS_PER_MONTH, SERIES_PER_MONTH


class Settings(KafkaSettings, ProcessSettings):
    """Read from the environment under these names in upper case."""

    usage_events_topic: str = "usage.events.v1"
    catalog_topic: str = "usage.catalog.v1"
    totals_topic: str = "usage.totals.v1"
    dead_letter_topic: str = "usage.events.v1.dlq"
    consumer_group: str = "aggregator"
    consumer_instance: str | None = None
    """A name that survives restarts, such as the name of the pod: a restarted process gets its partitions back at
    once."""

    batch_events_max: int = 50_000
    """Two batches are in memory at a time: with 100,000 events in each the process takes 480 MiB."""
    batch_interval_s: float = 0.15
    """Minimum interval between the starts of batches: records that arrive in it share one transaction."""
    fetch_wait_ms: int = 200
    attributions_per_month: int = ATTRIBUTIONS_PER_MONTH
    """New combinations of actor, group and labels of an organization in a month. Further labels count together, and beyond
    twice as many also further people."""
    series_per_month: int = SERIES_PER_MONTH
    """New combinations of product, feature, agent and surface of an organization in a month. Further agents of a feature count
    together, and beyond twice as many also further features."""
    sweep_interval_s: float = 0.3
    """Interval at which catalog events are applied when no usage arrives."""
    relay_interval_s: float = 0.3
    """Interval at which changed totals are published to the alerter."""
    stall_s: float = 30.0
    """A batch that takes longer, or records that wait uncounted for longer, make the process not ready."""
    stuck_exit_s: float = 60.0
    """Records that wait uncounted for longer end the process: a new process may recover."""
    dead_letter_limit: Literal["on", "off"] = "on"
