"""Splits the data of a usage event: at its amount, into a key and the amount with the `"}` after it; and a key at what says
who used it.

`data` is a JSON object. `,"credits":"` in it is structure: the quote after the comma has no backslash, so it opens or
closes a string, and a string that ended there would be followed by a name without quotes. The amount after the last
such mark is then the value of the last member of its name, which is the one that counts, provided that it is digits up
to its quote. The same holds for a quantity, and the marks below.

The key of credits is what stands before the mark, if `"}` alone follows the amount.
"""

import re

CREDITS = b',"credits":"'
QUANTITY = b',"quantity":"'
_AFTER_QUANTITY = re.compile(rb'\}|,"unit":"[^"]+"\}')
_NO_AMOUNT = b"", b""
ACTOR = b',"actor":'
_GROUP, _LABELS, _RUN = b',"group":', b',"labels":', b',"run":{"id":"'
_RUN_BYTES = len(_RUN)
RunIds = tuple[bytes, bytes | None]
"""Ids of a run and of its parent; None: not given."""
_AFTER_RUN = re.compile(rb'([ !#-\[\]-~]{1,128})"(?:,"parent_id":"([ !#-\[\]-~]{1,128})")?\}').fullmatch


def split_quantity(data: bytes) -> tuple[bytes, bytes]:
    """Key and amount of data without credits. The quantity is last, or only a unit follows; else both are empty.

    The key is what stands after the amount and before the mark. It begins with a quote, so no key of credits equals it.
    """
    before, found, tail = data.rpartition(QUANTITY)
    amount, _, after = tail.partition(b'"')
    if not found or not _AFTER_QUANTITY.fullmatch(after):
        return _NO_AMOUNT
    return b'"' + after + before, amount + b'"}'


def split_who(data: bytes, amount_at: int) -> tuple[int, int, RunIds | None] | None:
    """The places in data of the members before the amount that say who used it: the attribution from the first to the
    second place, and the run from there to the amount. None if there is neither, or if a run is not the last member or
    has an unusual form.

    The ids of a run are ASCII without quotes, backslashes and control characters, so each is its own text, and valid in
    the lengths that match. Any mark of an actor, a group or labels may be the first place: Heads.learn accepts no head
    that names one, and Heads.learn_attribution nothing else.
    """
    end, run = data.rfind(_RUN, 0, amount_at), None
    if end < 0:
        end = amount_at
    else:
        found = _AFTER_RUN(data, end + _RUN_BYTES, amount_at)
        if found is None:
            return None
        run = found[1], found[2]
    begin = data.rfind(ACTOR, 0, end)
    if begin < 0:
        begin = data.find(_GROUP, 0, end)
        if begin < 0:
            begin = data.find(_LABELS, 0, end)
        if begin < 0:
            return None if run is None else (end, end, run)
    return begin, end, run
