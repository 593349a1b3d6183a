// OpenTelemetry's Node SDK as its documentation starts it: everything else comes from OTEL_* variables.
import { NodeSDK } from "@opentelemetry/sdk-node";
import { trace } from "@opentelemetry/api";

const sdk = new NodeSDK();
sdk.start();
const tracer = trace.getTracer("shop", "1.2");
for (let call = 0; call < 3; call++) {
  const span = tracer.startSpan("chat gpt-6", { attributes: {
    "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-6",
    "gen_ai.usage.input_tokens": 1000, "gen_ai.usage.cache_read.input_tokens": 900,
    "gen_ai.usage.output_tokens": 120, "gen_ai.usage.reasoning.output_tokens": 40,
  } });
  span.end();
}
tracer.startSpan("GET /cart").end();  // no model call
await sdk.shutdown();
