"""HTTP to addresses that customers name: it reaches the public Internet over TLS, and nothing else.

The one place through which every connection goes is the making of its socket, when the name has been resolved: whatever
was written in the URL, and whatever the DNS said, the address that is connected to is the one that is checked.
"""

import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from pathlib import Path
from typing import Any

import aiohttp

CONNECTIONS_MAX = 32
WITHIN_S = 15.0
"""For a whole request: what Standard Webhooks grants a receiver."""

Network = IPv4Network | IPv6Network


class NotPublic(OSError):
    """An address that is not on the public Internet."""


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether packets to it leave for the public Internet, as itself and not as an address wrapped in it."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped:
            return is_public(address.ipv4_mapped)
        if address.sixtofour or address.teredo or address.is_site_local:
            return False
    # Reserved are also the addresses that NAT64 (RFC 6052) makes of any other.
    return address.is_global and not address.is_multicast and not address.is_reserved


def open_socket(allowed: Sequence[Network], target: tuple[Any, ...]) -> socket.socket:
    """For an entry of getaddrinfo. Raises NotPublic."""
    family, kind, protocol, _, (host, *_) = target
    address = ip_address(host.partition("%")[0])
    if not is_public(address) and not any(address in network for network in allowed):
        raise NotPublic(f"{address} is not a public address")
    return socket.socket(family, kind, protocol)


@asynccontextmanager
async def open_public_http(
    ca_file: Path | None = None, allowed: Sequence[Network] = (), within_s: float = WITHIN_S
) -> AsyncIterator[aiohttp.ClientSession]:
    """`allowed` are networks that count as public. Redirects are the caller's not to follow, a request ends `within_s`."""
    connector = aiohttp.TCPConnector(
        ssl=ssl.create_default_context(cafile=ca_file),
        socket_factory=partial(open_socket, allowed),
        limit=CONNECTIONS_MAX,
        force_close=True,
        use_dns_cache=False,
        happy_eyeballs_delay=None,
    )
    async with aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=within_s),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        headers={"User-Agent": "FlexCredits"},
    ) as session:
        yield session
