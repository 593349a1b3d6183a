"""The people of a generated company, and what each of them uses in one go. Pure."""
