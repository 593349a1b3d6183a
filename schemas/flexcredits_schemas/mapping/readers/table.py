"""The reader of each protocol, for adapters and for trying a mapping on one event."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from flexcredits_schemas.mapping.foreign import Foreign, Unreadable
from flexcredits_schemas.mapping.readers import lago, litellm, openmeter
from flexcredits_schemas.mapping.readers.otlp import reading as otlp

Read = Callable[[Any, bytes, datetime], Foreign | Unreadable]
"""Reads one event from the decoded JSON, its bytes, and the time of receipt."""

READERS: Mapping[str, Read] = {
    "openmeter": openmeter.read_event,
    "otlp_traces": otlp.read_trace,
    "otlp_logs": otlp.read_log,
    "otlp_metrics": otlp.read_metric,
    "litellm": litellm.read_event,
    "lago": lago.read_event,
}
"""By protocol."""
