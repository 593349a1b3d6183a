"""Ports: chosen by option or environment, checked before anything starts."""

import dataclasses
import re
import socket
from contextlib import ExitStack

import pytest
from flexcredits_cli.machine.ports import free_ports
from flexcredits_cli.stack.choices import External, Ports, configured_ports, needed_ports, resolve_ports
from flexcredits_cli.terminal.problem import SetupProblem

NOTHING_EXTERNAL = External()
ANY = Ports(**{field.name: 0 for field in dataclasses.fields(Ports)})


def test_taken_port_is_named_with_the_option_that_changes_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(SetupProblem) as caught:
            resolve_ports(dataclasses.replace(ANY, query_probe=port), needed_ports(NOTHING_EXTERNAL), patience_s=0)
    for part in (
        f"port {port} (query probe) is used",
        "--free-ports",
        "--query-probe-port",
        "FLEXCREDITS_QUERY_PROBE_PORT",
    ):
        assert part in str(caught.value)


def test_zero_picks_different_free_ports() -> None:
    resolved = dataclasses.asdict(resolve_ports(ANY, needed_ports(NOTHING_EXTERNAL)))
    assert 0 not in resolved.values()
    assert len(set(resolved.values())) == len(resolved)


def test_no_free_port_can_be_taken_by_an_outgoing_connection() -> None:
    ports = free_ports(50)
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server(("127.0.0.1", port))) for port in ports]
        for listener in listeners:
            connection = stack.enter_context(socket.create_connection(listener.getsockname()))
            assert connection.getsockname()[1] > max(ports)


def test_port_given_twice_is_refused() -> None:
    with pytest.raises(SetupProblem, match=re.escape("--ingest-port 8099, --query-port 8099")):
        resolve_ports(dataclasses.replace(ANY, ingest=8099, query=8099), needed_ports(NOTHING_EXTERNAL))


def test_ports_of_parts_that_run_elsewhere_may_be_taken() -> None:
    external = External("kafka:9092", "postgresql://db/flexcredits", "smtp://mail")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        ports = dataclasses.replace(ANY, kafka=port, postgres=port, smtp=port)
        assert resolve_ports(ports, needed_ports(external)).kafka == port


def test_environment_chooses_ports() -> None:
    assert configured_ports({"FLEXCREDITS_KAFKA_CONTROLLER_PORT": "7"}) == Ports(kafka_controller=7)
    assert configured_ports({"FLEXCREDITS_INGEST_PORT": ""}) == Ports()


@pytest.mark.parametrize("value", ["http", "-1", "65536", "80.5"])
def test_value_that_is_no_port_is_refused(value: str) -> None:
    with pytest.raises(SetupProblem, match="FLEXCREDITS_INGEST_PORT"):
        configured_ports({"FLEXCREDITS_INGEST_PORT": value})
