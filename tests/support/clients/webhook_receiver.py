"""A real HTTPS server that receives webhooks, with scripted answers."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web
from cryptography.x509 import DNSName
from support.infra.certificates import make_certificate, serving


@dataclass(frozen=True)
class Post:
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Receiver:
    """`answers` are statuses, or (status, headers), used in order, then 200. Status 0: no answer."""

    url: str
    ca_file: Path
    answers: list[int | tuple[int, dict[str, str]]] = field(default_factory=list)
    posts: list[Post] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        self.posts.append(Post(request.path, request.headers.copy(), await request.read()))
        answer = self.answers.pop(0) if self.answers else 200
        status, headers = answer if isinstance(answer, tuple) else (answer, {})
        if status == 0:
            await asyncio.sleep(3600)
        return web.Response(status=status, headers=headers, text="said\0 so")


@asynccontextmanager
async def https_receiver(folder: Path, host: str = "127.0.0.1") -> AsyncIterator[Receiver]:
    """Listens on localhost, with a certificate signed by `ca_file`."""
    ca_file = make_certificate(folder / "receiver.pem", DNSName("localhost"))
    receiver = Receiver("", ca_file)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", receiver.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, host, 0, ssl_context=serving(ca_file))
    await site.start()
    receiver.url = f"https://localhost:{runner.addresses[0][1]}"
    try:
        yield receiver
    finally:
        await runner.cleanup()
