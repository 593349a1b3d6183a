"""Every metric of ingest, with its unit. No label names an organization, because their number has no bound."""

from flexcredits_schemas.mapping.document import PROTOCOLS
from prometheus_client import Counter, Gauge, Histogram

from ingest.domain.acceptance import Reason

REQUESTS = Counter("flexcredits_ingest_requests_total", "Requests to the events endpoint by HTTP status.", ["status"])
REQUEST_SECONDS = Histogram(
    "flexcredits_ingest_request_seconds",
    "Seconds from a request's headers to its answer.",
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
REFUSED = Counter("flexcredits_ingest_refused_requests_total", "Requests refused whole, by problem type.", ["problem"])
EVENTS = Counter(
    "flexcredits_ingest_events_total", "Events answered one by one: accepted, duplicate or rejected.", ["result"]
)
REJECTED = Counter("flexcredits_ingest_rejected_events_total", "Rejected events by the kind of reason.", ["reason"])
FOREIGN_EVENTS = Counter(
    "flexcredits_ingest_foreign_events_total",
    "Events of foreign clients by protocol: mapped to usage, ignored by a rule, unplaced (a field has no valid value), "
    "unmapped (no rule matches), or rejected for another reason.",
    ["protocol", "result"],
)
IN_FLIGHT_BYTES = Gauge(
    "flexcredits_ingest_in_flight_bytes", "Bytes of bodies being read and of records not acknowledged yet."
)
UNAVAILABLE = Counter(
    "flexcredits_ingest_unavailable_total",
    "Requests answered with 503: Kafka gave no acknowledgement (OutcomeUnknown), nothing was written (NotAccepted), "
    "too many bytes in flight (OverBudget), or no answer from Postgres (KeysUnavailable).",
    ["cause"],
)
RECORDS_PER_BATCH = Histogram(
    "flexcredits_ingest_records_per_batch",
    "Records in a batch sent to Kafka.",
    buckets=(1, 10, 50, 100, 500, 1000, 5000),
)

# Initialise every label set to 0, so that `rate()` sees the first increment.
for _status in (200, 202, 204, 500, 503):
    REQUESTS.labels(_status)
for _reason in Reason:
    REJECTED.labels(_reason)
for _protocol in PROTOCOLS:
    for _result in ("mapped", "ignored", "unplaced", "unmapped", "rejected"):
        FOREIGN_EVENTS.labels(_protocol, _result)
