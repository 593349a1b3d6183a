// OpenMeter's JavaScript SDK: single events and a batch, with its own defaults for id, source and time.
import { OpenMeter } from "@openmeter/sdk";

const client = new OpenMeter({ baseUrl: process.env.URL + "/openmeter", apiKey: process.env.KEY });
const event = (tokens, more) => ({ type: "prompt", subject: "ada", data: { model: "gpt-6", input_tokens: tokens }, ...more });
const single = event(1000, { id: process.env.ID, time: new Date() });

await client.events.ingest(single);
await client.events.ingest(single);
await client.events.ingest([event(1000), event("500"), single, event(1000)]);
try {
  await client.events.ingest(event(undefined));
  throw new Error("an event without tokens was taken");
} catch (refused) {
  if (!String(refused.message).includes("rule `tokens of a model call`")) throw refused;
}
