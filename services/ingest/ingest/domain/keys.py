"""API keys: their format, the stored part, and their permissions. Used to create and to check keys.

`fc_<environment>_<key id>_<secret>_<checksum>` in base 62. The prefix and the CRC-32 let secret scanners recognise a
leaked key. The checksum also rejects a mistyped key without a query.
"""

import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from zlib import crc32

from ingest.domain.mapped import Mapped

BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
KEY_ID_LENGTH = 12
SECRET_LENGTH = 43  # 62^43 > 2^256
CHECKSUM_LENGTH = 6  # 62^6 > 2^32
EVERYTHING = "*"

ENVIRONMENT = re.compile("[a-z0-9]{1,20}")
_KEY = re.compile(
    f"(fc_{ENVIRONMENT.pattern}_([0-9A-Za-z]{{{KEY_ID_LENGTH}}})_([0-9A-Za-z]{{{SECRET_LENGTH}}}))"
    f"_([0-9A-Za-z]{{{CHECKSUM_LENGTH}}})"
)
_NO_SECRET = sha256(b"").digest()


@dataclass(frozen=True)
class Scope:
    """The organizations and products that a key may send for; `*` covers all."""

    organizations: frozenset[str]
    products: frozenset[str]

    @property
    def only_organization(self) -> str | None:
        """The organization of a key for exactly one."""
        return next(iter(self.organizations - {EVERYTHING}), None) if len(self.organizations) == 1 else None

    def covers_organization(self, organization: str) -> bool:
        return organization in self.organizations or EVERYTHING in self.organizations

    def covers_product(self, product: str) -> bool:
        return product in self.products or EVERYTHING in self.products


@dataclass(frozen=True)
class StoredKey:
    """A row of api_keys, with the key's mapping for foreign clients, if it has one."""

    key_id: str
    secret_sha256: bytes
    scope: Scope
    expires_at: datetime | None
    revoked_at: datetime | None
    mapped: Mapped | None = None

    @property
    def sender(self) -> str:
        """What shares memory fairly: the organization of the key, or a key for several."""
        organization = self.scope.only_organization
        return f"key {self.key_id}" if organization is None else f"organization {organization}"


def mint_key(environment: str) -> tuple[str, str, bytes]:
    """Create a key. Returns its text, which is shown once, its id, and the SHA-256 of its secret, the only part that is
    stored.

    256 random bits need no salt and no slow hash (OWASP ASVS 5.0, 6.5.2).
    """
    if not ENVIRONMENT.fullmatch(environment):
        raise ValueError(f"an environment is 1 to 20 small letters and digits, not {environment!r}")
    key_id, secret = _random_text(KEY_ID_LENGTH), _random_text(SECRET_LENGTH)
    body = f"fc_{environment}_{key_id}_{secret}"
    return f"{body}_{_checksum(body)}", key_id, sha256(secret.encode()).digest()


def parse_key(text: str) -> tuple[str, str] | None:
    """Key id and secret of a well-formed key with the right checksum, else None."""
    found = _KEY.fullmatch(text)
    if found is None or found[4] != _checksum(found[1]):
        return None
    return found[2], found[3]


def is_valid(stored: StoredKey | None, secret: str, now: datetime) -> bool:
    """Whether the secret belongs to this key and the key is valid. Takes as long for a key that does not exist."""
    expected = stored.secret_sha256 if stored else _NO_SECRET
    matches = hmac.compare_digest(sha256(secret.encode()).digest(), expected)
    if stored is None or not matches or stored.revoked_at is not None:
        return False
    return stored.expires_at is None or now < stored.expires_at


def _random_text(length: int) -> str:
    return "".join(secrets.choice(BASE62) for _ in range(length))


def _checksum(body: str) -> str:
    value, digits = crc32(body.encode()), ""
    for _ in range(CHECKSUM_LENGTH):
        value, digit = divmod(value, 62)
        digits = BASE62[digit] + digits
    return digits
