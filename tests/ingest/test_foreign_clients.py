"""Clients generated from the OpenAPI description and the CloudEvents SDKs against a real ingest service. Needs --clients."""

import json
from pathlib import Path

import pytest
from flexcredits_schemas import SCHEMAS
from support.clients.foreign_clients import generate_go, generate_python, need, python_with, run
from support.data.factories import uuid7
from support.services.ingest import Ingest

pytestmark = [pytest.mark.clients, pytest.mark.timeout(600)]
DESCRIPTION = SCHEMAS / "http" / "ingest-api.json"

GENERATED_PYTHON = """
import os
from datetime import datetime, timezone
from generated import AuthenticatedClient
from generated.api.default import post_events
from generated.models import FeatureKind, Product, Usage, UsageData

client = AuthenticatedClient(os.environ["URL"], os.environ["KEY"])
data = UsageData(product=Product("assistant"), feature_kind=FeatureKind("tool"), feature="jira", credits_="1.25")
event = Usage("1.0", os.environ["ID"], "/generated", "flexcredits.usage.v1", "org_acme", datetime.now(timezone.utc), data)
receipt = post_events.sync(client=client, body=[event])
assert receipt.accepted == 1 and receipt.rejected == [], receipt
wrong = Usage("1.0", "2", "/generated", "flexcredits.usage.v1", "org_acme", datetime.now(timezone.utc), UsageData(
    product=Product("assistant"), feature_kind=FeatureKind("tool"), feature="jira", credits_="-1"))
problem = post_events.sync(client=client, body=[wrong])
assert problem.rejected[0].pointer == "/data/credits", problem
"""

GENERATED_GO = """
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"example.test/try/client"
)

func main() {
	configuration := client.NewConfiguration()
	configuration.Servers = client.ServerConfigurations{{URL: os.Getenv("URL")}}
	ctx := context.WithValue(context.Background(), client.ContextAccessToken, os.Getenv("KEY"))
	data := client.NewUsageData(client.PRODUCT_ASSISTANT, client.FEATURE_KIND_TOOL, "jira")
	credits := "1.25"
	data.SetCredits(client.PositiveDecimal{String: &credits})
	usage := client.NewUsage("1.0", os.Getenv("ID"), "/generated", "flexcredits.usage.v1", "org_acme", time.Now(), *data)
	receipt, _, err := client.NewAPIClient(configuration).DefaultAPI.PostEvents(ctx).Event([]client.Event{client.UsageAsEvent(usage)}).Execute()
	if err != nil || receipt.Accepted != 1 {
		fmt.Println(err, receipt)
		os.Exit(1)
	}
}
"""

CLOUDEVENTS_PYTHON_1 = """
import json, os, urllib.request
from datetime import datetime, timezone
from cloudevents.http import CloudEvent
from cloudevents.conversion import to_binary, to_structured

data = {"product": "assistant", "feature_kind": "tool", "feature": "jira", "credits": "1"}
for mode, convert in (("binary", to_binary), ("structured", to_structured)):
    attributes = {"id": os.environ["ID"] + mode, "source": "/sdk", "type": "flexcredits.usage.v1", "subject": "org_acme",
                  "time": datetime.now(timezone.utc).isoformat(), "datacontenttype": "application/json; charset=utf-8"}
    headers, body = convert(CloudEvent(attributes, data))
    request = urllib.request.Request(os.environ["URL"] + "/api/v1/events", body, {**headers, "Authorization": "Bearer " + os.environ["KEY"]})
    with urllib.request.urlopen(request) as answer:
        assert json.load(answer)["accepted"] == 1
"""

CLOUDEVENTS_PYTHON_2 = """
import json, os, urllib.request
from datetime import datetime, timezone
from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

data = {"product": "assistant", "feature_kind": "tool", "feature": "jira", "credits": "1"}
for mode, convert in (("binary", to_binary_event), ("structured", to_structured_event)):
    attributes = {"id": os.environ["ID"] + mode, "source": "/sdk", "type": "flexcredits.usage.v1", "specversion": "1.0",
                  "subject": "org_acme", "time": datetime.now(timezone.utc), "datacontenttype": "application/json"}
    message = convert(CloudEvent(attributes, data))
    request = urllib.request.Request(os.environ["URL"] + "/api/v1/events", message.body, {**message.headers, "Authorization": "Bearer " + os.environ["KEY"]})
    with urllib.request.urlopen(request) as answer:
        assert json.load(answer)["accepted"] == 1
"""

CLOUDEVENTS_JS = """
const { CloudEvent, HTTP } = require("cloudevents");
const data = { product: "assistant", feature_kind: "tool", feature: "jira", credits: "1" };
(async () => {
  for (const mode of ["binary", "structured"]) {
    const event = new CloudEvent({ id: process.env.ID + mode, source: "/sdk", type: "flexcredits.usage.v1", subject: "org_acme", data });
    // As through a gateway: what the SDK reads and writes again is a copy, though its time is cut to milliseconds.
    const first = { ...JSON.parse(HTTP.structured(event).body), time: new Date().toISOString().replace("Z", "987Z") };
    const again = HTTP[mode](HTTP.toEvent({ headers: { "content-type": "application/cloudevents+json" }, body: JSON.stringify(first) }));
    for (const message of [{ headers: { "content-type": "application/cloudevents+json" }, body: JSON.stringify(first) }, again]) {
      const headers = { ...message.headers, authorization: "Bearer " + process.env.KEY };
      const answer = await fetch(process.env.URL + "/api/v1/events", { method: "POST", headers, body: message.body });
      if (answer.status !== 202) { console.log(mode, answer.status, await answer.text(), message); process.exit(1); }
    }
  }
})();
"""


async def test_a_generated_python_client_reports_usage(shared: Ingest, tmp_path: Path) -> None:
    python = generate_python(DESCRIPTION, tmp_path)
    run(python, "-W", "error", "-c", GENERATED_PYTHON, folder=tmp_path, URL=shared.url, KEY=shared.key, ID=uuid7())


async def test_a_generated_go_client_reports_usage(shared: Ingest, tmp_path: Path) -> None:
    module = generate_go(DESCRIPTION, tmp_path)
    (module / "main.go").write_text(GENERATED_GO)
    run("go", "run", ".", folder=module, URL=shared.url, KEY=shared.key, ID=uuid7())


@pytest.mark.parametrize(
    ("package", "program"),
    [("cloudevents==1.13.0", CLOUDEVENTS_PYTHON_1), ("cloudevents==2.2.0", CLOUDEVENTS_PYTHON_2)],
)
async def test_cloudevents_for_python(shared: Ingest, tmp_path: Path, package: str, program: str) -> None:
    python = python_with(tmp_path, package)
    run(python, "-c", program, folder=tmp_path, URL=shared.url, KEY=shared.key, ID=uuid7())


async def test_cloudevents_for_javascript(shared: Ingest, tmp_path: Path) -> None:
    need("node", "npm")
    run("npm", "install", "--silent", "--no-audit", "--no-fund", "cloudevents@10.0.0", folder=tmp_path)
    (tmp_path / "send.cjs").write_text(CLOUDEVENTS_JS)
    run("node", "send.cjs", folder=tmp_path, URL=shared.url, KEY=shared.key, ID=uuid7())
    sent = [
        event for record in await shared.usage() if (event := json.loads(record.value or b"{}"))["source"] == "/sdk"
    ]
    assert sent
