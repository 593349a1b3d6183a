"""Webhooks and Slack."""
