"""Which build this process is: said by the package's metadata and, where an image knows it, its source revision."""

from importlib.metadata import version
from typing import NamedTuple


class Build(NamedTuple):
    """`product` begins the names of metrics that every service has."""

    product: str
    service: str
    version: str
    revision: str  # "" where nobody said it


def build_of(distribution: str, revision: str = "") -> Build:
    """Of an installed distribution, whose name is product-service."""
    product, _, service = distribution.partition("-")
    return Build(product, service, version(distribution), revision)
