#!/usr/bin/env bash
# aiokafka 0.14.0: an exception in on_partitions_assigned is logged, and consuming continues at the group's committed offset.
# Expected: what a rebalance listener raises reaches getmany(), as it does in confluent-kafka (poll() raises it) and in Kafka's
# Java client. Otherwise a consumer whose listener seeks to a stored position reads from the wrong offset, unnoticed.
# Seen (against the broker that librdkafka simulates in process): the listener raises, getmany() returns the records.
# In FlexCredits: the listener keeps its exception and the loop raises it (aggregator/consumer/consumer.py, tests/aggregator).
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check aiokafka==0.14.0 confluent-kafka==2.16.1
cat > "$work/run.py" <<'PY'
import asyncio
from confluent_kafka import Consumer, Producer

producer = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "simulated"})
[broker] = producer.list_topics(timeout=10).brokers.values()
address = f"{broker.host}:{broker.port}"
for number in range(3):
    producer.produce("usage", f"{number}".encode(), partition=0)
producer.flush(10)
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener

class Listener(ConsumerRebalanceListener):
    async def on_partitions_revoked(self, revoked): pass
    async def on_partitions_assigned(self, assigned):
        raise LookupError("my own position cannot be read")

async def aiokafka():
    consumer = AIOKafkaConsumer(bootstrap_servers=address, group_id="a", auto_offset_reset="earliest")
    await consumer.start()
    consumer.subscribe(["usage"], listener=Listener())
    records = []
    try:
        async with asyncio.timeout(30):
            while len(records) < 3:
                records += [record.value for batch in (await consumer.getmany(timeout_ms=200)).values() for record in batch]
    finally:
        await consumer.stop()
    return records

def confluent():
    def on_assign(_consumer, _partitions):
        raise LookupError("my own position cannot be read")
    consumer = Consumer({"bootstrap.servers": address, "group.id": "c", "auto.offset.reset": "earliest"})
    consumer.subscribe(["usage"], on_assign=on_assign)
    try:
        for _ in range(100):
            if consumer.poll(0.3):
                return "a record"
    except LookupError as error:
        return repr(error)
    finally:
        consumer.close()

records = asyncio.run(aiokafka())
print("aiokafka: ", records)
other = confluent()
print("confluent:", other)
assert records == [b"0", b"1", b"2"] and other.startswith("LookupError"), other
print("as described: aiokafka goes on as if the listener had not failed")
PY
"$work/venv/bin/python" "$work/run.py" 2>/dev/null
