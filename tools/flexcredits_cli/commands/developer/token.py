"""`token`: prints a token of the development issuer. It does not need a running stack."""

from typing import Annotated

import typer

from flexcredits_cli.dev_idp.tokens import Role, issuer_url, key_path, load_key, mint_token
from flexcredits_cli.machine.state_folder import StateFolder, state_folder
from flexcredits_cli.stack.choices import configured_ports, variable_name
from flexcredits_cli.stack.description import find_stack
from flexcredits_cli.terminal.problem import SetupProblem


def print_token(
    organization: Annotated[str, typer.Option(help="The organization's id, for example org_acme.")],
    role: Annotated[Role, typer.Option(help="The member's role in it.")],
    email: Annotated[str, typer.Option(help="The member's address.")],
) -> None:
    """Print a token for the query API; it is valid for 12 hours."""
    folder = state_folder()
    print(mint_token(load_key(key_path(folder)), current_issuer(folder), organization, role, email))


def current_issuer(folder: StateFolder) -> str:
    """The running stack's issuer, or the issuer that the next stack will have."""
    running = find_stack(folder)
    if running:
        return running.issuer_url
    port = configured_ports().issuer
    if not port:
        raise SetupProblem(f"{variable_name('issuer')} is 0, so the issuer's address is unknown until the stack runs.")
    return issuer_url(port)
