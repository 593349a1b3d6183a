"""Notifies people when their usage meets a threshold: banners, mail, webhooks and Slack."""
