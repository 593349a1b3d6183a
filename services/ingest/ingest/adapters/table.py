"""All protocols."""

from collections.abc import Sequence

from flexcredits_schemas.mapping.readers.otlp.reading import LOGS, METRICS, TRACES

from ingest.adapters import openmeter
from ingest.adapters.adapter import Adapter
from ingest.adapters.lago import LagoAdapter, LagoBatchAdapter
from ingest.adapters.litellm.adapter import LiteLlmAdapter
from ingest.adapters.native import NativeAdapter
from ingest.adapters.openmeter import OpenMeterAdapter
from ingest.adapters.otlp.adapter import OtlpAdapter


def adapters(events_max: int, event_bytes_max: int) -> Sequence[Adapter]:
    """An adapter for each protocol, for requests of at most `events_max` events."""
    return [
        NativeAdapter(events_max),
        OpenMeterAdapter(openmeter.V1, 204, events_max, event_bytes_max),
        OpenMeterAdapter(openmeter.V3, 202, events_max, event_bytes_max),
        *(OtlpAdapter(kind) for kind in (TRACES, LOGS, METRICS)),
        LiteLlmAdapter(events_max, event_bytes_max),
        LagoAdapter(events_max, event_bytes_max),
        LagoBatchAdapter(events_max, event_bytes_max),
    ]
