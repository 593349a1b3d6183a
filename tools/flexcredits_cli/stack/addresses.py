"""Addresses of Kafka and Postgres for commands: from the environment, otherwise from the stack that runs here."""

import os
from pathlib import Path

from pydantic import ValidationError
from runtime.kafka.clients import KafkaSettings

from flexcredits_cli.machine.state_folder import REPOSITORY, state_folder
from flexcredits_cli.stack.description import running_stack
from flexcredits_cli.terminal.problem import SetupProblem

IMAGE = Path("/usr/share/flexcredits")
"""Folder in the images with the files of `schemas`."""


def postgres_dsn() -> str:
    """POSTGRES_DIRECT_DSN, else POSTGRES_DSN, else the owner's DSN of the running stack."""
    return (
        os.environ.get("POSTGRES_DIRECT_DSN")
        or os.environ.get("POSTGRES_DSN")
        or running_stack(state_folder()).postgres_dsn
    )


def kafka_settings() -> KafkaSettings:
    """KAFKA_BOOTSTRAP with its security settings, or the running stack's broker."""
    if not os.environ.get("KAFKA_BOOTSTRAP"):
        bootstrap = running_stack(state_folder()).kafka_bootstrap
        return KafkaSettings(kafka_bootstrap=bootstrap, kafka_security_protocol="PLAINTEXT")
    try:
        return KafkaSettings()
    except ValidationError as error:
        raise SetupProblem("; ".join(fault["msg"] for fault in error.errors())) from None


def schema_folder(kind: str) -> Path:
    """The folder of `topics` or `postgres` files."""
    folders = [REPOSITORY / "schemas" / kind, IMAGE / kind]
    for folder in folders:
        if folder.is_dir():
            return folder
    raise SetupProblem(f"the {kind} files are in none of {', '.join(map(str, folders))}.")
