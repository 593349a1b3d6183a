"""Commands for the person who runs or changes FlexCredits on one machine."""
