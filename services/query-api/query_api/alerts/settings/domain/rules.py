"""What admins may set: thresholds, a monthly budget, and additional recipients. Pure."""

import re
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Literal, NamedTuple

from flexcredits_schemas.alerts import Rule as RuleName
from flexcredits_schemas.credits import micro_of

from query_api.alerts.domain.email_address import InvalidAddress, key_of

Kind = Literal["recurring", "one_time"]

THRESHOLDS_MAX = 10
PERCENT_MAX = 200
ADDRESSES_MAX = 50
CREDITS_BELOW = 10**12

_DEFAULT = (75, 90, 100)
_CREDITS = re.compile(r"\d{1,12}(\.\d{1,6})?", re.ASCII)
_EXACT_DIGITS = 15
"""Of a JSON number: parsers of every language read back as many as were written (RFC 8259, 6)."""


class Recipients(NamedTuple):
    """Addresses beside those of the role holders; they are kept while the list is off."""

    is_on: bool = False
    addresses: Sequence[str] = ()


class Rule(NamedTuple):
    """Thresholds in percent, and additional recipients."""

    thresholds: Sequence[int] = _DEFAULT
    recipients: Recipients = Recipients()


class Budget(NamedTuple):
    """Micro-credits for a calendar month. `resumes` are those of the months after a one-time one."""

    kind: Kind
    credits: int
    month: date | None = None
    resumes: int | None = None


class AskedBudget(NamedTuple):
    """A budget as somebody wants it; micro-credits, which count for nothing while it is not enabled."""

    enabled: bool
    kind: Kind
    credits: int | None
    rule: Rule


class AlertSettings(NamedTuple):
    """As they are stored. Version 0 is what holds as long as nobody has saved anything."""

    version: int = 0
    updated_at: datetime | None = None
    updated_by: str = ""
    usage: Rule = Rule()
    budget: Rule = Rule()
    recurring_credits: int | None = None
    once_credits: int | None = None
    once_month: date | None = None

    def budget_in(self, month: date) -> Budget | None:
        """The budget of a month, which is given by its first day."""
        if self.once_credits is not None and self.once_month == month:
            return Budget("one_time", self.once_credits, month, self.recurring_credits)
        return Budget("recurring", self.recurring_credits) if self.recurring_credits is not None else None

    def changed_to(self, usage: Rule, budget: AskedBudget, month: date) -> "AlertSettings":
        """What is stored once this is saved in `month`: a one-time budget leaves the recurring one to resume after it."""
        recurring, once = None, None
        if budget.enabled and budget.kind == "one_time":
            recurring, once = self.recurring_credits, budget.credits
        elif budget.enabled:
            recurring = budget.credits
        return self._replace(
            usage=usage,
            budget=budget.rule,
            recurring_credits=recurring,
            once_credits=once,
            once_month=None if once is None else month,
        )

    def rule(self, name: RuleName) -> Rule:
        return self.usage if name == "usage" else self.budget

    def without(self, name: RuleName, address: str) -> "AlertSettings":
        """Settings in which this rule no longer mails the address; removing the last one turns the list off."""
        rule = self.rule(name)
        left = [other for other in rule.recipients.addresses if other.lower() != address.lower()]
        if len(left) == len(rule.recipients.addresses):
            return self
        rule = rule._replace(recipients=Recipients(rule.recipients.is_on and bool(left), left))
        return self._replace(usage=rule) if name == "usage" else self._replace(budget=rule)


class Mistake(NamedTuple):
    """What is wrong, and where: a JSON pointer (RFC 6901)."""

    pointer: str
    detail: str


def find_mistakes(usage: Rule | None, budget: AskedBudget | None) -> list[Mistake]:
    """What a schema cannot say: all of it at once, for a form that shows it beside its fields."""
    mistakes: list[Mistake] = []
    if usage is not None:
        mistakes += _mistakes_of(usage, "/usage")
    if budget is not None:
        mistakes += _mistakes_of(budget.rule, "/monthly_budget")
        if budget.enabled and not budget.credits:
            mistakes.append(Mistake("/monthly_budget/credits", "A monthly budget must be more than zero."))
        if budget.enabled and not budget.rule.thresholds:
            mistakes.append(Mistake("/monthly_budget/thresholds", "A monthly budget needs a threshold."))
    return mistakes


def _mistakes_of(rule: Rule, pointer: str) -> Iterator[Mistake]:
    for at, threshold in enumerate(rule.thresholds):
        if threshold in rule.thresholds[:at]:
            yield Mistake(f"{pointer}/thresholds/{at}", f"{threshold} % is there twice.")
    pointer += "/additional_recipients/addresses"
    if rule.recipients.is_on and not rule.recipients.addresses:
        yield Mistake(pointer, "Enter an address, or turn additional recipients off.")
    seen: set[str] = set()
    for at, address in enumerate(rule.recipients.addresses):
        try:
            key = key_of(address)
        except InvalidAddress as error:
            yield Mistake(f"{pointer}/{at}", str(error))
            continue
        if key in seen:
            yield Mistake(f"{pointer}/{at}", f"{address} is there twice.")
        seen.add(key)


def read_credits(amount: object) -> int:
    """Micro-credits of a decimal string or a JSON number. Raises ValueError, whose text is for people."""
    text = amount if isinstance(amount, str) else ""
    if isinstance(amount, int | float) and not isinstance(amount, bool):
        number = Decimal(repr(amount))
        if number.is_finite() and number >= 0:
            text = f"{abs(number):f}"
            if isinstance(amount, float) and len(number.as_tuple().digits) > _EXACT_DIGITS:
                raise ValueError("A number of so many digits is not exact: send it as a string.")
            text = text.rstrip("0").rstrip(".") if "." in text else text
    if not _CREDITS.fullmatch(text):
        raise ValueError("Credits are a number of at most 12 digits, and at most six after the point.")
    return micro_of(text)


def everybody_told(role_holders: Sequence[str], recipients: Recipients) -> list[str]:
    """Whom an alert is mailed to: each once, however they are written, sorted."""
    everybody = {address.lower(): address for address in (recipients.addresses if recipients.is_on else ())}
    everybody |= {address.lower(): address for address in role_holders}
    return [everybody[key] for key in sorted(everybody)]
