"""Separate hosts for the parts of a system: network namespaces around a router that can drop packets between two of them."""

import ctypes
import os
import secrets
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

NAMESPACES = Path("/var/run/netns")
CLONE_NEWNET = 0x40000000
# TEST-NET-2 of RFC 5737, for documentation only.
ROUTER, TESTER, FIRST_HOST = "198.51.100.1", "198.51.100.2", 11


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


@cache
def why_no_hosts() -> str | None:
    """Why hosts cannot be created; None if they can."""
    if os.geteuid() != 0:
        return "only root can make network namespaces"
    name = f"probe-{secrets.token_hex(3)}"
    try:
        ip("netns", "add", name)
        ip("netns", "delete", name)
    except (OSError, subprocess.CalledProcessError) as error:
        return f"network namespaces cannot be created here: {error}"
    return None


@contextmanager
def entered(namespace: Path) -> Iterator[None]:
    """Sockets that this thread opens and processes that it starts in the block stay in the namespace."""
    setns = ctypes.CDLL(None, use_errno=True).setns
    with Path("/proc/thread-self/ns/net").open() as home, namespace.open() as there:
        if setns(there.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"{namespace} cannot be entered")
        try:
            yield
        finally:
            setns(home.fileno(), CLONE_NEWNET)


class Network:
    """A router, and hosts and the test itself with one cable each."""

    def __init__(self, names: Sequence[str]) -> None:
        self._id = secrets.token_hex(3)
        self._addresses = {name: f"198.51.100.{FIRST_HOST + number}" for number, name in enumerate(names)}
        self._router, self._us = f"{self._id}-router", f"fc{self._id}"

    def address(self, host: str) -> str:
        return self._addresses[host]

    @contextmanager
    def inside(self, host: str) -> Iterator[None]:
        with entered(NAMESPACES / f"{self._id}-{host}"):
            yield

    def open(self) -> None:
        ip("netns", "add", self._router)
        with entered(NAMESPACES / self._router):
            Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        us = self._us
        ip("link", "add", "name", us, "type", "veth", "peer", "name", "tester", "netns", self._router)
        ip("address", "add", f"{TESTER}/32", "dev", us)
        ip("link", "set", "dev", us, "up")
        self._connect("tester", TESTER)
        ip("route", "add", ROUTER, "dev", us)
        ip("route", "add", "198.51.100.0/24", "via", ROUTER, "src", TESTER)
        for host, address in self._addresses.items():
            namespace = f"{self._id}-{host}"
            ip("netns", "add", namespace)
            ip(
                "-n",
                self._router,
                "link",
                "add",
                "name",
                host,
                "type",
                "veth",
                "peer",
                "name",
                "cable",
                "netns",
                namespace,
            )
            ip("-n", namespace, "link", "set", "dev", "lo", "up")
            ip("-n", namespace, "link", "set", "dev", "cable", "up")
            ip("-n", namespace, "address", "add", f"{address}/32", "dev", "cable")
            ip("-n", namespace, "route", "add", ROUTER, "dev", "cable")
            ip("-n", namespace, "route", "add", "default", "via", ROUTER, "src", address)
            self._connect(host, address)

    def close(self) -> None:
        subprocess.run(["ip", "link", "delete", "dev", self._us], capture_output=True)
        for name in [self._router, *(f"{self._id}-{host}" for host in self._addresses)]:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)

    def unplug(self, host: str) -> None:
        ip("-n", self._router, "link", "set", "dev", host, "down")

    def plug(self, host: str) -> None:
        self._connect(host, self._addresses[host])

    def lose(self, sender: str, receiver: str) -> None:
        """Drop packets from sender to receiver, without an error on either side. The other direction still works."""
        self._rule("add", sender, receiver)

    def heal(self, sender: str, receiver: str) -> None:
        self._rule("delete", sender, receiver)

    def _connect(self, interface: str, address: str) -> None:
        ip("-n", self._router, "link", "set", "dev", interface, "up")
        ip("-n", self._router, "address", "replace", f"{ROUTER}/32", "dev", interface)
        ip("-n", self._router, "route", "replace", address, "dev", interface)

    def _rule(self, verb: str, sender: str, receiver: str) -> None:
        between = ["from", self._addresses[sender], "to", self._addresses[receiver]]
        ip("-n", self._router, "rule", verb, *between, "blackhole")


@contextmanager
def network(*names: str) -> Iterator[Network]:
    made = Network(names)
    try:
        made.open()
        yield made
    finally:
        made.close()
