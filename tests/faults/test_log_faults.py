"""F19: a topic is deleted and re-created; the aggregator must stop with an error, whatever the new topic contains."""

import signal

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from support.data.usage_source import ALLOWANCES, Source
from support.faults.fault_stage import count_applied, until_applied
from support.infra.brokers import AIOKAFKA_ERRORS
from support.infra.service_process import ServiceProcess, aggregator_environment, eventually, running
from support.infra.stack import Database, Topics
from support.invariants.log import count_log

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
COUNTED = 600


async def recreate(topics: Topics, topic: str = "", partitions: int = 4) -> None:
    """Delete and re-create a topic, by default the usage topic."""
    topic = topic or topics.usage_events
    admin = AIOKafkaAdminClient(bootstrap_servers=topics.bootstrap)
    await admin.start()
    try:
        await admin.delete_topics([topic])

        async def is_gone() -> bool:
            return topic not in await admin.list_topics()

        await eventually(is_gone, what="the topic's end")
        await admin.create_topics(
            [NewTopic(topic, partitions, 1, topic_configs={"message.timestamp.type": "LogAppendTime"})]
        )
    finally:
        await admin.close()


async def check_halted(process: ServiceProcess, database: Database, topics: Topics, counted: int) -> None:
    """Check that the aggregator ends with the reason and has counted nothing of the new topic."""
    await eventually(lambda: process.exit_code is not None, what="the aggregator's end")
    assert process.exit_code == 1
    assert "topic was re-created" in process.log or f"{topics.usage_events} is gone" in process.log
    assert await count_applied(topics, database.dsn) == counted


@pytest.mark.parametrize(
    "events",
    [
        pytest.param(100, id="shorter", marks=pytest.mark.faults),
        pytest.param(2_000, id="longer", marks=pytest.mark.smoke),
    ],
)
async def test_f19_topic_re_created_while_the_aggregator_was_away(
    topics: Topics, database: Database, events: int
) -> None:
    source, environment = Source(topics), aggregator_environment(database, topics, CONSUMER_INSTANCE="one")
    await source.introduce(ALLOWANCES)
    with running("aggregator", environment) as process:
        await source.pour(COUNTED, 0.5)
        await until_applied(topics, database.dsn)
        counted = await count_applied(topics, database.dsn)
        process.send(signal.SIGTERM)
        assert process.wait() == 0
    await recreate(topics)
    await source.pour(events, 0.1, seed=2)
    assert (await count_log(topics.bootstrap, topics.usage_events) > counted) == (events > COUNTED)
    with running("aggregator", environment) as process:
        await check_halted(process, database, topics, counted)


@pytest.mark.faults
@pytest.mark.parametrize("events", [100, 2_000], ids=["shorter", "longer"])
async def test_f19_topic_re_created_under_a_running_aggregator(
    topics: Topics, database: Database, expected_errors: list[str], events: int
) -> None:
    expected_errors.append(AIOKAFKA_ERRORS)
    source = Source(topics)
    await source.introduce(ALLOWANCES)
    environment = aggregator_environment(database, topics)
    with running("aggregator", environment) as process:
        await source.pour(COUNTED, 0.5)
        await until_applied(topics, database.dsn)
        counted = await count_applied(topics, database.dsn)
        await recreate(topics)
        await source.pour(events, 0.1, seed=2)
        await check_halted(process, database, topics, counted)
    with running("aggregator", environment) as process:  # a restart gives the same error
        await check_halted(process, database, topics, counted)


@pytest.mark.parametrize(
    "organizations",
    [
        pytest.param(1, id="shorter", marks=pytest.mark.smoke),
        pytest.param(40, id="longer", marks=pytest.mark.faults),
    ],
)
@pytest.mark.parametrize(
    "runs",
    [
        pytest.param(False, id="away", marks=pytest.mark.smoke),
        pytest.param(True, id="running", marks=pytest.mark.faults),
    ],
)
async def test_f19_a_re_created_catalog_stops_the_aggregator(
    topics: Topics, database: Database, expected_errors: list[str], organizations: int, runs: bool
) -> None:
    """Otherwise, catalog events would be skipped until the new topic is as long as the old one."""
    expected_errors.append(AIOKAFKA_ERRORS)
    source, environment = Source(topics), aggregator_environment(database, topics)
    await source.introduce(ALLOWANCES)

    async def recreate_catalog() -> None:
        await recreate(topics, topics.catalog, 1)
        await source.introduce({f"org_{number}": "1" for number in range(organizations)})

    with running("aggregator", environment) as process:
        await source.pour(100, 0.1)
        await until_applied(topics, database.dsn)
        if runs:
            await recreate_catalog()
            await eventually(lambda: process.exit_code is not None, what="the aggregator's end")
            assert "topic was re-created" in process.log
        else:
            process.send(signal.SIGTERM)
            assert process.wait() == 0
            await recreate_catalog()
    with running("aggregator", environment) as process:
        await eventually(lambda: process.exit_code is not None, what="the aggregator's end")
        assert "topic was re-created" in process.log
