"""Organizations for the dashboard's tests: one within its contract, one in overage, one without usage."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from support.data.factories import contract, event, organization, rfc3339, usage
from support.infra.full_stack import WholeStack
from support.infra.service_process import eventually

NORMAL, OVER, EMPTY = "org_normal", "org_over", "org_empty"
TEAM = {"name": "Grace Hopper", "email": "grace@flexcredits.example", "url": "https://flexcredits.example/team"}
SURFACES = ("web", "slack", "mobile")
FEATURES = {
    ("assistant", "model"): ("claude-opus-5", "gpt-6"),
    ("assistant", "tool"): ("jira_search", "web_search"),
    ("assistant", "feature"): ("code_writer", "image_generation"),
    ("agents", "model"): ("claude-opus-5",),
    ("agents", "tool"): ("jira_search",),
    ("api", "namespace"): ("search", "chat"),
}
AGENTS: list[dict[str, Any]] = [
    {"id": "agt_report", "name": "Quarterly report", "kind": "saved"},
    {"id": "agt_draft", "name": "Draft", "kind": "unsaved"},
    {"id": "sys_deep_research", "name": "Deep Research", "kind": "system"},
    {"id": "agt_gone", "name": "Old helper", "kind": "saved"},
]
PEOPLE = (("Ada", "super_admin"), ("Ben", "admin"))
DAYS_AGO = (0, 1, 2, 6, 20, 33, 61)


def member(name: str, who: str, role: str) -> dict[str, Any]:
    """A person of an organization, as `browsing.Who` signs in."""
    email = f"{who.lower()}@{name.replace('_', '-')}.example"
    return event("flexcredits.member.v1", {"email": email, "name": who, "role": role}, subject=name)


def history(name: str) -> list[dict[str, Any]]:
    """Usage of every kind over two months; each event has a different amount."""
    now, events = datetime.now(UTC), []
    for days in DAYS_AGO:
        for number, ((product, kind), features) in enumerate(FEATURES.items()):
            for place, feature in enumerate(features):
                data: dict[str, Any] = {"product": product, "feature_kind": kind, "feature": feature}
                if product == "agents":
                    data["agent"] = AGENTS[(days + place + number) % len(AGENTS)]
                at = now - timedelta(days=days, minutes=number)
                credits = Decimal(number + 1) + Decimal(days) / 10 + Decimal("0.000001")
                events.append(
                    usage(
                        **data, credits=f"{credits}", surface=SURFACES[(days + place) % 3],
                        envelope={"subject": name, "time": rfc3339(at)},
                    )
                )  # fmt: skip
    return events


async def fill(stack: WholeStack) -> None:
    """All three organizations, counted."""
    catalog_events = [organization(name) for name in (NORMAL, OVER, EMPTY)]
    catalog_events[1]["data"]["billing_moderator_enabled"] = True
    amounts = {"assistant": "2000", "agents": "1000", "api": "500"}
    catalog_events.append(contract(NORMAL, total="4000", products=amounts))
    small = contract(OVER, total="100", products={"assistant": "60", "agents": "20", "api": "20"})
    small["data"]["account_team"] = TEAM
    catalog_events += [small, contract(EMPTY, total="1000")]
    catalog_events += [member(name, who, role) for name in (NORMAL, OVER, EMPTY) for who, role in PEOPLE]
    gone = [
        event("flexcredits.agent.v1", {"id": "agt_gone", "state": "deleted"}, subject=name) for name in (NORMAL, OVER)
    ]
    for batch in (catalog_events, history(NORMAL), history(OVER), gone):
        answer = stack.post(batch)
        assert answer.json()["accepted"] == len(batch), answer.text
    for name in (NORMAL, OVER):
        expected = sum(Decimal(one["data"]["credits"]) for one in history(name))

        async def is_counted(name: str = name, expected: Decimal = Decimal(expected)) -> bool:
            answer = await asyncio.to_thread(
                stack.get, "breakdown", organization=name, product="assistant", view="models", range="all"
            )
            return sum(Decimal(share["credits"]) for share in answer["product_shares"]) == expected

        await eventually(is_counted, what=f"the usage of {name}")
