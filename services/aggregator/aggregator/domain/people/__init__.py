"""Who is behind a use, and the runs that uses belong to."""
