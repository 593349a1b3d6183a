"""The development issuer: serves the public key that verifies its tokens. Loopback only, and never in production.

`python -m flexcredits_local.issuer --port PORT`
"""

import argparse
import ipaddress
import json
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from flexcredits_local.folders import state_folder
from flexcredits_local.ports import LOOPBACK
from flexcredits_local.problem import SetupProblem
from flexcredits_local.tokens import issuer_url, key_path, load_key, public_jwk, refuse_in_production

JWKS_PATH = "/.well-known/jwks.json"
CONFIGURATION_PATH = "/.well-known/openid-configuration"


def make_server(host: str, port: int, jwk: dict[str, str]) -> ThreadingHTTPServer:
    """A server for the two documents; SetupProblem unless the host is this machine's own loopback address."""
    refuse_in_production()
    if not is_loopback(host):
        raise SetupProblem(f"the development issuer listens on {LOOPBACK} only, not on {host}.")
    documents: dict[str, dict[str, Any]] = {}

    class Documents(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            document = documents.get(self.path.partition("?")[0])
            body = json.dumps(document or {"paths": sorted(documents)}).encode()
            self.send_response(200 if document else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
            """The readiness check asks every few milliseconds during the start; nobody reads that."""

    server = ThreadingHTTPServer((host, port), Documents)
    server.daemon_threads = True
    issuer = issuer_url(server.server_address[1])
    documents[JWKS_PATH] = {"keys": [jwk]}
    documents[CONFIGURATION_PATH] = {
        "issuer": issuer,
        "jwks_uri": issuer + JWKS_PATH,
        "id_token_signing_alg_values_supported": ["RS256"],
        "response_types_supported": ["token"],
        "subject_types_supported": ["public"],
    }
    return server


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False  # a name can be made to mean anything


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve the development issuer's public key.")
    parser.add_argument("--host", default=LOOPBACK)
    parser.add_argument("--port", type=int, required=True)
    chosen = parser.parse_args()
    try:
        jwk = public_jwk(load_key(key_path(state_folder())))
        server = make_server(chosen.host, chosen.port, jwk)
    except SetupProblem as problem:
        sys.exit(f"flexcredits: {problem}")
    # `shutdown` waits for the loop that the signal interrupts, so it is asked for from elsewhere.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: threading.Thread(target=server.shutdown).start())
    print(f"tokens of {issuer_url(server.server_address[1])} verify by {JWKS_PATH}", flush=True)
    with server:
        server.serve_forever(poll_interval=0.1)


if __name__ == "__main__":
    main()
