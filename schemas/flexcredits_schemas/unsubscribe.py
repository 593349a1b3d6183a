"""Tokens in unsubscribe links of mails: the alerter signs them, the query API verifies them. Pure."""

from datetime import datetime, timedelta
from typing import NamedTuple

import jwt

from flexcredits_schemas.alerts import Rule

VALID_FOR = timedelta(days=365)
AUDIENCE = "flexcredits-unsubscribe"


class Unsubscription(NamedTuple):
    """The recipient, and the organization's rule to unsubscribe from."""

    organization: str
    rule: Rule
    recipient: str


class InvalidToken(Exception):
    """The token is invalid or has expired."""


def seal(what: Unsubscription, secret: str, written_at: datetime) -> str:
    """A token; the same arguments give the same token, so that copies of a mail are equal."""
    expires_at = int((written_at + VALID_FOR).timestamp())
    return jwt.encode({**what._asdict(), "aud": AUDIENCE, "exp": expires_at}, secret, "HS256")


def unseal(token: str, secret: str) -> Unsubscription:
    """Verify a token. Raises InvalidToken."""
    try:
        claims = jwt.decode(
            token, secret, ["HS256"], audience=AUDIENCE, options={"require": ["exp", *Unsubscription._fields]}
        )
    except jwt.InvalidTokenError as error:
        raise InvalidToken(str(error)) from error
    return Unsubscription._make(claims[field] for field in Unsubscription._fields)
