"""Clients generated from the OpenAPI description against a real ingest service. Needs --clients."""

from pathlib import Path

import pytest
from flexcredits_schemas import SCHEMAS
from support.clients.foreign_clients import generate_go, generate_python, run
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


async def test_a_generated_python_client_reports_usage(shared: Ingest, tmp_path: Path) -> None:
    python = generate_python(DESCRIPTION, tmp_path)
    run(python, "-W", "error", "-c", GENERATED_PYTHON, folder=tmp_path, URL=shared.url, KEY=shared.key, ID=uuid7())


async def test_a_generated_go_client_reports_usage(shared: Ingest, tmp_path: Path) -> None:
    module = generate_go(DESCRIPTION, tmp_path)
    (module / "main.go").write_text(GENERATED_GO)
    run("go", "run", ".", folder=module, URL=shared.url, KEY=shared.key, ID=uuid7())
