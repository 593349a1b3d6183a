"""Projection of a daily series to the end of a period: pure, with numpy only. docs/forecast.md explains the method."""
