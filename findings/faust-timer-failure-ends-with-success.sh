#!/usr/bin/env bash
# faust-streaming 0.15.3 started by `await app.start()`: one exception in one timer stops the whole application, and start()
# returns without an error. Expected: start() raises it, or only the timer stops, or it runs again. Seen: app.crashed is True,
# app.crash_reason holds the exception, no stream processes another event, and start() returns None: the process ends with status 0, so
# that a supervisor that restarts on failure does not restart it. In FlexCredits: timers raise no exception, and a watchdog checks
# app.crashed and the age of each timer and ends the process with 70 (services/alerter, tests/alerter/test_watchdog.py).
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check faust-streaming==0.15.3 aiokafka==0.14.0 confluent-kafka==2.16.1
cat > "$work/run.py" <<'PY'
import asyncio
from confluent_kafka import Producer

producer = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "simulated"})
[broker] = producer.list_topics(timeout=10).brokers.values()
producer.produce("usage", b"before", partition=0)
producer.flush(10)
import faust

app = faust.App("meter", broker=f"kafka://{broker.host}:{broker.port}", web_enabled=False, topic_allow_declare=False,
                topic_disable_leader=True, consumer_auto_offset_reset="earliest", stream_wait_empty=False)
done = []

@app.agent(app.topic("usage", value_type=bytes, value_serializer="raw"))
async def count(stream):
    async for value in stream:
        done.append(value)

@app.timer(0.2)
async def tick():
    if done:
        raise ConnectionError("away for a moment")

async def main():
    running = asyncio.create_task(app.start())
    async with asyncio.timeout(30):
        while not app.crashed:
            await asyncio.sleep(0.05)
    producer.produce("usage", b"after", partition=0)
    producer.flush(10)
    async with asyncio.timeout(30):
        returned = await running
    print("crashed:", app.crashed, repr(app.crash_reason), "| start() returned:", returned, "| events:", done)
    assert returned is None and done == [b"before"]

asyncio.run(asyncio.wait_for(main(), 60))
print("as described: crashed, and start() returns without an error")
PY
timeout 100 "$work/venv/bin/python" "$work/run.py" 2>/dev/null
