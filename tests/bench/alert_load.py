"""Measures the time from an accepted event to the banner and to the mail server's answer, under a steady load."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from flexcredits_cli.dev_idp.tokens import Role, key_path, load_key, mint_token
from support.data.factories import contract, event, organization, usage
from support.infra.full_stack import WholeStack
from support.infra.service_process import eventually

REQUESTS_PER_SECOND = 20
POLL_EVERY_S = 0.01
LOAD_ORGANIZATIONS = 20


@dataclass(frozen=True)
class AlertResult:
    """Result of a run: milliseconds from ingest's answer, one for each organization that met a threshold."""

    events_per_second: float
    banner_ms: list[float]
    mail_ms: list[float]


def percentile(figures: list[float], percent: int) -> float:
    ordered = sorted(figures)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


async def measure_alerts(
    stack: WholeStack, run: int, *, per_second: int, crossings: int, between_s: float = 0.2
) -> AlertResult:
    """Let organizations cross 75 % one after the other, while `per_second` events of others are counted."""
    names = [f"org_crossing_{run}_{number}" for number in range(crossings)]
    loaded = [f"org_load_{run}_{number}" for number in range(LOAD_ORGANIZATIONS)]
    for name in [*names, *loaded]:
        admin = event("flexcredits.member.v1", {"email": f"ada@{name}.example", "role": "super_admin"}, subject=name)
        stack.post([organization(name), contract(name, total="100" if name in names else "1000000000"), admin])
    tokens = {name: mint(stack, name) for name in names}
    await eventually(
        lambda: stack.get("overview", organization=names[-1])["credits_available"] is not None, what="catalog events"
    )
    async with loading(stack, loaded, per_second) as sent:
        banners, mails = [], []
        async with httpx.AsyncClient(timeout=30) as client:
            for name in names:
                began = time.monotonic()
                banner, mail = await cross(client, stack, name, tokens[name])
                banners.append(banner)
                mails.append(mail)
                await asyncio.sleep(max(0.0, between_s - (time.monotonic() - began)))
        rate = sent[0] / (time.monotonic() - sent[1])
    return AlertResult(rate, banners, mails)


def mint(stack: WholeStack, name: str) -> str:

    return mint_token(
        load_key(key_path(stack.home)), stack.addresses["issuer_url"], name, Role.SUPER_ADMIN, "ada@x.example"
    )


async def cross(client: httpx.AsyncClient, stack: WholeStack, name: str, token: str) -> tuple[float, float]:
    """Milliseconds until the banner is active and until the mail lies in the mailbox."""
    headers = {
        "Authorization": f"Bearer {stack.addresses['ingest_key']}",
        "Content-Type": "application/cloudevents+json",
    }
    body = json.dumps(usage(credits="80", envelope={"subject": name}))
    answer = await client.post(f"{stack.addresses['ingest_url']}/api/v1/events", content=body, headers=headers)
    answer.raise_for_status()
    accepted = time.monotonic()

    async def banner() -> float:
        while True:
            answer = await client.get(
                f"{stack.addresses['query_url']}/api/v1/banner", headers={"Authorization": f"Bearer {token}"}
            )
            if answer.raise_for_status().json()["active"]:
                return time.monotonic()
            await asyncio.sleep(POLL_EVERY_S)

    async def mail() -> float:
        folder, known = Path(stack.addresses["mailbox"]), set[Path]()
        while True:
            for path in set(folder.glob("*.eml")) - known:
                known.add(path)
                if f"ada@{name}.example" in path.read_text().partition("\n\n")[0]:
                    return time.monotonic()
            await asyncio.sleep(POLL_EVERY_S)

    async with asyncio.timeout(60):
        seen, mailed = await asyncio.gather(banner(), mail())
    return 1000 * (seen - accepted), 1000 * (mailed - accepted)


@asynccontextmanager
async def loading(stack: WholeStack, names: list[str], per_second: int) -> AsyncIterator[list[float]]:
    """Steady usage of other organizations; yields the number of accepted events and the start time."""
    sent = [0.0, time.monotonic()]
    size = per_second // REQUESTS_PER_SECOND
    headers = {
        "Authorization": f"Bearer {stack.addresses['ingest_key']}",
        "Content-Type": "application/cloudevents-batch+json",
    }

    async def send() -> None:
        async with httpx.AsyncClient(headers=headers, timeout=30) as client:
            number = 0
            while True:
                await asyncio.sleep(max(0.0, sent[1] + number / REQUESTS_PER_SECOND - time.monotonic()))
                subjects = [{"subject": names[(number * size + at) % len(names)]} for at in range(size)]
                body = json.dumps(
                    [usage(feature=f"feature_{at % 50}", envelope=subject) for at, subject in enumerate(subjects)]
                )
                answer = await client.post(f"{stack.addresses['ingest_url']}/api/v1/events", content=body)
                answer.raise_for_status()
                number += 1
                sent[0] = number * size

    sending = asyncio.create_task(send())
    await asyncio.sleep(2)
    try:
        yield sent
        if sending.done():
            sending.result()
    finally:
        sending.cancel()
