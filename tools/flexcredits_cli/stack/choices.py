"""What can be chosen for a local stack: its ports, and which parts somebody else runs."""

import dataclasses
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass

from flexcredits_cli.machine.ports import free_ports, is_free
from flexcredits_cli.terminal.problem import SetupProblem


@dataclass(frozen=True)
class Ports:
    """Ports on the loopback interface; 0 stands for any free one until `resolve_ports`, as --free-ports gives to all."""

    ingest: int = 8080
    query: int = 8081
    issuer: int = 8082
    # Not the well-known ports: 5432, 9092 and 1025 are where a developer's own ones run.
    postgres: int = 15432
    kafka: int = 19092
    kafka_controller: int = 19093
    smtp: int = 11025
    ingest_probe: int = 9101
    aggregator_probe: int = 9102
    query_probe: int = 9103
    alerter_probe: int = 9104


@dataclass(frozen=True)
class External:
    """Addresses of parts that run elsewhere; the stack starts its own where there is none."""

    kafka_bootstrap: str | None = None
    postgres_dsn: str | None = None
    smtp_url: str | None = None


def external_parts(environment: Mapping[str, str] = os.environ) -> External:
    return External(
        kafka_bootstrap=environment.get("KAFKA_BOOTSTRAP") or None,
        postgres_dsn=environment.get("POSTGRES_DSN") or None,
        smtp_url=environment.get("SMTP_URL") or None,
    )


def option_name(port_name: str) -> str:
    return f"--{port_name.replace('_', '-')}-port"


def variable_name(port_name: str) -> str:
    return f"FLEXCREDITS_{port_name.upper()}_PORT"


def configured_ports(environment: Mapping[str, str] = os.environ) -> Ports:
    """The defaults, with what the environment says in their place."""
    chosen = {}
    for field in dataclasses.fields(Ports):
        value = environment.get(variable_name(field.name))
        if value:
            if not value.isdecimal() or int(value) > 65535:
                raise SetupProblem(f"{variable_name(field.name)} is {value!r}, and a port is a number up to 65535.")
            chosen[field.name] = int(value)
    return Ports(**chosen)


def needed_ports(external: External) -> set[str]:
    """Names of the ports that the stack will listen on."""
    needed = {field.name for field in dataclasses.fields(Ports)}
    if external.kafka_bootstrap:
        needed -= {"kafka", "kafka_controller"}
    if external.postgres_dsn:
        needed -= {"postgres"}
    if external.smtp_url:
        needed -= {"smtp"}
    return needed


def resolve_ports(ports: Ports, needed: set[str], patience_s: float = 0) -> Ports:
    """Give every 0 a free port, and check the others; SetupProblem names each that is taken and how to change it.

    `patience_s`: how long a port may take to become free.
    """
    chosen = {name: port for name, port in dataclasses.asdict(ports).items() if name in needed}
    fixed = {name: port for name, port in chosen.items() if port}
    twice = [name for name, port in fixed.items() if list(fixed.values()).count(port) > 1]
    if twice:
        options = ", ".join(f"{option_name(name)} {fixed[name]}" for name in twice)
        raise SetupProblem(f"every port can be given only once: {options}.")
    deadline = time.monotonic() + patience_s
    while taken := {name: port for name, port in fixed.items() if not is_free(port)}:
        if time.monotonic() > deadline:
            raise SetupProblem("\n".join(taken_line(name, port) for name, port in taken.items()))
        time.sleep(0.1)
    any_port = [name for name, port in chosen.items() if not port]
    return dataclasses.replace(ports, **dict(zip(any_port, free_ports(len(any_port)), strict=True)))


def taken_line(name: str, port: int) -> str:
    return (
        f"port {port} ({name.replace('_', ' ')}) is used by another program. --free-ports picks free ports for all; "
        f"{option_name(name)} or {variable_name(name)} sets this one."
    )
