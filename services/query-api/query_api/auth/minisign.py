"""Signatures in the format of minisign (https://jedisct1.github.io/minisign/#signature-format): Ed25519 of a BLAKE2b hash."""

from base64 import b64encode
from hashlib import blake2b

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

_OF_THE_HASH, _OF_A_KEY = b"ED", b"Ed"


class SigningKey:
    """An Ed25519 key from its secret seed of 32 bytes."""

    def __init__(self, seed: bytes) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self._public = self._private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self._id = blake2b(self._public, digest_size=8).digest()

    @property
    def key_id(self) -> str:
        """As minisign prints it."""
        return self._id[::-1].hex().upper()

    def public_file(self) -> str:
        """The text of a file for `minisign -V -p`."""
        line = b64encode(_OF_A_KEY + self._id + self._public).decode()
        return f"untrusted comment: minisign public key {self.key_id}\n{line}\n"

    def sign(self, data: bytes, trusted: str) -> str:
        """The text of a .minisig file. `trusted` is one line, which is signed too."""
        signature = self._private.sign(blake2b(data).digest())
        whole = self._private.sign(signature + trusted.encode())
        first, last = (b64encode(each).decode() for each in (_OF_THE_HASH + self._id + signature, whole))
        return f"untrusted comment: key {self.key_id}\n{first}\ntrusted comment: {trusted}\n{last}\n"
