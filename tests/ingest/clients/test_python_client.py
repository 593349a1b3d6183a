"""flexcredits-client as a product's developer meets it: its wheel in an environment of its own, with a type checker. Needs --clients."""

import os
import re
import shutil
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from flexcredits_cli.machine.state_folder import REPOSITORY
from support.clients.foreign_clients import python_with, run
from support.clients.metered_organization import MeteredOrganization
from support.infra.full_stack import WholeStack
from support.infra.service_process import eventually

pytestmark = [pytest.mark.clients, pytest.mark.timeout(600)]
Make = Callable[..., MeteredOrganization]
PAGE = (REPOSITORY / "docs" / "python-client.md").read_text()
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
FIVE_MINUTES = 300
USER = """
from typing import Any, assert_type
from flexcredits_client import AsyncClient, Client, Options, ReadUsage, Rejected, Stats, read_usage

def save(rejected: Rejected) -> None:
    print(rejected.reason.value, rejected.event["id"])

def answer() -> dict[str, str]:
    return {}

client = Client("http://127.0.0.1:1", "fc_x", source="/p", options=Options(on_rejected=save, spool=None))
assert_type(client.record("o", "p", "tool", "f", credits="1", actor={"id": "usr_1", "kind": "service_account"}), str)
assert_type(client.flush(0), bool)
assert_type(client.stats(), Stats)
with client.usage("o", "p", actor="usr_1") as call:
    assert_type(call.read(answer()), dict[str, str])
    for chunk in call.stream([1, 2]):
        assert_type(chunk, int)
assert_type(read_usage({}), ReadUsage)

async def main() -> None:
    async with AsyncClient("http://127.0.0.1:1", "fc_x", source="/p") as client, client.usage("o", "p") as call:
        assert_type(call.read(answer()), dict[str, str])
        assert_type(await client.record("o", "p", "tool", "f", quantities={"tokens": 5}), str)
"""
WRONG = """
from flexcredits_client import Client
client = Client("http://127.0.0.1:1", "fc_x", source="/p")
client.record("o", "p", "tool", "f", credits=1.5)
client.record("o", "p", "tool", "f", credits="1", actr="usr_1")
client.record("o", "p", "tool", "f", credits="1", run={"parent": "x"})
with client.usage("o", "p", actor=7) as call:
    pass
"""


async def test_a_newcomers_first_event_from_the_wheel(stack: WholeStack, organization: Make, tmp_path: Path) -> None:
    """docs/python-client.md: an environment, the package, the first example, and where its event was counted."""
    made, began = organization(), time.monotonic()
    python = python_with(tmp_path, str(REPOSITORY / "clients" / "python"))
    (tmp_path / "first.py").write_text(EXAMPLES[0].replace("org_demo", made.name))
    environment = {"INGEST_URL": made.url, "INGEST_KEY": made.key, "PYTHONPATH": ""}
    event_id, accepted = run(python, "-W", "error", "first.py", folder=tmp_path, **environment).split()
    assert accepted == "1"

    async def is_counted() -> bool:
        receipt = stack.get("receipt", organization=made.name, source="/products/assistant", id=event_id)
        return bool(receipt["state"] == "counted" and receipt["credits"] == "1.250000")

    await eventually(is_counted, within_s=60, what="the receipt")
    assert time.monotonic() - began < FIVE_MINUTES


def test_users_are_checked_with_mypy_strict(tmp_path: Path) -> None:
    """The wheel is typed, and says so."""
    python = python_with(tmp_path, str(REPOSITORY / "clients" / "python"), "mypy==1.18.2")
    (tmp_path / "user.py").write_text(USER)
    (tmp_path / "wrong.py").write_text(WRONG)
    run(python, "-m", "mypy", "--strict", "user.py", folder=tmp_path, PYTHONPATH="", MYPYPATH="")
    with pytest.raises(AssertionError) as refused:
        run(python, "-m", "mypy", "--strict", "wrong.py", folder=tmp_path, PYTHONPATH="", MYPYPATH="")
    for line in (4, 5, 6, 7):
        assert f"wrong.py:{line}: error" in str(refused.value)


def test_the_wheel_holds_only_the_package(tmp_path: Path) -> None:
    shutil.copytree(REPOSITORY / "clients" / "python", tmp_path / "source")
    python = python_with(tmp_path, "pip")
    run(python, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", tmp_path, tmp_path / "source", folder=tmp_path)
    [wheel] = tmp_path.glob("*.whl")
    assert wheel.name.endswith("py3-none-any.whl")
    with zipfile.ZipFile(wheel) as files:
        names = files.namelist()
    assert "flexcredits_client/py.typed" in names
    assert {name.partition(os.sep)[0] for name in names} == {"flexcredits_client", "flexcredits_client-0.1.0.dist-info"}
