// CloudEvents for JavaScript: one event in binary mode, one structured, and a batch of two.
const { CloudEvent, HTTP } = require("cloudevents");

const event = (name) =>
  new CloudEvent({
    id: process.env.ID + name, source: "/sdk", type: "flexcredits.usage.v1", subject: process.env.ORGANIZATION,
    data: { product: "assistant", feature_kind: "tool", feature: "javascript", credits: "1.25" },
  });

const send = async ({ headers, body }) => {
  const answer = await fetch(process.env.URL + "/api/v1/events", {
    method: "POST", headers: { ...headers, authorization: "Bearer " + process.env.KEY }, body,
  });
  const text = await answer.text();
  if (answer.status !== 202 || JSON.parse(text).rejected.length) throw new Error(answer.status + text);
};

(async () => {
  await send(HTTP.binary(event("binary")));
  // As through a gateway: what the SDK reads and writes again is a copy, though its time is cut to milliseconds.
  const first = { ...JSON.parse(HTTP.structured(event("structured")).body), time: new Date().toISOString().replace("Z", "987Z") };
  const message = { headers: { "content-type": "application/cloudevents+json" }, body: JSON.stringify(first) };
  await send(message);
  await send(HTTP.structured(HTTP.toEvent(message)));
  // The SDK has no batch format.
  const batch = ["first", "second"].map((name) => HTTP.structured(event(name)).body).join(",");
  await send({ headers: { "content-type": "application/cloudevents-batch+json" }, body: `[${batch}]` });
})();
