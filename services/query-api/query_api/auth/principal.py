"""The principal of a request, and what its role allows."""

import re
from datetime import UTC, datetime
from typing import Any, NamedTuple

from query_api.http.problems import ApiProblem

FAR_S = 253_402_300_799  # the last second that datetime can represent

READERS = frozenset({"super_admin", "admin", "billing_moderator"})
"""Roles that may read; Billing Moderators only if deployment and organization enable them."""

HINT = "Contact a Super Admin of your organization to confirm your role and permissions."

_ORGANIZATION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")


class Principal(NamedTuple):
    """Identified by issuer and subject. The organization is the one in the token, never one in the request."""

    subject: str
    organization: str
    role: str
    email: str
    name: str = ""
    expires_at: datetime | None = None
    session_sha256: str = ""  # of a browser session; empty for tokens
    is_email_verified: bool = False  # true only if the identity provider says so


def read_principal(claims: dict[str, Any]) -> Principal:
    """Raises ApiProblem if the claims name no organization. Unknown roles are refused later, by the policy."""
    organization, role, email, name = (claims.get(key) for key in ("organization", "role", "email", "name"))
    if not isinstance(organization, str) or not _ORGANIZATION.fullmatch(organization):
        raise unauthorized("the token lacks the claim `organization`")
    return Principal(
        readable(claims["sub"]),
        organization,
        readable(role),
        readable(email).lower(),
        readable(name),
        datetime.fromtimestamp(min(int(claims["exp"]), FAR_S), UTC),
        is_email_verified=claims.get("email_verified") in (True, "true"),
    )


def readable(claim: object) -> str:
    """The text if Postgres can store it, else an empty one. Unpaired surrogates are removed."""
    return claim.encode(errors="ignore").decode() if isinstance(claim, str) and "\0" not in claim else ""


def unauthorized(detail: str, *, error: bool = True) -> ApiProblem:
    challenge = 'Bearer realm="flexcredits"'
    if error:
        challenge += f', error="invalid_token", error_description="{detail.replace("`", "")}"'
    return ApiProblem("unauthorized", detail, headers={"WWW-Authenticate": challenge})


def check_role(principal: Principal, *, removed: bool, deployment_allows: bool, organization_allows: bool) -> None:
    """Raises ApiProblem, which names whom to contact, unless the principal may read."""
    if removed:
        raise ApiProblem("forbidden", f"You are no longer a member of this organization. {HINT}")
    if principal.role not in READERS:
        raise ApiProblem("forbidden", f"FlexCredits is open to Super Admins, Admins and Billing Moderators. {HINT}")
    if principal.role == "billing_moderator" and not (deployment_allows and organization_allows):
        where = "this organization" if deployment_allows else "this deployment"
        raise ApiProblem("forbidden", f"Billing Moderators are not enabled in {where}. {HINT}")


def check_member(principal: Principal, *, removed: bool, my_usage: bool) -> None:
    """Raises ApiProblem unless the principal may see its own usage."""
    if removed:
        raise ApiProblem("forbidden", f"You are no longer a member of this organization. {HINT}")
    if not my_usage:
        raise ApiProblem("forbidden", f"Your organization does not show people their own usage. {HINT}")


def check_admin(principal: Principal) -> None:
    """Raises ApiProblem unless the principal may read and is a Super Admin or Admin."""
    if principal.role not in ("super_admin", "admin"):
        raise ApiProblem("forbidden", f"This is for Super Admins and Admins. {HINT}")


def check_super_admin(principal: Principal) -> None:
    """Raises ApiProblem unless the principal, who may read, is a Super Admin."""
    if principal.role != "super_admin":
        raise ApiProblem("forbidden", f"This is for Super Admins. {HINT}")
