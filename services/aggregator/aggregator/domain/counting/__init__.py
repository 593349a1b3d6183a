"""What counting needs besides decisions: copies of events, and the places, sums and results of columns."""
