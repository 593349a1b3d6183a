"""A service as an orchestrator runs it: its own process, settings in the environment, stopped by signals."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from flexcredits_cli.machine.ports import free_ports
from support.infra.stack import Database, Topics


def free_port() -> int:
    return free_ports(1)[0]


class ServiceProcess:
    """One process of `python -m <module>`."""

    def __init__(self, module: str, environment: dict[str, str], host: str = "127.0.0.1") -> None:
        self.probe_port = int(environment.get("PROBE_PORT", 0)) or free_port()
        self._probes = f"http://{host}:{self.probe_port}"
        self._log = Path(tempfile.mkstemp(prefix=f"{module}-", suffix=".log")[1])
        with self._log.open("wb") as log:
            self._popen = subprocess.Popen(
                [sys.executable, "-m", module],
                env={
                    **os.environ,
                    "LOG_FORMAT": "console",
                    "PROBE_HOST": host,
                    "PROBE_PORT": str(self.probe_port),
                    **environment,
                },
                stdout=log,
                stderr=log,
            )

    @property
    def exit_code(self) -> int | None:
        return self._popen.poll()

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def ready(self) -> bool:
        if self.exit_code is not None:
            raise AssertionError(f"ended with {self.exit_code}:\n{self.log}")
        try:
            with urlopen(f"{self._probes}/health/ready", timeout=1) as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False

    def readiness(self) -> dict[str, Any]:
        """Body of the readiness probe; empty lists if the service does not answer."""
        try:
            with urlopen(f"{self._probes}/health/ready", timeout=5) as answer:
                said = answer.read()
        except HTTPError as refusal:
            said = refusal.read()
        except OSError:
            return {"missing": [], "checks": {}}
        answered: dict[str, Any] = json.loads(said)
        return answered

    def metric(self, sample: str) -> float:
        """A metric's sample by name and labels as exposed; 0 if it does not exist."""
        with urlopen(f"{self._probes}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        return next((float(line.rpartition(" ")[2]) for line in lines if line.rpartition(" ")[0] == sample), 0.0)

    def memory_mb(self, what: str = "VmRSS") -> float:
        """Its resident memory in megabytes now, or with VmHWM its maximum."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(what))

    def send(self, number: signal.Signals) -> None:
        self._popen.send_signal(number)

    def kill(self) -> None:
        self._popen.kill()
        self._popen.wait(10)

    def wait(self, timeout_s: float = 20) -> int:
        return self._popen.wait(timeout_s)

    def forget(self) -> None:
        self.kill()
        self._log.unlink()


@contextmanager
def running(module: str, environment: dict[str, str]) -> Iterator[ServiceProcess]:
    process = ServiceProcess(module, environment)
    try:
        yield process
    except BaseException:
        print(process.log)  # noqa: T201 - pytest shows it with the failure
        raise
    finally:
        process.forget()


def aggregator_environment(database: Database, topics: Topics, **more: str) -> dict[str, str]:
    return {
        "KAFKA_BOOTSTRAP": topics.bootstrap,
        "POSTGRES_DSN": database.roles["flexcredits_aggregator"],
        "USAGE_EVENTS_TOPIC": topics.usage_events,
        "CATALOG_TOPIC": topics.catalog,
        "TOTALS_TOPIC": topics.totals,
        "DEAD_LETTER_TOPIC": topics.dlq,
        "CONSUMER_GROUP": topics.usage_events,
        **more,
    }


def alerter_environment(database: Database, topics: Topics, smtp_port: int, **more: str) -> dict[str, str]:
    return {
        "KAFKA_BOOTSTRAP": topics.bootstrap,
        "POSTGRES_DSN": database.roles["flexcredits_alerter"],
        "USAGE_EVENTS_TOPIC": topics.usage_events,
        "TOTALS_TOPIC": topics.totals,
        "ALERTS_TOPIC": topics.alerts,
        "CONSUMER_GROUP": topics.totals,
        "SMTP_URL": f"smtp://127.0.0.1:{smtp_port}",
        "MAIL_FROM": "flex@flex.example",
        "DASHBOARD_URL": "https://flex.example",
        **more,
    }


async def eventually(
    condition: Callable[[], Awaitable[bool]] | Callable[[], bool], *, within_s: float = 30, what: str = "condition"
) -> None:
    """Poll until `condition` holds; AssertionError after `within_s` seconds."""
    deadline = asyncio.get_running_loop().time() + within_s
    while True:
        held = condition()
        if held if isinstance(held, bool) else await held:
            return
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(f"{what} was not true within {within_s} s")
        await asyncio.sleep(0.05)
