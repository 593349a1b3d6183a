"""The network policies on a node whose network plugin enforces them: no pod reaches more than it needs."""

from collections.abc import Iterator

import pytest
from support.clients.manifests import SERVICES
from support.infra.cluster import Cluster, own_namespaces
from support.infra.cluster_policies import (
    AROUND,
    MAY_REACH,
    OURS,
    SERVERS,
    addresses,
    addresses_of_servers,
    reached,
    running,
    start,
)
from support.infra.secured_servers import IMAGES
from support.infra.service_process import eventually

pytestmark = [pytest.mark.containers, pytest.mark.timeout(600)]


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with own_namespaces(OURS, SERVERS, *AROUND) as made:
        made.skip_without_images(IMAGES["ingest"])
        start(made)
        yield made


async def test_every_pod_reaches_what_it_needs_and_nothing_else(cluster: Cluster) -> None:
    await skip_unless_enforced(cluster)
    ours, servers = addresses(running(cluster, OURS)), addresses_of_servers(cluster)
    found = {
        (namespace, asking): reached(cluster, namespace, asking, ours | (servers if asking in SERVICES else {}))
        for namespace, asking in MAY_REACH
    }
    assert found == MAY_REACH
    assert ours.keys() | servers.keys() == set[str]().union(*found.values())  # none is closed to all


async def skip_unless_enforced(cluster: Cluster) -> None:
    """Skip the test if a pod that a policy closes stays open. It is as old as the others, so these hold too."""
    address = {"closed": (running(cluster, SERVERS)["closed"]["status"]["podIP"], 8000)}
    try:
        await eventually(lambda: not reached(cluster, SERVERS, "client", address), what="a closed port")
    except AssertionError:
        pytest.skip("the cluster does not enforce NetworkPolicies")
