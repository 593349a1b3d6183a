"""`simulate`: one organization that uses everything a little, steadily, from a seed."""

import asyncio
import os
import random
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from hashlib import blake2b
from typing import Annotated, Any
from uuid import UUID

import typer

from flexcredits_local.description import running_stack
from flexcredits_local.folders import state_folder
from flexcredits_local.sender import send_events

HISTORY_DAYS = 45
EVENTS_PER_HISTORY_DAY = 120
SURFACES = ("web", "web", "web", "slack", "chrome", "teams")
MODELS = ("claude-opus-5", "claude-haiku-5", "gpt-6", "gemini-4-pro")
TOOLS = ("jira_search", "slack_post", "google_drive_read", "web_browser")
FEATURES = ("code_writer", "image_generation", "meeting_notes")
NAMESPACES = ("Search", "Chat", "Agents", "Indexing")
CATEGORIES = {
    "jira_search": "Ticketing",
    "slack_post": "Messaging",
    "code_writer": "Coding",
    "image_generation": "Media",
}
AGENTS = [
    {"id": "agt_report", "name": "Quarterly report", "kind": "saved"},
    {"id": "agt_triage", "name": "Ticket triage", "kind": "saved"},
    {"id": "agt_onboarding", "name": "Onboarding buddy", "kind": "saved"},
    {"id": "agt_retired", "name": "Retired helper", "kind": "saved"},
    {"id": "wf_draft_1", "name": "Untitled workflow", "kind": "unsaved"},
    {"id": "wf_draft_2", "kind": "unsaved"},
    {"id": "sys_deep_research", "name": "Deep Research", "kind": "system"},
    {"id": "sys_chat", "name": "Chat", "kind": "system"},
]


def simulate(
    organization: Annotated[str, typer.Option(help="Who uses it.")] = "org_demo",
    rate: Annotated[float, typer.Option(min=0.1, max=500, help="Events per second.")] = 10,
    seed: Annotated[int, typer.Option(help="The same seed uses the same things.")] = 1,
    seconds: Annotated[float | None, typer.Option(help="Stop after this long; never by default.")] = None,
) -> None:
    """Send a little of everything: a history of some weeks once, then steady usage until stopped."""
    url, key = os.environ.get("INGEST_URL"), os.environ.get("INGEST_KEY")
    if not url or not key:
        stack = running_stack(state_folder())
        url, key = stack.ingest_url, stack.ingest_key
    asyncio.run(run(url, key, organization, rate, seed, seconds))


async def run(url: str, key: str, organization: str, rate: float, seed: int, seconds: float | None) -> None:
    """Facts, history, then one batch of events per second."""
    now = datetime.now(UTC)
    await send_events(url, key, build_facts(organization, now))
    taken = await send_events(url, key, build_history(organization, seed, now.date()))
    print(f"history sent: {taken.accepted:,} events of {HISTORY_DAYS} days; now about {rate:g} events/s", flush=True)
    chance, began, sent = random.Random(f"{seed} {now}"), time.monotonic(), 0
    while seconds is None or time.monotonic() - began < seconds:
        due = int((time.monotonic() - began) * rate) - sent
        batch = [build_usage(organization, chance, datetime.now(UTC), chance.getrandbits(74)) for _ in range(due)]
        await send_events(url, key, batch)
        sent += due
        await asyncio.sleep(min(1.0, 5 / rate))


def build_history(organization: str, seed: int, today: date) -> Iterator[dict[str, Any]]:
    """Usage of the complete days before `today`. A day is made from seed and date alone: sent again, it counts once."""
    for back in range(HISTORY_DAYS, 0, -1):
        day = today - timedelta(days=back)
        chance = random.Random(f"{seed} {organization} {day}")
        busy = 0.35 if day.weekday() >= 5 else 1.0
        for number in range(int(EVENTS_PER_HISTORY_DAY * busy * (1.4 - back / HISTORY_DAYS * 0.6))):
            second = int(chance.triangular(0, 86_399, 14 * 3600))
            at = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(seconds=second)
            digest = blake2b(f"{seed} {organization} {day} {number}".encode(), digest_size=16).digest()
            yield build_usage(organization, chance, at, int.from_bytes(digest) & ((1 << 74) - 1))


def build_usage(organization: str, chance: random.Random, at: datetime, entropy: int) -> dict[str, Any]:
    """One use of one of the products; `entropy` are the 74 random bits of its UUIDv7 (RFC 9562)."""
    product = chance.choices(("assistant", "agents", "api"), (6, 3, 1))[0]
    data: dict[str, Any] = {"product": product, "surface": chance.choice(SURFACES)}
    if product == "api":
        data |= {"feature_kind": "namespace", "feature": chance.choice(NAMESPACES), "surface": "rest"}
        data["credits"] = f"0.{chance.randrange(5, 100):03}"
    else:
        if product == "agents" or chance.random() < 0.1:
            data["agent"] = chance.choice(AGENTS)
        kind = chance.choices(("model", "tool", "feature"), (5, 3, 2))[0]
        if "agent" in data and product == "assistant":
            kind = "feature"
        data |= {
            "feature_kind": kind,
            "feature": chance.choice({"model": MODELS, "tool": TOOLS, "feature": FEATURES}[kind]),
        }
        if kind == "model":
            data |= {"quantity": str(int(chance.lognormvariate(7.5, 1))), "unit": "tokens"}
        else:
            data["credits"] = f"{chance.lognormvariate(0.5, 0.8):.6f}"
    milliseconds = int(at.timestamp() * 1000)
    bits = (milliseconds << 80) | (7 << 76) | ((entropy >> 62) << 64) | (2 << 62) | (entropy & ((1 << 62) - 1))
    return envelope(organization, str(UUID(int=bits)), "usage", at, data, f"/products/{product}")


def build_facts(organization: str, now: datetime) -> list[dict[str, Any]]:
    """Who they are, what they bought, whom to mail, what things cost and are called."""
    begins = (now.date() - timedelta(days=60)).replace(day=15)
    ends = begins.replace(year=begins.year + 1)
    amounts = {"assistant": "12000", "agents": "8000", "api": "500"}
    period = {"id": "year-1", "from": f"{begins}", "to": f"{ends}", "products": amounts}
    domain = f"{organization.removeprefix('org_').replace('_', '-')}.example"
    facts: list[tuple[str, dict[str, Any]]] = [
        ("organization", {"name": "Demo Company", "time_zone": "Europe/Berlin", "billing_moderator_enabled": True}),
        ("contract", {"contract_id": "demo", "from": f"{begins}", "to": f"{ends}", "credit_periods": [period]}),
        ("member", {"email": f"ada@{domain}", "name": "Ada", "role": "super_admin"}),
        ("member", {"email": f"ben@{domain}", "name": "Ben", "role": "admin"}),
        ("member", {"email": f"chi@{domain}", "name": "Chi", "role": "billing_moderator"}),
    ]
    facts += [
        (
            "agent",
            {
                "id": agent["id"],
                "state": "deleted" if agent["id"] == "agt_retired" else agent["kind"],
                "name": agent["name"],
            },
        )
        for agent in AGENTS
        if agent["kind"] != "unsaved"
    ]
    for product in ("assistant", "agents"):
        facts.append(
            (
                "rate",
                {
                    "product": product,
                    "feature_kind": "model",
                    "feature": "*",
                    "unit": "tokens",
                    "credits": "1",
                    "per": "1000",
                },
            )
        )
        for feature, category in CATEGORIES.items():
            kind = "tool" if feature in TOOLS else "feature"
            facts.append(
                (
                    "feature",
                    {
                        "product": product,
                        "feature_kind": kind,
                        "feature": feature,
                        "category": category,
                        "effective_from": f"{begins}",
                    },
                )
            )
    return [
        envelope(
            organization, f"simulate/{number}/{now.date() if type_ != 'rate' else ''}", type_, now, data, "/simulate"
        )
        for number, (type_, data) in enumerate(facts)
    ]


def envelope(
    organization: str, event_id: str, type_: str, at: datetime, data: dict[str, Any], source: str
) -> dict[str, Any]:
    return {
        "specversion": "1.0", "id": event_id, "source": source, "type": f"flexcredits.{type_}.v1", "subject": organization,
        "time": at.isoformat().replace("+00:00", "Z"), "data": data,
    }  # fmt: skip
