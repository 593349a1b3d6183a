"""Traces (W3C Trace Context): OpenTelemetry spans if an OTLP endpoint is set; otherwise OpenTelemetry is not even
imported.

Without an endpoint a caller's `traceparent` is passed on unchanged, so that the next services can continue the trace.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from structlog.contextvars import bound_contextvars

from runtime.observability.build import Build

if TYPE_CHECKING:
    from opentelemetry import trace

TRACEPARENT = "traceparent"
LINKS_MAX = 32
"""Maximum number of traces that a span links as its causes, however many records it processes."""
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_PASSED: ContextVar[str] = ContextVar("passed", default="")

SpanKind = Literal["server", "producer", "consumer", "client", "internal"]


class Span(Protocol):
    """The present span. `traceparent` is for the next step; empty without a trace."""

    @property
    def traceparent(self) -> str: ...

    def note(self, **attributes: str | int) -> None:
        """Add attributes that are known only at the end; two underscores stand for a dot."""

    def rename(self, name: str) -> None:
        """Set a name that is known only at the end."""


class Tracing(Protocol):
    """Creates spans within the present one, or within `causes`: traceparents, which may be invalid.

    A span continues the trace of its causes if they belong to one trace. Otherwise it only links them. During a span,
    logs contain the id of its trace.
    """

    is_on: bool

    def span(
        self, name: str, kind: SpanKind, causes: Sequence[str] = (), **attributes: str | int
    ) -> AbstractContextManager[Span]: ...

    def past(self, name: str, kind: SpanKind, elapsed_s: float, **attributes: str | int) -> None:
        """Record a part of the present span that has just ended after `elapsed_s` seconds. Does nothing without a
        present span."""


def trace_id_of(traceparent: str) -> str:
    """The trace id of a traceparent; empty if it is invalid."""
    found = _TRACEPARENT.fullmatch(traceparent)
    return found[1] if found and found[1].strip("0") else ""


class Passed(NamedTuple):
    """The span of a caller, or no span."""

    traceparent: str

    def note(self, **attributes: str | int) -> None:
        """Ignore them, because this process does not own the span."""

    def rename(self, name: str) -> None:
        """Ignore it, because this process does not own the span."""


class PassOn:
    """Creates no spans and passes the traceparent of the caller on."""

    is_on = False

    @contextmanager
    def span(self, name: str, kind: SpanKind, causes: Sequence[str] = (), **attributes: str | int) -> Iterator[Span]:
        trace_id = trace_id_of(causes[0]) if len(causes) == 1 else ""
        if not trace_id:
            yield Passed(_PASSED.get())
            return
        token = _PASSED.set(causes[0])
        try:
            with bound_contextvars(trace_id=trace_id):
                yield Passed(causes[0])
        finally:
            _PASSED.reset(token)

    def past(self, name: str, kind: SpanKind, elapsed_s: float, **attributes: str | int) -> None:
        """Record nothing."""


@asynccontextmanager
async def open_tracing(build: Build, endpoint: str) -> AsyncIterator[Tracing]:
    """Send spans to `endpoint`. OTEL_EXPORTER_OTLP_ENDPOINT must have the same value, because the SDK reads it and its
    other variables."""
    if not endpoint:
        yield PassOn()
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
        yield Traced(provider.get_tracer(build.service))
    finally:
        await asyncio.to_thread(provider.shutdown)


class Made(NamedTuple):
    """A span of this process."""

    span: "trace.Span"

    @property
    def traceparent(self) -> str:
        at = self.span.get_span_context()
        return f"00-{at.trace_id:032x}-{at.span_id:016x}-{at.trace_flags:02x}"

    def note(self, **attributes: str | int) -> None:
        self.span.set_attributes(dotted(attributes))

    def rename(self, name: str) -> None:
        self.span.update_name(name)


class Traced:
    """Creates OpenTelemetry spans."""

    is_on = True

    def __init__(self, tracer: "trace.Tracer") -> None:
        self._tracer = tracer

    @contextmanager
    def span(self, name: str, kind: SpanKind, causes: Sequence[str] = (), **attributes: str | int) -> Iterator[Span]:
        from opentelemetry import trace

        remote = [context for context in map(remote_context, causes[:LINKS_MAX]) if context is not None]
        of_one = len({context.trace_id for context in remote}) == 1
        parent = trace.set_span_in_context(trace.NonRecordingSpan(remote[0])) if of_one else None
        links = [trace.Link(context) for context in (remote[1:] if of_one else remote)]
        with self._tracer.start_as_current_span(
            name, parent, kind=trace.SpanKind[kind.upper()], attributes=dotted(attributes), links=links
        ) as span:
            made = Made(span)
            with bound_contextvars(trace_id=trace_id_of(made.traceparent)):
                yield made

    def past(self, name: str, kind: SpanKind, elapsed_s: float, **attributes: str | int) -> None:
        from opentelemetry import trace

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


def remote_context(traceparent: str) -> "trace.SpanContext | None":
    from opentelemetry import trace

    if not trace_id_of(traceparent):
        return None
    _, trace_id, span_id, flags = traceparent.split("-")
    return trace.SpanContext(int(trace_id, 16), int(span_id, 16), True, trace.TraceFlags(int(flags, 16)))


def dotted(attributes: dict[str, Any]) -> dict[str, Any]:
    """Convert names of Python to those of the semantic conventions: http__route to http.route."""
    return {name.replace("__", "."): value for name, value in attributes.items()}
