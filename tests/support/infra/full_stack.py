"""The whole stack, started by the command that a user runs, and commands against it."""

import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
from flexcredits_cli.dev_idp.tokens import Role, key_path, load_key, mint_token
from flexcredits_cli.machine.state_folder import StateFolder, state_folder
from support.infra.containers import ONLY_CONTAINERS, kafka_container, postgres_container
from support.infra.stack import memory, throwaway_folder

TLS = ssl.create_default_context()
"""One for all requests: httpx reads the machine's authorities for each client that has none, which takes 0.1 s."""


@contextmanager
def state_of_its_own(*, on_disk: bool = False) -> Iterator[StateFolder]:
    """A new state folder that shares only the downloads. A stack syncs thousands of files, so it is in memory if there is room."""
    downloads = state_folder().jars
    downloads.mkdir(parents=True, exist_ok=True)
    with throwaway_folder(None if on_disk else memory()) as root:
        folder = StateFolder(root).make()
        folder.jars.symlink_to(downloads)
        yield folder


def environment_of(home: StateFolder) -> dict[str, str]:
    elsewhere = {"KAFKA_BOOTSTRAP", "POSTGRES_DSN", "SMTP_URL", "INGEST_URL", "INGEST_KEY", "QUERY_URL", "TOKEN_ISSUER"}
    environment = {name: value for name, value in os.environ.items() if name not in elsewhere}
    return environment | {"FLEXCREDITS_HOME": str(home.root)}


@contextmanager
def running_stack(
    home: StateFolder, *options: str, command: str = "up", external: Mapping[str, str] | None = None
) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A stack on free ports, and the JSON line that it printed; stopped by Ctrl-C. `external` names servers of others."""
    argv = [sys.executable, "-P", "-m", "flexcredits_cli", command, "--json", "--free-ports", *options]
    log = home.root / "up.log"
    with log.open("w") as errors:
        environment = environment_of(home) | (external or {})
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, f"up ended without its line:\n{log.read_text()}"
        yield process, json.loads(line)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=60)
        assert rest == "", "stdout has more than one line of JSON"


@contextmanager
def whole_stack(command: str = "up") -> Iterator["WholeStack"]:
    """A stack with a new state folder. Its Kafka and Postgres are its own: embedded ones, or containers in their lane."""
    with ExitStack() as here:
        home = here.enter_context(state_of_its_own())
        external = {}
        if ONLY_CONTAINERS:
            external["KAFKA_BOOTSTRAP"] = here.enter_context(kafka_container())
            external["POSTGRES_DSN"] = here.enter_context(postgres_container())
        _, addresses = here.enter_context(running_stack(home, command=command, external=external))
        yield WholeStack(home, addresses)


class WholeStack:
    """A running stack and its clients."""

    def __init__(self, home: StateFolder, addresses: dict[str, Any]) -> None:
        self.home = home
        self.addresses = addresses
        self._tokens: dict[str, str] = {}

    @property
    def origin(self) -> str:
        """Address of the dashboard and the query API."""
        return str(self.addresses["query_url"])

    def command(self, *arguments: str | Path, within_s: float = 120) -> str:
        """Output of `./flexcredits <arguments>`; it must succeed."""
        done = subprocess.run(
            [sys.executable, "-P", "-m", "flexcredits_cli", *map(str, arguments)],
            env=environment_of(self.home), capture_output=True, text=True, timeout=within_s,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def post(self, events: object, *, key: str | None = None) -> httpx.Response:
        content_type = (
            "application/cloudevents-batch+json" if isinstance(events, list) else "application/cloudevents+json"
        )
        headers = {"Authorization": f"Bearer {key or self.addresses['ingest_key']}", "Content-Type": content_type}
        url = f"{self.addresses['ingest_url']}/api/v1/events"
        return httpx.post(url, content=json.dumps(events), headers=headers, verify=TLS)

    def get(self, path: str, *, organization: str, **parameters: str) -> dict[str, Any]:
        """JSON of the query API as a Super Admin of `organization` sees it."""
        headers = {"Authorization": f"Bearer {self.token_of(organization)}"}
        url = f"{self.addresses['query_url']}/api/v1/{path}"
        answer = httpx.get(url, params=parameters, headers=headers, verify=TLS)
        answer.raise_for_status()
        body: dict[str, Any] = answer.json()
        return body

    def token_of(self, organization: str) -> str:
        """A Super Admin's token, as the command `token` prints it; starting the command takes a second."""
        if organization not in self._tokens:
            key, issuer = load_key(key_path(self.home)), str(self.addresses["issuer_url"])
            self._tokens[organization] = mint_token(key, issuer, organization, Role.SUPER_ADMIN, "a@acme.example")
        return self._tokens[organization]

    def aggregator_pid(self) -> int:
        """The aggregator that the stack's supervisor runs now; it starts a new one when one dies."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            listed = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
            for line in listed.splitlines():
                number, parent, arguments = line.split(maxsplit=2)
                if parent == str(self.addresses["pid"]) and arguments.endswith("-m aggregator"):
                    return int(number)
            time.sleep(0.05)
        raise AssertionError("no aggregator is running")
