"""GET over keep-alive connections at a tenth of a client library's CPU, since the benchmark shares cores with the service."""

import asyncio
from urllib.parse import urlsplit

from ingest_load import read_answer


class PlainClient:
    """Opens one connection for each concurrent request."""

    def __init__(self, url: str, token: str) -> None:
        self._address = urlsplit(url)
        self._head = f" HTTP/1.1\r\nHost: {self._address.netloc}\r\nAuthorization: Bearer {token}\r\n\r\n"
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def get(self, target: str) -> bytes:
        """Body of the answer. Raises RuntimeError for a status other than 200."""
        while self._idle and self._idle[-1][0].at_eof():
            self._idle.pop()[1].close()  # the server closes what has been idle for long
        connection = self._idle.pop() if self._idle else await self._connect()
        reader, writer = connection
        writer.write(f"GET {target}{self._head}".encode())
        status, body = await read_answer(reader)
        if status != 200:
            raise RuntimeError(f"{target}: {status} {body.decode()[:500]}")
        self._idle.append(connection)
        return body

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(self._address.hostname, self._address.port)
