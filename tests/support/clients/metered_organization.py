"""An organization on a running stack that a foreign client meters: its key, its rates, and what was counted."""

import json
from decimal import Decimal
from typing import Any

from support.data.factories import organization, rate
from support.infra.full_stack import WholeStack
from support.infra.service_process import eventually

RATES = {
    "input_tokens": ("1", None),
    "cached_input_tokens": ("0.25", "input_tokens"),
    "cache_write_input_tokens": ("1.5", "input_tokens"),
    "output_tokens": ("8", None),
    "reasoning_output_tokens": ("6", "output_tokens"),
    "uncached_input_tokens": ("1.125", None),
    "tool_use_input_tokens": ("2", None),
    "thought_output_tokens": ("5", None),
}
"""Credits per 1000 tokens, and the unit that includes this one. All differ, so that credits show which tokens counted."""
Counted = dict[str, tuple[Decimal, int]]


def credits_of(**tokens: int) -> Decimal:
    """Credits of one call by RATES."""
    charged = dict(tokens)
    for unit in tokens:
        whole = RATES[unit][1]
        if whole in charged:
            charged[whole] -= tokens[unit]
    return sum((Decimal(RATES[unit][0]) * number / 1000 for unit, number in charged.items()), Decimal(0))


class MeteredOrganization:
    """`mapping` is a ready-made one, or none for our own events."""

    def __init__(self, stack: WholeStack, name: str, mapping: str = "") -> None:
        self.stack, self.name = stack, name
        self.url = str(stack.addresses["ingest_url"])
        events = [organization(name), rate(feature_kind="feature", unit="events", per="1", subject=name)]
        for unit, (credits, whole) in RATES.items():
            part = {"part_of": whole} if whole else {}
            events.append(rate(credits, unit=unit, subject=name, **part))
        answer = stack.post(events)
        assert answer.json()["rejected"] == [], answer.text
        options = ("--mapping", mapping) if mapping else ()
        self.key = stack.command("keys", "create", "--organization", name, *options).splitlines()[-1]

    @property
    def environment(self) -> dict[str, str]:
        """What the programs of clients read."""
        return {"URL": self.url, "KEY": self.key, "ORGANIZATION": self.name}

    def counted(self, view: str) -> Counted:
        """Credits and number of uses by feature, of product `assistant`."""
        answer = self.stack.get("breakdown", organization=self.name, product="assistant", view=view, range="all")
        return {row["name"]: (Decimal(row["credits"]), row["events"]) for row in answer["rows"]}

    async def until_counted(self, view: str, expected: Counted) -> None:
        """Wait until exactly this was counted, and nothing is held."""
        await eventually(lambda: self.counted(view) == expected, within_s=60, what=f"{view} {expected}")
        assert self.stack.get("freshness", organization=self.name)["held"] == 0

    def dead_letters(self) -> list[dict[str, Any]]:
        letters: list[dict[str, Any]] = json.loads(self.stack.command("dlq", "ls", "--json"))["dead_letters"]
        return [letter for letter in letters if letter.get("organization") == self.name]
