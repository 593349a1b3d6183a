"""Divides a change into parts, by prices, volumes and mix. Formulas and reasons: docs/explain.md. Pure.

Each number of an item is rounded half to even to a micro-credit where it is made, and the next one is what is left. So the parts
add up to the change exactly, and so do the contributions to each part.
"""

from collections.abc import Collection, Mapping
from heapq import nsmallest
from typing import NamedTuple

from flexcredits_schemas.credits import round_half_even

from query_api.explain.domain.items import (
    NO_USAGE,
    PARTS,
    Contribution,
    FeatureKey,
    ItemKey,
    Items,
    Part,
    PartKind,
    Person,
    Subject,
    Usage,
)
from query_api.explain.domain.prices import PriceChange


class Lengths(NamedTuple):
    """Days that have begun, of the earlier and of the later range."""

    before: int
    now: int

    def scale(self, micro: int) -> int:
        """What the earlier range would have used in as many days as the later one."""
        return micro if self.before == self.now else round_half_even(micro * self.now, self.before)


class LateUses(NamedTuple):
    """Uses that were received after the last day of the range."""

    before: int
    now: int


class People(NamedTuple):
    """Usage, in the earlier range, of people who are not in the later one; and the other way round. Part of the items'."""

    gone: Mapping[Person, Items]
    new: Mapping[Person, Items]


NO_PEOPLE = People({}, {})


def decompose(
    before: Items, now: Items, lengths: Lengths, *, prices: Mapping[FeatureKey, PriceChange] | None = None,
    late: Mapping[str, LateUses] | None = None, people: People = NO_PEOPLE,
) -> dict[PartKind, Part]:  # fmt: skip
    """The parts of the change from `before` to `now`, all of PARTS. `late` by product."""
    parts: dict[PartKind, Part] = {kind: Part() for kind in PARTS}
    keys = sorted(before.keys() | now.keys())
    for key in keys:
        add_days_and_corrections(parts, key, before.get(key, NO_USAGE), now.get(key, NO_USAGE), lengths)
    compared = find_compared(parts, keys, before, now, lengths)
    add_people(parts, compared, lengths, people)
    by_product: dict[str, list[ItemKey]] = {}
    for key in compared:
        by_product.setdefault(key.product, []).append(key)
    averages = find_averages(compared.values())
    for product, items in by_product.items():
        pairs = {key: compared[key] for key in items}
        add_compared(parts, pairs, before, now, lengths, prices or {}, averages, (late or {}).get(product))
    return parts


class Pair(NamedTuple):
    """Credits without corrections and uses of an item in both ranges; `scaled` are those before, in days of the later one."""

    key: ItemKey
    own_before: int
    scaled: int
    own: int
    uses_before: int
    uses: int


def subject_of(key: ItemKey) -> Subject:
    return Subject(*key.of_feature, key.agent)


def add_days_and_corrections(
    parts: Mapping[PartKind, Part], key: ItemKey, before: Usage, now: Usage, lengths: Lengths
) -> None:
    scaled = lengths.scale(before.corrections)
    if lengths.before != lengths.now:
        parts["days"].add(Subject(key.product), lengths.scale(before.own) + scaled - before.credits, before, now)
    if corrections := now.corrections - scaled:
        parts["corrections"].add(subject_of(key), corrections, before, now)


def find_compared(
    parts: Mapping[PartKind, Part], keys: Collection[ItemKey], before: Items, now: Items, lengths: Lengths
) -> dict[ItemKey, Pair]:
    """The items of features and agents that both ranges used. Adds the others to their parts."""
    used_before, used_now = Used.of(before), Used.of(now)
    compared: dict[ItemKey, Pair] = {}
    for key in keys:
        then, later = before.get(key, NO_USAGE), now.get(key, NO_USAGE)
        scaled = lengths.scale(then.own)
        kind = classify(key, used_before, used_now)
        if kind is None:
            compared[key] = Pair(key, then.own, scaled, later.own, then.uses, later.uses)
        else:
            is_feature = kind in ("new_features", "gone_features")
            subject = Subject(*key.of_feature) if is_feature else Subject(agent=key.agent)
            parts[kind].add(subject, later.own - scaled, then, later)
    return compared


class Used(NamedTuple):
    """Features and agents with at least one use in a range."""

    features: frozenset[FeatureKey]
    agents: frozenset[str]

    @classmethod
    def of(cls, items: Items) -> "Used":
        used = [key for key, usage in items.items() if usage.uses]
        return cls(frozenset(key.of_feature for key in used), frozenset(key.agent for key in used))


def classify(key: ItemKey, before: Used, now: Used) -> PartKind | None:
    """The part of an item whose feature or else agent only one range used; None if both used them."""
    feature, agent = key.of_feature, key.agent
    if (feature in before.features) != (feature in now.features):
        return "new_features" if feature in now.features else "gone_features"
    if agent and (agent in before.agents) != (agent in now.agents):
        return "new_agents" if agent in now.agents else "gone_agents"
    return None


def add_people(parts: Mapping[PartKind, Part], compared: dict[ItemKey, Pair], lengths: Lengths, people: People) -> None:
    """Move the usage of gone and new people out of the items that are compared."""
    for person, items in people.gone.items():
        for key, usage in items.items():
            if pair := compared.get(key):
                scaled = lengths.scale(usage.credits)
                parts["gone_people"].add(Subject(person=person), -scaled, usage, NO_USAGE)
                compared[key] = pair._replace(
                    own_before=pair.own_before - usage.credits, scaled=pair.scaled - scaled,
                    uses_before=pair.uses_before - usage.uses,
                )  # fmt: skip
    for person, items in people.new.items():
        for key, usage in items.items():
            if pair := compared.get(key):
                parts["new_people"].add(Subject(person=person), usage.credits, NO_USAGE, usage)
                compared[key] = pair._replace(own=pair.own - usage.credits, uses=pair.uses - usage.uses)


def find_averages(pairs: Collection[Pair]) -> dict[FeatureKey, tuple[int, int]]:
    """Credits and uses of each feature in the earlier range."""
    averages: dict[FeatureKey, tuple[int, int]] = {}
    for pair in pairs:
        credits, uses = averages.get(pair.key.of_feature, (0, 0))
        averages[pair.key.of_feature] = credits + pair.own_before, uses + pair.uses_before
    return averages


OF_COMPARED: tuple[PartKind, ...] = ("volume", "mix", "rate", "intensity")


def add_compared(
    parts: Mapping[PartKind, Part], pairs: Mapping[ItemKey, Pair], before: Items, now: Items, lengths: Lengths,
    prices: Mapping[FeatureKey, PriceChange], averages: Mapping[FeatureKey, tuple[int, int]], late: LateUses | None,
) -> None:  # fmt: skip
    """Volume, mix, intensity, rate and late usage of the items of one product."""
    credits = sum(pair.own_before for pair in pairs.values())
    uses = sum(pair.uses_before for pair in pairs.values())
    for key, pair in pairs.items():
        more = pair.uses * lengths.before - pair.uses_before * lengths.now
        volume = round_half_even(more * credits, lengths.before * uses) if uses > 0 else 0
        own, of = (pair.own_before, pair.uses_before) if pair.uses_before > 0 else averages[key.of_feature]
        expected = round_half_even(pair.uses * own, of) if of > 0 else 0
        rate = price_effect(pair.own, expected, prices.get(key.of_feature))
        subject, then, later = subject_of(key), before.get(key, NO_USAGE), now.get(key, NO_USAGE)
        for kind, amount in zip(
            OF_COMPARED, (volume, expected - pair.scaled - volume, rate, pair.own - expected - rate), strict=True
        ):
            if amount:
                parts[kind].add(subject, amount, then, later)
    if late is not None and uses > 0:
        more = late.now * lengths.before - late.before * lengths.now
        if amount := round_half_even(more * credits, lengths.before * uses):
            parts["late"].add(Subject(next(iter(pairs)).product), amount, NO_USAGE, NO_USAGE)
            parts["volume"].rest -= amount


def price_effect(own: int, expected: int, price: PriceChange | None) -> int:
    """What the credits would differ at the earlier price. Of usage that became free, all that it cost before."""
    if price is None or price.before == price.now:
        return 0
    if not price.now:
        return own - expected
    at_earlier_price = own * price.before / price.now
    return own - round_half_even(at_earlier_price.numerator, at_earlier_price.denominator)


def find_movers(before: Items, now: Items, limit: int) -> list[tuple[Subject, Contribution]]:
    """The items whose credits changed most, up or down; `amount` is the change."""
    moved = []
    for key in before.keys() | now.keys():
        if change := now.get(key, NO_USAGE).credits - before.get(key, NO_USAGE).credits:
            moved.append((-abs(change), key, change))
    top = []
    for _, key, change in nsmallest(limit, moved):  # of equal ones in the order of their names
        contribution = Contribution()
        contribution.add(change, before.get(key, NO_USAGE), now.get(key, NO_USAGE))
        top.append((subject_of(key), contribution))
    return top
