#!/usr/bin/env bash
# faust-streaming 0.15.3: an agent that raises once at an event loses that event: it is acknowledged, the offset behind it is
# committed, and the restarted agent continues with the next one.
# Expected of a stream processor that commits offsets after processing: the event is delivered again (at least once).
# Seen (against the broker that confluent-kafka's librdkafka simulates in process): events 1 2 3 4, a failure at 2, done 1 3 4,
# committed 5 of 5. In FlexCredits: usage is counted by a plain consumer whose position is in Postgres; the alerter's stream body
# raises no exception and reads levels, not deltas (docs/decisions/0015-faust-runs-inside-the-alerters-process.md,
# tests/alerter/test_alerter_process.py).
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check faust-streaming==0.15.3 aiokafka==0.14.0 confluent-kafka==2.16.1
cat > "$work/run.py" <<'PY'
import asyncio
from confluent_kafka import Consumer, Producer, TopicPartition

producer = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "simulated"})
[broker] = producer.list_topics(timeout=10).brokers.values()
address = f"{broker.host}:{broker.port}"

def send(*values):
    for value in values:
        producer.produce("usage", value, partition=0)
    producer.flush(10)

send(b"0")
import faust

app = faust.App("meter", broker=f"kafka://{address}", web_enabled=False, topic_allow_declare=False, topic_disable_leader=True,
                broker_commit_interval=0.2, consumer_auto_offset_reset="earliest", stream_wait_empty=False)
tried, done = [], []

@app.agent(app.topic("usage", value_type=bytes, value_serializer="raw"))
async def count(stream):
    async for value in stream:
        tried.append(value)
        if value == b"2" and tried.count(value) == 1:
            raise ConnectionError("the database is away for a moment")
        done.append(value)

async def until(condition, seconds=30.0):
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.05)

async def committed():
    group = Consumer({"bootstrap.servers": address, "group.id": "meter"})
    try:
        return (await asyncio.to_thread(group.committed, [TopicPartition("usage", 0)], 10))[0].offset
    finally:
        group.close()

async def main():
    running = asyncio.create_task(app.start())
    await until(lambda: done == [b"0"])
    send(b"1", b"2", b"3", b"4")
    await until(lambda: b"4" in done)
    async with asyncio.timeout(30):
        while (offset := await committed()) < 5:
            await asyncio.sleep(0.1)
    print("tried", tried, "done", done, "committed", offset)
    assert done == [b"0", b"1", b"3", b"4"] and tried.count(b"2") == 1 and offset == 5
    await app.stop()
    running.cancel()

asyncio.run(main())
print("as described: event 2 was lost")
PY
"$work/venv/bin/python" "$work/run.py" 2>/dev/null
