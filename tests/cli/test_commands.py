"""Output and errors of the commands."""

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import jwt
import pytest
from flexcredits_cli.cli import app
from flexcredits_cli.machine.state_folder import StateFolder
from flexcredits_cli.stack.description import Description, find_stack, publish, running_stack
from flexcredits_cli.stack.stack import only_stack
from flexcredits_cli.terminal.problem import SetupProblem
from typer.testing import CliRunner

TOKEN = ["token", "--organization", "org_acme", "--role", "super_admin", "--email", "a@acme.example"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StateFolder:
    monkeypatch.setenv("FLEXCREDITS_HOME", str(tmp_path / "home"))
    return StateFolder(tmp_path / "home").make()


def describe(pid: int) -> Description:
    return Description(
        ingest_url="http://127.0.0.1:1",
        query_url="http://127.0.0.1:2",
        mailbox=None,
        kafka_bootstrap="127.0.0.1:3",
        postgres_dsn="postgresql://127.0.0.1:4/flexcredits",
        ingest_key="key",
        issuer_url="http://127.0.0.1:5",
        metrics_urls={},
        health_urls={},
        pid=pid,
    )


def issuer_of(output: str) -> str:
    (token,) = output.split()
    return str(jwt.decode(token, options={"verify_signature": False})["iss"])


def test_token_is_all_that_is_printed_and_names_the_configured_issuer(
    folder: StateFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEXCREDITS_ISSUER_PORT", "8999")
    assert issuer_of(CliRunner().invoke(app, TOKEN).output) == "http://127.0.0.1:8999"


def test_token_names_the_running_stacks_issuer(folder: StateFolder) -> None:
    publish(describe(os.getpid()), folder)
    assert issuer_of(CliRunner().invoke(app, TOKEN).output) == "http://127.0.0.1:5"


def test_unknown_role_is_refused(folder: StateFolder) -> None:
    refused = CliRunner().invoke(app, [*TOKEN, "--role", "boss"])
    assert refused.exit_code == 2
    assert "billing_moderator" in refused.output


def test_description_is_one_private_line_and_is_found(folder: StateFolder) -> None:
    publish(describe(os.getpid()), folder)
    assert folder.description.stat().st_mode & 0o777 == 0o600
    assert json.loads(folder.description.read_text())["ingest_key"] == "key"
    assert "\n" not in folder.description.read_text()
    assert running_stack(folder) == describe(os.getpid())


def test_description_of_a_stack_that_was_killed_does_not_count(folder: StateFolder) -> None:
    publish(describe(2**22 + 1), folder)  # above the kernel's largest process id
    assert find_stack(folder) is None
    with pytest.raises(SetupProblem, match="no stack is running here"):
        running_stack(folder)


def test_second_stack_on_a_folder_is_refused_with_the_firsts_process_id(folder: StateFolder) -> None:
    with (
        only_stack(folder),
        pytest.raises(SetupProblem, match=rf"process {os.getpid()}\)"),
        only_stack(folder),
    ):
        pass
    with only_stack(folder):
        pass


def test_secrets_are_kept_and_private(folder: StateFolder) -> None:
    first = folder.secret("some-password")
    assert folder.secret("some-password") == first
    assert (folder.secrets / "some-password").stat().st_mode & 0o777 == 0o600
    assert folder.secrets.stat().st_mode & 0o777 == 0o700


@pytest.fixture
def mounted() -> Iterator[Path]:
    """A folder of root that another user reaches, as a mounted volume. The test runs as that user."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        folder = Path(name, "state")
        folder.mkdir(0o755)
        os.seteuid(65534)
        try:
            yield folder
        finally:
            os.seteuid(0)


def test_a_mounted_folder_of_another_user_is_used_if_it_is_writable(mounted: Path) -> None:
    os.seteuid(0)
    mounted.chmod(0o777)
    os.seteuid(65534)
    folder = StateFolder(mounted).make()
    assert folder.secret("one") == folder.secret("one")


@pytest.mark.parametrize("existing", [None, "secrets"])
def test_a_mounted_folder_that_is_not_writable_is_named_with_its_owner(mounted: Path, existing: str | None) -> None:
    if existing:
        os.seteuid(0)
        (mounted / existing).mkdir(0o700)
        os.seteuid(65534)
    with pytest.raises(SetupProblem, match=rf"{mounted}.* belongs to user 0.*user 65534.*FLEXCREDITS_HOME"):
        StateFolder(mounted).make()


def test_a_state_folder_below_a_private_folder_is_named(mounted: Path) -> None:
    os.seteuid(0)
    mounted.chmod(0o700)
    os.seteuid(65534)
    with pytest.raises(SetupProblem, match=rf"{mounted}/state: {mounted} belongs to user 0"):
        StateFolder(mounted / "state").make()
