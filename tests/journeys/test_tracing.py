"""One trace from a client's request through Kafka to the transaction, on to the mail, and request and trace ids in the logs."""

import asyncio
import json
import secrets
import subprocess
import sys
from contextlib import AsyncExitStack
from itertools import pairwise

import httpx
import pytest
import structlog
from flexcredits_cli.stack.api_keys import create_key
from flexcredits_cli.stack.services import without_proxy
from runtime.observability.logs import configure_logs
from runtime.observability.tracing import LINKS_MAX, Tracing
from support.clients.otlp_receiver import Received, receiver
from support.data.factories import contract, event, organization, usage
from support.infra.service_process import aggregator_environment, alerter_environment, eventually, free_port, running
from support.infra.stack import Database, Topics
from support.services.alerter import smtp_server
from support.services.ingest import Ingest, environment
from support.services.query_api import AUDIENCE, ISSUER, identity_provider, make_rsa_key


def new_traceparent() -> str:
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


def trace_id_of(traceparent: str) -> str:
    return traceparent.split("-")[1]


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
                assert batch.parent_id == "", "a batch of many requests has a parent"
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


async def test_the_trace_goes_on_to_the_firing_and_the_mail(database: Database, topics: Topics) -> None:
    key = await create_key(database.dsn, "*", "*")
    member = event("flexcredits.member.v1", {"email": "ada@acme.example", "name": "Ada", "role": "super_admin"})
    async with AsyncExitStack() as here:
        received = here.enter_context(receiver())
        mailbox = await here.enter_async_context(smtp_server())
        tracing = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": received.endpoint,
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            **without_proxy(),
        }
        only_messages = {"SWEEP_INTERVAL_S": "100000", "WAKEUP_INTERVAL_S": "100000"}
        given = environment(database.roles["flexcredits_ingest"], topics, **tracing)
        for service, settings in {
            "ingest": given,
            "aggregator": aggregator_environment(database, topics, **tracing),
            "alerter": alerter_environment(database, topics, mailbox.port, **only_messages, **tracing),
        }.items():
            await eventually(here.enter_context(running(service, settings)).ready, what=service)
        ingest = Ingest(f"http://127.0.0.1:{given['HTTP_PORT']}", "", topics, key)
        assert (await ingest.post([organization(), contract(total="10"), member])).status_code == 202
        caller = new_traceparent()
        assert (await ingest.post(usage(credits="8"), traceparent=caller)).status_code == 202
        steps = [
            f"process {topics.usage_events}", f"send {topics.totals}", f"process {topics.totals}", "evaluate organization", "insert_firing", "insert_email",
            "send mail",
        ]  # fmt: skip

        def mine() -> dict[str, Received]:
            return {span.name: span for span in received.spans if span.trace_id == trace_id_of(caller)}

        await eventually(lambda: set(steps) <= set(mine()), what="the whole trace")
        assert len(mailbox.got) == 1
        parents = {name: span.parent_id for name, span in mine().items()}
        ids = {name: span.span_id for name, span in mine().items()}
        for parent, child in pairwise(
            [
                f"process {topics.usage_events}",
                f"send {topics.totals}",
                f"process {topics.totals}",
                "evaluate organization",
            ]
        ):
            assert parents[child] == ids[parent], child
        for child in ("insert_firing", "insert_email", "send mail"):
            assert parents[child] == ids["evaluate organization"], child
        assert "sent" in mine()["send mail"].attributes["outcome"]
        # Timers without work create no spans.
        assert {
            span.name for span in received.spans if span.service == "flexcredits-alerter" and not span.parent_id
        } == set()


async def test_a_request_span_is_named_by_its_route_and_has_its_statements(database: Database) -> None:
    with receiver() as received, identity_provider(make_rsa_key()) as provider:
        url = f"http://127.0.0.1:{(port := free_port())}"
        settings = {
            "POSTGRES_DSN": database.roles["flexcredits_api"], "HTTP_PORT": str(port), "FLEXCREDITS_ENV": "test",
            "JWKS_URL": provider.url, "TOKEN_ISSUER": ISSUER, "TOKEN_AUDIENCE": AUDIENCE,
            "FLEXCREDITS_UNSUBSCRIBE_SECRET": "for tests alone, and for nothing else",
            "OTEL_EXPORTER_OTLP_ENDPOINT": received.endpoint, "OTEL_BSP_SCHEDULE_DELAY": "100", **without_proxy(),
        }  # fmt: skip
        with running("query_api", settings) as process:
            await eventually(process.ready, what="query-api")
            caller = new_traceparent()
            async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
                headers = {"Authorization": f"Bearer {provider.token()}", "traceparent": caller}
                assert (await client.get("/api/v1/alerts/4711", headers=headers)).status_code == 404
            name = "GET /api/v1/alerts/{id}"
            await eventually(lambda: bool(received.named(name)), what="the request's span")
            await eventually(lambda: bool(received.named("select_firing")), what="its statement's")
    [request] = received.named(name)
    assert (request.trace_id, request.parent_id) == (trace_id_of(caller), caller.split("-")[2])
    statements = [span for span in received.spans if span.parent_id == request.span_id]
    assert {"BEGIN", "select_organization", "select_firing"} <= {span.name for span in statements}
    assert all("postgresql" in span.attributes["db.system.name"] for span in statements)
    assert {span.trace_id for span in received.spans} == {request.trace_id}, "statements of probes have a trace"


@pytest.mark.parametrize("service", ["ingest", "aggregator", "alerter", "query_api"])
def test_without_an_endpoint_nothing_of_it_is_imported(service: str) -> None:
    program = (
        f"import sys, {service}.__main__; print([name for name in sys.modules if name.startswith('opentelemetry.sdk')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"


def test_without_an_endpoint_a_trace_is_passed_on_and_named_in_the_logs(capsys: pytest.CaptureFixture[str]) -> None:
    import logging

    before, caller, tracing = logging.getLogger().handlers[:], new_traceparent(), Tracing()
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
