"""`config`: prints every setting of every service and its source, and checks whether the service would start with it."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, get_args

import typer
from aggregator.settings import Settings as AggregatorSettings
from alerter.settings import Settings as AlerterSettings
from ingest.settings import Settings as IngestSettings
from pydantic import SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings
from query_api.settings import Settings as QuerySettings

from flexcredits_cli.machine.state_folder import StateFolder, state_folder
from flexcredits_cli.stack.description import find_stack
from flexcredits_cli.terminal.output import AsJson, print_json, print_table
from flexcredits_cli.terminal.problem import SetupProblem

SERVICES: dict[str, type[BaseSettings]] = {
    "ingest": IngestSettings,
    "aggregator": AggregatorSettings,
    "alerter": AlerterSettings,
    "query-api": QuerySettings,
}
MASK = "***"
MISSING = "Field required"
NO_STACK = (
    "\nNo stack is running here ({folder}), and this shell sets neither KAFKA_BOOTSTRAP nor POSTGRES_DSN: settings marked "
    "'missing' have no value.\nStart a stack with ./flexcredits up, or set both variables to check your own settings."
)


@dataclass(frozen=True)
class Setting:
    """One variable. `source` is environment, stack, default or missing; secrets are masked in `value`."""

    name: str
    value: str | None
    source: str


def config(
    service: Annotated[list[str] | None, typer.Argument(help=f"{', '.join(SERVICES)}. Default: all.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print every setting of the services, its value and where the value comes from. Secrets are masked.

    The values come from the stack that runs here. If none runs, or if KAFKA_BOOTSTRAP or POSTGRES_DSN is set, they come
    from this shell and the defaults.

    Exit code 0: the services would start. 1: a service would not start.
    """
    unknown = [name for name in service or [] if name not in SERVICES]
    if unknown:
        raise SetupProblem(f"there is no service {unknown[0]}; the services are {', '.join(SERVICES)}.")
    given = stack_environments(state_folder())
    no_source = not given and not (os.environ.get("KAFKA_BOOTSTRAP") or os.environ.get("POSTGRES_DSN"))
    problems: dict[str, list[str]] = {}
    settings: dict[str, list[Setting]] = {}
    for name in service or SERVICES:
        environment = given.get(name, {})
        settings[name] = [setting_of(at, field, environment) for at, field in SERVICES[name].model_fields.items()]
        problems[name] = validation_errors(SERVICES[name], environment)
    if as_json:
        document = {
            name: {"settings": [asdict(setting) for setting in found], "problems": problems[name]}
            for name, found in settings.items()
        }
        print_json({"services": document})
    else:
        print_table(
            [
                (name, setting.name, "-" if setting.value is None else setting.value, setting.source)
                for name, found in settings.items()
                for setting in found
            ],
            ("service", "setting", "value", "source"),
        )
        if no_source:
            typer.echo(NO_STACK.format(folder=state_folder().root), err=True)
            problems = {
                name: [text for text in texts if not text.endswith(MISSING)] for name, texts in problems.items()
            }
        for name, texts in problems.items():
            for text in texts:
                typer.echo(f"{name} would not start: {text}", err=True)
    if no_source or any(problems.values()):
        raise typer.Exit(1)


def stack_environments(folder: StateFolder) -> Mapping[str, Mapping[str, str]]:
    """Each service's environment in the stack that runs here. Empty if this shell sets another Kafka or Postgres."""
    if os.environ.get("KAFKA_BOOTSTRAP") or os.environ.get("POSTGRES_DSN") or find_stack(folder) is None:
        return {}
    given: Mapping[str, Mapping[str, str]] = json.loads(folder.environments.read_text())
    return given


def setting_of(name: str, field: FieldInfo, given: Mapping[str, str]) -> Setting:
    variable = name.upper()
    for source, environment in (("stack", given), ("environment", os.environ)):
        if variable in environment:
            return Setting(variable, masked(field, environment[variable]), source)
    if field.is_required():
        return Setting(variable, None, "missing")
    default = field.get_default()
    text = None if default is None else str(default)
    return Setting(variable, text or None, "default")


def masked(field: FieldInfo, value: str) -> str:
    is_secret = SecretStr in (field.annotation, *get_args(field.annotation))
    return MASK if is_secret and value else value


def validation_errors(settings: type[BaseSettings], given: Mapping[str, str]) -> list[str]:
    """Why a service would not start with these settings. The texts contain no values, which may be secrets."""
    fields: dict[str, Any] = {
        name.lower(): value for name, value in given.items() if name.lower() in settings.model_fields
    }
    try:
        settings(**fields)
    except ValidationError as error:
        return [describe(fault) for fault in error.errors(include_input=False, include_url=False)]
    return []


def describe(fault: Any) -> str:
    where = ".".join(str(part).upper() for part in fault["loc"])
    return f"{where}: {fault['msg']}" if where else str(fault["msg"])
