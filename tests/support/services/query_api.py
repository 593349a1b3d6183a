"""Shared by the query API's tests: an identity provider and a client."""

import base64
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec_key
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa_key
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from support.data.table_rows import NOW

ISSUER, AUDIENCE = "https://login.example", "flexcredits"
UNSUBSCRIBE_SECRET = "a secret of the tests, which seals links"


def make_rsa_key(size: int = 2048) -> RSAPrivateKey:
    return generate_rsa_key(public_exponent=65537, key_size=size)


def rsa_jwk(key: RSAPrivateKey, key_id: str) -> dict[str, Any]:
    return {**RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), "alg": "RS256", "use": "sig", "kid": key_id}


def make_ec_key() -> EllipticCurvePrivateKey:
    return generate_ec_key(SECP256R1())


def ec_jwk(key: EllipticCurvePrivateKey, key_id: str) -> dict[str, Any]:
    return {**ECAlgorithm.to_jwk(key.public_key(), as_dict=True), "alg": "ES256", "use": "sig", "kid": key_id}


@dataclass
class IdentityProvider:
    """Publishes keys over real HTTP and signs tokens."""

    key: RSAPrivateKey
    keys: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""
    status: int = 200
    fetches: int = 0
    elsewhere: list[str] = field(default_factory=list)
    """Requested paths other than the key set's."""

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Claims of a Super Admin of org_acme. A claim given as None is left out."""
        now = datetime.now(UTC)
        claims = {
            "iss": ISSUER, "aud": AUDIENCE, "sub": "user-1", "iat": now, "exp": now + timedelta(minutes=5),
            "organization": "org_acme", "role": "super_admin", "email": "ada@acme.example",
        } | changes  # fmt: skip
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, headers: dict[str, Any] | None = None, **changes: Any) -> str:
        return jwt.encode(self.claims(**changes), self.key, "RS256", {"kid": "k1", "typ": "at+jwt"} | (headers or {}))


@contextmanager
def identity_provider(key: RSAPrivateKey) -> Iterator[IdentityProvider]:
    provider = IdentityProvider(key, [rsa_jwk(key, "k1")])

    class Keys(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path != "/jwks":
                provider.elsewhere.append(self.path)
            provider.fetches += 1
            body = json.dumps({"keys": provider.keys}).encode()
            self.send_response(provider.status)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Keys)
    server.daemon_threads = True
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01), daemon=True)
    thread.start()
    provider.url = f"http://127.0.0.1:{server.server_address[1]}/jwks"
    yield provider
    server.shutdown()
    server.server_close()
    thread.join(5)


def unsigned(header: dict[str, Any], claims: dict[str, Any], signature: bytes = b"") -> str:
    """A token with any header and claims."""

    def part(value: dict[str, Any]) -> str:
        return encode(json.dumps(value, default=lambda at: int(at.timestamp())).encode())

    return f"{part(header)}.{part(claims)}.{encode(signature)}"


def encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass
class Api:
    """The application behind its real token verification; `now` is its clock."""

    client: httpx.AsyncClient
    provider: IdentityProvider
    now: datetime = NOW

    async def ask(self, path: str, *, token: str | None = None, **claims: Any) -> httpx.Response:
        token = token if token is not None else self.provider.token(**claims)
        return await self.client.get(path, headers={"Authorization": f"Bearer {token}"})

    async def send(
        self, method: str, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None, **claims: Any
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.provider.token(**claims)}"} | dict(headers or {})
        content = None if body is None else json.dumps(body)  # escapes what UTF-8 cannot write
        return await self.client.request(
            method, path, content=content, headers={"Content-Type": "application/json"} | headers
        )

    async def get(self, path: str, **claims: Any) -> Any:
        answer = await self.ask(path, **claims)
        assert answer.status_code == 200, answer.text
        return answer.json()


OpenApi = Callable[..., AbstractAsyncContextManager[Api]]
