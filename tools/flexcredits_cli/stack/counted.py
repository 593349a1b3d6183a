"""Finds the ingest API and the query API, and waits until accepted events appear in the query API's responses."""

import asyncio
import os
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx

from flexcredits_cli.dev_idp.tokens import Role, key_path, load_key, mint_token
from flexcredits_cli.machine.state_folder import state_folder
from flexcredits_cli.stack.description import find_stack, running_stack

COUNTED_WITHIN_S = 300
REPORT_EVERY_S = 5
ASK_EVERY_S = 0.5


@dataclass(frozen=True)
class QueryApi:
    """Its address, and the issuer of the tokens that it accepts."""

    url: str
    issuer: str


def ingest_address() -> tuple[str, str]:
    """URL and API key: INGEST_URL and INGEST_KEY, or the running stack's."""
    url, key = os.environ.get("INGEST_URL"), os.environ.get("INGEST_KEY")
    if url and key:
        return url, key
    stack = running_stack(state_folder())
    return url or stack.ingest_url, key or stack.ingest_key


def find_api(ingest_url: str) -> QueryApi | None:
    """The query API for this ingest API's events: QUERY_URL and TOKEN_ISSUER, or the running stack's."""
    url, issuer = os.environ.get("QUERY_URL"), os.environ.get("TOKEN_ISSUER")
    if url and issuer:
        return QueryApi(url, issuer)
    stack = find_stack(state_folder())
    return QueryApi(stack.query_url, stack.issuer_url) if stack and stack.ingest_url == ingest_url else None


def show_where(organization: str, email: str, ingest_url: str) -> None:
    """Print how to sign in to see the organization's usage, and the dashboard's address as the last line."""
    api = find_api(ingest_url)
    dashboard = os.environ.get("DASHBOARD_URL") or (api.url if api else None)
    print(f'To see it, sign in under "Someone else": organization {organization}, role super_admin, email {email}')
    if dashboard:
        print(f"{dashboard}/", flush=True)


async def wait_until_counted(organization: str, api: QueryApi | None, within_s: float = COUNTED_WITHIN_S) -> bool:
    """Wait until all events that ingest has accepted so far are counted and the organization's contract is known.

    Prints its progress every few seconds. Returns False after `within_s`, or if no query API is known.
    """
    if api is None:
        return False
    token = mint_token(
        load_key(key_path(state_folder())), api.issuer, organization, Role.SUPER_ADMIN, "ada@demo.example"
    )
    accepted_at, clock = datetime.now(UTC), asyncio.get_running_loop().time
    began, reported_at = clock(), clock()
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=f"{api.url}/api/v1/", headers=headers, timeout=10, trust_env=False) as client:
        while True:
            waits_for = await missing_so_far(client, accepted_at)
            if waits_for is None:
                print(f"everything is counted after {clock() - began:.0f} s", flush=True)
                return True
            if clock() - began > within_s:
                print(f"not everything is counted after {within_s:.0f} s: {waits_for}", flush=True)
                return False
            if clock() - reported_at > REPORT_EVERY_S:
                print(f"waiting until everything is counted: {waits_for}", flush=True)
                reported_at = clock()
            await asyncio.sleep(ASK_EVERY_S)


async def missing_so_far(client: httpx.AsyncClient, accepted_at: datetime) -> str | None:
    """A text about missing data; None if all data has arrived."""
    try:
        freshness = (await client.get("freshness")).raise_for_status().json()
        complete_to = freshness["complete_to"]
        if complete_to is None or datetime.fromisoformat(complete_to) < accepted_at:
            partitions = (await client.get("proof")).raise_for_status().json()["partitions"]
            applied = sum(partition["applied"] for partition in partitions)
            accepted = sum(partition["accepted"] or partition["applied"] for partition in partitions)
            return f"{applied:,} of {accepted:,} events so far"
        overview = (await client.get("overview")).raise_for_status().json()
        return None if overview["credits_available"] is not None else "its contract is not known yet"
    except httpx.HTTPStatusError as error:
        status = error.response.status_code
        return "the organization is not known yet" if status in (403, 404) else f"the query API responds with {status}"
    except httpx.HTTPError as error:
        return f"{type(error).__name__}: {error}".rstrip(": ")
