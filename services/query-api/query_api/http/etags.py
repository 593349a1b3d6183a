"""Answers that a client has already: entity tags, and 304 in place of the same answer again (RFC 9110, 13.1.2).

Every JSON answer is tagged by its own bytes, which is always right and costs the work of making them. The large ones are
tagged by what they are made from, so that the same answer is known before it is made.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from hashlib import blake2b
from importlib.resources import files
from importlib.resources.abc import Traversable

from fastapi import Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PACKAGES = ("query_api", "flexcredits_schemas", "runtime")
"""Whose code makes the answers."""

# no-store would leave nothing to ask about. What a browser keeps it must not show before we have let its user in again.
CACHE_CONTROL = "private, no-cache"
VARY = "Authorization, Cookie"

_TAG = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')


class NotModified(Exception):
    """The client has this answer."""

    def __init__(self, headers: dict[str, str]) -> None:
        super().__init__(headers["ETag"])
        self.headers = headers


def answer_if_new(request: Request, made_from: tuple[object, ...], more: Mapping[str, str]) -> None:
    """Tag what will be answered by what it is made from. Raises NotModified when the client has it.

    `more` are headers that answers have beside the tag, whether they are sent or not.
    """
    tag = f'W/"{digest(repr((build(), request.url.path, request.url.query, *made_from)).encode())}"'
    headers = {"ETag": tag, **more}
    if has(request.headers, tag):
        raise NotModified(headers)
    request.state.tagged = headers


@cache
def build() -> str:
    """Another build may answer the same request differently."""
    return digest("".join(digest_sources(files(package)) for package in PACKAGES).encode())


def digest_sources(folder: Traversable) -> str:
    """Of every module and statement in a folder and in the folders below it."""
    return digest(repr(sorted(find_sources(folder, ""))).encode())


def find_sources(folder: Traversable, path: str) -> Iterator[tuple[str, str]]:
    """Path and digest of each file that answers follow from."""
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from find_sources(entry, f"{path}{entry.name}/")
        elif entry.name.endswith((".py", ".sql")):
            yield path + entry.name, digest(entry.read_bytes())


def digest(data: bytes) -> str:
    return blake2b(data, digest_size=16).hexdigest()


def has(headers: Headers, tag: str) -> bool:
    """Whether If-None-Match names the tag; weak comparison (RFC 9110, 8.8.3.2)."""
    asked = ",".join(headers.getlist("if-none-match"))
    match = _TAG.fullmatch(tag)
    return match is not None and match[1] in _TAG.findall(asked)


class Conditional:
    """Tags JSON answers of the API, and sends 304 for one that the client has. A tag that a route gave stays, and an
    answer that no client is to keep is left alone."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET" or not scope["path"].startswith("/api/"):
            await self._app(scope, receive, send)
            return
        start: Message | None = None
        body = bytearray()

        async def send_conditionally(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message.setdefault("headers", []))
                headers.add_vary_header(VARY)
                if message["status"] == 304:
                    headers["Cache-Control"] = CACHE_CONTROL
                is_kept = headers.get("cache-control") != "no-store"
                if message["status"] == 200 and headers.get("content-type") == "application/json" and is_kept:
                    start = message  # held back until its body is known
                    return
            if start is None:
                await send(message)
                return
            body.extend(message.get("body", b""))
            if message.get("more_body", False):
                return
            headers = MutableHeaders(raw=start["headers"])
            headers["Cache-Control"] = CACHE_CONTROL
            for name, value in scope.get("state", {}).get("tagged", {}).items():
                headers.setdefault(name, value)
            tag = headers.setdefault("ETag", f'"{digest(bytes(body))}"')
            if has(Headers(scope=scope), tag):
                start["status"] = 304
                del headers["Content-Length"], headers["Content-Type"]
                body.clear()
            await send(start)
            await send({"type": "http.response.body", "body": bytes(body)})

        await self._app(scope, receive, send_conditionally)
