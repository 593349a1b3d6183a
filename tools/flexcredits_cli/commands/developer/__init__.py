"""Commands for running and developing FlexCredits on one machine."""
