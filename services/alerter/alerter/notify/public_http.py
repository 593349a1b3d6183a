"""HTTP requests to addresses that customers enter: only to the public Internet, and only over TLS.

Every connection opens its socket here, after the name was resolved. So the checked address is the one that is connected
to, independent of the URL's text and of DNS answers.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

CONNECTIONS_MAX = 32
RESOLVING_MAX = 64
"""Threads for names. A name server that does not answer takes a thread for up to a minute, also after its request has ended: some
20 for the ten channels of an organization."""
WITHIN_S = 15.0
"""Time limit of a whole request, as Standard Webhooks recommends."""

Network = IPv4Network | IPv6Network
GetAddresses = Callable[..., list[Any]]
"""socket.getaddrinfo, or a function like it."""


class NotPublic(OSError):
    """The address is not on the public Internet."""


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether the address is on the public Internet. IPv6 addresses that contain an IPv4 address are not, except mapped
    ones, whose IPv4 address decides."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped:
            return is_public(address.ipv4_mapped)
        if address.sixtofour or address.teredo or address.is_site_local:
            return False
    # is_reserved includes the addresses of NAT64 (RFC 6052), which can contain any IPv4 address.
    return address.is_global and not address.is_multicast and not address.is_reserved


def open_socket(allowed: Sequence[Network], target: tuple[Any, ...]) -> socket.socket:
    """Open a socket for an entry of getaddrinfo. Raises NotPublic."""
    family, kind, protocol, _, (host, *_) = target
    address = ip_address(host.partition("%")[0])
    if not is_public(address) and not any(address in network for network in allowed):
        raise NotPublic(f"{address} is not a public address")
    return socket.socket(family, kind, protocol)


class Resolver(AbstractResolver):
    """Resolves names in its own threads. Mails, projections and connections to Postgres need those of the event loop, of which
    there are few, and name servers of customers may keep them waiting."""

    def __init__(self, get_addresses: GetAddresses) -> None:
        self._get_addresses = get_addresses
        self._threads = ThreadPoolExecutor(RESOLVING_MAX, thread_name_prefix="resolve")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        get = partial(self._get_addresses, host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
        found = await asyncio.get_running_loop().run_in_executor(self._threads, get)
        is_numeric = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
        return [
            ResolveResult(hostname=host, host=at[0], port=at[1], family=kind, proto=protocol, flags=is_numeric)
            for kind, _, protocol, _, at in found
        ]

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


@asynccontextmanager
async def open_public_http(
    ca_file: Path | None = None,
    allowed: Sequence[Network] = (),
    within_s: float = WITHIN_S,
    get_addresses: GetAddresses = socket.getaddrinfo,
) -> AsyncIterator[aiohttp.ClientSession]:
    """`allowed` are networks that count as public. A request ends after `within_s`. Callers must not follow
    redirects."""
    resolver = Resolver(get_addresses)
    connector = aiohttp.TCPConnector(
        resolver=resolver,
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
        try:
            yield session
        finally:
            await resolver.close()  # aiohttp closes only its own
