// Lago's JavaScript SDK: single events and a batch.
import { Client, getLagoError } from "lago-javascript-client";

const client = Client(process.env.KEY, { baseUrl: process.env.URL + "/lago/api/v1" });
const event = (name, tokens) => ({
  transaction_id: process.env.ID + name, external_subscription_id: "sub_ada", code: "tokens",
  timestamp: Date.now() / 1000, properties: { model: "gpt-6", input_tokens: tokens },
});
const single = event("single", 1000);

for (const sent of [single, single]) {
  const { data } = await client.events.createEvent({ event: sent });
  if (data.event.transaction_id !== sent.transaction_id) throw new Error(JSON.stringify(data));
}
await client.events.createBatchEvents({ events: [event("first", 1000), event("second", "500"), single, event("third", 1000)] });
try {
  await client.events.createEvent({ event: event("wrong", -1) });
  throw new Error("an event with a negative quantity was taken");
} catch (refused) {
  const error = await getLagoError(refused);
  if (error.code !== "validation_errors" || !error.error_details["properties/input_tokens"]) throw new Error(JSON.stringify(error));
}
