"""Bearer tokens (RFC 6750), verified with the identity provider's published keys."""

import time
from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from typing import Any, NamedTuple

import jwt

from query_api.auth.principal import Principal, read_principal, unauthorized
from query_api.auth.signing_keys import KeysUnavailable, SigningKeys
from query_api.http.problems import ApiProblem

LEEWAY_S = 30
TOKEN_BYTES_MAX = 8192
KEPT_TOKENS_MAX = 5_000

# Access tokens have `typ` at+jwt (RFC 9068) or JWT. Tokens of other types, such as logout tokens, are refused.
_TYPES = {None, "jwt", "at+jwt", "application/at+jwt"}


class Verified(NamedTuple):
    """A token that was verified with `key`, until it expires or the key is withdrawn."""

    key_id: str
    key: jwt.PyJWK
    expires_at: int
    principal: Principal


class Verifier:
    """Turns an Authorization header into a principal. Keeps the principals of the tokens verified last, by hash: a dashboard
    sends one token hundreds of times, and each verification costs as much as two statements."""

    def __init__(
        self, keys: SigningKeys, issuer: str, audience: str, *, clock: Callable[[], float] = time.time
    ) -> None:
        """`clock` decides until when a kept principal is valid."""
        self._keys = keys
        self.issuer = issuer
        self._audience = audience
        self._clock = clock
        self._kept: OrderedDict[bytes, Verified] = OrderedDict()

    async def identify(self, scheme: str, token: str) -> Principal:
        """Raises ApiProblem: 401 unless the token is valid, 503 while no signing key was fetched yet."""
        if scheme.lower() != "bearer" or not token:
            raise unauthorized("send an access token as `Authorization: Bearer ...`", error=False)
        token_sha256 = sha256(token.encode(errors="surrogatepass")).digest()
        kept = self._kept.get(token_sha256)
        if kept and self._clock() - LEEWAY_S < kept.expires_at and await self._find(kept.key_id) is kept.key:
            return kept.principal
        key_id, key, claims = await self._verify(token, self._audience)
        principal = read_principal(claims)
        self._kept[token_sha256] = Verified(key_id, key, int(claims["exp"]), principal)
        self._kept.move_to_end(token_sha256)
        if len(self._kept) > KEPT_TOKENS_MAX:
            self._kept.popitem(last=False)
        return principal

    async def verify(self, token: str, audience: str | None = None) -> dict[str, Any]:
        """Verified claims of a token for our audience, or for `audience`. Raises ApiProblem as `identify` does."""
        return (await self._verify(token, audience or self._audience))[-1]

    async def _find(self, key_id: str) -> jwt.PyJWK | None:
        try:
            return await self._keys.find(key_id)
        except KeysUnavailable as error:
            raise ApiProblem(
                "unavailable", f"tokens cannot be verified: {error}", headers={"Retry-After": "2"}
            ) from None

    async def _verify(self, token: str, audience: str) -> tuple[str, jwt.PyJWK, dict[str, Any]]:
        if len(token) > TOKEN_BYTES_MAX:
            raise unauthorized("the token is too long")
        try:
            header = jwt.get_unverified_header(token)
            key_id, token_type = header.get("kid"), header.get("typ")
            if not isinstance(key_id, str):
                raise unauthorized("the token has no key id")
            if (token_type.lower() if isinstance(token_type, str) else token_type) not in _TYPES:
                raise unauthorized("the token is not an access token")
            key = await self._find(key_id)
            if key is None:
                raise unauthorized("the token is signed with an unknown key")
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=["RS256", "ES256"],
                issuer=self.issuer,
                audience=audience,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iat", "aud", "iss", "sub"], "enforce_minimum_key_length": True},
            )
        except (jwt.PyJWTError, RecursionError) as error:
            raise unauthorized(describe(error)) from None
        return key_id, key, claims


def describe(error: Exception) -> str:
    """Reason for the refusal, without details that clients must not see."""
    match error:
        case jwt.ExpiredSignatureError():
            return "the token has expired"
        case jwt.ImmatureSignatureError() | jwt.InvalidIssuedAtError():
            return "the token is not valid yet"
        case jwt.InvalidAudienceError():
            return "the token is for another audience"
        case jwt.InvalidIssuerError():
            return "the token is from another issuer"
        case jwt.MissingRequiredClaimError():
            return f"the token lacks the claim `{error.claim}`"
        case _:
            return "the token is not valid"
