// Calls of Vercel's AI SDK, exported by OpenTelemetry's JavaScript SDK, once as JSON and once as protobuf.
import { OTLPTraceExporter as Json } from "@opentelemetry/exporter-trace-otlp-http";
import { OTLPTraceExporter as Protobuf } from "@opentelemetry/exporter-trace-otlp-proto";
import { BatchSpanProcessor, NodeTracerProvider } from "@opentelemetry/sdk-trace-node";
import { createOpenAI } from "@ai-sdk/openai";
import { generateText, streamText } from "ai";

const options = {
  url: `${process.env.URL}/otlp/v1/traces`,
  headers: { Authorization: `Bearer ${process.env.KEY}` },
  compression: "gzip",
};
const Exporter = process.env.FORM === "json" ? Json : Protobuf;
const provider = new NodeTracerProvider({ spanProcessors: [new BatchSpanProcessor(new Exporter(options))] });
provider.register();
const model = createOpenAI({ apiKey: "key", baseURL: `${process.env.STUB}/v1` }).chat(`gpt-${process.env.FORM}`);
const telemetry = { isEnabled: true, metadata: { userId: "usr_1" } };
await generateText({ model, prompt: "Hi", experimental_telemetry: telemetry });
const { textStream } = streamText({ model, prompt: "Hi", experimental_telemetry: telemetry });
for await (const _ of textStream);
await provider.shutdown();
