"""Waits until a Kafka cluster is usable: its group coordinator answers, and new topics have leaders."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError, GroupLoadInProgressError
from aiokafka.protocol.offset import OffsetRequest

PAUSE_S = 0.05
NO_LEADER = -1
LATEST = -1  # the protocol's value for the end offset


async def wait_until_usable(
    bootstrap: str, topics: Collection[str] = (), *, seconds: float = 60, **security: object
) -> None:
    """Poll until the coordinator and the topics are available. Raises TimeoutError after `seconds`.

    A cluster creates its offsets topic at the first request for the coordinator, and a broker learns of a new topic shortly
    after its creation. Clients that connect before that log an ERROR.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, **security)
    await admin.start()
    try:
        async with asyncio.timeout(seconds):
            while True:
                if await has_coordinator(admin) and await has_leaders(admin, topics):
                    return
                await asyncio.sleep(PAUSE_S)
    finally:
        await admin.close()


async def has_coordinator(admin: AIOKafkaAdminClient) -> bool:
    try:
        await admin.find_coordinator("readiness-check")
    except (GroupCoordinatorNotAvailableError, GroupLoadInProgressError):
        return False
    return True


async def has_leaders(admin: AIOKafkaAdminClient, topics: Collection[str]) -> bool:
    """Whether the cluster knows all topics, and every partition has a leader that serves it."""
    if not topics:
        return True
    leaders: dict[int, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for topic in await admin.describe_topics(list(topics)):
        if topic["error_code"] or not topic["partitions"]:
            return False
        for partition in topic["partitions"]:
            leaders[partition["leader"]][topic["topic"]].append(partition["partition"])
    if NO_LEADER in leaders:
        return False
    return all([await serves(admin, leader, partitions) for leader, partitions in leaders.items()])


async def serves(admin: AIOKafkaAdminClient, leader: int, partitions: Mapping[str, Sequence[int]]) -> bool:
    """Whether the broker serves these partitions. Metadata names a leader before the leader has created the logs."""
    wanted = [(topic, [(number, LATEST) for number in numbers]) for topic, numbers in partitions.items()]
    # The admin client has no public method that sends a read-only request to a leader.
    answer = await admin._send_request(OffsetRequest(-1, 0, wanted), leader)
    return not any(error_code for _, numbers in answer.topics for _, error_code, *_ in numbers)
