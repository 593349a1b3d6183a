"""OpenMeter's and Lago's SDKs and LiteLLM's callbacks against the running stack. Some need --clients."""

import os
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import httpx
import pytest
from support.clients import pinned
from support.clients.documented import example
from support.clients.foreign_clients import go_module, need, run
from support.clients.metered_organization import MeteredOrganization, credits_of
from support.data.factories import uuid7

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
Make = Callable[..., MeteredOrganization]
COLLECTOR = ("github.com/redpanda-data/benthos/v4/public/service@v4.60.0",)
"""The collector itself (github.com/openmeterio/openmeter) is not in the module proxy."""
MOCKED = credits_of(input_tokens=10, output_tokens=20)


@pytest.mark.usual_clients
@pytest.mark.parametrize("client", ["openmeter", "lago"])
async def test_python_sdk(organization: Make, programs: Path, tmp_path: Path, client: str) -> None:
    made, program = organization(client), programs / f"{client}_sdk.py"
    run(pinned.python(client), "-W", "ignore", program, folder=tmp_path, ID=uuid7(), **made.environment)
    await made.until_counted("models", {"gpt-6": (Decimal("3.5"), 4)})


@pytest.mark.usual_clients
@pytest.mark.parametrize("client", ["openmeter", "lago"])
async def test_javascript_sdk(organization: Make, programs: Path, tmp_path: Path, client: str) -> None:
    made, program = organization(client), f"{client}.mjs"
    pinned.node(tmp_path, client)
    (tmp_path / program).write_text((programs / program).read_text())
    run("node", program, folder=tmp_path, ID=uuid7(), **made.environment)
    await made.until_counted("models", {"gpt-6": (Decimal("3.5"), 4)})


def checkout(variable: str) -> Path:
    """A checkout of a client that is in no registry that these tests reach."""
    if variable not in os.environ:
        pytest.skip(f"{variable} names no checkout of its repository")
    return Path(os.environ[variable]).absolute()


@pytest.mark.clients
async def test_lagos_ruby_client(organization: Make, programs: Path, tmp_path: Path) -> None:
    """Version 1.49.0, with Debian's packages ruby and ruby-jwt."""
    client, made = checkout("LAGO_RUBY_CLIENT"), organization("lago")
    need("ruby")
    run("ruby", "-I", client / "lib", programs / "lago.rb", folder=tmp_path, ID=uuid7(), **made.environment)
    await made.until_counted("models", {"gpt-6": (Decimal("3.5"), 4)})


@pytest.mark.clients
async def test_lagos_go_client(organization: Make, programs: Path, tmp_path: Path) -> None:
    client, made = checkout("LAGO_GO_CLIENT"), organization("lago")
    module = go_module(tmp_path, programs / "lago.go", local={"github.com/getlago/lago-go-client": client})
    run("go", "run", ".", folder=module, ID=uuid7(), **made.environment)
    await made.until_counted("models", {"gpt-6": (Decimal("3.5"), 4)})


@pytest.mark.clients
async def test_openmeters_collector(organization: Make, programs: Path, tmp_path: Path) -> None:
    """Its engine with the output of its preset `http-server`. Numbers keep their digits, and 250 events are three arrays."""
    made = organization("openmeter")
    module = go_module(tmp_path, programs / "openmeter_collector.go", *COLLECTOR)
    (module / "collector.yaml").write_text((programs / "openmeter_collector.yaml").read_text())
    event = '{"specversion":"1.0","id":"ID","source":"collector","type":"prompt","subject":"ada","data":DATA}\n'
    event = event.replace("DATA", '{"model":"gpt-6","input_tokens":10.000001}')
    lines = [event.replace("ID", uuid7()) for _ in range(250)]
    (module / "events.ndjson").write_text("".join([*lines, *lines[:30], "{}\n"]))
    run("go", "run", ".", "-c", "collector.yaml", folder=module, **made.environment)
    await made.until_counted("models", {"gpt-6": (Decimal("2.5"), 250)})


@pytest.mark.usual_clients
async def test_array_of_openmeters_collector(organization: Make) -> None:
    """Its preset `http-server` sends `application/json` with an array of at most 100 events."""
    made = organization("openmeter")
    events = [
        {"specversion": "1.0", "id": uuid7(), "source": "collector", "type": "prompt", "subject": "ada", "data": {
            "model": "gpt-6", "input_tokens": 10}}
        for _ in range(100)
    ]  # fmt: skip
    headers = {"Authorization": f"Bearer {made.key}", "Content-Type": "application/json"}
    async with httpx.AsyncClient(base_url=made.url, headers=headers) as client:
        for _ in range(2):
            answer = await client.post("/openmeter/api/v1/events", json=events)
            assert (answer.status_code, answer.content) == (204, b"")
    await made.until_counted("models", {"gpt-6": (Decimal(1), 100)})


@pytest.mark.parametrize(
    ("callback", "mapping", "calls"),
    [
        pytest.param(
            "openmeter", "litellm-openmeter", {"gpt-4o-mini": 2, "in-house": 1}, marks=pytest.mark.usual_clients
        ),
        pytest.param("json_array", "litellm", {"gpt-4o-mini": 1, "in-house": 1}, marks=pytest.mark.usual_clients),
        pytest.param("lago", "lago", {"gpt-4o-mini": 2, "in-house": 1}, marks=pytest.mark.clients),
        pytest.param("ndjson", "litellm", {"gpt-4o-mini": 1, "in-house": 1}, marks=pytest.mark.clients),
        pytest.param("single", "litellm", {"gpt-4o-mini": 1, "in-house": 1}, marks=pytest.mark.clients),
    ],
)
async def test_litellm(
    organization: Make, programs: Path, tmp_path: Path, callback: str, mapping: str, calls: dict[str, int]
) -> None:
    """A cache hit does not count, and neither does its cost; a model without a price counts its tokens."""
    made = organization(mapping)
    litellm = pinned.python("litellm")
    run(litellm, "-W", "ignore", programs / "litellm_calls.py", callback, folder=tmp_path, **made.environment)
    await made.until_counted("models", {model: (MOCKED * number, number) for model, number in calls.items()})
    assert made.dead_letters() == []


@pytest.mark.usual_clients
async def test_openmeters_examples_of_the_documentation(organization: Make, tmp_path: Path) -> None:
    made = organization("openmeter")
    program = example("python", "from openmeter import", made)
    run(pinned.python("openmeter"), "-W", "ignore", "-c", program, folder=tmp_path)
    pinned.node(tmp_path, "openmeter")
    (tmp_path / "example.mjs").write_text(example("js", "@openmeter/sdk", made))
    run("node", "example.mjs", folder=tmp_path)
    each = credits_of(input_tokens=812, output_tokens=96)
    await made.until_counted("models", {"gpt-6": (each * 2, 2)})


@pytest.mark.usual_clients
async def test_examples_of_the_documentation(organization: Make, tmp_path: Path) -> None:
    lago, calls = organization("lago"), organization("litellm")
    program = example("python", "lago_python_client", lago).replace("1796040000", str(int(time.time())))
    run(pinned.python("lago"), "-W", "ignore", "-c", program, folder=tmp_path)
    pinned.node(tmp_path, "lago")
    (tmp_path / "example.mjs").write_text(example("js", "lago-javascript-client", lago))
    run("node", "example.mjs", folder=tmp_path)
    each = credits_of(input_tokens=812, output_tokens=96)
    await lago.until_counted("models", {"gpt-6": (each * 2, 2)})

    program = example("python", "GenericAPILogger", calls).replace('user="ada"', 'user="ada", mock_response="hello"')
    flush = "while not logger.log_queue: await asyncio.sleep(0.05)\n    await logger.async_send_batch()"
    program += f"    logger = litellm.callbacks[0]\n    {flush}\nimport asyncio\nasyncio.run(main())\n"
    offline = {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    run(pinned.python("litellm"), "-W", "ignore", "-c", program, folder=tmp_path, **offline)
    await calls.until_counted("models", {"gpt-4o-mini": (MOCKED, 1)})
