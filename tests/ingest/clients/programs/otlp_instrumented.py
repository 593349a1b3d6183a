"""Calls of openai and anthropic with OpenLLMetry's instrumentations, exported by OpenTelemetry's Python SDK."""

import os

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.anthropic import AnthropicInstrumentor
from opentelemetry.instrumentation.openai import OpenAIInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

provider = TracerProvider()
exporter = OTLPSpanExporter(
    os.environ["URL"] + "/otlp/v1/traces",
    headers={"Authorization": f"Bearer {os.environ['KEY']}"},
    compression=Compression.Gzip,
)
provider.add_span_processor(BatchSpanProcessor(exporter))
trace.set_tracer_provider(provider)
OpenAIInstrumentor().instrument()
AnthropicInstrumentor().instrument()

import anthropic  # noqa: E402 - imported after its instrumentation
import openai  # noqa: E402

hello = [{"role": "user", "content": "Hi"}]
client = openai.OpenAI(api_key="key", base_url=os.environ["STUB"] + "/v1")
client.responses.create(model="gpt-5", input="Hi")
with trace.get_tracer("shop").start_as_current_span("GET /answer"):  # no model call: ignored
    client.chat.completions.create(model="gpt-5", messages=hello, user="usr_1")
list(
    client.chat.completions.create(model="gpt-4o", messages=hello, stream=True, stream_options={"include_usage": True})
)
list(client.chat.completions.create(model="gpt-4o-mini", messages=hello, stream=True))  # without counts: rejected
client.embeddings.create(model="embed", input="Hi")
claude = anthropic.Anthropic(api_key="key", base_url=os.environ["STUB"])
claude.messages.create(model="claude", max_tokens=10, messages=hello)
list(claude.messages.create(model="claude", max_tokens=10, messages=hello, stream=True))
provider.shutdown()
