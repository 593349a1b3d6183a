"""The services' programs: each one's environment and readiness check."""

import os
import sys
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from flexcredits_cli.dev_idp.authorization import CLIENT_ID
from flexcredits_cli.dev_idp.issuer import AUTHORIZATION_PATH, JWKS_PATH, TOKEN_PATH
from flexcredits_cli.dev_idp.tokens import AUDIENCE, issuer_url
from flexcredits_cli.embedded.dashboard import built_dashboard
from flexcredits_cli.machine.ports import LOOPBACK, accepts
from flexcredits_cli.machine.state_folder import StateFolder
from flexcredits_cli.processes.programs import Program
from flexcredits_cli.stack.choices import Ports

ROLES = ("flexcredits_ingest", "flexcredits_aggregator", "flexcredits_api", "flexcredits_alerter")
MAIL_FROM = "flexcredits@localhost.example"
PYTHON = (sys.executable, "-P", "-u", "-m")


def mailbox_program(port: int, folder: Path) -> Program:
    argv = [*PYTHON, "flexcredits_cli.embedded.mailbox", "--port", str(port), "--folder", str(folder)]
    return Program("mailbox", argv, is_ready=lambda: accepts(port))


def issuer_program(port: int, folder: StateFolder) -> Program:
    argv = [*PYTHON, "flexcredits_cli.dev_idp.issuer", "--port", str(port)]
    return Program(
        "issuer",
        argv,
        is_ready=lambda: answers(issuer_url(port) + JWKS_PATH),
        environment={"FLEXCREDITS_HOME": str(folder.root)},
    )


def service_programs(
    ports: Ports, broker: Mapping[str, str], dsn: str, smtp_url: str, folder: StateFolder
) -> list[Program]:
    """Ingest, aggregator, alerter and query API, in the order of the data path.

    `broker` has Kafka's address and security variables; `dsn` is the owner's.
    """
    shared = {
        "FLEXCREDITS_ENV": "development",
        "LOG_FORMAT": os.environ.get("LOG_FORMAT", "console"),
        **broker,
        **without_proxy(),
    }
    issuer = issuer_url(ports.issuer)
    unsubscribe = {"FLEXCREDITS_UNSUBSCRIBE_SECRET": folder.secret("unsubscribe-secret")}
    return [
        service(
            "ingest",
            ports.ingest_probe,
            {
                **shared,
                "POSTGRES_DSN": role_dsn(dsn, "flexcredits_ingest", folder),
                "HTTP_HOST": LOOPBACK,
                "HTTP_PORT": str(ports.ingest),
            },
        ),
        service(
            "aggregator",
            ports.aggregator_probe,
            {
                **shared,
                "POSTGRES_DSN": role_dsn(dsn, "flexcredits_aggregator", folder),
                "CONSUMER_INSTANCE": "aggregator",
            },
        ),
        service(
            "alerter",
            ports.alerter_probe,
            {
                **shared,
                **unsubscribe,
                "POSTGRES_DSN": role_dsn(dsn, "flexcredits_alerter", folder),
                "CONSUMER_INSTANCE": "alerter",
                "SMTP_URL": smtp_url,
                "MAIL_FROM": os.environ.get("MAIL_FROM", MAIL_FROM),
                "DASHBOARD_URL": f"http://{LOOPBACK}:{ports.query}",
            },
        ),
        service(
            "query_api",
            ports.query_probe,
            {
                **shared,
                **unsubscribe,
                "EXPORT_SIGNING_KEY": folder.secret("export-signing-key", 32),
                "POSTGRES_DSN": role_dsn(dsn, "flexcredits_api", folder),
                "HTTP_HOST": LOOPBACK,
                "HTTP_PORT": str(ports.query),
                "JWKS_URL": issuer + JWKS_PATH,
                "TOKEN_ISSUER": issuer,
                "TOKEN_AUDIENCE": AUDIENCE,
                "AUTHORIZATION_URL": issuer + AUTHORIZATION_PATH,
                "TOKEN_URL": issuer + TOKEN_PATH,
                "CLIENT_ID": CLIENT_ID,
                "DASHBOARD_URL": f"http://{LOOPBACK}:{ports.query}",
                "DASHBOARD_FOLDER": str(built_dashboard(folder)),
            },
        ),
    ]


def service(module: str, probe_port: int, environment: Mapping[str, str]) -> Program:
    """A program that runs the service's module and is ready when its health endpoint on the probe port says so."""
    return Program(
        name=module.replace("_", "-"),
        argv=[*PYTHON, module],
        is_ready=lambda: answers(health_url(probe_port)),
        environment={**environment, "PROBE_PORT": str(probe_port)},
    )


def role_dsn(owner_dsn: str, role: str, folder: StateFolder) -> str:
    """The DSN of the same database for a service's role."""
    parts = urlsplit(owner_dsn)
    address = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{role}:{role_password(role, folder)}@{address}"))


def role_password(role: str, folder: StateFolder) -> str:
    return folder.secret(f"{role}-password")


def probe_ports(ports: Ports) -> dict[str, int]:
    """Probe ports by service name."""
    return {
        "ingest": ports.ingest_probe,
        "aggregator": ports.aggregator_probe,
        "alerter": ports.alerter_probe,
        "query-api": ports.query_probe,
    }


def health_url(probe_port: int) -> str:
    return f"http://{LOOPBACK}:{probe_port}/health/ready"


def metrics_url(probe_port: int) -> str:
    return f"http://{LOOPBACK}:{probe_port}/metrics"


def answers(url: str) -> bool:
    """Whether a GET returns 200 now. It uses no proxy, because the address is on this machine."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    connection = HTTPConnection(parts.hostname, parts.port, timeout=2)
    try:
        connection.request("GET", parts.path)
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def without_proxy() -> dict[str, str]:
    """Variables that exclude loopback requests from a proxy. Programs read either spelling."""
    exceptions = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    value = ",".join([*([exceptions] if exceptions else []), LOOPBACK, "localhost"])
    return {"NO_PROXY": value, "no_proxy": value}
