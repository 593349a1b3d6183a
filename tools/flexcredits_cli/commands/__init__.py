"""The commands of ./flexcredits, one module each."""
