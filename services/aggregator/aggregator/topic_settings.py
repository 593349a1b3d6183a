"""Checks that Kafka does not compact the log that is counted: compaction removes records before they are read."""

import structlog
from aiokafka.errors import KafkaError
from runtime.kafka.topics import read_setting

log = structlog.get_logger()


async def find_compacted(bootstrap: str, names: tuple[str, ...], **security: object) -> list[str]:
    """The topics whose cleanup.policy includes `compact`. Logs them. Empty when Kafka does not give the setting."""
    try:
        policies = await read_setting(bootstrap, names, "cleanup.policy", **security)
    except KafkaError as error:  # a principal that may read topics may not be allowed to read their settings
        log.warning("the topics' settings were not checked", reason=f"{type(error).__name__}: {error}")
        return []
    compacted = [name for name, policy in policies.items() if "compact" in policy]
    for name in compacted:
        log.warning("this topic is compacted, so records may be gone before they are counted: set delete", topic=name)
    return compacted
