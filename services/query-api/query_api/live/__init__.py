"""Server-sent updates of the overview and the banner."""
