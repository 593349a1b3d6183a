"""Bearer tokens (RFC 6750), verified with the identity provider's published keys."""

from typing import Any

import jwt

from query_api.auth.principal import Principal, read_principal, unauthorized
from query_api.auth.signing_keys import KeysUnavailable, SigningKeys
from query_api.http.problems import ApiProblem

LEEWAY_S = 30
TOKEN_BYTES_MAX = 8192

# Access tokens have `typ` at+jwt (RFC 9068) or JWT. Tokens of other types, such as logout tokens, are refused.
_TYPES = {None, "jwt", "at+jwt", "application/at+jwt"}


class Verifier:
    """Turns an Authorization header into a principal."""

    def __init__(self, keys: SigningKeys, issuer: str, audience: str) -> None:
        self._keys = keys
        self.issuer = issuer
        self._audience = audience

    async def identify(self, scheme: str, token: str) -> Principal:
        """Raises ApiProblem: 401 unless the token is valid, 503 while no signing key was fetched yet."""
        if scheme.lower() != "bearer" or not token:
            raise unauthorized("send an access token as `Authorization: Bearer ...`", error=False)
        return read_principal(await self.verify(token))

    async def verify(self, token: str, audience: str | None = None) -> dict[str, Any]:
        """Verified claims of a token for our audience, or for `audience`. Raises ApiProblem as `identify` does."""
        if len(token) > TOKEN_BYTES_MAX:
            raise unauthorized("the token is too long")
        try:
            header = jwt.get_unverified_header(token)
            key_id, token_type = header.get("kid"), header.get("typ")
            if not isinstance(key_id, str):
                raise unauthorized("the token has no key id")
            if (token_type.lower() if isinstance(token_type, str) else token_type) not in _TYPES:
                raise unauthorized("the token is not an access token")
            key = await self._keys.find(key_id)
            if key is None:
                raise unauthorized("the token is signed with an unknown key")
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=["RS256", "ES256"],
                issuer=self.issuer,
                audience=audience or self._audience,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iat", "aud", "iss", "sub"], "enforce_minimum_key_length": True},
            )
        except KeysUnavailable as error:
            raise ApiProblem(
                "unavailable", f"tokens cannot be verified: {error}", headers={"Retry-After": "2"}
            ) from None
        except (jwt.PyJWTError, RecursionError) as error:
            raise unauthorized(describe(error)) from None
        return claims


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
