"""Traces (W3C Trace Context) by OpenTelemetry. If an OTLP endpoint is set, its SDK creates spans. Otherwise its API
passes a caller's trace on, so that the next services can continue it, and the SDK is not imported."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Literal, NamedTuple

from opentelemetry import trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from structlog.contextvars import bound_contextvars

from runtime.observability.build import Build

TRACEPARENT = "traceparent"
LINKS_MAX = 32
"""Maximum number of traces that a span links as its causes, however many records it processes."""
_W3C = TraceContextTextMapPropagator()

SpanKind = Literal["server", "producer", "consumer", "client", "internal"]


class Span(NamedTuple):
    """The present span: of this process, or of a caller."""

    span: trace.Span

    @property
    def traceparent(self) -> str:
        """For the next step; empty without a trace."""
        headers: dict[str, str] = {}
        _W3C.inject(headers, trace.set_span_in_context(self.span))
        return headers.get(TRACEPARENT, "")

    def note(self, **attributes: str | int) -> None:
        """Add attributes that are known only at the end; two underscores stand for a dot."""
        self.span.set_attributes(dotted(attributes))

    def rename(self, name: str) -> None:
        """Set a name that is known only at the end."""
        self.span.update_name(name)


class Tracing:
    """Creates spans within the present one, or within `causes`: traceparents, which may be invalid.

    A span continues the trace of its causes if they belong to one trace. Otherwise it only links them. During a span,
    logs contain the id of its trace. Without a tracer, the span of the caller stays the present one.
    """

    def __init__(self, tracer: trace.Tracer | None = None) -> None:
        self.is_on = tracer is not None
        self._tracer = tracer or trace.NoOpTracer()

    @contextmanager
    def span(self, name: str, kind: SpanKind, causes: Sequence[str] = (), **attributes: str | int) -> Iterator[Span]:
        remote = [context for context in map(remote_context, filter(None, causes[:LINKS_MAX])) if context.is_valid]
        of_one = len({context.trace_id for context in remote}) == 1
        if not self.is_on and not of_one:
            yield Span(trace.get_current_span())  # most requests of a process without an endpoint
            return
        parent = trace.set_span_in_context(trace.NonRecordingSpan(remote[0])) if of_one else None
        links = [trace.Link(context) for context in (remote[1:] if of_one else remote)]
        with self._tracer.start_as_current_span(
            name, parent, kind=trace.SpanKind[kind.upper()], attributes=dotted(attributes), links=links
        ) as span:
            context = span.get_span_context()
            with bound_contextvars(**{"trace_id": trace.format_trace_id(context.trace_id)} if context.is_valid else {}):
                yield Span(span)

    def past(self, name: str, kind: SpanKind, elapsed_s: float, **attributes: str | int) -> None:
        """Record a part of the present span that has just ended after `elapsed_s` seconds. Does nothing without a
        present span."""
        if not trace.get_current_span().is_recording():
            return
        ended = time.time_ns()
        span = self._tracer.start_span(
            name,
            kind=trace.SpanKind[kind.upper()],
            attributes=dotted(attributes),
            start_time=ended - int(elapsed_s * 1e9),
        )
        span.end(ended)


@asynccontextmanager
async def open_tracing(build: Build, endpoint: str) -> AsyncIterator[Tracing]:
    """Send spans to `endpoint`. OTEL_EXPORTER_OTLP_ENDPOINT must have the same value, because the SDK reads it and its
    other variables."""
    if not endpoint:
        yield Tracing()
        return
    # These imports take a quarter of a second and ten megabytes, which only traced processes need.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    resource = Resource.create(
        {"service.namespace": build.product, "service.name": build.service, "service.version": build.version}
    )
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    try:
        yield Tracing(provider.get_tracer(build.service))
    finally:
        await asyncio.to_thread(provider.shutdown)


def remote_context(traceparent: str) -> trace.SpanContext:
    """The span that a traceparent names; an invalid one if it is invalid."""
    return trace.get_current_span(_W3C.extract({TRACEPARENT: traceparent})).get_span_context()


def dotted(attributes: dict[str, Any]) -> dict[str, Any]:
    """Convert names of Python to those of the semantic conventions: http__route to http.route."""
    return {name.replace("__", "."): value for name, value in attributes.items()}
