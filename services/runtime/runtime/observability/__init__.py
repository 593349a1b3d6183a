"""What operators see: logs, probes and metrics, traces, the build."""
