"""TCP ports on the loopback interface."""

import ipaddress
import socket
from contextlib import ExitStack

LOOPBACK = "127.0.0.1"


def free_ports(count: int) -> list[int]:
    """Distinct ports that are free now."""
    with ExitStack() as stack:
        # All sockets stay open until the last is chosen; otherwise the system could return a port twice.
        held = [stack.enter_context(socket.create_server((LOOPBACK, 0))) for _ in range(count)]
        return [listener.getsockname()[1] for listener in held]


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
