import type { Schemas } from "../api/client"

export type Protocol = Schemas["TryRequest"]["protocol"]

/** What a client of a protocol is, and the settings that send its events here. */
interface Client {
  name: string
  settings: string
}

const OTLP = `OTEL_EXPORTER_OTLP_ENDPOINT="$INGEST_URL/otlp"
OTEL_EXPORTER_OTLP_HEADERS="Authorization=Bearer%20$INGEST_KEY"
OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf"`

export const CLIENTS: Record<Protocol, Client> = {
  openmeter: {
    name: "OpenMeter",
    settings: `# LiteLLM; of an SDK, its address and token
OPENMETER_API_ENDPOINT="$INGEST_URL/openmeter"
OPENMETER_API_KEY="$INGEST_KEY"`,
  },
  otlp_traces: { name: "OpenTelemetry traces", settings: OTLP },
  otlp_logs: { name: "OpenTelemetry logs", settings: OTLP },
  otlp_metrics: { name: "OpenTelemetry metrics", settings: OTLP },
  litellm: {
    name: "LiteLLM",
    settings: `GENERIC_LOGGER_ENDPOINT="$INGEST_URL/litellm"\nGENERIC_LOGGER_HEADERS="Authorization=Bearer $INGEST_KEY"`,
  },
  lago: {
    name: "Lago",
    settings: `# LiteLLM; of an SDK, its API URL and key
LAGO_API_BASE="$INGEST_URL/lago"
LAGO_API_KEY="$INGEST_KEY"`,
  },
}

export const PROTOCOLS = Object.keys(CLIENTS) as Protocol[]

/** The protocols of a document's rules, in their order; of an unfinished document what can be read. */
export function protocolsOf(document: unknown): Protocol[] {
  const rules = isObject(document) && Array.isArray(document.rules) ? document.rules : []
  const found = rules.flatMap((rule) => PROTOCOLS.filter((each) => isObject(rule) && rule.protocol === each))
  return [...new Set(found)]
}

/** Settings of all clients of a document, without repetitions. */
export function settingsOf(protocols: Protocol[]): string {
  return [...new Set(protocols.map((each) => CLIENTS[each].settings))].join("\n\n")
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}
