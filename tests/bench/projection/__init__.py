"""Backtest of the projection: simulated companies and stretched traces, scored beside other methods."""
