"""What the machine offers: folders for state, ports, certificate authorities."""
