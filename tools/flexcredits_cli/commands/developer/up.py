"""`up` and `demo`: start the local stack and keep it running until a signal."""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from flexcredits_cli.commands.developer.welcome import welcome
from flexcredits_cli.machine.state_folder import state_folder
from flexcredits_cli.processes.console import Console
from flexcredits_cli.processes.programs import Program
from flexcredits_cli.processes.supervisor import Stopped, Supervisor
from flexcredits_cli.stack.choices import (
    Ports,
    configured_ports,
    external_parts,
    needed_ports,
    option_name,
    resolve_ports,
)
from flexcredits_cli.stack.counted import COUNTED_WITHIN_S
from flexcredits_cli.stack.description import Description, publish, withdraw
from flexcredits_cli.stack.services import PYTHON
from flexcredits_cli.stack.stack import Stack, only_stack


def port_option(name: str) -> typer.models.OptionInfo:
    default = getattr(Ports, name)
    option = typer.Option(
        option_name(name), min=0, max=65535, show_default=str(default), rich_help_panel="Single ports"
    )
    assert isinstance(option, typer.models.OptionInfo)
    return option


Port = int | None
SCENARIO_WITHIN_S = COUNTED_WITHIN_S + 300
"""The simulator generates and sends events, then waits; its own waiting limit is COUNTED_WITHIN_S."""


def stack_command(*, sample_usage: bool) -> Callable[..., None]:
    """The command `up`, or `demo` when it also sends sample usage; both take the same options."""

    def command(
        json: Annotated[
            bool, typer.Option("--json", help="Print one line of JSON with every address when ready.")
        ] = False,
        fresh: Annotated[bool, typer.Option("--fresh", help="Delete all data first. Downloads are kept.")] = False,
        free_ports: Annotated[
            bool, typer.Option("--free-ports", help="Listen on free ports instead of the defaults.")
        ] = False,
        ingest_port: Annotated[Port, port_option("ingest")] = None,
        query_port: Annotated[Port, port_option("query")] = None,
        issuer_port: Annotated[Port, port_option("issuer")] = None,
        postgres_port: Annotated[Port, port_option("postgres")] = None,
        kafka_port: Annotated[Port, port_option("kafka")] = None,
        kafka_controller_port: Annotated[Port, port_option("kafka_controller")] = None,
        smtp_port: Annotated[Port, port_option("smtp")] = None,
        ingest_probe_port: Annotated[Port, port_option("ingest_probe")] = None,
        aggregator_probe_port: Annotated[Port, port_option("aggregator_probe")] = None,
        query_probe_port: Annotated[Port, port_option("query_probe")] = None,
        alerter_probe_port: Annotated[Port, port_option("alerter_probe")] = None,
    ) -> None:
        given = {
            "ingest": ingest_port,
            "query": query_port,
            "issuer": issuer_port,
            "postgres": postgres_port,
            "kafka": kafka_port,
            "kafka_controller": kafka_controller_port,
            "smtp": smtp_port,
            "ingest_probe": ingest_probe_port,
            "aggregator_probe": aggregator_probe_port,
            "query_probe": query_probe_port,
            "alerter_probe": alerter_probe_port,
        }
        ports = Ports(**dict.fromkeys(given, 0)) if free_ports else configured_ports()
        ports = dataclasses.replace(ports, **{name: port for name, port in given.items() if port is not None})
        run_stack(ports, fresh=fresh, as_json=json, sample_usage=sample_usage)

    return command


def run_stack(ports: Ports, *, fresh: bool, as_json: bool, sample_usage: bool) -> None:
    """Start the stack, print its addresses, and supervise it until a signal arrives."""
    folder, external, console = state_folder(), external_parts(), Console(to_stderr=as_json)
    with only_stack(folder):
        # A description without a running stack means that the stack was killed: its processes may still hold their ports.
        patience_s = 5 if folder.description.exists() else 0
        stack = Stack(folder, resolve_ports(ports, needed_ports(external), patience_s), external, console)
        postgres, kafka = stack.prepare(fresh=fresh)
        with Supervisor(console) as supervisor:
            try:
                description = stack.start(supervisor, postgres, kafka)
                publish(description, folder)
                if sample_usage:
                    console.report("sending 13 months of sample usage; FlexCredits is ready when all of it is counted")
                    supervisor.start(sample_usage_program(description, folder.root / "sample-usage-counted"))
                announce(description, console, as_json=as_json, sample_usage=sample_usage)
                supervisor.keep_running()
            except Stopped:
                console.report("stopped before everything was ready")
            finally:
                withdraw(folder)


def sample_usage_program(stack: Description, counted_file: Path) -> Program:
    """The simulator. It is ready when all of its history is counted.

    Its environment has this stack's addresses, because the terminal may have those of an earlier stack from `env`.
    """
    counted_file.unlink(missing_ok=True)
    argv = [*PYTHON, "flexcredits_cli", "simulate", "scenario", "--counted-file", str(counted_file)]
    addresses = {
        "INGEST_URL": stack.ingest_url, "INGEST_KEY": stack.ingest_key,
        "QUERY_URL": stack.query_url, "TOKEN_ISSUER": stack.issuer_url,
    }  # fmt: skip
    return Program(
        "simulate", argv, environment=addresses, is_ready=counted_file.exists, ready_within_s=SCENARIO_WITHIN_S
    )


def announce(description: Description, console: Console, *, as_json: bool, sample_usage: bool) -> None:
    if as_json:
        print(description.to_json(), flush=True)
    else:
        console.write_text(welcome(description, sample_usage=sample_usage, home=os.environ.get("FLEXCREDITS_HOME", "")))
