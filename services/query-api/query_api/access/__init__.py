"""Authorization: application state, policies of routes, and the audit log."""
