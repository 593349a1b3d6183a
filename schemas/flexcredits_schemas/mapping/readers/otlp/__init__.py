"""Spans, log records and metric points of OTLP, as the flat JSON that mappings point into. Pure."""
