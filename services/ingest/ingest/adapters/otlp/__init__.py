"""OTLP/HTTP: spans, log records and metrics of OpenTelemetry."""
