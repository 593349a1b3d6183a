"""Certificates for servers of tests on this machine."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from support.services.query_api import make_ec_key


class Authority:
    """A private certificate authority, as in docs/configuration.md. Its certificate is in `certificate`."""

    def __init__(self, folder: Path) -> None:
        self.certificate = folder / "authority.crt"
        self._key, self._name = make_ec_key(), name_of("FlexCredits test authority")
        usage = x509.KeyUsage(
            False, False, False, False, False, True, True, False, False
        )  # signs certificates and CRLs
        certificate = (
            builder(self._name, self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .sign(self._key, SHA256())
        )
        self.certificate.write_bytes(certificate.public_bytes(Encoding.PEM))

    def sign(self, folder: Path, host: str) -> None:
        """Write server.crt, server.key and both in server.pem for a host. Containers' users may read them."""
        key = make_ec_key()
        signed = (
            builder(name_of(host), self._name, key.public_key())
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, SHA256())
            .public_bytes(Encoding.PEM)
        )
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        folder.mkdir()
        for name, content in ("server.crt", signed), ("server.key", private), ("server.pem", signed + private):
            (folder / name).write_bytes(content)


def name_of(who: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, who)])


def builder(subject: x509.Name, issuer: x509.Name, key: CertificatePublicKeyTypes) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return x509.CertificateBuilder(
        issuer, subject, key, x509.random_serial_number(), now - timedelta(hours=1), now + timedelta(days=1)
    )


def make_certificate(path: Path, who: x509.GeneralName) -> Path:
    """A self-signed certificate for a name or an address, with its key in the same PEM file."""
    key, name = make_ec_key(), name_of("flexcredits.test")
    signed = (
        builder(name, name, key.public_key())
        .add_extension(x509.SubjectAlternativeName([who]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(signed.public_bytes(Encoding.PEM) + private)
    return path


def serving(certificate: Path) -> ssl.SSLContext:
    """TLS context for a server with this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context
