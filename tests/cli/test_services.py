"""Environments of the local stack's services."""

from pathlib import Path

from flexcredits_cli.machine.state_folder import StateFolder
from flexcredits_cli.stack.choices import Ports
from flexcredits_cli.stack.services import service_programs


def environments(home: Path, name: str) -> dict[str, str]:
    """The variable's value by service, for services that have one."""
    folder = StateFolder(home).make()
    programs = service_programs(Ports(), {}, "postgresql://owner:x@127.0.0.1:1/flex", "smtp://127.0.0.1:1", folder)
    return {program.name: program.environment[name] for program in programs if name in program.environment}


def secrets_of_links(home: Path) -> dict[str, str]:
    return environments(home, "FLEXCREDITS_UNSUBSCRIBE_SECRET")


def test_a_restarted_consumer_is_the_same_member_of_its_group(tmp_path: Path) -> None:
    """Otherwise Kafka assigns its partitions only when the killed member's session ends, after ten seconds."""
    assert environments(tmp_path, "CONSUMER_INSTANCE") == {"aggregator": "aggregator", "alerter": "alerter"}


def test_the_two_services_that_seal_and_open_links_share_a_secret_of_their_home(tmp_path: Path) -> None:
    secrets = secrets_of_links(tmp_path / "one")
    assert set(secrets) == {"alerter", "query-api"}
    assert len(set(secrets.values())) == 1
    assert len(secrets["alerter"]) >= 32
    assert secrets_of_links(tmp_path / "one") == secrets
    assert secrets_of_links(tmp_path / "two") != secrets


def test_the_query_api_signs_manifests_with_a_key_of_its_home(tmp_path: Path) -> None:
    keys = environments(tmp_path / "one", "EXPORT_SIGNING_KEY")
    assert set(keys) == {"query-api"}
    assert len(bytes.fromhex(keys["query-api"])) == 32
    assert environments(tmp_path / "one", "EXPORT_SIGNING_KEY") == keys
    assert environments(tmp_path / "two", "EXPORT_SIGNING_KEY") != keys
