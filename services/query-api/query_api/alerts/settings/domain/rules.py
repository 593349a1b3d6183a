"""Alert settings and their validation: thresholds, monthly budget, additional recipients. Pure."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Literal, NamedTuple

from flexcredits_schemas.alerts import Rule as RuleName
from flexcredits_schemas.credits import micro_of

from query_api.alerts.domain.email_address import InvalidAddress, key_of
from query_api.alerts.domain.firings import PassedOn

BudgetKind = Literal["recurring", "one_time"]

THRESHOLDS_MAX = 10
PERCENT_MAX = 200
ADDRESSES_MAX = 50
CREDITS_BELOW = 10**12

_DEFAULT = (75, 90, 100)
_CREDITS = re.compile(r"\d{1,12}(\.\d{1,6})?", re.ASCII)
_EXACT_DIGITS = 15
"""Significant digits of a JSON number that all parsers preserve (RFC 8259, section 6)."""


class Recipients(NamedTuple):
    """Addresses in addition to role holders. They are stored even while the list is off."""

    is_on: bool = False
    addresses: Sequence[str] = ()


class RuleSettings(NamedTuple):
    """Thresholds in percent of use and of projected use, and additional recipients."""

    thresholds: Sequence[int] = _DEFAULT
    recipients: Recipients = Recipients()
    projected: Sequence[int] | None = ()
    """None in a request: as saved before."""

    def filled_from(self, saved: "RuleSettings") -> "RuleSettings":
        return self._replace(projected=saved.projected) if self.projected is None else self


class RuleProjection(NamedTuple):
    """The last projection of a rule's period, for its projected thresholds and 100 %; or the reason why it was refused."""

    contract_id: str
    period_id: str
    day: date
    passed_on: Mapping[int, PassedOn]
    refusal: str | None
    detail: str | None


class Budget(NamedTuple):
    """Micro-credits for a calendar month. `resumes` is the recurring budget after a one-time one."""

    kind: BudgetKind
    credits: int
    month: date | None = None
    resumes: int | None = None


class NewBudget(NamedTuple):
    """A requested budget. `credits` is in micro-credits and ignored unless enabled."""

    enabled: bool
    kind: BudgetKind
    credits: int | None
    rule: RuleSettings


class AlertSettings(NamedTuple):
    """Stored settings. Version 0: the defaults, not saved yet."""

    version: int = 0
    updated_at: datetime | None = None
    updated_by: str = ""
    usage: RuleSettings = RuleSettings()
    budget: RuleSettings = RuleSettings()
    recurring_credits: int | None = None
    once_credits: int | None = None
    once_month: date | None = None

    def budget_in(self, month: date) -> Budget | None:
        """The budget of a month, given as its first day."""
        if self.once_credits is not None and self.once_month == month:
            return Budget("one_time", self.once_credits, month, self.recurring_credits)
        return Budget("recurring", self.recurring_credits) if self.recurring_credits is not None else None

    def changed_to(self, usage: RuleSettings, budget: NewBudget, month: date) -> "AlertSettings":
        """The settings after saving these in `month`. A one-time budget keeps the recurring one, which resumes after it."""
        recurring, once = None, None
        if budget.enabled and budget.kind == "one_time":
            recurring, once = self.recurring_credits, budget.credits
        elif budget.enabled:
            recurring = budget.credits
        return self._replace(
            usage=usage.filled_from(self.usage),
            budget=budget.rule.filled_from(self.budget),
            recurring_credits=recurring,
            once_credits=once,
            once_month=None if once is None else month,
        )

    def rule(self, name: RuleName) -> RuleSettings:
        return self.usage if name == "usage" else self.budget

    def without(self, name: RuleName, address: str) -> "AlertSettings":
        """Settings without this address in the rule. Removing the last address turns the list off."""
        rule = self.rule(name)
        left = [other for other in rule.recipients.addresses if other.lower() != address.lower()]
        if len(left) == len(rule.recipients.addresses):
            return self
        rule = rule._replace(recipients=Recipients(rule.recipients.is_on and bool(left), left))
        return self._replace(usage=rule) if name == "usage" else self._replace(budget=rule)


class Mistake(NamedTuple):
    """A validation error and its place as a JSON pointer (RFC 6901)."""

    pointer: str
    detail: str


def find_mistakes(usage: RuleSettings | None, budget: NewBudget | None) -> list[Mistake]:
    """All mistakes that a JSON Schema cannot express, for a form that shows them beside its fields."""
    mistakes: list[Mistake] = []
    if usage is not None:
        mistakes += _mistakes_of(usage, "/usage")
    if budget is not None:
        mistakes += _mistakes_of(budget.rule, "/monthly_budget")
        if budget.enabled and not budget.credits:
            mistakes.append(Mistake("/monthly_budget/credits", "A monthly budget must be more than zero."))
        if budget.enabled and not budget.rule.thresholds and not budget.rule.projected:
            mistakes.append(Mistake("/monthly_budget/thresholds", "A monthly budget needs a threshold."))
    return mistakes


def _mistakes_of(rule: RuleSettings, pointer: str) -> Iterator[Mistake]:
    for name, thresholds in (("thresholds", rule.thresholds), ("projected_thresholds", rule.projected or ())):
        for at, threshold in enumerate(thresholds):
            if threshold in thresholds[:at]:
                yield Mistake(f"{pointer}/{name}/{at}", f"{threshold} % is listed twice.")
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
            yield Mistake(f"{pointer}/{at}", f"{address} is listed twice.")
        seen.add(key)


def read_credits(amount: object) -> int:
    """Parse a decimal string or JSON number to micro-credits. Raises ValueError with a message for people."""
    text = amount if isinstance(amount, str) else ""
    if isinstance(amount, int | float) and not isinstance(amount, bool):
        number = Decimal(repr(amount))
        if number.is_finite() and number >= 0:
            text = f"{abs(number):f}"
            if isinstance(amount, float) and len(number.as_tuple().digits) > _EXACT_DIGITS:
                raise ValueError("A number with this many digits is not exact: send it as a string.")
            text = text.rstrip("0").rstrip(".") if "." in text else text
    if not _CREDITS.fullmatch(text):
        raise ValueError("Enter a number with at most 12 digits before and six after the decimal point.")
    return micro_of(text)


def mail_recipients(role_holders: Sequence[str], recipients: Recipients) -> list[str]:
    """Recipients of an alert: role holders and additional ones, without duplicates (ignoring case), sorted."""
    by_key = {address.lower(): address for address in (recipients.addresses if recipients.is_on else ())}
    by_key |= {address.lower(): address for address in role_holders}
    return [by_key[key] for key in sorted(by_key)]
