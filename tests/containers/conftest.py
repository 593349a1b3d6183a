"""Images of this checkout, built by BuildKit once for all tests of the folder."""

import logging

import pytest
from support.infra.compose import Project, timed

logging.getLogger("httpx").setLevel(logging.WARNING)  # the lane prints times, and tests poll


@pytest.fixture(scope="session")
def images() -> None:
    with timed("build"):
        Project("flexcredits-test", profiles=("demo",))("build")
