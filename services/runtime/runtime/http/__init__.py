"""HTTP: the server, and problems (RFC 9457)."""
