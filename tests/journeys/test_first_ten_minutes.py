"""README's commands run as pasted in a second terminal, against a demo that reported that it is ready."""

import json
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from flexcredits_cli.machine.state_folder import REPOSITORY
from flexcredits_cli.stack.services import PYTHON
from support.infra.full_stack import WholeStack, environment_of, state_of_its_own, whole_stack

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
DONE = "---done---"
LAUNCHER = shlex.join([*PYTHON, "flexcredits_cli"])
"""Instead of ./flexcredits, which would create its own environment in this test's state folder."""


@pytest.fixture(scope="module")
def demo() -> Iterator[tuple[WholeStack, dict[str, Any]]]:
    """A demo, and its overview and trend when it reported that it is ready."""
    with whole_stack("demo") as stack:
        today = date.today()  # noqa: DTZ011 - of the company's zone or a day off, which the test allows for
        days = {"from": f"{today - timedelta(days=28)}", "to": f"{today + timedelta(days=2)}", "interval": "day"}
        seen = {
            "overview": stack.get("overview", organization="org_demo"),
            "trend": stack.get("trend", organization="org_demo", **days),
        }
        yield stack, seen


class Terminal:
    """A shell in the checkout that runs pasted commands."""

    def __init__(self, stack: WholeStack) -> None:
        self._shell = subprocess.Popen(
            ["bash"],
            cwd=REPOSITORY,
            env=environment_of(stack.home),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def paste(self, text: str) -> str:
        """Run the commands; returns their stdout."""
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        self._shell.stdin.write(f"{text.replace('./flexcredits', LAUNCHER)}\necho; echo {DONE}\n")
        self._shell.stdin.flush()
        printed = iter(self._shell.stdout.readline, f"{DONE}\n")
        return "".join(printed).strip()

    def close(self) -> None:
        self._shell.communicate(timeout=20)


def readme_blocks() -> list[str]:
    text = (REPOSITORY / "README.md").read_text()
    section = text[text.index("## Send your first event") : text.index("## The data path")]
    return re.findall(r"^```sh\n(.*?)^```", section, re.DOTALL | re.MULTILINE)


def poll(ask: Callable[[], Any], until: Callable[[Any], bool], within_s: float = 20) -> Any:
    deadline = time.monotonic() + within_s
    while not until(found := ask()):
        assert time.monotonic() < deadline, found
    return found


def test_ready_means_that_the_sample_usage_is_counted(demo: tuple[WholeStack, dict[str, Any]]) -> None:
    _, seen = demo
    overview = seen["overview"]
    used, available = Decimal(overview["credits_used"]), Decimal(overview["credits_available"])
    assert Decimal("0.89") < used / available < Decimal("0.91")
    totals = [Decimal(bucket["total"]) for bucket in seen["trend"]["buckets"]]
    *earlier, today = [total for total in totals if total]
    assert today < max(earlier)
    assert median(earlier) > 50


def test_readme_runs_as_pasted_and_the_same_event_again_is_a_duplicate(
    demo: tuple[WholeStack, dict[str, Any]],
) -> None:
    stack, _ = demo
    send, query, send_again = readme_blocks()
    terminal = Terminal(stack)
    assert json.loads(terminal.paste(send))["accepted"] == 1

    def shown() -> list[dict[str, Any]]:
        decoder, text, documents = json.JSONDecoder(), terminal.paste(query), []
        while text:
            document, end = decoder.raw_decode(text)
            documents.append(document)
            text = text[end:].strip()
        return documents

    receipt, overview = poll(shown, lambda answers: answers[0].get("state") == "counted")
    assert receipt["credits"] == "1.250000"
    assert Decimal(overview["credits_available"]) > 0

    before = stack.get("proof", organization="org_demo")["totals"]
    answer = json.loads(terminal.paste(send_again))
    assert (answer["accepted"], answer["rejected"]) == (1, [])
    after = poll(
        lambda: stack.get("proof", organization="org_demo")["totals"],
        lambda totals: totals["duplicate"] > before["duplicate"],
    )
    assert (after["duplicate"], after["rejected"]) == (before["duplicate"] + 1, before["rejected"])
    assert shown()[0]["rejections"] == []
    terminal.close()


def test_the_python_clients_first_event_is_counted(demo: tuple[WholeStack, dict[str, Any]], tmp_path: Path) -> None:
    """docs/python-client.md as pasted, with the packages of the tests instead of a new environment."""
    text = (REPOSITORY / "docs" / "python-client.md").read_text()
    [program, receipt] = re.findall(r"^```(?:python\n|sh\n(?=curl))(.*?)^```", text, re.DOTALL | re.MULTILINE)[:2]
    (tmp_path / "first.py").write_text(program)
    terminal = Terminal(demo[0])
    terminal.paste('eval "$(./flexcredits env)"')
    path = shlex.quote(str(REPOSITORY / "clients" / "python"))
    event_id, accepted = terminal.paste(
        f"PYTHONPATH={path} {shlex.join([sys.executable, str(tmp_path / 'first.py')])}"
    ).split()
    assert accepted == "1"
    shown = poll(
        lambda: json.loads(terminal.paste(receipt.replace("id=ID", f"id={event_id}"))),
        lambda found: found.get("state") == "counted",
    )
    assert shown["credits"] == "1.250000"
    terminal.close()


def test_env_without_a_stack_says_so_and_prints_nothing() -> None:
    with state_of_its_own() as home:
        said = subprocess.run(
            [*PYTHON, "flexcredits_cli", "env"], env=environment_of(home), capture_output=True, text=True, timeout=60
        )
    assert (said.returncode, said.stdout) == (1, "")
    assert "no stack is running here" in said.stderr
