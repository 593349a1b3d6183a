"""OpenTelemetry's SDKs, instrumentations of model SDKs, and coding assistants against OTLP. Some need --clients."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.clients import pinned
from support.clients.documented import example, exports
from support.clients.foreign_clients import node_with, run
from support.clients.metered_organization import MeteredOrganization, credits_of
from support.infra.service_process import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
Make = Callable[..., MeteredOrganization]
OPENAI = credits_of(input_tokens=1000, cached_input_tokens=900, output_tokens=120, reasoning_output_tokens=40)
STREAMED = credits_of(input_tokens=1000, cached_input_tokens=900, output_tokens=120)  # without reasoning on the span
ANTHROPIC = credits_of(input_tokens=1050, cached_input_tokens=900, cache_write_input_tokens=50, output_tokens=77)
CLAUDE_CODE = credits_of(
    uncached_input_tokens=100, cached_input_tokens=900, cache_write_input_tokens=50, output_tokens=77
)
GEMINI = credits_of(
    input_tokens=1000, cached_input_tokens=900, tool_use_input_tokens=5, output_tokens=77, thought_output_tokens=40
)


@pytest.fixture
def stub(tmp_path: Path, programs: Path) -> Iterator[str]:
    """The address of stubs of the model APIs."""
    port = tmp_path / "port"
    with subprocess.Popen([sys.executable, programs / "model_api.py", port]) as process:
        try:
            asyncio.run(eventually(lambda: port.exists() and port.read_text() != "", what="the model APIs"))
            yield f"http://127.0.0.1:{port.read_text()}"
        finally:
            process.terminate()


@pytest.mark.usual_clients
async def test_instrumentations_of_openai_and_anthropic(
    organization: Make, programs: Path, tmp_path: Path, stub: str
) -> None:
    made = organization("otlp-genai")
    python = pinned.python("instrumentations")
    run(python, programs / "otlp_instrumented.py", folder=tmp_path, STUB=stub, **made.environment)
    await made.until_counted(
        "models",
        {
            "gpt-5": (2 * OPENAI, 2),
            "gpt-4o": (STREAMED, 1),
            "embed": (credits_of(input_tokens=30), 1),
            "claude": (2 * ANTHROPIC, 2),
        },
    )
    [letter] = made.dead_letters()
    assert "gen_ai.usage.input_tokens" in letter["reason"]


@pytest.mark.clients
async def test_vercel_ai_sdk_with_the_javascript_exporters(
    organization: Make, programs: Path, tmp_path: Path, stub: str
) -> None:
    made = organization("otlp-genai")
    node_with(
        tmp_path,
        "ai@6.0.326",
        "@ai-sdk/openai@3.0.141",
        "zod@4.6.7",
        "@opentelemetry/api@1.9.1",
        "@opentelemetry/sdk-trace-node@2.12.1",
        "@opentelemetry/exporter-trace-otlp-http@0.223.1",
        "@opentelemetry/exporter-trace-otlp-proto@0.223.1",
    )
    (tmp_path / "run.mjs").write_text((programs / "otlp_vercel.mjs").read_text())
    for form in ("json", "protobuf"):
        run("node", "run.mjs", folder=tmp_path, FORM=form, STUB=stub, **made.environment)
    await made.until_counted("models", {"gpt-json": (2 * OPENAI, 2), "gpt-protobuf": (2 * OPENAI, 2)})
    assert made.dead_letters() == []


@pytest.mark.usual_clients
@pytest.mark.parametrize("protocol", ["http/protobuf", "http/json"])
async def test_opentelemetrys_node_sdk(organization: Make, programs: Path, tmp_path: Path, protocol: str) -> None:
    made = organization("otlp-genai")
    pinned.node(tmp_path, "opentelemetry")
    (tmp_path / "run.mjs").write_text((programs / "otlp_node.mjs").read_text())
    environment = exports("OTEL_EXPORTER_OTLP_HEADERS", made) | {
        "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
        "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
        "OTEL_METRICS_EXPORTER": "none",
    }
    run("node", "run.mjs", folder=tmp_path, **environment)
    await made.until_counted("models", {"gpt-6": (3 * OPENAI, 3)})
    assert made.dead_letters() == []


def bare(tmp_path: Path, **environment: str) -> dict[str, str]:
    """The environment of a coding assistant: a home of its own, and nothing of this machine but PATH."""
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    return {"PATH": os.environ["PATH"], "HOME": str(home), **environment}


def run_assistant(*command: str, folder: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


@pytest.mark.clients
async def test_claude_code(organization: Make, tmp_path: Path, stub: str) -> None:
    made = organization("claude-code")
    node_with(tmp_path, "@anthropic-ai/claude-code@2.1.332")
    environment = bare(
        tmp_path,
        ANTHROPIC_BASE_URL=stub,
        ANTHROPIC_API_KEY="key",
        CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1",
        OTEL_METRICS_EXPORTER="otlp",
        **exports("CLAUDE_CODE_ENABLE_TELEMETRY", made),
    )
    command = (str(tmp_path / "node_modules/.bin/claude"), "-p", "Say hello", "--model", "claude-sonnet-5")
    run_assistant(*command, folder=tmp_path, environment=environment)
    await made.until_counted("models", {"claude-sonnet-5": (CLAUDE_CODE, 1)})
    assert made.dead_letters() == []


@pytest.mark.clients
async def test_gemini_cli(organization: Make, tmp_path: Path, stub: str) -> None:
    made = organization("gemini-cli")
    node_with(tmp_path, "@google/gemini-cli@0.61.0")
    settings = tmp_path / "home" / ".gemini" / "settings.json"
    settings.parent.mkdir(parents=True)
    settings.write_text(
        '{"security":{"auth":{"selectedType":"gemini-api-key"}},"privacy":{"usageStatisticsEnabled":false}}'
    )
    environment = bare(
        tmp_path,
        GEMINI_API_KEY="key",
        GOOGLE_GEMINI_BASE_URL=stub,
        **exports("GEMINI_TELEMETRY_ENABLED", made),
    )
    command = (str(tmp_path / "node_modules/.bin/gemini"), "--skip-trust", "-m", "gemini-2.5-pro", "-p", "Say hello")
    run_assistant(*command, folder=tmp_path, environment=environment)
    await made.until_counted("models", {"gemini-2.5-pro": (GEMINI, 1)})
    assert made.dead_letters() == []


CODEX = """
model = "gpt-5"
model_provider = "stub"
[model_providers.stub]
name = "stub"
base_url = "{stub}/v1"
env_key = "STUB_KEY"
wire_api = "responses"
{documented}trace_exporter = {{ otlp-http = {{ endpoint = "{url}/otlp/v1/traces", protocol = "binary", headers = {{ "Authorization" = "Bearer {key}" }} }} }}
"""


@pytest.mark.clients
async def test_codex(organization: Make, tmp_path: Path, stub: str) -> None:
    made = organization("codex")
    node_with(tmp_path, "@openai/codex@0.171.0")
    settings = tmp_path / "home" / ".codex" / "config.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text(CODEX.format(stub=stub, url=made.url, key=made.key, documented=example("toml", "[otel]", made)))
    command = (str(tmp_path / "node_modules/.bin/codex"), "exec", "--skip-git-repo-check", "Say hello")
    run_assistant(*command, folder=tmp_path, environment=bare(tmp_path, STUB_KEY="key"))
    await made.until_counted("models", {"gpt-5": (OPENAI, 1)})
    assert made.dead_letters() == []
