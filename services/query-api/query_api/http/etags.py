"""Entity tags, and 304 Not Modified for unchanged responses (RFC 9110, 13.1.2).

By default the tag is a digest of the JSON response, which must be computed first. Large responses get a tag from the
versions of their input data, so that 304 needs no computation.
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
"""Packages whose code determines responses."""

# Not no-store: browsers need a copy to revalidate. no-cache: they must not show it before access was checked again.
CACHE_CONTROL = "private, no-cache"
VARY = "Authorization, Cookie"

_TAG = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')


class NotModified(Exception):
    """The client already has this response."""

    def __init__(self, headers: dict[str, str]) -> None:
        super().__init__(headers["ETag"])
        self.headers = headers


def answer_if_new(request: Request, made_from: tuple[object, ...], more: Mapping[str, str]) -> None:
    """Set the response's entity tag from its inputs. Raises NotModified if the client has it.

    `more` are further headers of the response, also of a 304.
    """
    tag = f'W/"{digest(repr((build(), request.url.path, request.url.query, *made_from)).encode())}"'
    headers = {"ETag": tag, **more}
    if names_tag(request.headers, tag):
        raise NotModified(headers)
    request.state.tagged = headers


@cache
def build() -> str:
    """Digest of the source code: another build may respond differently to the same request."""
    return digest("".join(digest_sources(files(package)) for package in PACKAGES).encode())


def digest_sources(folder: Traversable) -> str:
    """Digest of all modules and SQL files in a folder, recursively."""
    return digest(repr(sorted(find_sources(folder, ""))).encode())


def find_sources(folder: Traversable, path: str) -> Iterator[tuple[str, str]]:
    """Path and digest of each module and SQL file."""
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from find_sources(entry, f"{path}{entry.name}/")
        elif entry.name.endswith((".py", ".sql")):
            yield path + entry.name, digest(entry.read_bytes())


def digest(data: bytes | bytearray) -> str:
    return blake2b(data, digest_size=16).hexdigest()


def names_tag(headers: Headers, tag: str) -> bool:
    """Whether If-None-Match names the tag; weak comparison (RFC 9110, 8.8.3.2)."""
    asked = ",".join(headers.getlist("if-none-match"))
    match = _TAG.fullmatch(tag)
    return match is not None and match[1] in _TAG.findall(asked)


class ConditionalRequests:
    """Middleware: adds entity tags to JSON responses of the API, and sends 304 for those that the client has. Keeps a tag
    that the route set, and skips responses with no-store."""

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
            tag = headers.get("ETag") or headers.setdefault("ETag", f'"{digest(body)}"')
            if names_tag(Headers(scope=scope), tag):
                start["status"] = 304
                del headers["Content-Length"], headers["Content-Type"]
                body.clear()
            await send(start)
            await send({"type": "http.response.body", "body": bytes(body)})

        await self._app(scope, receive, send_conditionally)
