"""What the unsubscribe link of a mail carries: the alerter seals it, the query API opens it. Pure."""

from datetime import datetime, timedelta
from typing import NamedTuple

import jwt

from flexcredits_schemas.alerts import Rule

VALID_FOR = timedelta(days=365)
AUDIENCE = "flexcredits-unsubscribe"


class Unsubscription(NamedTuple):
    """Who no longer wants to be told, and of what."""

    organization: str
    rule: Rule
    recipient: str


class InvalidToken(Exception):
    """No token of ours, or one that has expired."""


def seal(what: Unsubscription, secret: str, written_at: datetime) -> str:
    """A token of the same characters for the same arguments, so that a mail's copies stay equal."""
    expires_at = int((written_at + VALID_FOR).timestamp())
    return jwt.encode({**what._asdict(), "aud": AUDIENCE, "exp": expires_at}, secret, "HS256")


def unseal(token: str, secret: str) -> Unsubscription:
    """Raises InvalidToken."""
    try:
        claims = jwt.decode(
            token, secret, ["HS256"], audience=AUDIENCE, options={"require": ["exp", *Unsubscription._fields]}
        )
    except jwt.InvalidTokenError as error:
        raise InvalidToken(str(error)) from error
    return Unsubscription._make(claims[field] for field in Unsubscription._fields)
