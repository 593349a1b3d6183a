"""The program behind ./flexcredits: the local stack, operators' commands, and the usage generator."""
