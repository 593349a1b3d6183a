"""Validates mail addresses of additional recipients, so strictly that no mail program can misread them. Pure."""

from email_validator import EmailNotValidError, validate_email


class InvalidAddress(Exception):
    """The message says what is wrong, for people."""


def key_of(text: str) -> str:
    """Normalized address for comparison: lower case, the domain in ASCII (IDNA). Raises InvalidAddress.

    The part before the @ must be ASCII, as not all mail servers accept more, and not quoted.
    """
    if "=?" in text:
        # Valid by its characters, but also an encoded word (RFC 2047), which mail programs may decode to other text.
        raise InvalidAddress("An address that contains =? is not accepted.")
    try:
        valid = validate_email(text, check_deliverability=False, allow_smtputf8=False, strict=True)
    except EmailNotValidError as error:
        raise InvalidAddress(str(error)) from None
    domain = text.rpartition("@")[2].lower()
    if domain not in (
        valid.domain,
        valid.ascii_domain,
    ):  # the address is stored as entered, so it must be entered in normal form
        raise InvalidAddress(f"Write the part after the @-sign as {valid.ascii_domain}.")
    return f"{valid.local_part}@{valid.ascii_domain}".lower()
