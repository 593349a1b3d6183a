"""Decimals of events: exact, with at most six places."""

import re
from decimal import Context, Decimal

from msgspec import Raw

from flexcredits_schemas.credits import MICRO

is_canonical = re.compile(rb'"(?=[^"]*[1-9])(?:0|[1-9]\d{0,8})(?:\.\d{1,6})?"').fullmatch
"""Matches an amount that canonical_decimal would not change, whatever its options."""
_PLAIN = re.compile(rb'"?(-?)(\d{1,12})(?:\.(\d{1,6}))?"?')
_NUMBER = re.compile(rb"-?\d{1,1000}(?:\.\d{1,1000})?(?:[eE][+-]?\d{1,9})?")
_EXACT = Context(prec=3000)  # more digits than _NUMBER accepts, so that no value is rounded


def micro(amount: Raw) -> int:
    """Micro-credits (or millionths of a unit) of a canonical decimal, exactly."""
    whole, _, fraction = bytes(amount).strip(b'"').partition(b".")
    value = int(whole) * MICRO
    return value - int(fraction.ljust(6, b"0")) if whole[:1] == b"-" else value + int(fraction.ljust(6, b"0"))


def canonical_decimal(amount: Raw, *, signed: bool = False, zero: bool = False, digits: int = 12) -> Raw:
    """The decimal as a plain JSON string without leading zeros and with at most 6 places. Raises ValueError."""
    text = bytes(amount)
    quoted = text[:1] == b'"'
    found = _PLAIN.fullmatch(text)
    if found is None or quoted != (text[-1:] == b'"'):
        # The number may have an exponent (json.dumps(0.000001) is 1e-06, str(Decimal("1e3")) is 1E+3) or trailing zeros.
        found = _PLAIN.fullmatch(_without_exponent(text[1:-1] if quoted else text))
    if found is None:
        raise ValueError("not a decimal number with at most 6 places, in range")
    sign, whole, fraction = found.groups(b"")
    if len(whole) > digits or (sign and not signed):
        raise ValueError("out of range")
    whole = whole.lstrip(b"0") or b"0"
    if not zero and whole == b"0" and not fraction.strip(b"0"):
        raise ValueError("must not be 0")
    return Raw(b'"%s%s.%s"' % (sign, whole, fraction)) if fraction else Raw(b'"%s%s"' % (sign, whole))


def _without_exponent(number: bytes) -> bytes:
    """The number in plain digits; empty if it is not a number. Raises ValueError if it has more than 6 places."""
    if not _NUMBER.fullmatch(number):
        return b""
    try:
        value = Decimal(number.decode())
        if not -1000 <= value.adjusted() < 13:  # before any arithmetic: it overflows at exponents of a million
            return b""
        value = value.normalize(_EXACT)
    except ArithmeticError:
        return b""
    plain = f"{value:f}"
    if len(plain.partition(".")[2]) > 6:
        # Typical for sums and products of floats: 0.1 + 0.2 is 0.30000000000000004. The sender must decide how to round.
        example = f"{value:.6f}" if abs(value) > Decimal("0.0000005") else "0.000001"
        raise ValueError(
            f'more than 6 decimal places. Round it to 6 places and send a decimal string, such as "{example}"'
        )
    return plain.encode()
