"""Sentences about when credits or a budget run out, in American English. Pure."""

from collections.abc import Mapping
from datetime import date, datetime

from flexcredits_schemas.zones import zone_of

from alerter.domain.mails import MessageContext
from alerter.domain.projected import RUN_OUT

Dates = Mapping[str, str | None]
"""p10, p50 and p90 as ISO dates."""


def outlook_of(context: MessageContext) -> str:
    """When the credits run out, or why no date is known; with the dates of a projected threshold. Empty: nothing to say."""
    sentences = []
    if context.get("passed_on") and context["threshold"] != RUN_OUT:
        what = f"Use is projected to pass {context['threshold']}%"
        sentences.append(f"{what} {when(context, context['passed_on'])}.")
    if projection := context.get("projection"):
        sentences.append(run_out(context, projection))
    return " ".join(sentences)


def run_out(context: MessageContext, projection: Dates) -> str:
    what, period = "Your credits are", "the credit period"
    if context["rule"] == "budget":
        what, period = f"Your {month_of(context)} budget is", "the month"
    if detail := projection.get("refusal"):
        return f"No run-out date is projected: {detail[0].lower()}{detail[1:]}"
    if projection["p50"]:
        return f"{what} projected to run out {when(context, projection)}."
    sentence = f"{what} projected to last until {period} ends"
    if projection["p10"]:
        return f"{sentence}, but may run out as early as {day_of(context, projection['p10'])}."
    return f"{sentence}."


def when(context: MessageContext, dates: Dates) -> str:
    """The middle date with its range, after a verb."""
    early, middle, late = (day_of(context, dates[name]) for name in ("p10", "p50", "p90"))
    if not late:
        return f"around {middle}, at the earliest on {early}, or not in this period"
    return f"on {middle}" if early == late else f"between {early} and {late}, most likely on {middle}"


def projected_headline(context: MessageContext) -> str:
    around = f"around {day_of(context, context['passed_on']['p50'])}"
    of = f"your {month_of(context)} budget" if context["rule"] == "budget" else "your credits"
    if context["threshold"] == RUN_OUT:
        verb = "is" if context["rule"] == "budget" else "are"
        return f"{of[0].upper()}{of[1:]} {verb} projected to run out {around}"
    return f"Your use is projected to pass {context['threshold']}% of {of} {around}"


def month_of(context: MessageContext) -> str:
    return f"{date.fromisoformat(context['period']['from']):%B %Y}"


def day_of(context: MessageContext, day: str | None) -> str:
    """Feb 9, with the year if it is not that of the mail. Empty for None."""
    if day is None:
        return ""
    at, on = datetime.fromisoformat(context["at"]).astimezone(zone_of(context["time_zone"])), date.fromisoformat(day)
    return f"{on:%b} {on.day}" if on.year == at.year else f"{on:%b} {on.day}, {on.year}"
