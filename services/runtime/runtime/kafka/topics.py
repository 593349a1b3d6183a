"""Compares topics with their files: which are missing, and which differ. Changes nothing."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import UnknownTopicOrPartitionError, for_code


@dataclass(frozen=True)
class Topic:
    """One topic. `partitions` is 0 if it does not exist; `drift` describes its differences from its file."""

    name: str
    partitions: int
    replication: int
    config: dict[str, str]
    """The settings that its file names, with the values of the broker."""
    drift: tuple[str, ...]

    @property
    def exists(self) -> bool:
        return self.partitions > 0


async def inspect_topics(
    bootstrap: str,
    folder: Path,
    *,
    names: Mapping[str, str] | None = None,
    replication: int | None = None,
    **security: object,
) -> list[Topic]:
    """The topics described by `folder`/*.yaml; `names` maps to other names. Raises KafkaError.

    More partitions than in the file are growth, not drift. `replication` None does not check replicas.
    """
    described = {
        (names or {}).get(topic["name"], topic["name"]): topic
        for topic in (yaml.safe_load(path.read_text()) for path in sorted(folder.glob("*.yaml")))
    }
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, **security)
    await admin.start()
    try:
        found = await _existing(admin, list(described))
        settings = await _settings(admin, {name: topic["config"] for name, topic in described.items() if name in found})
    finally:
        await admin.close()
    return [
        Topic(name, *found[name], settings[name], _drift(topic, *found[name], settings[name], replication))
        if name in found
        else Topic(name, 0, 0, {}, ())
        for name, topic in described.items()
    ]


async def read_setting(bootstrap: str, names: Iterable[str], setting: str, **security: object) -> dict[str, str]:
    """One setting of each of these topics, with the value of the broker. Raises KafkaError."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, **security)
    await admin.start()
    try:
        settings = await _settings(admin, {name: {setting: None} for name in names})
    finally:
        await admin.close()
    return {name: found[setting] for name, found in settings.items()}


async def _existing(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, tuple[int, int]]:
    """Numbers of partitions and replicas of each topic that exists."""
    found = {}
    for topic in await admin.describe_topics(names):
        error = for_code(topic["error_code"])
        if topic["error_code"] and error is not UnknownTopicOrPartitionError:
            raise error(topic["topic"])
        if topic["partitions"]:
            copies = min(len(partition["replicas"]) for partition in topic["partitions"])
            found[topic["topic"]] = (len(topic["partitions"]), copies)
    return found


async def _settings(admin: AIOKafkaAdminClient, wanted: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    resources = [ConfigResource(ConfigResourceType.TOPIC, name, dict(config)) for name, config in wanted.items()]
    settings: dict[str, dict[str, str]] = {}
    for answer in await admin.describe_configs(resources) if resources else []:
        for code, message, _, name, entries in answer.resources:
            if code:
                raise for_code(code)(f"{name}: {message}")
            settings[name] = {entry[0]: entry[1] for entry in entries}
    return settings


def _drift(
    topic: Mapping[str, Any], partitions: int, copies: int, settings: Mapping[str, str], replication: int | None
) -> tuple[str, ...]:
    differences = [
        f"{key} is {settings.get(key)}, not {value}"
        for key, value in topic["config"].items()
        if settings.get(key) != str(value)
    ]
    if partitions < topic["partitions"]:
        differences.append(f"{partitions} partitions, not {topic['partitions']}")
    if replication is not None and copies < replication:
        differences.append(f"{copies} copies, not {replication}")
    return tuple(differences)
