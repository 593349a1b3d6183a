"""Settings of ingest, read from the environment."""

from typing import Self

from pydantic import Field, model_validator
from runtime.kafka.clients import KafkaSettings
from runtime.process import ProcessSettings


class Settings(KafkaSettings, ProcessSettings):
    """Read from the environment under these names in upper case."""

    http_host: str = "127.0.0.1"
    http_port: int
    flexcredits_env: str = "development"

    usage_events_topic: str = "usage.events.v1"
    catalog_topic: str = "usage.catalog.v1"
    dead_letter_topic: str = "usage.events.v1.dlq"

    body_bytes_max: int = Field(default=8 * 1024 * 1024, gt=0)
    """Limit of the body of a request, as received and also after decompression."""
    head_wait_s: float = Field(default=10, gt=0)
    body_wait_s: float = Field(default=30, gt=0)
    batch_events_max: int = Field(default=10_000, gt=0)
    event_bytes_max: int = Field(default=256 * 1024, gt=0, le=512 * 1024)
    """Limit of one event. The broker rejects a record above 1 MiB, and a rejected record breaks an idempotent
    producer."""
    in_flight_bytes_max: int = Field(default=128 * 1024 * 1024, gt=0)
    """Limit of the bodies being read and the records not yet acknowledged, together."""
    produce_wait_s: float = Field(default=5, gt=0)
    events_per_second_max: float = Field(default=0, ge=0)
    """Limit per key and process, averaged over ten seconds; 0 is no limit."""
    key_cache_s: float = Field(default=5, ge=0)
    """Maximum time that a revoked key still works."""
    key_stale_s: float = Field(default=300, ge=0)
    """Time that a known key works while Postgres does not answer."""
    connections_max: int = Field(default=1000, gt=0)
    shutdown_s: float = Field(default=15, gt=0)

    @model_validator(mode="after")
    def check_limits(self) -> Self:
        if self.in_flight_bytes_max < 4 * self.body_bytes_max:
            # A compressed body, its inflated form and its records are in memory together for a moment.
            raise ValueError("IN_FLIGHT_BYTES_MAX must be at least four times BODY_BYTES_MAX")
        return self
