"""Tokens of the development issuer, and the key pair that signs them.

The query API verifies them as it verifies an identity provider's tokens: by JWKS, issuer, audience and expiry.
"""

import base64
import hashlib
import json
import os
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from jwt.algorithms import RSAAlgorithm

from flexcredits_cli.machine.ports import LOOPBACK
from flexcredits_cli.machine.state_folder import StateFolder, keep_private
from flexcredits_cli.terminal.problem import SetupProblem

AUDIENCE = "flexcredits"
LIFETIME = timedelta(hours=12)  # a working day
ID_TOKEN_LIFETIME = timedelta(minutes=5)  # the query API reads it immediately


class Role(StrEnum):
    SUPER_ADMIN = "super_admin"
    ADMIN = "admin"
    BILLING_MODERATOR = "billing_moderator"
    MEMBER = "member"


def refuse_in_production() -> None:
    """Raise SetupProblem in production: this issuer signs in any person without a password."""
    if os.environ.get("FLEXCREDITS_ENV") == "production":
        raise SetupProblem("the development issuer does not work with FLEXCREDITS_ENV=production.")


def issuer_url(port: int) -> str:
    return f"http://{LOOPBACK}:{port}"


def key_path(folder: StateFolder) -> Path:
    return folder.secrets / "issuer-key.pem"


def load_key(path: Path) -> RSAPrivateKey:
    """The issuer's key. The first call creates it."""
    key = load_pem_private_key(keep_private(path, make_key).encode(), password=None)
    assert isinstance(key, RSAPrivateKey)
    return key


def make_key() -> str:
    key = generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def public_jwk(key: RSAPrivateKey) -> dict[str, str]:
    """The public half as a JSON Web Key; its `kid` is the thumbprint of RFC 7638."""
    full = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    required = {name: str(full[name]) for name in ("e", "kty", "n")}
    canonical = json.dumps(required, separators=(",", ":"), sort_keys=True).encode()
    thumbprint = base64.urlsafe_b64encode(hashlib.sha256(canonical).digest()).decode().rstrip("=")
    return {**required, "alg": "RS256", "use": "sig", "kid": thumbprint}


def mint_token(
    key: RSAPrivateKey,
    issuer: str,
    organization: str,
    role: str,
    email: str,
    *,
    name: str = "",
    lifetime: timedelta = LIFETIME,
) -> str:
    """An access token (RFC 9068) for one member of one organization, valid from now."""
    refuse_in_production()
    now = datetime.now(UTC)
    claims = {
        "iss": issuer,
        "aud": AUDIENCE,
        "sub": email,
        "email": email,
        "email_verified": True,
        "organization": organization,
        "role": role,
        **({"name": name} if name else {}),
        "iat": now,
        "exp": now + lifetime,
    }
    return sign(key, claims, "at+jwt")


def mint_id_token(key: RSAPrivateKey, issuer: str, client_id: str, email: str, name: str, nonce: str) -> str:
    """An ID token (OpenID Connect Core 2). `client_id` is its audience; `nonce` binds it to one sign-in attempt."""
    refuse_in_production()
    now = datetime.now(UTC)
    claims = {
        "iss": issuer,
        "aud": client_id,
        "sub": email,
        "email": email,
        "email_verified": True,
        "name": name,
        "nonce": nonce,
    }
    return sign(key, {**claims, "iat": now, "exp": now + ID_TOKEN_LIFETIME}, "JWT")


def sign(key: RSAPrivateKey, claims: dict[str, Any], token_type: str) -> str:
    return jwt.encode(claims, key, algorithm="RS256", headers={"kid": public_jwk(key)["kid"], "typ": token_type})
