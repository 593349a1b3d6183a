"""Every metric of the alerter, with its unit. No label names an organization, because their number is unbounded."""

from itertools import product
from typing import get_args

from flexcredits_schemas.alerts import AlertKind, AttemptOutcome, ChannelKind, Notification, Resolution, Rule
from prometheus_client import Counter, Gauge, Histogram

FIRINGS = Counter(
    "flexcredits_alerter_firings_total",
    "Thresholds met, by rule, kind and notification.",
    ["rule", "kind", "notification"],
)
RESOLVED = Counter(
    "flexcredits_alerter_resolved_total",
    "Firings that ended, by rule, kind and what ended them.",
    ["rule", "kind", "resolution"],
)
WAKEUPS = Counter(
    "flexcredits_alerter_evaluated_organizations_total", "Organizations evaluated, by trigger.", ["trigger"]
)
REQUESTS = Counter("flexcredits_alerter_mail_requests_total", "Tests and mails again that people asked for.", ["kind"])
UNREADABLE = Counter("flexcredits_alerter_unreadable_total", "Messages of usage.totals.v1 that name no organization.")
EVALUATION_SECONDS = Histogram(
    "flexcredits_alerter_evaluation_seconds", "Seconds that one evaluation of organizations takes.", ["trigger"]
)
EVALUATED_AT = Gauge(
    "flexcredits_alerter_evaluated_timestamp_seconds",
    "When the last evaluation ended, or this process began, by trigger, as Unix time.",
    ["trigger"],
)
MAILS = Counter("flexcredits_alerter_mail_attempts_total", "Attempts to send a mail, by how they ended.", ["outcome"])
MAIL_SECONDS = Histogram(
    "flexcredits_alerter_mail_seconds",
    "Seconds from a firing to the mail server's word that it has the mail.",
    buckets=(0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 30, 60, 300, 3600),
)
MAILS_PENDING = Gauge(
    "flexcredits_alerter_mails_pending", "Mails that are not sent yet. 10,000 stands for that many or more."
)
MAIL_OLDEST_SECONDS = Gauge("flexcredits_alerter_oldest_mail_seconds", "Age of the oldest mail that is not sent yet.")
DELIVERIES = Counter(
    "flexcredits_alerter_delivery_attempts_total",
    "Attempts to deliver to a channel, by its kind and outcome.",
    ["kind", "outcome"],
)
PUBLISHED = Counter("flexcredits_alerter_published_total", "Alert events that usage.alerts.v1 has.")
PROJECTIONS = Counter(
    "flexcredits_alerter_projections_total",
    "Periods whose projection was stored, by result: projected, or refused with the reason.",
    ["result"],
)
PROJECTION_SECONDS = Histogram(
    "flexcredits_alerter_projection_seconds",
    "Seconds in which the projections of one organization are computed.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
PROJECTIONS_WAITING = Gauge(
    "flexcredits_alerter_projections_waiting", "Organizations whose projection is due and not stored yet."
)

# Create every label set now, so that rate() counts the first increment. The sweep's time starts with the process.
EVALUATED_AT.labels("sweep").set_to_current_time()
for _outcome in get_args(AttemptOutcome):
    MAILS.labels(_outcome)
for _of_rule in product(get_args(Rule), get_args(AlertKind), get_args(Notification)):
    FIRINGS.labels(*_of_rule)
for _of_rule in product(get_args(Rule), get_args(AlertKind), get_args(Resolution)):
    RESOLVED.labels(*_of_rule)
for _labels in product(get_args(ChannelKind), get_args(AttemptOutcome)):
    DELIVERIES.labels(*_labels)
for _kind in ("test", "resend"):
    REQUESTS.labels(_kind)
for _trigger in ("totals", "wakeup", "sweep", "rollover", "retry", "left"):
    WAKEUPS.labels(_trigger)
QUARANTINED = Gauge("flexcredits_alerter_quarantined", "Organizations that are set aside, by step.", ["step"])
QUARANTINE_FAILURES = Counter(
    "flexcredits_alerter_quarantine_failures_total",
    "Failures for which an organization was set aside, or stays so, by step.",
    ["step"],
)
for _result in ("projected", "too_few_days", "days_missing", "usage_not_counted", "no_end"):
    PROJECTIONS.labels(_result)
for _step in ("evaluate", "wakeup", "project", "mail", "channel", "request", "publish"):
    QUARANTINED.labels(_step)
    QUARANTINE_FAILURES.labels(_step)
