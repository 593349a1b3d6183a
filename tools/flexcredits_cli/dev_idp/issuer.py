"""The development issuer: signs people in without a password, and serves the public key that verifies its tokens.

Loopback only, and never in production. `python -m flexcredits_cli.dev_idp.issuer --port PORT`

With `--container` it listens on all interfaces of the container, which published ports need. The port must then be
published on the host's loopback address, as in docker-compose.yml. Requests with another Host are refused in any case.
"""

import argparse
import json
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from flexcredits_cli.dev_idp.authorization import Codes, InvalidRequest, Person, mint_tokens, parse_request
from flexcredits_cli.dev_idp.sign_in_page import POLICY, render_page
from flexcredits_cli.dev_idp.tokens import Role, issuer_url, key_path, load_key, public_jwk, refuse_in_production
from flexcredits_cli.machine.ports import LOOPBACK, is_loopback
from flexcredits_cli.machine.state_folder import state_folder
from flexcredits_cli.terminal.problem import SetupProblem

JWKS_PATH = "/.well-known/jwks.json"
CONFIGURATION_PATH = "/.well-known/openid-configuration"
AUTHORIZATION_PATH = "/authorize"
TOKEN_PATH = "/token"
FORM_BYTES_MAX = 64 * 1024


class IssuerServer(ThreadingHTTPServer):
    """The server, with the state that all endpoints share."""

    daemon_threads = True

    def __init__(self, host: str, port: int, key: RSAPrivateKey) -> None:
        super().__init__((host, port), Endpoints)
        self.key = key
        self.codes = Codes()
        self.url = issuer_url(self.server_address[1])
        self.documents = describe(self.url, key)


def make_server(host: str, port: int, key: RSAPrivateKey, *, in_container: bool = False) -> IssuerServer:
    """A server for the issuer's documents and endpoints. Raises SetupProblem unless the host is a loopback address."""
    refuse_in_production()
    if in_container:
        return IssuerServer("0.0.0.0", port, key)
    if not is_loopback(host):
        raise SetupProblem(f"the development issuer listens on {LOOPBACK} only, not on {host}.")
    return IssuerServer(host, port, key)


def describe(issuer: str, key: RSAPrivateKey) -> dict[str, dict[str, Any]]:
    """Documents by path: the key set, and the configuration of OpenID Connect Discovery."""
    configuration = {
        "issuer": issuer,
        "jwks_uri": issuer + JWKS_PATH,
        "authorization_endpoint": issuer + AUTHORIZATION_PATH,
        "token_endpoint": issuer + TOKEN_PATH,
        "id_token_signing_alg_values_supported": ["RS256"],
        "response_types_supported": ["code"],
        "grant_types_supported": ["authorization_code"],
        "subject_types_supported": ["public"],
        "scopes_supported": ["openid", "profile", "email"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["none"],
        "authorization_response_iss_parameter_supported": True,
    }
    return {JWKS_PATH: {"keys": [public_jwk(key)]}, CONFIGURATION_PATH: configuration}


class Endpoints(BaseHTTPRequestHandler):
    server: "IssuerServer"

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        if address.path == AUTHORIZATION_PATH and self.is_ours():
            self.show_page(dict(parse_qsl(address.query, keep_blank_values=True)))
            return
        document = self.server.documents.get(address.path)
        self.answer_json(200 if document else 404, document or {"paths": sorted(self.server.documents)})

    def do_POST(self) -> None:
        path = urlsplit(self.path).path
        if not self.is_ours():
            return
        if path not in (AUTHORIZATION_PATH, TOKEN_PATH):
            self.answer_json(404, {"paths": [AUTHORIZATION_PATH, TOKEN_PATH]})
            return
        length = int(self.headers.get("Content-Length") or 0)
        form = dict(parse_qsl(self.rfile.read(min(length, FORM_BYTES_MAX)).decode(), keep_blank_values=True))
        try:
            if path == TOKEN_PATH:
                self.answer_json(200, mint_tokens(self.server.key, self.server.url, *self.server.codes.redeem(form)))
            else:
                self.send_back(form)
        except InvalidRequest as error:
            self.answer_json(400, {"error": "invalid_request", "error_description": str(error)})

    def is_ours(self) -> bool:
        """Whether the Host is a loopback address. Without this check, DNS rebinding would let another site sign itself in."""
        ours = is_loopback(urlsplit(f"//{self.headers.get('Host', '')}").hostname or "")
        if not ours:
            self.answer_json(400, {"error": "invalid_request", "error_description": "Host is not a loopback address"})
        return ours

    def show_page(self, parameters: dict[str, str]) -> None:
        try:
            parse_request(parameters)
        except InvalidRequest as error:
            self.answer(400, str(error).encode(), "text/plain; charset=utf-8")
            return
        self.answer(200, render_page(parameters).encode(), "text/html; charset=utf-8")

    def send_back(self, form: dict[str, str]) -> None:
        request = parse_request(form)
        if form.get("role") not in set(Role) or not form.get("organization") or not form.get("email"):
            raise InvalidRequest("organization, role and email are needed")
        person = Person(form["organization"], form["role"], form["email"], form.get("name", ""))
        self.send_response(302)
        self.send_header("Location", request.answer(self.server.url, self.server.codes.give(request, person)))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def answer_json(self, status: int, document: dict[str, Any]) -> None:
        self.answer(status, json.dumps(document).encode(), "application/json")

    def answer(self, status: int, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Security-Policy", POLICY)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        """No access log: the readiness check sends a request every few milliseconds during the start."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Sign people in for development, and serve the issuer's public key.")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--host", default=LOOPBACK)
    where.add_argument("--container", action="store_true", help="listen on all interfaces of a container")
    parser.add_argument("--port", type=int, required=True)
    chosen = parser.parse_args()
    try:
        key = load_key(key_path(state_folder()))
        server = make_server(chosen.host, chosen.port, key, in_container=chosen.container)
    except SetupProblem as problem:
        sys.exit(f"flexcredits: {problem}")
    # `shutdown` waits until the server's loop ends. The signal handler interrupts that loop, so another thread calls it.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: threading.Thread(target=server.shutdown).start())
    print(f"issuer {issuer_url(server.server_address[1])}, keys at {JWKS_PATH}", flush=True)
    with server:
        server.serve_forever(poll_interval=0.1)


if __name__ == "__main__":
    main()
