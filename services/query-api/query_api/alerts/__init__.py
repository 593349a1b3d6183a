"""Alerts: banner, firings and their mails."""
