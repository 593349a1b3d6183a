"""Splits the data of a usage event at its amount, into a key and the amount with the `"}` after it.

`data` is a JSON object. `,"credits":"` in it is structure: the quote after the comma has no backslash, so it opens or
closes a string, and a string that ended there would be followed by a name without quotes. The amount after the last
such mark is then the value of the last member of its name, which is the one that counts, provided that it is digits up
to its quote. The same holds for a quantity.

The key of credits is what stands before the mark, if `"}` alone follows the amount.
"""

import re

CREDITS = b',"credits":"'
_QUANTITY = b',"quantity":"'
_AFTER_QUANTITY = re.compile(rb'\}|,"unit":"[^"]+"\}')
_NO_AMOUNT = b"", b""


def split_quantity(data: bytes) -> tuple[bytes, bytes]:
    """Key and amount of data without credits. The quantity is last, or only a unit follows; else both are empty.

    The key is what stands after the amount and before the mark. It begins with a quote, so no key of credits equals it.
    """
    before, found, tail = data.rpartition(_QUANTITY)
    amount, _, after = tail.partition(b'"')
    if not found or not _AFTER_QUANTITY.fullmatch(after):
        return _NO_AMOUNT
    return b'"' + after + before, amount + b'"}'
