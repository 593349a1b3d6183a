"""docs/clients.md names the versions that the tests install."""

import re

import pytest
from support.clients.documented import PAGE
from support.clients.pinned import NODE, PYTHON


@pytest.mark.parametrize("package", [packages[0] for packages in (*PYTHON.values(), *NODE.values())])
def test_the_pages_versions_are_those_that_the_tests_install(package: str) -> None:
    _, version = re.split("==|(?<=.)@", package)
    assert f" {version}" in PAGE.partition("## How each client is tested")[2]
