"""Mappings: declared rules that turn events of foreign clients into usage. Pure."""
