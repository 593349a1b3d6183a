"""Servers that demand TLS: Postgres, Kafka, a mail server and an identity provider's keys, as services of a compose file."""

import secrets
from pathlib import Path
from typing import Any

from flexcredits_cli.machine.state_folder import REPOSITORY
from support.clients.manifests import Manifest, read_yaml

POSTGRES, KAFKA = "flexcredits-postgres-rw", "flexcredits-kafka-bootstrap"
MAIL, LOGIN = "mail.example.com", "login.example.com"
LOCAL_BROKER = "localhost:9092"
"""The broker's listener for itself and its operator, inside its container."""
IMAGES = {name: each["image"] for name, each in read_yaml(REPOSITORY / "docker-compose.yml")["services"].items()}
PATIENT = {"interval": "2s", "retries": 15, "start_period": "180s"}
"""For machines under load: a container that is healthy earlier does not wait."""
SIGNING_KEYS = """\
import http.server, ssl
class Keys(http.server.SimpleHTTPRequestHandler):
    def __init__(self, *arguments): super().__init__(*arguments, directory="/keys")
server = http.server.ThreadingHTTPServer(("", 443), Keys)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/tls/server.pem")
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""
TLS_ONLY = """\
install -m 600 /tls/server.key "$PGDATA/server.key"
install -m 600 /tls/server.crt "$PGDATA/server.crt"
echo "ssl = on" >> "$PGDATA/postgresql.conf"
printf 'local all all trust\\nhostssl all all all scram-sha-256\\n' > "$PGDATA/pg_hba.conf"
"""


def servers(folder: Path, cluster: Manifest) -> dict[str, Any]:
    """Postgres, Kafka, mail server and identity provider."""

    def reached_as(name: str) -> dict[str, Any]:
        return {"default": {"aliases": [name]}}

    settings = {**cluster["spec"]["postgresql"]["parameters"], "fsync": "off"}
    return {
        "postgres": {
            "image": IMAGES["postgres"],
            "command": ["postgres", *(part for name, value in settings.items() for part in ("-c", f"{name}={value}"))],
            "environment": {
                "POSTGRES_PASSWORD": secrets.token_hex(20),
                "POSTGRES_INITDB_ARGS": "--encoding=UTF8 --locale-provider=builtin --builtin-locale=C.UTF-8",
            },
            "volumes": [
                f"{folder}/postgres:/tls:ro", f"{folder}/roles.sql:/docker-entrypoint-initdb.d/1.sql:ro",
                f"{folder}/tls.sh:/docker-entrypoint-initdb.d/2.sh:ro",
            ],
            "networks": reached_as(POSTGRES),
            "healthcheck": {"test": ["CMD", "pg_isready", "--host=127.0.0.1"], **PATIENT},
        },
        "kafka": {
            "image": IMAGES["kafka"],
            "environment": {f"KAFKA_{name}": value for name, value in kafka_settings().items()},
            "volumes": [
                f"{folder}/kafka:/tls:ro", f"{REPOSITORY}/deploy/compose/kafka-health.sh:/kafka-health.sh:ro",
            ],
            "networks": reached_as(KAFKA),
            "healthcheck": {"test": ["CMD", "bash", "/kafka-health.sh"], **PATIENT},
        },
        "mailbox": {
            "image": IMAGES["mailbox"],
            "environment": {
                "MP_SMTP_TLS_CERT": "/tls/server.crt", "MP_SMTP_TLS_KEY": "/tls/server.key",
                "MP_SMTP_REQUIRE_STARTTLS": "true", "MP_SMTP_AUTH": "mailer:secret",
            },
            "volumes": [f"{folder}/mail:/tls:ro"],
            "tmpfs": ["/tmp"],
            "networks": reached_as(MAIL),
            "ports": ["127.0.0.1::8025"],
            "healthcheck": {"test": ["CMD", "/mailpit", "readyz"], **PATIENT},
        },
        "login": {
            "image": IMAGES["ingest"], "entrypoint": ["python", "-c", SIGNING_KEYS],
            "volumes": [f"{folder}/login:/tls:ro", f"{folder}/keys:/keys:ro"],
            "networks": reached_as(LOGIN),
        },
    }  # fmt: skip


def kafka_settings() -> dict[str, str]:
    """One broker with a listener as Strimzi's: TLS, SCRAM-SHA-512, rights by ACL. Who may use LOCAL is in the container."""
    scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    return {
        "NODE_ID": "1",
        "PROCESS_ROLES": "broker,controller",
        "CONTROLLER_QUORUM_VOTERS": "1@localhost:9094",
        "CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "INTER_BROKER_LISTENER_NAME": "LOCAL",
        "LISTENERS": f"LOCAL://{LOCAL_BROKER},CONTROLLER://localhost:9094,CLIENTS://:9093",
        "ADVERTISED_LISTENERS": f"LOCAL://{LOCAL_BROKER},CLIENTS://{KAFKA}:9093",
        "LISTENER_SECURITY_PROTOCOL_MAP": "LOCAL:PLAINTEXT,CONTROLLER:PLAINTEXT,CLIENTS:SASL_SSL",
        "LISTENER_NAME_CLIENTS_SASL_ENABLED_MECHANISMS": "SCRAM-SHA-512",
        "LISTENER_NAME_CLIENTS_SCRAM___SHA___512_SASL_JAAS_CONFIG": scram,
        "SSL_KEYSTORE_TYPE": "PEM",
        "SSL_KEYSTORE_LOCATION": "/tls/server.pem",
        "AUTHORIZER_CLASS_NAME": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "SUPER_USERS": "User:ANONYMOUS",
        "AUTO_CREATE_TOPICS_ENABLE": "false",
        "OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        "HEAP_OPTS": "-Xmx512m",
    }
