"""What was used."""
