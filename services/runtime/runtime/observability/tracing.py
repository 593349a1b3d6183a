"""Traces (W3C Trace Context): spans for OpenTelemetry where an OTLP endpoint is set; else nothing of it is even imported.

Without an endpoint a caller's `traceparent` is passed on as it came, so that whoever traces further on sees one trace.
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
"""Traces that a span names as its causes at most, however many records it is about."""
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_PASSED: ContextVar[str] = ContextVar("passed", default="")

SpanKind = Literal["server", "producer", "consumer", "client", "internal"]


class Span(Protocol):
    """What goes on now. `traceparent` is for whoever does the next step; empty without a trace."""

    @property
    def traceparent(self) -> str: ...

    def note(self, **attributes: str | int) -> None:
        """Attributes that are known at the end; two underscores stand for a dot."""

    def rename(self, name: str) -> None:
        """A name that is known at the end."""


class Tracing(Protocol):
    """Makes spans, within the one that goes on, or within `causes`: traceparents, of which anything may be given.

    One trace as cause goes on; of several a span can only say that they were the causes, in links. Meanwhile logs bear
    the trace's id.
    """

    is_on: bool

    def span(
        self, name: str, kind: SpanKind, causes: Sequence[str] = (), **attributes: str | int
    ) -> AbstractContextManager[Span]: ...

    def past(self, name: str, kind: SpanKind, elapsed_s: float, **attributes: str | int) -> None:
        """A part of the span that goes on, which has just ended after `elapsed_s` seconds. Nothing where none goes on."""


def trace_id_of(traceparent: str) -> str:
    """Empty where it is none."""
    found = _TRACEPARENT.fullmatch(traceparent)
    return found[1] if found and found[1].strip("0") else ""


class Passed(NamedTuple):
    """Somebody else's span, or none."""

    traceparent: str

    def note(self, **attributes: str | int) -> None:
        """Nobody reads them."""

    def rename(self, name: str) -> None:
        """Nobody reads it."""


class PassOn:
    """No spans."""

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
        """No spans."""


@asynccontextmanager
async def open_tracing(build: Build, endpoint: str) -> AsyncIterator[Tracing]:
    """Spans go to `endpoint`, which OTEL_EXPORTER_OTLP_ENDPOINT must say too; the SDK reads it and its other variables."""
    if not endpoint:
        yield PassOn()
        return
    # A quarter of a second and ten megabytes, which only those pay who trace.
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
    """A span of our own."""

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
    """Spans by OpenTelemetry."""

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
    """Python's names -> those of the semantic conventions: http__route is http.route."""
    return {name.replace("__", "."): value for name, value in attributes.items()}
