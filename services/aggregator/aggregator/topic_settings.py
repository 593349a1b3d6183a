"""Whether Kafka keeps the log that is counted as it was written: compaction takes records before they are read."""

import structlog
from aiokafka.errors import KafkaError
from runtime.kafka.topics import read_setting

log = structlog.get_logger()


async def find_compacted(bootstrap: str, names: tuple[str, ...], **security: object) -> list[str]:
    """Those of the topics whose cleanup.policy is, or includes, compact. Logs them, and empty when Kafka does not say."""
    try:
        policies = await read_setting(bootstrap, names, "cleanup.policy", **security)
    except KafkaError as error:  # who may read topics may not be allowed to read their settings
        log.warning("the topics' settings were not checked", reason=f"{type(error).__name__}: {error}")
        return []
    compacted = [name for name, policy in policies.items() if "compact" in policy]
    for name in compacted:
        log.warning("this topic is compacted, so records may be gone before they are counted: set delete", topic=name)
    return compacted
