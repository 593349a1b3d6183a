"""Splits the data of a usage event at its amount."""

import re

_CREDITS = b',"credits":"'
_QUANTITY = b',"quantity":"'
_AFTER_QUANTITY = re.compile(rb'\}|,"unit":"[^"]+"\}')

Split = tuple[bytes, bytes]


def split_data(data: bytes) -> Split | None:
    """Key and amount of usage data: the key is all of `data` but the amount, the amount has `"}` after it.

    `data` is a JSON object. `,"credits":"` in it is structure: the quote after the comma has no backslash, so it opens
    or closes a string, and a string that ended there would be followed by a name without quotes. The amount is then
    the value of the last member of its name, which is the one that counts, provided that it is digits up to its quote.

    Returns None for data of another form: the amount is neither last nor before a last unit, or it is not a string.
    """
    before, found, tail = data.rpartition(_CREDITS)
    if found:
        return before, tail
    return split_quantity(data)


def split_quantity(data: bytes) -> Split | None:
    """As split_data, for data without credits. Its keys begin with a quote, so that no key of credits equals them."""
    before, found, tail = data.rpartition(_QUANTITY)
    amount, _, after = tail.partition(b'"')
    if not found or not _AFTER_QUANTITY.fullmatch(after):
        return None
    return b'"' + after + before, amount + b'"}'
