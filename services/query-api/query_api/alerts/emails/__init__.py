"""Test mails, and mails that are sent again."""
