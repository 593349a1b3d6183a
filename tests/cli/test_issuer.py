"""The development issuer's tokens verify like an identity provider's, and it refuses to run in production."""

import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import jwt
import pytest
from flexcredits_cli.dev_idp.issuer import CONFIGURATION_PATH, JWKS_PATH, make_server
from flexcredits_cli.dev_idp.tokens import AUDIENCE, issuer_url, load_key, mint_token, public_jwk
from flexcredits_cli.terminal.problem import SetupProblem


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    return tmp_path / "issuer-key.pem"


@pytest.fixture
def issuer(key_file: Path) -> Iterator[str]:
    with make_server("127.0.0.1", 0, load_key(key_file)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield issuer_url(server.server_address[1])
        server.shutdown()
        thread.join()


def test_token_verifies_against_the_served_keys(issuer: str, key_file: Path) -> None:
    token = mint_token(load_key(key_file), issuer, "org_acme", "admin", "a@acme.example")

    configuration = httpx.get(issuer + CONFIGURATION_PATH).json()
    assert configuration["issuer"] == issuer
    assert configuration["jwks_uri"] == issuer + JWKS_PATH
    keys = jwt.PyJWKSet.from_dict(httpx.get(configuration["jwks_uri"]).json())
    header = jwt.get_unverified_header(token)
    claims = jwt.decode(token, keys[header["kid"]].key, algorithms=["RS256"], audience=AUDIENCE, issuer=issuer)

    assert header["typ"] == "at+jwt"
    assert claims["sub"] == claims["email"] == "a@acme.example"
    assert (claims["organization"], claims["role"]) == ("org_acme", "admin")
    assert claims["exp"] - claims["iat"] == 12 * 3600


def test_nothing_private_is_served(issuer: str) -> None:
    (key,) = httpx.get(issuer + JWKS_PATH).json()["keys"]
    assert set(key) == {"alg", "e", "kid", "kty", "n", "use"}
    assert httpx.get(issuer + "/elsewhere").status_code == 404


def test_key_is_kept_and_private(key_file: Path) -> None:
    first = public_jwk(load_key(key_file))
    assert public_jwk(load_key(key_file)) == first
    assert key_file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.7", "::", "localhost.example"])
def test_other_addresses_than_loopback_are_refused(host: str, key_file: Path) -> None:
    with pytest.raises(SetupProblem, match=r"listens on 127\.0\.0\.1 only"):
        make_server(host, 0, load_key(key_file))


def test_in_a_container_only_requests_for_a_loopback_name_sign_in(key_file: Path) -> None:
    with make_server("127.0.0.1", 0, load_key(key_file), in_container=True) as server:
        assert server.server_address[0] == "0.0.0.0"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            url = issuer_url(server.server_address[1])
            answer = httpx.get(url + "/authorize", headers={"Host": "issuer.example"})
            assert answer.status_code == 400
            assert "Host is not a loopback address" in answer.text
            assert httpx.get(url + JWKS_PATH).status_code == 200
        finally:
            server.shutdown()
            thread.join()


def test_production_is_refused(monkeypatch: pytest.MonkeyPatch, key_file: Path) -> None:
    key = load_key(key_file)
    monkeypatch.setenv("FLEXCREDITS_ENV", "production")
    with pytest.raises(SetupProblem, match="FLEXCREDITS_ENV=production"):
        make_server("127.0.0.1", 0, key)
    with pytest.raises(SetupProblem, match="FLEXCREDITS_ENV=production"):
        make_server("127.0.0.1", 0, key, in_container=True)
    with pytest.raises(SetupProblem, match="FLEXCREDITS_ENV=production"):
        mint_token(key, "http://127.0.0.1:1", "org_acme", "admin", "a@acme.example")
