"""Mail addresses that people put on a list: such that no mail program can take one for anything else. Pure."""

from email_validator import EmailNotValidError, validate_email


class InvalidAddress(Exception):
    """Its text says what is wrong, for people."""


def key_of(text: str) -> str:
    """The form by which addresses are compared: small letters, and the domain in ASCII. Raises InvalidAddress.

    The name before the @ is ASCII, because not every mail server takes another, and never quoted.
    """
    if "=?" in text:
        # Letter by letter a valid name, and an encoded word (RFC 2047), which mail programs decode into anything.
        raise InvalidAddress("An address that contains =? is not accepted.")
    try:
        valid = validate_email(text, check_deliverability=False, allow_smtputf8=False, strict=True)
    except EmailNotValidError as error:
        raise InvalidAddress(str(error)) from None
    domain = text.rpartition("@")[2].lower()
    if domain not in (valid.domain, valid.ascii_domain):  # it is kept as it is given, so it must be given plainly
        raise InvalidAddress(f"Write the part after the @-sign as {valid.ascii_domain}.")
    return f"{valid.local_part}@{valid.ascii_domain}".lower()
