"""Certificate authorities that downloads trust: those of SSL_CERT_FILE or SSL_CERT_DIR, otherwise the system's.

A company's proxy may sign with an authority that only the system's store has; the bundled stores of requests and Node lack
it.
"""

import os
import ssl
from collections.abc import Mapping
from pathlib import Path

SYSTEM = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Alpine, Arch
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL
    "/etc/ssl/ca-bundle.pem",  # openSUSE
    "/etc/ssl/cert.pem",  # macOS, BSD
)
FOR_REQUESTS = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""requests reads these variables itself, and they take precedence."""


def trusted_file(environment: Mapping[str, str] = os.environ) -> str | None:
    """A bundle in PEM. None: clients use their bundled stores."""
    for name in (*FOR_REQUESTS, "SSL_CERT_FILE"):
        if environment.get(name) and Path(environment[name]).is_file():
            return environment[name]
    default = ssl.get_default_verify_paths().openssl_cafile
    return next((path for path in (default, *SYSTEM) if Path(path).is_file()), None)


def trust_in_requests() -> None:
    """Make requests trust SSL_CERT_FILE, SSL_CERT_DIR or the system's store, for the rest of this process."""
    if any(os.environ.get(name) for name in FOR_REQUESTS):
        return
    folder = os.environ.get("SSL_CERT_DIR")
    if folder and not os.environ.get("SSL_CERT_FILE") and Path(folder).is_dir():
        os.environ["REQUESTS_CA_BUNDLE"] = folder  # with hashed names, as c_rehash creates them
    elif bundle := trusted_file():
        os.environ["REQUESTS_CA_BUNDLE"] = bundle


def trust_in_node() -> dict[str, str]:
    """Variables for npm, which adds the bundle to its own list."""
    bundle = trusted_file()
    return {"NODE_EXTRA_CA_CERTS": bundle} if bundle and not os.environ.get("NODE_EXTRA_CA_CERTS") else {}
