"""The build of this process, from the metadata of the package and, if the image has it, the source revision."""

from importlib.metadata import version
from typing import NamedTuple


class Build(NamedTuple):
    """A build. `product` is the prefix of the metrics that every service has."""

    product: str
    service: str
    version: str
    revision: str  # "" if unknown


def build_of(distribution: str, revision: str = "") -> Build:
    """The build of an installed distribution, whose name is product-service."""
    product, _, service = distribution.partition("-")
    return Build(product, service, version(distribution), revision)
