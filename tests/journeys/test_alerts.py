"""Tests of alerts on the whole system: real requests cross thresholds, and each recipient is notified once."""

import email
import itertools
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from support.data.factories import contract, correction, event, organization, rfc3339, usage
from support.data.traces import credits_of, find_traces
from support.infra.full_stack import WholeStack, whole_stack
from support.infra.service_process import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
NOTIFIED_ROLES = ("admin", "billing_moderator", "super_admin")


@pytest.fixture(scope="module")
def stack() -> Iterator[WholeStack]:
    with whole_stack() as running:
        yield running


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return find_traces(tmp_path_factory.mktemp("traces"))


def mails_about(stack: WholeStack, name: str) -> list[EmailMessage]:
    """Mails in the mailbox for an organization's people, in order of arrival."""
    found = []
    for path in sorted(Path(stack.addresses["mailbox"]).glob("*.eml")):
        mail = email.message_from_bytes(path.read_bytes(), policy=default)
        assert isinstance(mail, EmailMessage)
        assert mail["X-Envelope-To"] == mail["To"], "one recipient, and the one in the header"
        if str(mail["To"]).endswith(f"@{name.replace('_', '-')}.example"):
            found.append(mail)
    return found


def history(stack: WholeStack, name: str) -> list[dict[str, Any]]:
    alerts: list[dict[str, Any]] = stack.get("alerts", organization=name)["alerts"]
    return alerts


def banner(stack: WholeStack, name: str) -> dict[str, Any]:
    return stack.get("banner", organization=name)


def replay(stack: WholeStack, traces: list[Path], name: str, percent: int) -> Decimal:
    """Replay the traces into a contract so that they use `percent` of it; returns the credits."""
    used = sum((credits_of(path)[0] for path in traces), Decimal(0))
    contracted = (used * 100 / percent).quantize(Decimal("0.000001"))
    stack.command("replay", "azure-llm", *traces, "--organization", name, "--contracted", str(contracted))
    return used


async def until_all_mailed(stack: WholeStack, name: str, threshold: int) -> None:
    def mailed() -> bool:
        alerts = history(stack, name)
        sent = all(at["state"] == "sent" for alert in alerts for at in alert["deliveries"])
        return sent and any(alert["threshold"] == threshold for alert in alerts)

    await eventually(mailed, within_s=60, what=f"all mails of {name}")


async def test_real_requests_that_cross_75_percent_raise_one_banner_and_mail_each_person_once(
    stack: WholeStack, traces: list[Path]
) -> None:
    used = replay(stack, traces, "org_three_quarters", 82)
    await until_all_mailed(stack, "org_three_quarters", 75)
    await eventually(lambda: Decimal(stack.get("overview", organization="org_three_quarters")["credits_used"]) == used)
    [alert] = history(stack, "org_three_quarters")
    assert (alert["threshold"], alert["episode"], alert["notification"], alert["state"]) == (75, 1, "sent", "met")
    assert alert["resolution"] is None
    now = banner(stack, "org_three_quarters")
    assert (now["active"], now["threshold"], now["fired_at"]) == (True, 75, alert["fired_at"])
    assert now["percent_used"] == stack.get("overview", organization="org_three_quarters")["percent_used"]
    mails = mails_about(stack, "org_three_quarters")
    assert sorted(str(mail["To"]) for mail in mails) == [
        f"{role}@org-three-quarters.example" for role in NOTIFIED_ROLES
    ]
    assert {str(mail["Subject"]).partition(" of")[0] for mail in mails} == {"You've used 82%"}
    assert [at["recipient"] for at in alert["deliveries"]] == sorted(str(mail["To"]) for mail in mails)
    assert {at["attempts"] for at in alert["deliveries"]} == {1}


async def test_with_all_three_crossed_no_threshold_mails_anyone_twice_and_every_crossing_is_in_the_history(
    stack: WholeStack, traces: list[Path]
) -> None:
    replay(stack, traces, "org_over", 104)
    await until_all_mailed(stack, "org_over", 100)
    alerts = history(stack, "org_over")
    assert [(alert["threshold"], alert["episode"]) for alert in reversed(alerts)] == [(75, 1), (90, 1), (100, 1)]
    mails = mails_about(stack, "org_over")
    assert len({mail["Message-ID"] for mail in mails}) == len(mails)
    mailed = [alert for alert in alerts if alert["notification"] == "sent"]
    assert Counter(str(mail["To"]) for mail in mails) == dict.fromkeys(
        (f"{role}@org-over.example" for role in NOTIFIED_ROLES), len(mailed)
    )
    assert banner(stack, "org_over")["threshold"] == 100
    assert banner(stack, "org_over")["products_over"] == []


async def test_a_correction_and_a_larger_contract_remove_the_banner_and_crossing_again_notifies_again(
    stack: WholeStack,
) -> None:
    def at(threshold: int | None) -> bool:
        return bool(banner(stack, "org_back")["threshold"] == threshold)

    admin = event("flexcredits.member.v1", {"email": "a@org-back.example", "role": "admin"}, subject="org_back")
    stack.post([organization("org_back"), contract("org_back", total="100"), admin])
    too_much = usage(credits="95", envelope={"subject": "org_back"})
    assert stack.post(too_much).status_code == 202
    await eventually(lambda: at(90), what="the banner at 90 %")
    stack.post(correction(too_much, "-10", subject="org_back"))
    await eventually(lambda: at(75), what="the banner at 75 %")
    stack.post(contract("org_back", total="1000"))
    await eventually(lambda: at(None), what="no banner")
    assert banner(stack, "org_back")["active"] is False
    stack.post(usage(credits="700", envelope={"subject": "org_back"}))
    await eventually(lambda: at(75), what="the banner again")
    await until_all_mailed(stack, "org_back", 75)
    assert [(a["threshold"], a["episode"], a["state"], a["notification"]) for a in reversed(history(stack, "org_back"))] == [
        (75, 1, "resolved", "bundled"), (90, 1, "resolved", "sent"), (75, 2, "met", "sent"),
    ]  # fmt: skip
    subjects = [str(mail["Subject"]).partition(" of")[0] for mail in mails_about(stack, "org_back")]
    assert subjects == ["You've used 95%", "You've used 78.5%"]


async def test_without_a_contract_nothing_alerts_and_ended_months_send_no_mail(stack: WholeStack) -> None:
    name, now = "org_backfill", datetime.now(UTC)
    first = (now.replace(day=1) - timedelta(days=200)).date().replace(day=1)
    months = [first]
    while months[-1] <= now.date():
        months.append((months[-1] + timedelta(days=32)).replace(day=1))
    periods = [
        {"id": f"{begin:%Y-%m}", "from": f"{begin}", "to": f"{end}", "total": "10"}
        for begin, end in itertools.pairwise(months)
    ]
    terms = {"contract_id": "monthly", "from": f"{months[0]}", "to": f"{months[-1]}", "credit_periods": periods}
    admin = event("flexcredits.member.v1", {"email": "a@org-backfill.example", "role": "admin"}, subject=name)
    stack.post([organization(name), event("flexcredits.contract.v1", terms, subject=name), admin])
    stack.post(
        [
            organization("org_free"),
            event("flexcredits.member.v1", {"email": "a@org-free.example", "role": "admin"}, subject="org_free"),
        ]
    )
    # The middle of each month that ended, so that none is less than 72 hours over.
    late = [datetime(begin.year, begin.month, 15, 12, tzinfo=UTC) for begin in months[:-2]]
    if (now.date() - months[-2]).days < 4:
        late = late[:-1]
    everything = [usage(credits="12", envelope={"subject": name, "time": rfc3339(at)}) for at in late]
    everything += [usage(credits="1000", envelope={"subject": "org_free"})]
    assert stack.post(everything).json()["accepted"] == len(everything)
    await eventually(lambda: Decimal(stack.get("overview", organization="org_free")["credits_used"]) == 1000)
    # A catalog event triggers an evaluation of the organization's whole history.
    stack.post(organization(name))
    await eventually(lambda: len(history(stack, name)) == 3 * len(late), within_s=60, what="the history")
    assert {alert["notification"] for alert in history(stack, name)} == {"backfilled"}
    assert mails_about(stack, name) == mails_about(stack, "org_free") == []
    assert banner(stack, name)["active"] is banner(stack, "org_free")["active"] is False
    assert history(stack, "org_free") == []
