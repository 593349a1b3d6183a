"""An admin sees the expected sums of generated usage, to the micro-credit, however often it is sent."""

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from flexcredits_cli.generator.company.cast import HAND_WRITTEN, companies
from flexcredits_cli.generator.company.contracts import current_period, used_in
from flexcredits_cli.generator.simulate import DEMO_COMPANIES, LIVE_RATE, MONTHS_MAX, past_of, read_at, sized
from flexcredits_cli.generator.usage.disturbances import Kind
from flexcredits_cli.generator.usage.history import Past
from flexcredits_cli.generator.usage.live import Opening, level
from flexcredits_cli.generator.usage.truth import Truth
from support.infra.full_stack import WholeStack, whole_stack
from support.infra.service_process import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
AT = datetime.now(UTC).isoformat(timespec="milliseconds")
NUMBER, EVENTS, SERIES = 6, 9_000, 150
BACKFILL = (
    "simulate", "backfill", "--organizations", f"{NUMBER}", "--events", f"{EVENTS}", "--series", f"{SERIES}", "--at", AT,
)  # fmt: skip
LIVE_S = 3
VIEWS = {
    "assistant": ("models", "tools", "other_features"),
    "agents": ("agents",),
    "api": ("namespaces",),
}


@pytest.fixture(scope="module")
def stack() -> Iterator[WholeStack]:
    with whole_stack() as running:
        yield running


@pytest.fixture(scope="module")
def backfill() -> tuple[list[Past], Truth]:
    """The events that the command sends, and their expected sums."""
    cast = sized(list(companies(NUMBER)), EVENTS, read_at(AT), MONTHS_MAX, SERIES)
    pasts, truth = [past_of(1, company, read_at(AT), MONTHS_MAX) for company in cast], Truth()
    for past in pasts:
        for sending in past.sendings():
            truth.add(sending)
    return pasts, truth


def credits(micro: int) -> Decimal:
    return Decimal(micro).scaleb(-6)


def seen(stack: WholeStack, organizations: list[str]) -> tuple[dict[tuple[str, str], Decimal], Counter[str]]:
    """Credits by organization and product, and events by organization, of all time, from the breakdown."""
    amounts: dict[tuple[str, str], Decimal] = {}
    events: Counter[str] = Counter()
    for organization in organizations:
        for product, views in VIEWS.items():
            answers = [
                stack.get("breakdown", organization=organization, product=product, view=view, range="all")
                for view in views
            ]
            for answer in answers:
                assert sum(Decimal(row["credits"]) for row in answer["rows"]) == Decimal(answer["total"])
            amounts[organization, product] = sum((Decimal(answer["total"]) for answer in answers), Decimal(0))
            events[organization] += sum(answer["events"] for answer in answers)
    return amounts, events


def dispositions(stack: WholeStack) -> dict[str, int]:
    return dict(stack.get("proof", organization="org_sim_0000")["totals"])


def dead_letters(stack: WholeStack) -> list[dict[str, Any]]:
    dead: list[dict[str, Any]] = json.loads(stack.command("dlq", "ls", "--json"))["dead_letters"]
    return dead


async def test_backfill_comes_out_to_the_micro_credit_and_sent_again_changes_nothing(
    stack: WholeStack, backfill: tuple[list[Past], Truth]
) -> None:
    pasts, truth = backfill
    names = [past.company.id for past in pasts]
    counted = truth.uses.total() + truth.kinds[Kind.CORRECTION]
    assert all(truth.kinds[kind] for kind in Kind), truth.kinds

    stack.command(*BACKFILL)
    await eventually(lambda: dispositions(stack)["counted"] == counted, within_s=60, what=f"{counted} counted")
    check(stack, pasts, truth)
    first = dispositions(stack)
    assert first["held"] == 0
    assert first["rejected"] == truth.kinds[Kind.CONFLICT]
    assert truth.kinds[Kind.COPY_APART] <= first["duplicate"] <= truth.kinds[Kind.COPY_APART] + truth.kinds[Kind.COPY]

    await eventually(
        lambda: len(dead_letters(stack)) == truth.kinds[Kind.CONFLICT] + truth.kinds[Kind.MALFORMED],
        within_s=30, what="the dead letters",
    )  # fmt: skip
    dead = dead_letters(stack)
    contradicted = [each for each in dead if "used before with another payload" in each["reason"]]
    assert len(contradicted) == truth.kinds[Kind.CONFLICT]
    assert all(each["pointer"] for each in dead if each not in contradicted)
    assert {each["organization"] for each in dead} <= set(names)

    await check_alerts(stack, pasts)
    mails = mailed(stack)

    stack.command(*BACKFILL)
    await eventually(
        lambda: dispositions(stack)["duplicate"] >= first["duplicate"] + counted, within_s=60, what="the copies"
    )
    assert dispositions(stack)["counted"] == counted
    check(stack, pasts, truth)
    await check_alerts(stack, pasts)
    assert mailed(stack) == mails, "mailed again"


def mailed(stack: WholeStack) -> list[str]:
    return sorted(path.name for path in Path(stack.addresses["mailbox"]).glob("*.eml"))


async def check_alerts(stack: WholeStack, pasts: list[Past]) -> None:
    """Thirteen months arrive at once: the current level is announced, and ended months send no mail."""
    deliveries = 0
    for past in pasts:
        threshold = None
        if past.company.terms is not None:
            used, contracted = level(past)
            threshold = max((percent for percent in (75, 90, 100) if used * 100 >= contracted * percent), default=None)

        def announced(name: str = past.company.id, threshold: int | None = threshold) -> bool:
            return bool(stack.get("banner", organization=name)["threshold"] == threshold)

        await eventually(announced, what=f"the banner of {past.company.id} at {threshold}")
        alerts = stack.get("alerts", organization=past.company.id, limit="200")["alerts"]
        for alert in alerts:
            over_for = past.today - date.fromisoformat(alert["period"]["to"])
            assert alert["notification"] == "backfilled" or over_for < timedelta(days=4), alert
            assert alert["state"] == "met", alert
        deliveries += sum(len(alert["deliveries"]) for alert in alerts)
    await eventually(lambda: len(mailed(stack)) == deliveries, what=f"{deliveries} mails")


def check(stack: WholeStack, pasts: list[Past], truth: Truth) -> None:
    """Compare breakdown, overview and proof of every organization with the expected sums."""
    names = [past.company.id for past in pasts]
    amounts, events = seen(stack, names)
    assert amounts == {key: credits(truth.micro[key]) for key in amounts}
    assert events == truth.uses
    for past in pasts:
        overview = stack.get("overview", organization=past.company.id)
        if past.company.terms is None:
            assert overview["credits_available"] is None
            continue
        in_period = used_in(current_period(past.company.terms, past.today), past.used_by_day)
        assert {row["product"]: Decimal(row["used"]) for row in overview["products"]} == {
            product: credits(micro) for product, micro in in_period.items()
        }
        used, contracted = level(past)
        assert (Decimal(overview["credits_used"]), Decimal(overview["credits_available"])) == (
            credits(used), credits(contracted),
        )  # fmt: skip
        assert stack.get("proof", organization=past.company.id)["credits"]["equal"]


async def test_the_demos_usage_adds_exactly_its_expected_sums_and_its_company_is_below_90_percent(
    stack: WholeStack,
) -> None:
    """The companies of a backfill are in the same stack."""
    cast = HAND_WRITTEN[:DEMO_COMPANIES]
    names, truth = [company.id for company in cast], Truth()
    pasts = [past_of(2, company, read_at(AT), MONTHS_MAX) for company in cast]
    for past in pasts:
        for sending in past.sendings():
            truth.add(sending)
    for sending in Opening(2, pasts, LIVE_RATE).sendings(LIVE_S):
        truth.add(sending)
    dispositions_before = dispositions(stack)

    said = stack.command("simulate", "scenario", "--seed", "2", "--seconds", f"{LIVE_S}", "--at", AT).splitlines()
    [waited] = [line for line in said if line.startswith("everything is counted after")]
    assert said.index(waited) < len(said) - 3, "live usage waits until the past is counted"
    assert "organization org_demo, role super_admin, email ada@demo.example" in said[-2]
    assert said[-1] == f"{stack.origin}/"
    counted = truth.uses.total() + truth.kinds[Kind.CORRECTION]
    await eventually(
        lambda: dispositions(stack)["counted"] == dispositions_before["counted"] + counted,
        within_s=60,
        what=f"{counted} more",
    )
    after, events_after = seen(stack, names)
    assert after == {key: credits(truth.micro[key]) for key in after}
    assert events_after == truth.uses
    used, contracted = level(pasts[0])
    assert 89 * contracted <= 100 * used < 90 * contracted
    available = Decimal(stack.get("overview", organization="org_demo")["credits_available"])
    assert available == credits(contracted)
