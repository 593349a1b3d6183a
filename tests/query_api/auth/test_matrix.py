"""Every route with every kind of caller. A route that is not in the matrix fails the test."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi.routing import iter_route_contexts
from query_api.app import build_app
from query_api.description.examples import BODIES
from support.data.table_rows import TableRows
from support.services.query_api import OpenApi

REFUSED: dict[str, Any] = {"anonymous": 401, "expired": 401}
READ = REFUSED | {
    "member": 403, "removed": 403, "moderator": 200, "moderator, not in this organization": 403, "moderator, not in this deployment": 403,
    "admin": 200, "super admin": 200, "other organization": 200,
}  # fmt: skip
ADMIN = READ | {"moderator": 403}
SUPER_ADMIN = ADMIN | {"admin": 403}
ADMIN_ADDS = ADMIN | {"admin": 201, "super admin": 201, "other organization": 201}
ADMIN_FINDS_NOTHING = ADMIN | {"admin": 404, "super admin": 404, "other organization": 404}
OWN = REFUSED | dict.fromkeys(READ.keys() - REFUSED.keys(), 200) | {"removed": 403}
KNOWN = REFUSED | dict.fromkeys(READ.keys() - REFUSED.keys(), 200)


def all_the_same(status: int) -> dict[str, int]:
    return dict.fromkeys(READ, status)


def read(status: int) -> dict[str, int]:
    """Callers with read access get this status."""
    return {who: status if expected == 200 else expected for who, expected in READ.items()}


def super_admin(status: int) -> dict[str, int]:
    """Super Admins get this status."""
    return {who: status if expected == 200 else expected for who, expected in SUPER_ADMIN.items()}


MATRIX: dict[tuple[str, str], dict[str, int]] = {
    ("GET", "/openapi.json"): all_the_same(200),
    ("GET", "/docs"): all_the_same(200),
    ("GET", "/docs/openapi.json"): all_the_same(200),
    ("GET", "/docs/assets"): all_the_same(307),  # redirects to the folder
    ("GET", "/login"): all_the_same(404),  # this API accepts only bearer tokens; test_sessions has sessions
    ("GET", "/login/callback"): all_the_same(404),
    ("POST", "/logout"): all_the_same(404),
    ("GET", "/"): all_the_same(404),  # there is no build here; test_pages has one
    ("GET", "/me"): all_the_same(404),
    ("GET", "/connections"): all_the_same(404),
    ("GET", "/assets/{name}"): all_the_same(404),
    ("GET", "/color-scheme.js"): all_the_same(404),
    ("GET", "/favicon.svg"): all_the_same(404),
    ("GET", "/api/v1/overview"): READ,
    ("GET", "/api/v1/projection"): READ,
    ("GET", "/api/v1/breakdown"): READ,
    ("GET", "/api/v1/deleted-agents"): READ,
    ("GET", "/api/v1/trend"): READ,
    ("GET", "/api/v1/explain"): READ,
    ("GET", "/api/v1/usage/people"): READ,
    ("GET", "/api/v1/usage/drivers"): READ,
    ("POST", "/api/v1/people/reveal"): SUPER_ADMIN | {"super admin": 409, "other organization": 409},  # names are shown
    ("GET", "/api/v1/credit-periods"): READ,
    ("GET", "/api/v1/reconcile"): READ,
    ("GET", "/api/v1/reconcile/people"): READ,
    ("GET", "/api/v1/receipt"): read(404),  # unknown event
    ("GET", "/api/v1/usage/runs"): READ,
    ("GET", "/api/v1/usage/runs/{run_id:path}"): read(404),  # unknown run
    ("GET", "/api/v1/me/usage"): OWN,
    ("GET", "/api/v1/export/usage.csv"): READ,
    ("GET", "/api/v1/export/people.csv"): READ,
    ("GET", "/api/v1/export/table.csv"): READ,
    ("GET", "/api/v1/export/focus.csv"): READ,
    ("GET", "/api/v1/export/usage.parquet"): READ,
    ("GET", "/api/v1/export/people.parquet"): READ,
    ("GET", "/api/v1/export/table.parquet"): READ,
    ("GET", "/api/v1/export/focus.parquet"): READ,
    ("GET", "/api/v1/export/focus.json"): READ,
    ("GET", "/api/v1/export/manifests"): READ,
    ("GET", "/api/v1/export/manifests/{export_id}"): read(404),  # unknown file
    ("GET", "/api/v1/export/manifests/{export_id}/signature"): read(404),
    ("GET", "/api/v1/export/manifests/{export_id}/file"): read(404),
    ("GET", "/api/v1/export/manifests/{export_id}/changes"): read(404),
    ("GET", "/api/v1/export/key.pub"): read(404),  # there is no key here; test_manifests has one
    ("GET", "/api/v1/freshness"): READ,
    ("GET", "/api/v1/proof"): READ,
    ("GET", "/api/v1/banner"): READ,
    ("POST", "/api/v1/banner/dismiss"): read(409),  # there is no banner
    ("GET", "/api/v1/alerts"): READ,
    ("GET", "/api/v1/alerts/settings"): READ,
    ("PUT", "/api/v1/alerts/settings"): read(428),  # without If-Match
    ("POST", "/api/v1/alerts/preview"): READ,
    ("GET", "/api/v1/alerts/test-mail"): READ,
    ("POST", "/api/v1/alerts/test-mail"): read(202),
    ("GET", "/api/v1/alerts/{id}"): read(404),
    ("POST", "/api/v1/alerts/{id}/resend"): read(404),
    ("GET", "/api/v1/alert-channels"): READ,
    ("POST", "/api/v1/alert-channels"): ADMIN_ADDS,
    ("DELETE", "/api/v1/alert-channels/{id}"): ADMIN_FINDS_NOTHING,
    ("POST", "/api/v1/alert-channels/{id}/test"): ADMIN_FINDS_NOTHING,
    ("GET", "/api/v1/alert-channels/{id}/deliveries"): read(404),
    ("GET", "/api/v1/api-keys"): SUPER_ADMIN,
    ("GET", "/api/v1/api-keys/{key_id}/mapping"): super_admin(404),  # unknown key
    ("PUT", "/api/v1/api-keys/{key_id}/mapping"): super_admin(428),  # without If-Match
    ("DELETE", "/api/v1/api-keys/{key_id}/mapping"): super_admin(428),
    ("GET", "/api/v1/mappings/ready-made"): SUPER_ADMIN,
    ("POST", "/api/v1/mappings/try"): SUPER_ADMIN,
    ("GET", "/unsubscribe"): all_the_same(400),  # the link identifies the caller
    ("POST", "/unsubscribe"): all_the_same(400),
    ("GET", "/api/v1/audit"): ADMIN,
    ("GET", "/api/v1/session"): KNOWN,
    ("GET", "/api/v1/live"): READ,
}
PARAMETERS = {
    "/api/v1/breakdown": "?product=api&view=namespaces",
    "/api/v1/export/table.csv": "?product=api&view=namespaces",
    "/api/v1/export/table.parquet": "?product=api&view=namespaces",
    "/api/v1/receipt": "?source=/products/api&id=event-1",
}

EXPORT_ID = "0b9f64c1-6c0e-4b7a-9a53-0e5c1d1f7d10"

CLAIMS: dict[str, dict[str, Any] | None] = {
    "anonymous": None,
    "expired": {"exp": datetime.now(UTC) - timedelta(minutes=1)},
    "member": {"role": "member"},
    "removed": {"email": "gone@acme.example"},
    "moderator": {"role": "billing_moderator"},
    "moderator, not in this organization": {"role": "billing_moderator", "organization": "org_without"},
    "moderator, not in this deployment": {"role": "billing_moderator"},
    "admin": {"role": "admin"},
    "super admin": {"role": "super_admin"},
    "other organization": {"organization": "org_without"},
}


def routes() -> set[tuple[str, str]]:
    """Routes of the router itself, also those that OpenAPI does not describe."""
    found = set()
    for route in iter_route_contexts(build_app(None).routes):
        methods = getattr(route.route, "methods", None) or {"GET"}
        found |= {(method, str(route.path)) for method in methods - {"HEAD"}}
    return found


def test_every_route_is_in_the_matrix() -> None:
    assert routes() == set(MATRIX)


async def test_every_caller_gets_the_status_of_the_matrix(open_api: OpenApi, db: TableRows) -> None:
    number = await db.organization(billing_moderators=True)
    await db.organization("org_without", billing_moderators=False)
    await db.execute(
        "INSERT INTO members VALUES ($1, 'gone@acme.example', NULL, 'super_admin', true, now(), 0)", number
    )
    for deployment in (True, False):
        async with open_api(billing_moderators=deployment) as api:
            for (method, path), expected in MATRIX.items():
                for who, status in expected.items():
                    if deployment is ("not in this deployment" in who):
                        continue
                    claims = CLAIMS[who]
                    headers = {} if claims is None else {"Authorization": f"Bearer {api.provider.token(**claims)}"}
                    if (path, status) == ("/api/v1/live", 200):
                        continue  # the stream does not end; test_live tests it
                    address = re.sub(r"\{\w+(:path)?\}", "77", path.replace("{export_id}", EXPORT_ID)) + PARAMETERS.get(
                        path, ""
                    )
                    # A person may request only one test mail per minute.
                    await db.execute("UPDATE audit_log SET at = at - interval '1 hour'")
                    answer = await api.client.request(method, address, headers=headers, json=BODIES.get(path))
                    assert answer.status_code == status, (method, path, who, answer.text)
                    if status == 403:
                        assert "Super Admin" in answer.json()["detail"]
