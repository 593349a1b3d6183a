"""Usage as columns: decodes the usual records many at a time. The exact path in domain/decode.py reads all others."""
