"""All metrics of the query API, with units. No label is an organization, because their number is unbounded."""

from prometheus_client import Counter, Gauge, Histogram

REQUEST_SECONDS = Histogram(
    "flexcredits_query_api_request_seconds",
    "Seconds from a request's headers to the end of its response, by route template and HTTP status.",
    ["route", "status"],
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
REFUSED = Counter("flexcredits_query_api_refused_requests_total", "Requests refused, by problem type.", ["problem"])
KEY_FETCHES = Counter(
    "flexcredits_query_api_key_fetches_total",
    "Fetches of the identity provider's signing keys, by result.",
    ["result"],
)
KEYS_FETCHED_AT = Gauge(
    "flexcredits_query_api_keys_fetched_timestamp_seconds", "When the signing keys were last fetched, as Unix time."
)
EXPORTS = Counter(
    "flexcredits_query_api_exports_total",
    "File downloads, by result: complete, left (the client disconnected), failed (client too slow, or Postgres).",
    ["end"],
)
WATCHERS = Gauge("flexcredits_query_api_live_streams", "Open live streams.")
POLLS_FAILED = Counter(
    "flexcredits_query_api_live_failures_total",
    "Failed polls for live updates, by kind: waiting (Postgres is unavailable or busy), failed (one organization's data).",
    ["kind"],
)
for _kind in ("waiting", "failed"):
    POLLS_FAILED.labels(_kind)

_POOL_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15)
POOL_WAIT_SECONDS = Histogram(
    "flexcredits_query_api_pool_wait_seconds",
    "Seconds that a request waited for a connection that it got, by pool.",
    ["pool"],
    buckets=_POOL_BUCKETS,
)
STATEMENT_SECONDS = Histogram(
    "flexcredits_query_api_statement_seconds",
    "Seconds from sending a statement to Postgres to its result, by pool.",
    ["pool"],
    buckets=_POOL_BUCKETS,
)
POOLS = ("query-api", "query-api-long", "query-api-export")
for _pool in POOLS:
    POOL_WAIT_SECONDS.labels(_pool)
    STATEMENT_SECONDS.labels(_pool)

READS = Counter(
    "flexcredits_query_api_reads_total", "Reads of usage, by server, if there is a read replica.", ["server"]
)
for _server in ("primary", "replica"):
    READS.labels(_server)
REPLICA_LAG_SECONDS = Gauge(
    "flexcredits_query_api_replica_lag_seconds",
    "For how long the read replica lacks something that the primary has, as last checked; 0 without one.",
)
