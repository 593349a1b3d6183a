"""What a change is divided by: items with their usage in both ranges, parts, and contributions. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from flexcredits_schemas.events import FeatureKind, Product

from query_api.attributions.domain.tally import PeopleRowKind

PartKind = Literal[
    "days", "volume", "mix", "intensity", "rate", "new_features", "gone_features", "new_agents", "gone_agents", "new_people",
    "gone_people", "late", "corrections",
]  # fmt: skip

PARTS: tuple[PartKind, ...] = (
    "days", "volume", "mix", "intensity", "rate", "new_features", "gone_features", "new_agents", "gone_agents", "new_people",
    "gone_people", "late", "corrections",
)  # fmt: skip
"""In the order of the response and the chart."""

UNSAVED = "unsaved"
"""The id of all unsaved agents together."""


class FeatureKey(NamedTuple):
    product: Product
    feature_kind: FeatureKind
    feature: str


class ItemKey(NamedTuple):
    """A feature as one agent uses it; agent "" if usage names none."""

    of_feature: FeatureKey
    agent: str

    @property
    def product(self) -> Product:
        return self.of_feature.product


@dataclass(slots=True)
class Usage:
    """Of an item in one range. `credits` (micro-credits) include `corrections`; `uses` do not count them."""

    credits: int = 0
    uses: int = 0
    corrections: int = 0

    def add(self, credits: int, uses: int) -> None:
        self.credits += credits
        self.uses += uses

    @property
    def own(self) -> int:
        """Credits without corrections."""
        return self.credits - self.corrections


NO_USAGE = Usage()


class Person(NamedTuple):
    kind: PeopleRowKind
    id: str


class Subject(NamedTuple):
    """What a contribution is about. Fields that do not apply are None."""

    product: Product | None = None
    feature_kind: FeatureKind | None = None
    feature: str | None = None
    agent: str | None = None
    """"" for usage without an agent."""
    person: Person | None = None


@dataclass(slots=True)
class Contribution:
    """What a subject adds to a part, in micro-credits, and its usage in both ranges."""

    amount: int = 0
    credits_before: int = 0
    credits: int = 0
    uses_before: int = 0
    uses: int = 0

    def add(self, amount: int, before: Usage, now: Usage) -> None:
        self.amount += amount
        self.credits_before += before.credits
        self.credits += now.credits
        self.uses_before += before.uses
        self.uses += now.uses


@dataclass(slots=True)
class Part:
    """A part of the change. Its contributions add up to `amount`, except for `rest`, which has no subject."""

    contributions: dict[Subject, Contribution] = field(default_factory=dict)
    rest: int = 0

    def add(self, subject: Subject, amount: int, before: Usage, now: Usage) -> None:
        found = self.contributions.get(subject)
        if found is None:
            found = self.contributions[subject] = Contribution()
        found.add(amount, before, now)

    @property
    def amount(self) -> int:
        return self.rest + sum(each.amount for each in self.contributions.values())

    def top(self, limit: int) -> list[tuple[Subject, Contribution]]:
        """The contributions that are largest by amount, up or down; of equal ones in the order of their names."""
        ordered = sorted(self._moved, key=lambda each: (-abs(each[1].amount), order_of(each[0])))
        return ordered[:limit]

    @property
    def rows(self) -> int:
        """Number of contributions other than 0."""
        return len(self._moved)

    @property
    def _moved(self) -> list[tuple[Subject, Contribution]]:
        return [each for each in self.contributions.items() if each[1].amount]


def order_of(subject: Subject) -> tuple[str, ...]:
    person = subject.person or ("", "")
    return subject.product or "", subject.feature_kind or "", subject.feature or "", subject.agent or "", *person


Items = Mapping[ItemKey, Usage]
