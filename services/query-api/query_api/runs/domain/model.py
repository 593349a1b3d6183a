"""Runs and their uses, as read from Postgres. Pure. Credits are micro-credits."""

from datetime import datetime
from typing import NamedTuple

from flexcredits_schemas.events import FeatureKind, Product


class RunRecord(NamedTuple):
    """A row of usage_runs. Empty text: no parent, no agent; attribution 0: none."""

    run: bytes
    run_id: str
    parent_id: str
    credits: int
    events: int
    first_at: datetime
    last_at: datetime
    agent_id: str
    attribution_id: int


class AgentSums(NamedTuple):
    """Runs of an agent; p50 and p95 are credits of a run, by nearest rank."""

    agent_id: str
    runs: int
    credits: int
    events: int
    p50: int
    p95: int


class Use(NamedTuple):
    """A use of a run. `corrected` is the sum of its corrections, None without any."""

    ledger_bucket: int
    identity: bytes
    occurred_at: datetime
    credits: int
    corrected: int | None
    held: bool
    product: Product
    feature_kind: FeatureKind
    feature: str
    agent_id: str
    surface: str
