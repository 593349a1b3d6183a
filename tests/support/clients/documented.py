"""The examples of docs/clients.md, with the address and the key of a test."""

import re
import shlex

from flexcredits_cli.machine.state_folder import REPOSITORY
from support.clients.metered_organization import MeteredOrganization

PAGE = (REPOSITORY / "docs" / "clients.md").read_text()


def example(language: str, name: str, made: MeteredOrganization) -> str:
    """The only block of this language that contains `name`."""
    blocks = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    (found,) = (block for block in blocks if name in block)
    return str(found).replace("https://ingest.example.com", made.url).replace("fc_...", made.key)


def exports(name: str, made: MeteredOrganization) -> dict[str, str]:
    """The variables that the line of the shell with `name` sets, and those for every exporter."""
    lines = example("bash", "OTEL_EXPORTER_OTLP_HEADERS", made).splitlines()
    lines += [line for line in example("bash", name, made).replace("\\\n", " ").splitlines() if name in line]
    words = [word for line in lines for word in shlex.split(line) if word != "export"]
    return dict(word.split("=", 1) for word in words)
