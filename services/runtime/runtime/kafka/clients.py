"""Kafka: topics from their files, and clients with the settings that durability needs."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code
from aiokafka.helpers import create_ssl_context
from pydantic import SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from runtime.postgres.errors import passing_failure


class KafkaSettings(BaseSettings):
    """Where Kafka is and how we prove who we are: every service inherits it, so the variables have one name each."""

    model_config = SettingsConfigDict(frozen=True, hide_input_in_errors=True)

    kafka_bootstrap: str
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    kafka_username: str = ""
    kafka_password: SecretStr = SecretStr("")
    kafka_ca_file: Path | None = None
    """PEM file of the authorities that sign the brokers' certificates; the system's without it."""
    kafka_certificate_file: Path | None = None
    """Our own certificate for mutual TLS, with its key in `kafka_key_file`."""
    kafka_key_file: Path | None = None

    @model_validator(mode="after")
    def check_credentials(self) -> Self:
        if self.kafka_security_protocol.startswith("SASL") and not (self.kafka_username and self.kafka_password):
            raise ValueError(f"{self.kafka_security_protocol} needs KAFKA_USERNAME and KAFKA_PASSWORD")
        return self

    def kafka_security(self) -> dict[str, Any]:
        """Arguments for any aiokafka client. Certificates and host names are always checked."""
        security: dict[str, Any] = {"security_protocol": self.kafka_security_protocol}
        if self.kafka_security_protocol.endswith("SSL"):
            security["ssl_context"] = create_ssl_context(
                cafile=self.kafka_ca_file, certfile=self.kafka_certificate_file, keyfile=self.kafka_key_file
            )
        if self.kafka_security_protocol.startswith("SASL"):
            security["sasl_mechanism"] = self.kafka_sasl_mechanism
            security["sasl_plain_username"] = self.kafka_username
            security["sasl_plain_password"] = self.kafka_password.get_secret_value()
        return security


async def create_topics(
    bootstrap: str, folder: Path, *, names: Mapping[str, str] | None = None, replication: int = 1, **security: object
) -> None:
    """Create the topics described by `folder`/*.yaml that do not exist; `names` maps to other names (tests).

    Returns when a broker knows them all, which is a moment after it has said that they are made.
    """
    described = [yaml.safe_load(path.read_text()) for path in sorted(folder.glob("*.yaml"))]
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, **security)
    await admin.start()
    try:
        answer = await admin.create_topics(
            [
                NewTopic(
                    name=(names or {}).get(topic["name"], topic["name"]),
                    num_partitions=topic["partitions"],
                    replication_factor=replication,
                    topic_configs={key: str(value) for key, value in topic["config"].items()},
                )
                for topic in described
            ]
        )
        for name, code, *details in answer.topic_errors:
            error = for_code(code)
            if code and error is not TopicAlreadyExistsError:
                raise error(f"{name}: {details}")
        made = [name for name, *_ in answer.topic_errors]
        async with asyncio.timeout(10):
            while any(topic["error_code"] for topic in await admin.describe_topics(made)):
                await asyncio.sleep(0.02)
    finally:
        await admin.close()


@asynccontextmanager
async def open_producer(bootstrap: str, client_id: str, **settings: object) -> AsyncIterator[AIOKafkaProducer]:
    """A producer that waits for all replicas and never writes a record twice on its own retries.

    Batches are 512 KiB before compression, so that no broker with the default limit of 1 MiB refuses one; a single
    record may be larger and is the caller's to limit. zstd: a quarter of the time of aiokafka's lz4, which compresses
    at level 9, and a quarter smaller.
    """
    defaults = {"compression_type": "zstd", "max_batch_size": 512 * 1024, "max_request_size": 1024 * 1024}
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        client_id=client_id,
        acks="all",
        enable_idempotence=True,
        **defaults | settings,
    )
    try:
        await producer.start()
        yield producer
    finally:
        # With Kafka gone an idempotent producer would flush for ever; what it still holds was never acknowledged.
        try:
            await asyncio.wait_for(producer.stop(), 5)
        except TimeoutError:
            await producer.client.close()


@asynccontextmanager
async def open_consumer(
    bootstrap: str, client_id: str, *, group: str | None = None, **settings: object
) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer that commits only what it is told to, and reads of transactions what was committed, unless told otherwise."""
    defaults = {"isolation_level": "read_committed"}
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        client_id=client_id,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_bytes=16 * 1024 * 1024,
        max_partition_fetch_bytes=8 * 1024 * 1024,
        **defaults | settings,
    )
    try:
        await consumer.start()
        yield consumer
    finally:
        try:
            await asyncio.wait_for(consumer.stop(), 10)
        except TimeoutError:
            await consumer._client.close()


def is_transient(error: BaseException) -> bool:
    """Whether Kafka failed, or Postgres did for a while: the same work may succeed at its next run."""
    return isinstance(error, KafkaError) or passing_failure(error) is not None
