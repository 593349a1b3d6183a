"""The parts of a change: they add up to it exactly, and each is what its formula in docs/explain.md says."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st
from query_api.explain.domain.decompose import LateUses, Lengths, People, decompose, find_movers
from query_api.explain.domain.items import PARTS, FeatureKey, ItemKey, Items, Part, PartKind, Person, Subject, Usage
from query_api.explain.domain.prices import PriceChange

MICRO = 1_000_000
SAME = Lengths(30, 30)


def item(feature: str, agent: str = "", product: str = "assistant") -> ItemKey:
    return ItemKey(FeatureKey(product, "tool", feature), agent)  # type: ignore[arg-type]


def used(**usage: tuple[int, int]) -> Items:
    """Uses and whole credits, by feature."""
    return {item(name): Usage(credits * MICRO, uses) for name, (uses, credits) in usage.items()}


def amounts(parts: dict[PartKind, Part]) -> dict[str, int]:
    return {kind: part.amount for kind, part in parts.items() if part.amount}


def test_more_uses_at_the_same_credits_per_use_are_volume() -> None:
    assert amounts(decompose(used(jira=(10, 20)), used(jira=(15, 30)), SAME)) == {"volume": 10 * MICRO}


def test_more_credits_per_use_are_intensity() -> None:
    assert amounts(decompose(used(jira=(10, 20)), used(jira=(10, 50)), SAME)) == {"intensity": 30 * MICRO}


def test_the_example_of_the_document() -> None:
    """900 searches of 1 credit and 100 researches of 21 become 1,300 of 1 and 200 of 22."""
    parts = decompose(
        used(search=(900, 900), research=(100, 2100)), used(search=(1300, 1300), research=(200, 4400)), SAME
    )
    assert amounts(parts) == {"volume": 1500 * MICRO, "mix": 1000 * MICRO, "intensity": 200 * MICRO}
    assert parts["intensity"].top(9)[0][0] == Subject("assistant", "tool", "research", "")
    assert [(subject.feature, each.amount // MICRO) for subject, each in parts["volume"].top(9)] == [("search", 1200), ("research", 300)]  # fmt: skip
    assert [(subject.feature, each.amount // MICRO) for subject, each in parts["mix"].top(9)] == [("research", 1800), ("search", -800)]  # fmt: skip


def test_a_shift_to_a_dearer_feature_is_mix() -> None:
    found = amounts(decompose(used(cheap=(10, 10), dear=(10, 90)), used(cheap=(5, 5), dear=(15, 135)), SAME))
    assert found == {"mix": 40 * MICRO}


def test_products_are_not_mixed_with_each_other() -> None:
    """A million cheap calls of the API do not raise the volume of the Assistant."""
    call = ItemKey(FeatureKey("api", "namespace", "search"), "")
    before, now = used(chat=(10, 1000)), used(chat=(10, 1000))
    found = decompose({**before, call: Usage(MICRO, 1000)}, {**now, call: Usage(3 * MICRO, 3000)}, SAME)
    assert amounts(found) == {"volume": 2 * MICRO}


def test_features_and_agents_of_one_range_only_are_new_or_gone() -> None:
    before: Items = {
        item("a"): Usage(5, 1),
        item("b", "x"): Usage(7, 1),
        item("c", "y"): Usage(11, 1),
        item("c"): Usage(1, 1),
    }
    now: Items = {item("d", "x"): Usage(13, 1), item("c", "z"): Usage(17, 1), item("c"): Usage(1, 1)}
    assert amounts(decompose(before, now, SAME)) == {
        "gone_features": -5 - 7, "new_features": 13, "gone_agents": -11, "new_agents": 17,
    }  # fmt: skip


def test_a_known_agent_that_begins_to_use_a_known_feature_is_mix() -> None:
    before: Items = {item("a", "x"): Usage(20, 10), item("b", "y"): Usage(40, 10)}
    now: Items = {item("a", "x"): Usage(20, 10), item("b", "y"): Usage(20, 5), item("b", "x"): Usage(20, 5)}
    assert sum(amounts(decompose(before, now, SAME)).values()) == 0
    assert not amounts(decompose(before, now, SAME)).keys() - {"volume", "mix"}


def test_corrections_are_a_part_of_their_own() -> None:
    before: Items = {item("a"): Usage(90, 10, corrections=-10)}
    now: Items = {item("a"): Usage(70, 10, corrections=-30)}
    assert amounts(decompose(before, now, SAME)) == {"corrections": -20}


def test_a_longer_range_has_a_part_for_its_days() -> None:
    found = amounts(decompose(used(a=(280, 280)), used(a=(310, 310)), Lengths(28, 31)))
    assert found == {"days": 30 * MICRO}


def test_a_contributor_has_its_whole_usage_also_of_items_that_add_nothing() -> None:
    before: Items = {item("a"): Usage(20, 10), item("gone", "x"): Usage(0, 3), item("gone", "y"): Usage(8, 4)}
    now: Items = {item("a"): Usage(30, 15), item("new"): Usage(50, 5), item("free"): Usage(0, 2)}
    found = decompose(before, now, Lengths(10, 20))
    [(of_days, days)] = found["days"].top(5)
    assert (of_days.product, days.credits_before, days.credits, days.uses_before, days.uses) == ("assistant", 28, 80, 17, 22)  # fmt: skip
    [(_, gone)] = found["gone_features"].top(5)
    assert (gone.credits_before, gone.uses_before) == (8, 7)
    assert [subject.feature for subject, _ in found["new_features"].top(5)] == ["new"]  # the free one adds nothing
    assert found["new_features"].rows == 1


def test_a_price_that_doubles_is_rate() -> None:
    key = FeatureKey("assistant", "tool", "a")
    doubled = {key: PriceChange(Fraction(1), Fraction(2))}
    assert amounts(decompose(used(a=(10, 10)), used(a=(10, 20)), SAME, prices=doubled)) == {"rate": 10 * MICRO}
    found = amounts(decompose(used(a=(10, 10)), used(a=(10, 30)), SAME, prices=doubled))
    assert found == {"rate": 15 * MICRO, "intensity": 5 * MICRO}
    free = {key: PriceChange(Fraction(1), Fraction(0))}
    assert amounts(decompose(used(a=(10, 10)), used(a=(10, 0)), SAME, prices=free)) == {"rate": -10 * MICRO}
    charged = {key: PriceChange(Fraction(0), Fraction(3))}
    assert amounts(decompose(used(a=(10, 0)), used(a=(10, 30)), SAME, prices=charged)) == {"rate": 30 * MICRO}


def test_uses_that_arrived_after_the_close_are_taken_out_of_volume() -> None:
    found = amounts(decompose(used(a=(10, 20)), used(a=(15, 30)), SAME, late={"assistant": LateUses(4, 1)}))
    assert found == {"volume": 16 * MICRO, "late": -6 * MICRO}


def test_people_of_one_range_only_are_new_or_gone() -> None:
    before, now = used(a=(10, 20)), used(a=(12, 26))
    people = People({Person("person", "ada"): used(a=(2, 4))}, {Person("person", "bob"): used(a=(4, 10))})
    found = decompose(before, now, SAME, people=people)
    assert amounts(found) == {"gone_people": -4 * MICRO, "new_people": 10 * MICRO}
    assert [subject.person for subject, _ in found["new_people"].top(5)] == [Person("person", "bob")]


usage = st.builds(Usage, st.integers(-5, 10**9), st.integers(0, 50), st.integers(-(10**6), 10**6))
features = st.builds(
    FeatureKey,
    st.sampled_from(["assistant", "agents", "api"]),
    st.sampled_from(["tool", "model"]),
    st.sampled_from("abc"),
)
keys = st.builds(ItemKey, features, st.sampled_from(["", "x", "y"]))
ranges = st.dictionaries(keys, usage, max_size=12)
prices = st.builds(PriceChange, *[st.fractions(0, 9, max_denominator=7)] * 2)


@given(
    ranges, ranges, st.integers(1, 40), st.integers(1, 40),
    st.dictionaries(features, prices),
    st.dictionaries(st.sampled_from(["assistant", "agents", "api"]), st.builds(LateUses, st.integers(0, 9), st.integers(0, 9))),
    st.dictionaries(st.builds(Person, st.just("person"), st.sampled_from("pq")), ranges), st.integers(0, 3),
)  # fmt: skip
def test_parts_and_contributions_add_up_to_the_change(
    before: Items, now: Items, days_before: int, days: int, price: dict[FeatureKey, PriceChange], late: dict[str, LateUses],
    people: dict[Person, Items], limit: int,
) -> None:  # fmt: skip
    found = decompose(before, now, Lengths(days_before, days), prices=price, late=late, people=People(people, people))
    change = sum(usage.credits for usage in now.values()) - sum(usage.credits for usage in before.values())
    assert tuple(found) == PARTS
    assert sum(part.amount for part in found.values()) == change
    for part in found.values():
        shown = part.top(limit)
        assert len(shown) == min(limit, part.rows)
        assert all(each.amount for _, each in shown)
        assert [abs(each.amount) for _, each in shown] == sorted((abs(each.amount) for _, each in shown), reverse=True)


@given(ranges, ranges, st.integers(0, 20))
def test_movers_are_the_items_with_the_largest_change(before: Items, now: Items, limit: int) -> None:
    def change(key: ItemKey) -> int:
        return now.get(key, Usage()).credits - before.get(key, Usage()).credits

    moved = sorted((key for key in before.keys() | now.keys() if change(key)), key=lambda key: (-abs(change(key)), key))
    found = find_movers(before, now, limit)
    assert [(each.amount, *subject[:4]) for subject, each in found] == [(change(key), *key.of_feature, key.agent) for key in moved[:limit]]  # fmt: skip
    assert all(each.amount == each.credits - each.credits_before for _, each in found)


@given(ranges, ranges)
def test_the_way_back_is_the_opposite_change(before: Items, now: Items) -> None:
    there, back = decompose(before, now, SAME), decompose(now, before, SAME)
    for kind, opposite in (
        ("new_features", "gone_features"),
        ("new_agents", "gone_agents"),
        ("corrections", "corrections"),
    ):
        assert there[kind].amount == -back[opposite].amount  # type: ignore[index]
    assert sum(part.amount for part in there.values()) == -sum(part.amount for part in back.values())
