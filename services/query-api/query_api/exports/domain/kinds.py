"""Types of columns in files. Pure."""

from collections.abc import Mapping
from typing import Literal

Kind = Literal["text", "json", "instant", "day", "cost", "credits", "sum", "count", "flag", "share"]
"""A cost has 12 decimal places, because it is a product of two amounts with 6. `credits`: a quantity or a price, with 6.
A sum adds up several amounts of a contract, each of which may be the largest.
A share has 6 places and no limit, because the whole may be near 0."""

Columns = Mapping[str, Kind]
"""Kinds by name, in the order of the file."""
