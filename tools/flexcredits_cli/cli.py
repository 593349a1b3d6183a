"""Registers the commands of ./flexcredits; each has its own module."""

import sys
from typing import Annotated

import typer

from flexcredits_cli.commands.developer import bench
from flexcredits_cli.commands.developer import test as checks
from flexcredits_cli.commands.developer.doctor import examine
from flexcredits_cli.commands.developer.env import print_environment
from flexcredits_cli.commands.developer.sbom import sbom
from flexcredits_cli.commands.developer.token import print_token
from flexcredits_cli.commands.developer.up import stack_command
from flexcredits_cli.commands.developer.version import print_version, version
from flexcredits_cli.commands.operator import dlq, keys, mappings, quarantine, rebuild, topics
from flexcredits_cli.commands.operator.config import config
from flexcredits_cli.commands.operator.migrate import migrate
from flexcredits_cli.commands.operator.retention import retention
from flexcredits_cli.generator import replay
from flexcredits_cli.generator import simulate as simulate
from flexcredits_cli.terminal.problem import SetupProblem

app = typer.Typer(
    name="flexcredits",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def options(
    _: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=print_version, is_eager=True)
    ] = False,
) -> None:
    """FlexCredits, metering for AI credits, on one machine."""


app.command("up", help="Start everything and keep it running until Ctrl-C.")(stack_command(sample_usage=False))
app.command("demo", help="Start everything with sample usage: 13 months of five companies, then live.")(
    stack_command(sample_usage=True)
)
app.command("env")(print_environment)
app.command("token")(print_token)
app.command("doctor")(examine)
app.command("config")(config)
app.command("migrate")(migrate)
app.command("retention")(retention)
app.command("rebuild")(rebuild.rebuild)
app.command("sbom")(sbom)
app.command("version")(version)
app.command("bench", context_settings=bench.SETTINGS)(bench.run_benchmarks)
app.command("test", context_settings=checks.SETTINGS)(checks.run_tests)
app.add_typer(replay.app, name="replay")
app.add_typer(simulate.app, name="simulate")
app.add_typer(keys.app, name="keys")
app.add_typer(mappings.app, name="mappings")
app.add_typer(dlq.app, name="dlq")
app.add_typer(quarantine.app, name="quarantine")
app.add_typer(topics.app, name="topics")


def main() -> None:
    """Run the command line. A SetupProblem is printed as one message; the exit code is 1."""
    try:
        app(prog_name="./flexcredits")
    except SetupProblem as problem:
        sys.exit(f"flexcredits: {problem}")
