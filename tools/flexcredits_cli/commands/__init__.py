"""The commands of ./flexcredits, a module each."""
