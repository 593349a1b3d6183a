"""The description of the API, as the code makes it."""
