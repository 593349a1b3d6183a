"""TCP ports on the loopback interface."""

import ipaddress
import socket
from contextlib import ExitStack

LOOPBACK = "127.0.0.1"


def free_ports(count: int) -> list[int]:
    """Different ports that nothing listens on at this moment."""
    with ExitStack() as stack:
        # All are held until the last is chosen, or the system could name one twice.
        held = [stack.enter_context(socket.create_server((LOOPBACK, 0))) for _ in range(count)]
        return [listener.getsockname()[1] for listener in held]


def is_free(port: int) -> bool:
    """Whether a program could listen on the port now."""
    try:
        socket.create_server((LOOPBACK, port)).close()
    except OSError:
        return False
    return True


def accepts(port: int, host: str = LOOPBACK) -> bool:
    """Whether something answers on the port."""
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False  # a name can be made to mean anything
