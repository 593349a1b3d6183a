"""A Docker engine, and images of this checkout, built by BuildKit once for all tests of the folder."""

import logging

import pytest
from support.infra.compose import Project, compose_answers, timed

logging.getLogger("httpx").setLevel(logging.WARNING)  # the lane prints times, and tests poll


@pytest.fixture(scope="session")
def engine() -> None:
    if not compose_answers():
        pytest.skip("no Docker engine with compose answers")


@pytest.fixture(scope="session")
def images(engine: None) -> None:
    with timed("build"):
        Project("flexcredits-test", profiles=("demo",))("build")
