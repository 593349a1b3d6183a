"""Access by tokens, keys and roles."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from query_api.access.dependencies import POLICIES, hold_link
from query_api.app import PUBLIC, build_app, find_open_routes
from query_api.auth.handshake import Handshake
from query_api.auth.oidc import Issuer
from query_api.auth.signing_keys import REFETCH_AFTER_S, KeysUnavailable, SigningKeys, fetch_from, read_keys
from query_api.auth.tokens import Verifier
from query_api.http.problems import ApiProblem
from support.data.table_rows import TableRows
from support.services.query_api import (
    AUDIENCE,
    ISSUER,
    Api,
    IdentityProvider,
    OpenApi,
    ec_jwk,
    encode,
    make_ec_key,
    make_rsa_key,
    rsa_jwk,
    unsigned,
)

PATHS = [
    "/api/v1/overview",
    "/api/v1/projection",
    "/api/v1/breakdown?product=api&view=namespaces",
    "/api/v1/trend",
    "/api/v1/explain",
    "/api/v1/deleted-agents",
    "/api/v1/usage/people",
    "/api/v1/usage/drivers",
    "/api/v1/freshness",
    "/api/v1/proof",
    "/api/v1/banner",
    "/api/v1/alerts",
    "/api/v1/alerts/settings",
    "/api/v1/alerts/test-mail",
    "/api/v1/alert-channels",
    "/api/v1/credit-periods",
    "/api/v1/reconcile",
    "/api/v1/reconcile/people",
    "/api/v1/receipt?source=/products/api&id=event-1",
    "/api/v1/usage/runs",
    "/api/v1/export/usage.csv",
    "/api/v1/export/people.csv",
    "/api/v1/export/table.csv?product=api&view=namespaces",
    "/api/v1/export/focus.csv",
    "/api/v1/export/usage.parquet",
    "/api/v1/export/people.parquet",
    "/api/v1/export/table.parquet?product=api&view=namespaces",
    "/api/v1/export/focus.parquet",
    "/api/v1/export/focus.json",
    "/api/v1/export/manifests",
]
OTHERS = {
    "/api/v1/audit", "/api/v1/session", "/api/v1/live", "/api/v1/alerts/preview", "/api/v1/alerts/{id}", "/api/v1/alerts/{id}/resend", "/api/v1/banner/dismiss",
    "/api/v1/alert-channels/{id}", "/api/v1/alert-channels/{id}/test", "/api/v1/alert-channels/{id}/deliveries",
    "/api/v1/people/reveal", "/api/v1/usage/runs/{run_id}", "/api/v1/me/usage",
    "/api/v1/api-keys", "/api/v1/api-keys/{key_id}/mapping", "/api/v1/mappings/ready-made", "/api/v1/mappings/try",
    *(f"/api/v1/export/manifests/{{export_id}}{part}" for part in ("", "/file", "/signature", "/changes")), "/api/v1/export/key.pub",
}  # fmt: skip
"""Routes with other permissions, without an end, without GET, or for an unknown id. The matrix tests them."""
SOON = timedelta(minutes=5)


def test_every_route_declares_who_may_ask() -> None:
    app = build_app(None)
    assert find_open_routes(app) == []
    assert "/unsubscribe" not in PUBLIC  # its policy requires a valid link
    assert hold_link in POLICIES
    paths = {path for path in app.openapi()["paths"]}
    assert {path.partition("?")[0] for path in PATHS} | OTHERS == paths - PUBLIC

    @app.get("/api/v1/forgotten")
    async def get_forgotten() -> None: ...

    assert find_open_routes(app) == ["/api/v1/forgotten"]


ROLES: list[tuple[str | None, bool, bool, int]] = [
    # role, enabled for the deployment, enabled for the organization, status
    ("super_admin", False, False, 200),
    ("admin", False, False, 200),
    ("billing_moderator", True, True, 200),
    ("billing_moderator", True, False, 403),
    ("billing_moderator", False, True, 403),
    ("billing_moderator", False, False, 403),
    ("member", True, True, 403),
    ("SUPER_ADMIN", True, True, 403),
    ("owner", True, True, 403),
    ("", True, True, 403),
    (None, True, True, 403),
]


async def test_roles(open_api: OpenApi, db: TableRows) -> None:
    await db.organization("org_with", billing_moderators=True)
    await db.organization("org_without", billing_moderators=False)
    for deployment in (True, False):
        async with open_api(billing_moderators=deployment) as api:
            for role, for_deployment, for_organization, status in ROLES:
                if for_deployment != deployment:
                    continue
                for path in PATHS:
                    organization = "org_with" if for_organization else "org_without"
                    answer = await api.ask(path, role=role, organization=organization)
                    # With access, the answer is that these organizations have no such event.
                    expected = 404 if status == 200 and path.startswith("/api/v1/receipt") else status
                    assert answer.status_code == expected, (role, deployment, organization, path)
                    if status == 403:
                        assert answer.headers["content-type"] == "application/problem+json"
                        assert "Super Admin" in answer.json()["detail"]


async def test_a_role_that_is_no_text_is_no_role(api: Api) -> None:
    assert (await api.ask(PATHS[0], role=["super_admin"])).status_code == 403


async def test_who_was_removed_from_the_organization_is_refused_at_once(api: Api, db: TableRows) -> None:
    acme, other = await db.organization(), await db.organization("org_other")
    insert = "INSERT INTO members VALUES ($1, 'ada@acme.example', NULL, 'super_admin', $2, now(), 0)"
    await db.execute(insert, acme, False)
    await db.execute(insert, other, True)
    assert (await api.ask(PATHS[0])).status_code == 200
    await db.execute("UPDATE members SET removed = true WHERE organization_id = $1", acme)
    answer = await api.ask(PATHS[0], email="Ada@Acme.example")
    assert answer.status_code == 403
    assert "no longer a member" in answer.json()["detail"]
    assert (await api.ask(PATHS[0], email="bob@acme.example")).status_code == 200


def with_secret(provider: IdentityProvider, secret: bytes) -> str:
    """HS256, keyed with public text."""
    token = unsigned({"alg": "HS256", "kid": "k1"}, provider.claims())
    signing_input = token.rpartition(".")[0]
    return f"{signing_input}.{encode(hmac.new(secret, signing_input.encode(), hashlib.sha256).digest())}"


def tampered(provider: IdentityProvider) -> str:
    header, _, signature = provider.token().split(".")
    payload = unsigned({}, provider.claims(organization="org_other")).split(".")[1]
    return f"{header}.{payload}.{signature}"


def public_pem(provider: IdentityProvider) -> bytes:
    return provider.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


Forge = Callable[[IdentityProvider], str]

FORGED: dict[str, Forge] = {
    "not a token": lambda _: "hello",
    "three empty parts": lambda _: "..",
    "not ASCII": lambda p: p.token() + "é".encode("latin-1").decode("latin-1"),
    "too long": lambda p: p.token(padding="x" * 8192),
    "nested too deeply": lambda _: encode(b'{"alg":' + b"[" * 5000) + ".e30.e30",
    "header is a list": lambda _: encode(b"[]") + ".e30.e30",
    "alg none": lambda p: unsigned({"alg": "none", "kid": "k1"}, p.claims()),
    "alg None with a signature": lambda p: unsigned({"alg": "None", "kid": "k1"}, p.claims(), b"x" * 256),
    "no alg": lambda p: unsigned({"kid": "k1"}, p.claims(), b"x" * 256),
    "HS256 with the public key": lambda p: with_secret(p, public_pem(p)),
    "HS256 with the JWK": lambda p: with_secret(p, json.dumps(p.keys[0]).encode()),
    "RS384": lambda p: jwt.encode(p.claims(), p.key, "RS384", {"kid": "k1"}),
    "PS256": lambda p: jwt.encode(p.claims(), p.key, "PS256", {"kid": "k1"}),
    "another key under our id": lambda p: jwt.encode(p.claims(), make_rsa_key(), "RS256", {"kid": "k1"}),
    "ES256 under an RSA key's id": lambda p: jwt.encode(p.claims(), make_ec_key(), "ES256", {"kid": "k1"}),
    "unknown key id": lambda p: p.token({"kid": "k2"}),
    "no key id": lambda p: jwt.encode(p.claims(), p.key, "RS256"),
    "key id is a number": lambda p: unsigned({"alg": "RS256", "kid": 1}, p.claims(), b"x" * 256),
    "own key in the header": lambda p: jwt.encode(
        p.claims(), key := make_rsa_key(), "RS256", {"kid": "k2", "jwk": rsa_jwk(key, "k2")}
    ),
    "jku": lambda p: jwt.encode(
        p.claims(), make_rsa_key(), "RS256", {"kid": "k2", "jku": p.url.replace("/jwks", "/attacker")}
    ),
    "x5u": lambda p: p.token({"kid": "k2", "x5u": p.url.replace("/jwks", "/attacker")}),
    "unknown critical header": lambda p: p.token({"crit": ["exp2"], "exp2": 1}),
    "logout token": lambda p: p.token({"typ": "logout+jwt"}),
    "typ is a number": lambda p: unsigned({"alg": "RS256", "kid": "k1", "typ": 1}, p.claims(), b"x" * 256),
    "tampered": tampered,
    "expired": lambda p: p.token(exp=datetime.now(UTC) - timedelta(seconds=40)),
    "not yet": lambda p: p.token(nbf=datetime.now(UTC) + SOON),
    "issued in the future": lambda p: p.token(iat=datetime.now(UTC) + SOON),
    "another audience": lambda p: p.token(aud="another"),
    "an ID token of the dashboard's client": lambda p: p.token({"typ": "JWT"}, aud="dashboard-client"),
    "another issuer": lambda p: p.token(iss="https://evil.example"),
    "issuer with a slash": lambda p: p.token(iss="https://login.example/"),
    "sub is a number": lambda p: jwt.encode(p.claims(sub=7), p.key, "RS256", {"kid": "k1"}),
    **{f"no {name}": lambda p, name=name: p.token(**{name: None}) for name in ("exp", "iat", "aud", "iss", "sub", "organization")},
    "empty organization": lambda p: p.token(organization=""),
    "organization with NUL": lambda p: p.token(organization="org_acme\0"),
    "organization with newline": lambda p: p.token(organization="org_acme\n"),
    "organizations": lambda p: p.token(organization=["org_acme", "org_other"]),
}  # fmt: skip


async def test_no_forged_token_passes(api: Api, db: TableRows) -> None:
    await db.organization()
    assert (await api.ask(PATHS[0])).status_code == 200
    for name, forge in FORGED.items():
        answer = await api.client.get(PATHS[0], headers={"Authorization": b"Bearer " + forge(api.provider).encode()})
        assert answer.status_code == 401, name
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["type"] == "/problems/unauthorized"
        assert answer.headers["www-authenticate"].startswith('Bearer realm="flexcredits", error="invalid_token"'), name
    assert api.provider.elsewhere == []
    assert api.provider.fetches == 1


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic YTpi", "Token x"])
async def test_without_a_token_the_challenge_names_no_error(api: Api, header: str | None) -> None:
    answer = await api.client.get(PATHS[0], headers={} if header is None else {"Authorization": header})
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer realm="flexcredits"')


async def test_a_token_in_the_address_is_no_token(api: Api) -> None:
    token = api.provider.token()
    assert (await api.client.get(f"{PATHS[0]}?access_token={token}")).status_code == 401


async def test_valid_tokens_of_every_accepted_kind_pass(api: Api, db: TableRows) -> None:
    await db.organization()
    key = make_ec_key()
    api.provider.keys.append(ec_jwk(key, "e1"))
    provider = api.provider
    tokens = {
        "ES256": jwt.encode(provider.claims(), key, "ES256", {"kid": "e1"}),
        "expired within the leeway": provider.token(exp=datetime.now(UTC) - timedelta(seconds=20)),
        "plain JWT": provider.token({"typ": "JWT"}),
        "several audiences": provider.token(aud=["another", "flexcredits"]),
        "no email": provider.token(email=None),
    }
    for name, token in tokens.items():
        assert (await api.ask(PATHS[0], token=token)).status_code == 200, name
    lower = await api.client.get(PATHS[0], headers={"Authorization": f"bearer {provider.token()}"})
    assert lower.status_code == 200


async def test_a_weak_key_is_not_trusted(api: Api) -> None:
    weak = make_rsa_key(1024)
    api.provider.keys.append(rsa_jwk(weak, "weak"))
    with pytest.warns(jwt.InsecureKeyLengthWarning):
        token = jwt.encode(api.provider.claims(), weak, "RS256", {"kid": "weak"})
    assert (await api.ask(PATHS[0], token=token)).status_code == 401


async def test_a_kept_token_is_verified_again_when_it_expires_and_when_the_keys_change(
    signing_key: RSAPrivateKey,
) -> None:
    key_ids, clock, now = ["k1"], Clock(), time.time()

    def fetch() -> bytes:
        return json.dumps({"keys": [rsa_jwk(signing_key, key_id) for key_id in key_ids]}).encode()

    keys = SigningKeys(fetch, clock)
    at = [now]
    verifier = Verifier(keys, ISSUER, AUDIENCE, clock=lambda: at[0])
    claims = IdentityProvider(signing_key).claims(exp=int(now) - 10)  # within the leeway
    kept, other = (jwt.encode(claims, signing_key, "RS256", {"kid": key_id}) for key_id in ("k1", "k2"))
    assert (await verifier.identify("bearer", kept)).organization == "org_acme"
    assert await verifier.identify("Bearer", kept) is await verifier.identify("Bearer", kept)
    for altered in (kept[:-4] + "AAAA", other, kept + "."):
        with pytest.raises(ApiProblem, match="token"):
            await verifier.identify("Bearer", altered)
    clock.now += REFETCH_AFTER_S
    await keys.renew()
    assert await verifier.identify("Bearer", kept)
    key_ids[:] = ["k2"]
    clock.now += REFETCH_AFTER_S
    await keys.renew()
    with pytest.raises(ApiProblem, match="unknown key"):
        await verifier.identify("Bearer", kept)
    assert await verifier.identify("Bearer", other)
    at[0] = now + 60
    assert not await is_kept(verifier, other)


async def is_kept(verifier: Verifier, token: str) -> bool:
    """Whether two requests get the principal of one verification."""
    return await verifier.identify("Bearer", token) is await verifier.identify("Bearer", token)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Provider:
    """Key sets as bytes, without a network."""

    def __init__(self, *key_ids: str) -> None:
        self.fetches = 0
        self.fails = False
        self.publish(*key_ids)

    def publish(self, *key_ids: str) -> None:
        key = base64.urlsafe_b64encode(b"\xc3" * 256).rstrip(b"=").decode()
        self.document = {"keys": [{"kty": "RSA", "kid": key_id, "n": key, "e": "AQAB"} for key_id in key_ids]}

    def __call__(self) -> bytes:
        self.fetches += 1
        if self.fails:
            raise OSError("connection refused")
        return json.dumps(self.document).encode()


async def test_a_flood_of_unknown_key_ids_asks_once_an_interval() -> None:
    provider, clock = Provider("k1"), Clock()
    keys = SigningKeys(provider, clock)
    found = await asyncio.gather(*(keys.find(f"made-up-{n}") for n in range(200)), keys.find("k1"))
    assert [key for key in found if key] == found[-1:]
    assert provider.fetches == 1
    clock.now += REFETCH_AFTER_S
    await asyncio.gather(*(keys.find(f"made-up-{n}") for n in range(200)))
    assert provider.fetches == 2


async def test_keys_rotate_with_overlap() -> None:
    provider, clock = Provider("old"), Clock()
    keys = SigningKeys(provider, clock)
    assert await keys.find("old")
    provider.publish("old", "new")
    clock.now += REFETCH_AFTER_S
    assert await keys.find("new")
    assert await keys.find("old")
    provider.publish("new")
    clock.now += REFETCH_AFTER_S
    await keys.renew()
    assert await keys.find("old") is None


async def test_known_keys_work_while_the_identity_provider_is_down() -> None:
    provider, clock = Provider("k1"), Clock()
    keys = SigningKeys(provider, clock)
    await keys.renew()
    provider.fails = True
    clock.now += 1000
    await keys.renew()
    assert await keys.find("k1")
    assert await keys.find("k2") is None
    assert provider.fetches == 2


async def test_before_the_first_keys_no_caller_is_refused_permanently(api: Api) -> None:
    api.provider.status = 500
    answer = await api.ask(PATHS[0])
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert answer.json()["type"] == "/problems/unavailable"


async def test_keys_are_never_read_from_where_a_redirect_leads(provider: IdentityProvider) -> None:
    provider.status = 302
    keys = SigningKeys(fetch_from(provider.url))
    with pytest.raises(KeysUnavailable):
        await keys.find("k1")
    assert provider.elsewhere == []


async def test_what_is_no_key_set_leaves_the_known_keys_in_use() -> None:
    """Also a key that PyJWT fails on, and a server that speaks no HTTP."""
    provider, clock = Provider("k1"), Clock()
    keys = SigningKeys(provider, clock)
    await keys.renew()
    provider.document = {"keys": [provider.document["keys"][0] | {"alg": ["RS256"]}]}
    clock.now += REFETCH_AFTER_S
    await keys.renew()
    assert await keys.find("k1")

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.6\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1") as server:
        [listener] = server.sockets
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        with pytest.raises(KeysUnavailable):
            await SigningKeys(fetch_from(url)).find("k1")
        issuer = Issuer(Verifier(keys, url, "flexcredits"), url, url, "client", None, url)
        with pytest.raises(ApiProblem, match="isn't responding"):
            await issuer.finish(Handshake("secret", "/"), "code")


def document(**changes: Any) -> bytes:
    return json.dumps({"keys": [Provider("k1").document["keys"][0] | changes]}).encode()


@pytest.mark.parametrize(
    "unusable",
    [
        b"",
        b"[]",
        b"null",
        b"{}",
        b'{"keys": {}}',
        b'{"keys": [1, null, {}]}',
        document(kty="oct", k="c2VjcmV0"),
        document(use="enc"),
        document(kid=None),
        document(kid=7),
        document(alg="RS512"),
        document(alg="HS256"),
        document(kty="EC", crv="P-521", x="AA", y="AA"),
        document(n="!"),
    ],
)
def test_a_key_set_without_a_usable_key_is_refused_whole(unusable: bytes) -> None:
    with pytest.raises((ValueError, jwt.PyJWTError)):
        read_keys(unusable)


def test_a_key_we_cannot_use_does_not_lock_out_the_others() -> None:
    keys = Provider("good").document["keys"] + [{"kty": "RSA", "kid": "broken", "n": "!", "e": "AQAB"}, {"kty": "OKP"}]
    assert list(read_keys(json.dumps({"keys": keys}).encode())) == ["good"]
