"""The line of a mail about when credits run out, and mails about projected use."""

from typing import Any

import pytest
from alerter.email.outlook import outlook_of
from alerter.email.text import describe

from .test_message import CONFIG, bodies, budget_context, context, message_with, text_of

DATES = {"p10": "2027-01-03", "p50": "2027-01-09", "p90": "2027-01-12"}


@pytest.mark.parametrize(
    ("projection", "line"),
    [
        (
            DATES,
            "Your credits are projected to run out between Jan 3, 2027 and Jan 12, 2027, most likely on Jan 9, 2027.",
        ),
        (
            {"p10": "2026-12-03", "p50": "2026-12-09", "p90": "2026-12-19"},
            "Your credits are projected to run out between Dec 3 and Dec 19, most likely on Dec 9.",
        ),
        (dict.fromkeys(DATES, "2026-12-09"), "Your credits are projected to run out on Dec 9."),
        (
            DATES | {"p90": None},
            "Your credits are projected to run out around Jan 9, 2027, at the earliest on Jan 3, 2027, or not in this period.",
        ),
        (
            {"p10": "2026-12-03", "p50": None, "p90": None},
            "Your credits are projected to last until the credit period ends, but may run out as early as Dec 3.",
        ),
        (dict.fromkeys(DATES), "Your credits are projected to last until the credit period ends."),
        (
            {"refusal": "A projection needs 14 complete days since the first use; there are 3."},
            "No run-out date is projected: a projection needs 14 complete days since the first use; there are 3.",
        ),
        (None, ""),
    ],
)
def test_the_line_says_when_credits_run_out_or_why_no_date_is_known(
    projection: dict[str, Any] | None, line: str
) -> None:
    at = context(kind="used", projection=projection)
    assert outlook_of(at) == line
    text, html = bodies(message_with(**at))
    assert line in text
    assert line in text_of(html)


def test_a_mail_of_an_earlier_version_has_no_line() -> None:
    assert outlook_of(context()) == ""


def test_a_budget_runs_out_too() -> None:
    at = budget_context(projection=dict.fromkeys(DATES))
    assert outlook_of(at) == "Your November 2026 budget is projected to last until the month ends."


@pytest.mark.parametrize(
    ("of", "threshold", "headline", "line"),
    [
        (context, 100, "Your credits are projected to run out around Jan 9, 2027", "Your credits are projected to run out between"),
        (context, 90, "Your use is projected to pass 90% of your credits around Jan 9, 2027", "Use is projected to pass 90% between"),
        (budget_context, 100, "Your November 2026 budget is projected to run out around Jan 9, 2027", "Your November 2026 budget is"),
        (budget_context, 120, "Your use is projected to pass 120% of your November 2026 budget around", "Use is projected to pass 120%"),
    ],
)  # fmt: skip
def test_a_mail_about_projected_use_has_the_date_in_its_subject(
    of: Any, threshold: int, headline: str, line: str
) -> None:
    at = of(kind="projected", threshold=threshold, projection=DATES, passed_on=DATES)
    described = describe(at, CONFIG.dashboard_url)
    assert described["subject"].startswith(headline)
    assert described["thresholds"] == f"{threshold}% (projected)"
    assert described["outlook"].startswith(line)
    text, html = bodies(message_with(**at))
    assert headline in text
    assert headline in text_of(html)
