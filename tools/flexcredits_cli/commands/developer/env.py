"""`env`: prints the running stack's addresses as shell exports, for `eval "$(./flexcredits env)"`."""

import shlex

from flexcredits_cli.dev_idp.tokens import Role, key_path, load_key, mint_token
from flexcredits_cli.machine.state_folder import StateFolder, state_folder
from flexcredits_cli.stack.description import Description, running_stack
from flexcredits_cli.terminal.output import AsJson, print_json

ORGANIZATION = "org_demo"
EMAIL = "ada@demo.example"


def print_environment(as_json: AsJson = False) -> None:
    """Print the running stack's addresses and credentials as shell exports.

    INGEST_KEY may send events of every organization to INGEST_URL. QUERY_TOKEN may read org_demo at QUERY_URL as a Super
    Admin, for 12 hours. MAILBOX is the folder of sent emails. Use it as: eval "$(./flexcredits env)"
    """
    folder = state_folder()
    variables = exports(running_stack(folder), folder)
    if as_json:
        print_json(variables)
        return
    for name, value in variables.items():
        print(f"export {name}={shlex.quote(value)}")


def exports(description: Description, folder: StateFolder) -> dict[str, str]:
    """Values by variable name.

    KAFKA_BOOTSTRAP, POSTGRES_DSN and SMTP_URL are left out: with them in the shell, another `./flexcredits up` would not start
    its own servers.
    """
    token = mint_token(load_key(key_path(folder)), description.issuer_url, ORGANIZATION, Role.SUPER_ADMIN, EMAIL)
    variables = {
        "INGEST_URL": description.ingest_url,
        "INGEST_KEY": description.ingest_key,
        "QUERY_URL": description.query_url,
        "QUERY_TOKEN": token,
    }
    return variables | ({"MAILBOX": description.mailbox} if description.mailbox else {})
