"""Test mails, and resending failed mails."""
