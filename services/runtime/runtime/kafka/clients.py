"""Creates topics from their files, and opens clients with the settings that durability needs."""

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

from runtime.kafka.header_names import accept_any_header_name
from runtime.postgres.errors import transient_error_code


class KafkaSettings(BaseSettings):
    """Address and credentials of Kafka. Every service inherits these settings, so that each variable has one name."""

    model_config = SettingsConfigDict(frozen=True, hide_input_in_errors=True)

    kafka_bootstrap: str
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    kafka_username: str = ""
    kafka_password: SecretStr = SecretStr("")
    kafka_ca_file: Path | None = None
    """PEM file of the authorities that sign the brokers' certificates. The default is the system's authorities."""
    kafka_certificate_file: Path | None = None
    """The client certificate for mutual TLS, with its key in `kafka_key_file`."""
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

    Returns when the broker can describe them all, which is shortly after it has confirmed their creation.
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
    """A producer that waits for all replicas, and whose own retries never write a record twice.

    Batches have at most 512 KiB before compression, so that no broker with the default limit of 1 MiB rejects one. A
    single record may be larger, and the caller must limit it. zstd takes a quarter of the time of aiokafka's lz4, which
    compresses at level 9, and its output is a quarter smaller.
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
        # Without Kafka an idempotent producer would flush without end. The records that it still holds were never
        # acknowledged.
        try:
            await asyncio.wait_for(producer.stop(), 5)
        except TimeoutError:
            await producer.client.close()


@asynccontextmanager
async def open_consumer(
    bootstrap: str, client_id: str, *, group: str | None = None, **settings: object
) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer without automatic commits. It reads only committed records unless `settings` say otherwise."""
    accept_any_header_name()
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
    """Whether Kafka failed, or Postgres failed temporarily: the next run of the same work may succeed."""
    return isinstance(error, KafkaError) or transient_error_code(error) is not None
