"""One trace from a client's request through Kafka to the transaction, and request and trace ids in the logs."""

import asyncio
import json
import secrets
import subprocess
import sys

import pytest
import structlog
from factories import organization, usage
from flexcredits_local.keys import create_key
from flexcredits_local.services import without_proxy
from ingesting import Ingest, environment
from receiving import receiver
from runtime.logs import configure_logs
from runtime.tracing import LINKS_MAX, PassOn, trace_id_of
from service_process import aggregator_environment, eventually, running
from stack import Database, Topics


def new_traceparent() -> str:
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


async def test_one_trace_leads_from_the_request_to_the_transaction(database: Database, topics: Topics) -> None:
    key = await create_key(database.dsn, "*", "*")
    with receiver() as received:
        tracing = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": received.endpoint,
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            **without_proxy(),
        }
        given = environment(database.roles["flexcredits_ingest"], topics, **tracing)
        with running("ingest", given) as serving:
            await eventually(serving.ready, what="ingest")
            ingest = Ingest(f"http://127.0.0.1:{given['HTTP_PORT']}", "", topics, key)
            assert (await ingest.post(organization())).status_code == 202
            # Many requests before the aggregator starts: they are counted in one transaction.
            callers = [new_traceparent() for _ in range(LINKS_MAX + 8)]
            answers = await asyncio.gather(*(ingest.post(usage(), traceparent=caller) for caller in callers))
            assert {answer.status_code for answer in answers} == {202}
            with running("aggregator", aggregator_environment(database, topics, **tracing)) as counting:
                await eventually(counting.ready, what="aggregator")
                name = f"process {topics.usage_events}"
                await eventually(lambda: bool(received.named(name)), what="the batch's span")
                [batch] = received.named(name)
                assert batch.parent_id == "", "a batch of many is nobody's child"
                assert len(batch.links) == LINKS_MAX
                assert set(batch.links) < {trace_id_of(caller) for caller in callers}
                caller = new_traceparent()
                answer = await ingest.post(usage(), traceparent=caller, x_request_id="request-0001")
                assert answer.headers["x-request-id"] == "request-0001"
                await eventually(lambda: len(received.named(name)) == 2, what="the event's span")
                await eventually(
                    lambda: len([span for span in received.spans if span.trace_id == trace_id_of(caller)]) == 4,
                    what="the whole trace",
                )
    mine = {span.name: span for span in received.spans if span.trace_id == trace_id_of(caller)}
    steps = ["POST /api/v1/events", f"send {topics.usage_events}", name, "transaction"]
    assert [mine[step].service for step in steps] == ["ingest", "ingest", "aggregator", "aggregator"]
    parents = [caller.split("-")[2], *(mine[step].span_id for step in steps[:-1])]
    assert [mine[step].parent_id for step in steps] == parents
    assert "202" in mine[steps[0]].attributes["http.response.status_code"]


@pytest.mark.parametrize("service", ["ingest", "aggregator", "alerter", "query_api"])
def test_without_an_endpoint_nothing_of_it_is_imported(service: str) -> None:
    look = (
        f"import sys, {service}.__main__; print([name for name in sys.modules if name.startswith('opentelemetry.sdk')])"
    )
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"


def test_without_an_endpoint_a_trace_is_passed_on_and_named_in_the_logs(capsys: pytest.CaptureFixture[str]) -> None:
    import logging

    before, caller, tracing = logging.getLogger().handlers[:], new_traceparent(), PassOn()
    try:
        configure_logs("test")
        with tracing.span("outer", "server", [caller]), tracing.span("inner", "producer") as inner:
            assert inner.traceparent == caller
            structlog.get_logger().warning("within")
        with tracing.span("outer", "server", ["00-junk"]) as alone:
            assert alone.traceparent == ""
            structlog.get_logger().warning("without")
        within, without = map(json.loads, capsys.readouterr().err.splitlines())
    finally:
        logging.getLogger().handlers[:] = before
    assert within["trace_id"] == trace_id_of(caller)
    assert "trace_id" not in without
