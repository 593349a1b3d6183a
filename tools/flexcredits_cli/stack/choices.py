"""Options of a local stack: its ports, and the addresses of external Kafka, Postgres and mail servers."""

import dataclasses
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass

from flexcredits_cli.machine.ports import free_ports, is_free
from flexcredits_cli.terminal.problem import SetupProblem


@dataclass(frozen=True)
class Ports:
    """Ports on the loopback interface. 0 means any free port, which `resolve_ports` chooses; --free-ports sets all to 0."""

    ingest: int = 8080
    query: int = 8081
    issuer: int = 8082
    # Not the well-known ports 5432, 9092 and 1025, which a developer's own servers may use.
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
    """Addresses of external servers. The stack starts its own server where an address is missing."""

    kafka_bootstrap: str | None = None
    postgres_dsn: str | None = None
    smtp_url: str | None = None
    postgres_direct_dsn: str | None = None
    """Postgres itself, if `postgres_dsn` leads to a pooler."""


def external_parts(environment: Mapping[str, str] = os.environ) -> External:
    return External(
        kafka_bootstrap=environment.get("KAFKA_BOOTSTRAP") or None,
        postgres_dsn=environment.get("POSTGRES_DSN") or None,
        postgres_direct_dsn=environment.get("POSTGRES_DIRECT_DSN") or None,
        smtp_url=environment.get("SMTP_URL") or None,
    )


def option_name(port_name: str) -> str:
    return f"--{port_name.replace('_', '-')}-port"


def variable_name(port_name: str) -> str:
    return f"FLEXCREDITS_{port_name.upper()}_PORT"


def configured_ports(environment: Mapping[str, str] = os.environ) -> Ports:
    """The default ports, overridden by the environment."""
    chosen = {}
    for field in dataclasses.fields(Ports):
        value = environment.get(variable_name(field.name))
        if value:
            if not value.isdecimal() or int(value) > 65535:
                raise SetupProblem(f"{variable_name(field.name)} is {value!r}; a port is a number up to 65535.")
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
    """Replace every 0 with a free port, and check the others. Raises SetupProblem with each port that is in use.

    `patience_s`: how long to wait until ports become free.
    """
    chosen = {name: port for name, port in dataclasses.asdict(ports).items() if name in needed}
    fixed = {name: port for name, port in chosen.items() if port}
    twice = [name for name, port in fixed.items() if list(fixed.values()).count(port) > 1]
    if twice:
        options = ", ".join(f"{option_name(name)} {fixed[name]}" for name in twice)
        raise SetupProblem(f"each port can be used only once: {options}.")
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
