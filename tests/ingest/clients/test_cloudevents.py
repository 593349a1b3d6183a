"""The CloudEvents SDKs of four languages in binary, structured and batch mode against the native path. Go and Java need --clients."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from support.clients import pinned
from support.clients.foreign_clients import go_module, java_class_path, run
from support.clients.metered_organization import MeteredOrganization
from support.data.factories import uuid7

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
Make = Callable[..., MeteredOrganization]


async def check(made: MeteredOrganization, feature: str) -> None:
    """One event in each mode, and two in a batch, of 1.25 credits each."""
    await made.until_counted("tools", {feature: (Decimal(5), 4)})
    assert made.dead_letters() == []


@pytest.mark.usual_clients
@pytest.mark.parametrize("major", [1, 2])
async def test_python(organization: Make, programs: Path, tmp_path: Path, major: int) -> None:
    made, python = organization(), pinned.python(f"cloudevents {major}")
    run(python, programs / f"cloudevents_{major}.py", folder=tmp_path, ID=uuid7(), **made.environment)
    await check(made, f"python {major}")


@pytest.mark.usual_clients
async def test_javascript(organization: Make, programs: Path, tmp_path: Path) -> None:
    made = organization()
    pinned.node(tmp_path, "cloudevents")
    (tmp_path / "send.cjs").write_text((programs / "cloudevents.cjs").read_text())
    run("node", "send.cjs", folder=tmp_path, ID=uuid7(), **made.environment)
    await check(made, "javascript")


@pytest.mark.clients
async def test_go(organization: Make, programs: Path, tmp_path: Path) -> None:
    made = organization()
    module = go_module(tmp_path, programs / "cloudevents.go", "github.com/cloudevents/sdk-go/v2@v2.16.2")
    run("go", "run", ".", folder=module, ID=uuid7(), **made.environment)
    await check(made, "go")


@pytest.mark.clients
async def test_java(organization: Make, programs: Path, tmp_path: Path) -> None:
    made = organization()
    path = java_class_path(
        tmp_path, "io.cloudevents:cloudevents-http-basic:4.0.1", "io.cloudevents:cloudevents-json-jackson:4.0.1"
    )
    run("java", "-cp", path, programs / "CloudEvents.java", folder=tmp_path, ID=uuid7(), **made.environment)
    await check(made, "java")
