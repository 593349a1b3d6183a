"""A release has one version, reproducible wheels, and migrations that are compatible with the previous version."""

import hashlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from flexcredits_cli.cli import app
from flexcredits_cli.commands.developer.version import copies, current_version, format_version, write_version
from flexcredits_cli.machine.state_folder import REPOSITORY, state_folder
from flexcredits_cli.terminal.problem import SetupProblem
from typer.testing import CliRunner

SOURCES = {".toml", ".yml", ".yaml", ".md", ".sh", ".py", ""}
MIGRATIONS = sorted((REPOSITORY / "schemas" / "postgres").glob("*.sql"))


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the release's files, with other times and modes."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    for name in listed.stdout.splitlines():
        source, copy = REPOSITORY / name, tmp_path / "checkout" / name
        if name.startswith("tests/") or not source.exists():
            continue
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, copy)
        copy.chmod(0o600)
        os.utime(copy, (1, 1))
    return tmp_path / "checkout"


def test_every_file_bears_the_version_of_the_root(checkout: Path) -> None:
    version = current_version(REPOSITORY)
    for path, pattern in copies(REPOSITORY):
        assert format_version(pattern, version) in path.read_text(), (
            f"{path} does not contain {format_version(pattern, version).strip()}"
        )
    for argument in ("version", "--version"):
        assert CliRunner().invoke(app, [argument]).output.strip() == version
    assert f"\n## {version} - " in (REPOSITORY / "CHANGELOG.md").read_text()
    # The command must know all files with the version: after a change, no file contains the old version.
    write_version(checkout, "77.8.9")
    old = re.compile(rf"(?<![\d.^~>=]){re.escape(version)}(?![\d.])|-{version.replace('.', '-')}\b")
    for path in checkout.rglob("*"):
        if path.is_file() and path.suffix in SOURCES and path.name not in ("CHANGELOG.md", "upgrading.md"):  # history
            found = old.search(path.read_text(errors="ignore"))
            assert not found, f"{path.relative_to(checkout)} still says {found and found[0]}"
    assert "## Unreleased\n\n## 77.8.9 - " in (checkout / "CHANGELOG.md").read_text()
    (checkout / "Dockerfile").write_text("FROM scratch\n")
    with pytest.raises(SetupProblem, match="does not contain"):
        write_version(checkout, "77.9.0")


def build_wheels(folder: Path, into: Path) -> dict[str, str]:
    uv = shutil.which("uv") or str(state_folder().root / "uv" / "bin" / "uv")
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000"}
    command = [uv, "build", "--offline", "--all-packages", "--wheel", "--quiet", "--out-dir", str(into)]
    subprocess.run(command, cwd=folder, env=environment, check=True, timeout=60)
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in into.glob("*.whl")}


@pytest.mark.slow
def test_wheels_are_the_same_to_the_byte_wherever_they_are_built(checkout: Path, tmp_path: Path) -> None:
    here, there = build_wheels(REPOSITORY, tmp_path / "here"), build_wheels(checkout, tmp_path / "there")
    assert len(here) == 8
    assert here == there


def test_the_list_of_parts_names_what_the_locks_have_and_no_more() -> None:
    done = CliRunner().invoke(app, ["sbom", "service"])
    document = json.loads(done.stdout)
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    assert document["metadata"]["component"]["version"] == current_version(REPOSITORY)
    parts = [part["purl"] for part in document["components"]]
    assert len(parts) == len(set(parts))
    locked = re.findall(r"^([a-z0-9-]+)==([^\s;]+)", (REPOSITORY / "requirements.lock").read_text(), re.MULTILINE)
    python = {part for part in parts if part.startswith("pkg:pypi/")}
    assert python < {f"pkg:pypi/{name}@{version}" for name, version in locked}
    names = {part["name"] for part in document["components"]}
    assert {"aiokafka", "asyncpg", "cryptography", "faust-streaming", "uvloop", "react", "@mantine/core"} <= names
    assert not {"pytest", "aiosmtpd", "vite", "typescript"} & names, "packages that only tests, commands or builds need"
    assert CliRunner().invoke(app, ["sbom", "service"]).stdout == done.stdout


def test_images_say_what_they_are() -> None:
    dockerfile = (REPOSITORY / "Dockerfile").read_text()
    [base] = re.findall(r"^FROM \S+ AS base\n(.*?)(?=^FROM)", dockerfile, re.MULTILINE | re.DOTALL)
    labels = dict(re.findall(r'org\.opencontainers\.image\.(\w+)="([^"]+)"', base))
    assert labels["version"] == "${VERSION}"
    assert labels["revision"] == "${REVISION}"
    assert labels["licenses"] == "Apache-2.0"


# During an upgrade, services of the previous version run on the migrated tables.
TAKES_AWAY = re.compile(
    r"\b(DROP\s+(TABLE|COLUMN|VIEW|FUNCTION|SCHEMA|TYPE|DOMAIN|SEQUENCE|ROLE)"
    r"|DROP\s+CONSTRAINT\s+(?!\w+_fkey\b)|RENAME\b|ALTER\s+COLUMN\s+\w+\s+(SET\s+DATA\s+)?TYPE|SET\s+NOT\s+NULL|REVOKE\s+(?!EXECUTE\s+ON\s+FUNCTION))",
    re.IGNORECASE,
)
NEEDS_A_VALUE = re.compile(r"ADD\s+COLUMN\s+\w+[^,;]*\bNOT\s+NULL\b(?![^,;]*\bDEFAULT\b)", re.IGNORECASE)
HOLDS_WRITERS = re.compile(r"CREATE\s+(UNIQUE\s+)?INDEX\s+(?!CONCURRENTLY)[^;]*?\bON\s+(\w+)", re.IGNORECASE)
MADE_HERE = re.compile(r"CREATE\s+TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?(\w+)", re.IGNORECASE)
NOTED = re.compile(r"^-- upgrade: .+", re.MULTILINE)
OF_THE_FIRST_RELEASE = "0014"
"""No previous version runs on the tables of these migrations, up to this number."""


def complaints(source: str) -> list[str]:
    """Statements of a migration that may break services of the previous version."""
    statements = "\n".join(line.partition("--")[0] for line in source.splitlines())
    # A function's body runs when it is called, not when it is created.
    statements = re.sub(r"CREATE (OR REPLACE )?FUNCTION.*?AS \$\$.*?\$\$", "", statements, flags=re.DOTALL)
    made = set(MADE_HERE.findall(statements))
    found = [match[0] for pattern in (TAKES_AWAY, NEEDS_A_VALUE) for match in pattern.finditer(statements)]
    found += [match[0] for match in HOLDS_WRITERS.finditer(statements) if match[2] not in made]
    return [] if NOTED.search(source) else found


def test_migrations_only_add_unless_they_say_how_to_upgrade() -> None:
    for path in MIGRATIONS:
        if path.name[:4] > OF_THE_FIRST_RELEASE:
            assert not complaints(path.read_text()), (
                f"{path.name}: the previous version still runs; or say `-- upgrade: how`"
            )


@pytest.mark.parametrize(
    "source",
    [
        "DROP TABLE a;",
        "ALTER TABLE a DROP COLUMN b;",
        "ALTER TABLE a DROP CONSTRAINT a_b_key;",  # ON CONFLICT of the previous version needs it
        "ALTER TABLE a RENAME TO b;",
        "ALTER TABLE a ALTER COLUMN b TYPE bigint;",
        "ALTER TABLE a ADD COLUMN b text NOT NULL;",
        "ALTER TABLE a ALTER COLUMN b SET NOT NULL;",
        "CREATE INDEX i ON a (b);",
        "REVOKE SELECT ON a FROM flexcredits_api;",
        "-- upgrades are easy\nDROP TABLE a;",
    ],
)
def test_what_takes_away_is_found(source: str) -> None:
    assert complaints(source)
    assert not complaints(f"-- upgrade: stop the services of 1.2 first\n{source}")


@pytest.mark.parametrize(
    "source",
    [
        "CREATE TABLE a (b integer); CREATE INDEX i ON a (b); -- DROP TABLE a",
        "ALTER TABLE a ADD COLUMN b text NOT NULL DEFAULT '', ADD COLUMN c integer;",
        "CREATE OR REPLACE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN DROP TABLE x; END $$;",
        "REVOKE EXECUTE ON FUNCTION f FROM PUBLIC;",
        "ALTER TABLE a DROP CONSTRAINT a_b_fkey;",
    ],
)
def test_what_adds_is_not(source: str) -> None:
    assert not complaints(source)


def test_numbers_of_migrations_have_no_gap() -> None:
    numbers = [path.name.partition("_")[0] for path in MIGRATIONS]
    assert numbers == [f"{number:04}" for number in range(1, len(numbers) + 1)]
