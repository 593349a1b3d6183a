"""Output for operators: logs, probes and metrics, traces, the build."""
