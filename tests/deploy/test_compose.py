"""docker-compose.yml: valid, on the loopback address only, without secrets, and consistent with the services' settings."""

import json
import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from flexcredits_cli.machine.state_folder import REPOSITORY
from runtime.kafka.clients import KafkaSettings
from runtime.prepare import DatabaseSettings
from support.clients.manifests import SERVICES, read_yaml, settings_of
from support.infra.service_process import free_port

HERE = Path(__file__).parent
FREE_PORT = re.compile(r"127\.0\.0\.1:(\$\{[A-Z]+_PORT:-)?\d+}?:\d+")
ONE_SHOTS = {"secrets", "migrations", "topics"}
Service = dict[str, Any]


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    document: dict[str, Any] = read_yaml(REPOSITORY / "docker-compose.yml")
    return document


@pytest.fixture(scope="module")
def services(compose: dict[str, Any]) -> dict[str, Service]:
    found: dict[str, Service] = compose["services"]
    return found


def test_it_is_valid(compose: dict[str, Any]) -> None:
    schema = json.loads((HERE / "schemas/compose-spec.json").read_text())
    problems = [f"{error.instance_path}: {error.message}" for error in jsonschema_rs.iter_errors(schema, compose)]
    assert not problems
    assert not jsonschema_rs.is_valid(schema, {"services": {"a": {"image": "b", "helthcheck": {}}}})


def test_every_port_is_on_the_loopback_address(services: dict[str, Service]) -> None:
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert len(ports) > 5
    assert not [port for port in ports if not FREE_PORT.fullmatch(port)]
    assert len({port.rpartition(":")[0] for port in ports}) == len(ports)
    assert not [name for name, service in services.items() if service.get("network_mode") == "host"]


DEFAULTED = re.compile(r"\$\{\w+:-([^}]*)\}")
"""A variable of the user with a default, as compose replaces it."""


def test_there_is_no_secret_in_it() -> None:
    text = (REPOSITORY / "docker-compose.yml").read_text()
    assert not re.search(r"//[^/@\s]*:[^/@\s]*@", text)
    named = re.findall(r"^ +(\S*(?:PASSWORD|SECRET|_KEY)\S*):", text, re.MULTILINE)
    assert set(named) == {"POSTGRES_PASSWORD_FILE", "FLEXCREDITS_UNSUBSCRIBE_SECRET", "EXPORT_SIGNING_KEY"}
    assert "${EXPORT_SIGNING_KEY:-}" in text
    assert "${FLEXCREDITS_UNSUBSCRIBE_SECRET:-" in text  # seals links in mails that stay on the machine


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_starts_with_its_environment(
    service: str, services: dict[str, Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(SERVICES[service])
    assert services[service]["command"] == [SERVICES[service]]
    environment = services[service]["environment"]
    known = {name.upper() for name in settings.model_fields}
    # Services share maps, so a service may get another service's variable, but each variable must be a setting of some service.
    known_to_any = {name.upper() for module in SERVICES.values() for name in settings_of(module).model_fields}
    assert set(environment) <= known_to_any | {"PGPASSFILE"}
    for name in known:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, DEFAULTED.sub(r"\1", value))
    settings()


@pytest.mark.parametrize("one_shot", ["migrations", "topics"])
def test_one_shots_start_with_their_environment(
    one_shot: str, services: dict[str, Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"migrations": DatabaseSettings, "topics": KafkaSettings}[one_shot]
    monkeypatch.delenv("KAFKA_BOOTSTRAP", raising=False)
    for name, value in services[one_shot]["environment"].items():
        monkeypatch.setenv(name, value)
    settings()
    assert services[one_shot]["command"][0] == "runtime.prepare"


def test_everything_waits_for_what_it_needs(services: dict[str, Service]) -> None:
    for name, service in services.items():
        for needed, how in service.get("depends_on", {}).items():
            condition = how["condition"]
            if needed in ONE_SHOTS:
                assert condition == "service_completed_successfully", (name, needed)
            elif (name, needed) != ("issuer", "query-api"):  # which share a network, and need each other
                assert condition == "service_healthy", (name, needed)
                assert "healthcheck" in services[needed], (name, needed)
    for name in SERVICES:
        assert {"migrations", "topics"} <= set(services[name]["depends_on"])
    # `up --wait` treats an exited process as a failure, unless another service depends on its completion.
    waited_for = {needed for service in services.values() for needed in service.get("depends_on", {})}
    assert waited_for >= ONE_SHOTS
    without = {name for name, service in services.items() if "healthcheck" not in service}
    assert without == {*ONE_SHOTS, "cli", "simulator"}


def test_our_containers_are_locked_down(services: dict[str, Service]) -> None:
    ours = [service for service in services.values() if "build" in service]
    assert len(ours) == 9
    for service in ours:
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("service", ["aggregator", "alerter"])
def test_a_restarted_consumer_is_the_same_member_of_its_group(service: str, services: dict[str, Service]) -> None:
    assert services[service]["environment"]["CONSUMER_INSTANCE"] == service


def test_commands_end_on_sigterm(services: dict[str, Service]) -> None:
    """The kernel ignores SIGTERM for a first process without a handler, so only the services do without an init process."""
    commands = {name for name, service in services.items() if "build" in service} - set(SERVICES)
    assert commands == {"migrations", "topics", "issuer", "cli", "simulator"}
    assert {name for name, service in services.items() if service.get("init")} == commands


def test_profiles_and_images(services: dict[str, Service]) -> None:
    profiles = {name: service["profiles"] for name, service in services.items() if "profiles" in service}
    assert profiles == {
        "cli": ["cli"],
        "simulator": ["demo"],
        "prometheus": ["observability"],
        "grafana": ["observability"],
    }
    version = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
    for service in services.values():
        name, _, tag = service["image"].rpartition(":")
        assert tag == version if name.startswith("flexcredits") else re.match(r"v?\d", tag)


def test_prometheus_scrapes_every_probe_port(services: dict[str, Service]) -> None:
    [job] = read_yaml(REPOSITORY / "deploy/compose/prometheus.yml")["scrape_configs"]
    [targets] = job["static_configs"]
    ports = {name: services[name]["environment"]["PROBE_PORT"] for name in SERVICES}
    assert targets["targets"] == [f"{name}:{port}" for name, port in ports.items()]


def test_kafka_is_healthy_once_it_knows_a_broker(services: dict[str, Service], kafka_bootstrap: str) -> None:
    script = REPOSITORY / "deploy/compose/kafka-health.sh"
    assert services["kafka"]["healthcheck"]["test"] == ["CMD", "bash", f"/{script.name}"]
    for port, healthy in ((kafka_bootstrap.rpartition(":")[2], True), (str(free_port()), False)):
        done = subprocess.run(["bash", script, port], capture_output=True, text=True, timeout=10)
        assert (done.returncode == 0) == healthy, done.stderr


def test_mounted_files_exist(services: dict[str, Service]) -> None:
    mounts = [
        volume for service in services.values() for volume in service.get("volumes", []) if volume.startswith(".")
    ]
    assert len(mounts) == 8
    assert not [mount for mount in mounts if not (REPOSITORY / mount.partition(":")[0]).exists()]


def test_passwords_are_made_once_and_for_their_readers_alone(tmp_path: Path) -> None:
    me = f"{os.getuid()}:{os.getgid()}"
    command = ["sh", str(REPOSITORY / "deploy/compose/secrets.sh"), str(tmp_path), me, me]
    subprocess.run(command, check=True)
    made = {path.name: path.read_text() for path in tmp_path.iterdir()}
    subprocess.run(command, check=True)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == made
    passwords = {name: text for name, text in made.items() if name != "pgpass"}
    assert len(passwords) == len(set(passwords.values())) == 5
    assert all(re.fullmatch("[0-9a-f]{40}", password) for password in passwords.values())
    lines = [f"postgres:5432:flexcredits:{role}:{password}" for role, password in passwords.items()]
    assert sorted(made["pgpass"].splitlines()) == sorted(lines)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
