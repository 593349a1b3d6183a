"""Where commands find Kafka and Postgres: as the environment says, else those of the stack that runs here."""

import os
from pathlib import Path

from pydantic import ValidationError
from runtime.kafka import KafkaSettings

from flexcredits_cli.machine.state_folder import REPOSITORY, state_folder
from flexcredits_cli.stack.description import running_stack
from flexcredits_cli.terminal.problem import SetupProblem

IMAGE = Path("/usr/share/flexcredits")
"""Where the images keep what a checkout has in `schemas`."""


def postgres_dsn() -> str:
    """POSTGRES_DSN, or the running stack's owner's."""
    return os.environ.get("POSTGRES_DSN") or running_stack(state_folder()).postgres_dsn


def kafka_settings() -> KafkaSettings:
    """KAFKA_BOOTSTRAP with the settings beside it, or the running stack's broker."""
    if not os.environ.get("KAFKA_BOOTSTRAP"):
        bootstrap = running_stack(state_folder()).kafka_bootstrap
        return KafkaSettings(kafka_bootstrap=bootstrap, kafka_security_protocol="PLAINTEXT")
    try:
        return KafkaSettings()
    except ValidationError as error:
        raise SetupProblem("; ".join(fault["msg"] for fault in error.errors())) from None


def described(kind: str) -> Path:
    """The folder that describes `topics` or `postgres`."""
    folders = [REPOSITORY / "schemas" / kind, IMAGE / kind]
    for folder in folders:
        if folder.is_dir():
            return folder
    raise SetupProblem(f"the files of {kind} are in none of {', '.join(map(str, folders))}.")
