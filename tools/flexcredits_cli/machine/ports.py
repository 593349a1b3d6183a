"""TCP ports on the loopback interface."""

import ipaddress
import random
import socket
from itertools import islice
from pathlib import Path

LOOPBACK = "127.0.0.1"
LOWEST = 12_000
FIRST_FOR_CONNECTIONS = 32_768
"""Linux' default; macOS and Windows begin at 49,152."""
RANGE_OF_CONNECTIONS = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_ports(count: int) -> list[int]:
    """Distinct ports that are free now, chosen at random.

    None is of the range from which the system gives ports to outgoing connections: there any connection could take
    the port before its program listens.
    """
    candidates = range(LOWEST, max(first_for_connections(), LOWEST + 1_000))
    return list(islice(filter(is_free, random.sample(candidates, len(candidates))), count))


def first_for_connections() -> int:
    """The lowest port that the system gives to outgoing connections."""
    try:
        return int(RANGE_OF_CONNECTIONS.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return FIRST_FOR_CONNECTIONS


def is_free(port: int) -> bool:
    """Whether a program can listen on the port now."""
    try:
        socket.create_server((LOOPBACK, port)).close()
    except OSError:
        return False
    return True


def accepts(port: int, host: str = LOOPBACK) -> bool:
    """Whether the port accepts connections."""
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False  # a host name could resolve to any address
