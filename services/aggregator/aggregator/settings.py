"""What the environment says."""

from typing import Literal

from runtime.kafka.clients import KafkaSettings
from runtime.process import ProcessSettings


class Settings(KafkaSettings, ProcessSettings):
    """Read from the environment under these names in upper case."""

    usage_events_topic: str = "usage.events.v1"
    catalog_topic: str = "usage.catalog.v1"
    totals_topic: str = "usage.totals.v1"
    dead_letter_topic: str = "usage.events.v1.dlq"
    consumer_group: str = "aggregator"
    consumer_instance: str | None = None
    """A name that survives restarts, such as the pod's: a restarted process then gets its partitions back at once."""

    batch_events_max: int = 20_000
    batch_interval_s: float = 0.2
    """Batches begin no sooner after each other: what comes meanwhile shares one transaction."""
    fetch_wait_ms: int = 200
    sweep_interval_s: float = 0.3
    """How soon a fact is applied when no usage comes."""
    relay_interval_s: float = 0.3
    """An organization whose usage goes on is told to the alerter this often."""
    stall_s: float = 30.0
    """A turn that takes longer than this makes the process not ready, and so do records that wait uncounted for as long."""
    stuck_exit_s: float = 60.0
    """Records that wait uncounted for as long as this end the process: a new one may do better."""
    dead_letter_limit: Literal["on", "off"] = "on"
