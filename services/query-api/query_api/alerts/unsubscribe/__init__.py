"""The unsubscribe link of a mail."""
