"""Runs jobs, services and commands from the images, and counts an event. Needs root and buildah.

    FLEXCREDITS_IMAGE=localhost/flexcredits:0.1.0 .venv/bin/pytest tests/deploy/test_image_runs.py

The image `flexcredits-tools` is taken from the same place and version.
"""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
from flexcredits_cli.commands.developer.sbom import MEMBERS, python_parts
from flexcredits_cli.machine.state_folder import REPOSITORY
from flexcredits_cli.stack.choices import variable_name
from flexcredits_cli.stack.services import answers, health_url
from support.data.factories import organization, usage
from support.infra.service_process import eventually, free_port
from support.infra.stack import ROLE_PASSWORD, execute, service_roles, with_database, with_user
from support.services.ingest import BATCH

IMAGE = os.environ.get("FLEXCREDITS_IMAGE", "")
BUILDAH = ["buildah", "--storage-driver", "vfs"]
USER = "10001:10001"

pytestmark = [
    pytest.mark.skipif(not (IMAGE and shutil.which("buildah")), reason="no buildah, or FLEXCREDITS_IMAGE names no image"),
    pytest.mark.slow, pytest.mark.timeout(300),
]  # fmt: skip


class Container:
    """A container of an image. Programs run in it as the image's user, on this machine's network."""

    def __init__(self, image: str) -> None:
        made = subprocess.run([*BUILDAH, "from", "--pull-never", image], capture_output=True, text=True, check=True)
        self.name = made.stdout.strip()

    def command(self, *program: str, **environment: str) -> list[str]:
        variables = [part for name, value in environment.items() for part in ("--env", f"{name}={value}")]
        return [*BUILDAH, "run", "--isolation", "chroot", "--user", USER, *variables, self.name, "--", *program]

    def run(self, *program: str, **environment: str) -> str:
        """The program's output; it must succeed."""
        done = subprocess.run(self.command(*program, **environment), capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    @contextmanager
    def running(self, *program: str, **environment: str) -> Iterator[Path]:
        """Run a program until the block ends; yields its log."""
        with tempfile.NamedTemporaryFile(suffix=".log") as log:
            process = subprocess.Popen(
                self.command(*program, **environment), stdout=log, stderr=log, start_new_session=True
            )
            try:
                yield Path(log.name)
            except BaseException:
                print(program, Path(log.name).read_text())  # noqa: T201 - pytest shows it with the failure
                raise
            finally:
                os.killpg(process.pid, signal.SIGTERM)
                process.wait(30)


def installed(within: Container) -> set[str]:
    """Installed third-party packages, named as in an SBOM."""
    found = within.run(
        "python", "-c",
        "from importlib.metadata import distributions as all_\n"
        "for each in all_(): print(each.name.lower().replace('_', '-').replace('.', '-'), each.version)",
    )  # fmt: skip
    lines = [line.split() for line in found.splitlines() if not line.startswith("flexcredits-")]
    return {f"pkg:pypi/{name}@{version}" for name, version in lines}


@contextmanager
def container(image: str) -> Iterator[Container]:
    made = Container(image)
    try:
        yield made
    finally:
        subprocess.run([*BUILDAH, "rm", made.name], capture_output=True, check=True)


async def test_services_from_the_images_count_an_event(postgres_dsn: str, kafka_bootstrap: str) -> None:
    await execute(postgres_dsn, "CREATE DATABASE from_images")
    owner = with_database(postgres_dsn, "from_images")
    with ExitStack() as here:
        services = here.enter_context(container(IMAGE))
        tools = here.enter_context(container(IMAGE.replace("flexcredits:", "flexcredits-tools:")))
        assert services.run("python", "-c", "import os; print(os.getuid())") == "10001"
        for image, within in (("service", services), ("tools", tools)):
            assert {part["purl"] for part in python_parts(REPOSITORY, MEMBERS[image])} == installed(within)
        services.run("python", "-m", "runtime.prepare", "migrations", "postgres", POSTGRES_DSN=owner)
        services.run("python", "-m", "runtime.prepare", "topics", "topics", KAFKA_BOOTSTRAP=kafka_bootstrap)
        for role in await service_roles(postgres_dsn):
            await execute(postgres_dsn, f"ALTER ROLE \"{role}\" LOGIN PASSWORD '{ROLE_PASSWORD}'")
        key = tools.run("python", "-m", "flexcredits_cli", "keys", "create", "--organization", "*", POSTGRES_DSN=owner)
        ingest, query, issuer = (f"http://127.0.0.1:{free_port()}" for _ in range(3))
        port = issuer.rpartition(":")[2]
        here.enter_context(
            tools.running("python", "-m", "flexcredits_cli.dev_idp.issuer", "--container", "--port", port)
        )
        own = {
            "ingest": {"HTTP_PORT": ingest.rpartition(":")[2]},
            "aggregator": {},
            "alerter": {"SMTP_URL": "smtp://127.0.0.1:9", "MAIL_FROM": "flex@flex.example", "DASHBOARD_URL": query},
            "query_api": {
                "HTTP_PORT": query.rpartition(":")[2], "JWKS_URL": f"{issuer}/.well-known/jwks.json",
                "TOKEN_ISSUER": issuer, "TOKEN_AUDIENCE": "flexcredits",
                "FLEXCREDITS_UNSUBSCRIBE_SECRET": "for tests only, 32 characters or more",
            },
        }  # fmt: skip
        probes = {module: free_port() for module in own}
        for module, settings in own.items():
            role = "flexcredits_api" if module == "query_api" else f"flexcredits_{module}"
            shared = {
                "KAFKA_BOOTSTRAP": kafka_bootstrap, "POSTGRES_DSN": with_user(owner, role, ROLE_PASSWORD),
                "PROBE_PORT": str(probes[module]), "FLEXCREDITS_ENV": "development",
            }  # fmt: skip
            here.enter_context(services.running("python", "-m", module, **shared, **settings))
        for module, probe in probes.items():
            await eventually(lambda probe=probe: answers(health_url(probe)), within_s=60, what=module)  # type: ignore[misc]
        email = ("--organization", "org_acme", "--role", "super_admin", "--email", "ada@acme.example")
        token = tools.run("python", "-m", "flexcredits_cli", "token", *email, **{variable_name("issuer"): port})
        async with httpx.AsyncClient(trust_env=False) as client:
            sent = await client.post(
                f"{ingest}/api/v1/events", json=[organization(), usage(credits="1.5")],
                headers={"Authorization": f"Bearer {key}", "Content-Type": BATCH},
            )  # fmt: skip
            assert sent.status_code == 202

            async def visible() -> bool:
                answer = await client.get(f"{query}/api/v1/overview", headers={"Authorization": f"Bearer {token}"})
                return bool(answer.raise_for_status().json()["credits_used"] == "1.500000")

            await eventually(visible, what="the event")
            page = await client.get(f"{query}/", headers={"Accept": "text/html"})
            assert "<title>FlexCredits" in page.text, "the built dashboard"
