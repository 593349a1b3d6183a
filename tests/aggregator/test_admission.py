"""Which new attributions an organization may use in a month."""

from collections.abc import Collection
from datetime import UTC, date, datetime

from aggregator.domain.limits.admission import Admission, month_of
from aggregator.domain.people.attribution import NO_LABELS, OTHER_LABELS, Attribution
from hypothesis import given
from hypothesis import strategies as st

MONTH, NEXT = date(2026, 11, 1), date(2026, 12, 1)


def who(actor: str = "ana", labels: str = NO_LABELS, *, group: str = "", organization: str = "acme") -> Attribution:
    return Attribution(organization, "user" if actor else "", actor, group, labels)


def labelled(number: int, actor: str = "ana") -> Attribution:
    return who(actor, f'{{"request":"{number}"}}')


OTHER = who(labels=OTHER_LABELS)
ALL_OTHERS = Attribution("acme", "other", "", "", OTHER_LABELS)


def admit(
    keys: Collection[Attribution], used: int = 0, known: Collection[Attribution] = (), most: int = 3
) -> list[Attribution]:
    admission = Admission({("acme", MONTH): used}, known, most)
    return [admission.admit(key, MONTH) for key in keys]


def test_labels_beyond_the_limit_count_together_for_each_actor() -> None:
    keys = [labelled(number) for number in range(5)]
    assert admit(keys) == [*keys[:3], OTHER, OTHER]
    assert admit([*keys, labelled(1, "bob")], used=3) == [OTHER] * 5 + [who("bob", OTHER_LABELS)]


def test_people_without_labels_are_admitted_up_to_twice_the_limit() -> None:
    people = [who(f"u{number}") for number in range(8)]
    assert admit(people) == [*people[:6], ALL_OTHERS, ALL_OTHERS]


def test_labels_do_not_take_the_place_of_people() -> None:
    """A person whose labels differ each time takes one place more, however often."""
    keys = [labelled(number) for number in range(1_000)]
    assert admit([*keys, who("bob"), who("carl")])[-2:] == [who("bob"), who("carl")]


def test_what_stands_for_others_exists_once() -> None:
    assert admit([labelled(1)], used=6, known=[OTHER]) == [OTHER]
    assert admit([labelled(1)], used=6) == [ALL_OTHERS]
    admission = Admission({("acme", MONTH): 6}, [ALL_OTHERS], 3)
    assert admission.admit(labelled(1), MONTH) == ALL_OTHERS
    assert not admission.created


def test_each_organization_and_month_has_its_own_limit() -> None:
    admission = Admission({("acme", MONTH): 9}, [], 3)
    other = labelled(1)._replace(organization="globex")
    assert admission.admit(other, MONTH) == other
    assert admission.admit(labelled(2), NEXT) == labelled(2)
    assert admission.admit(labelled(3), MONTH) == ALL_OTHERS
    assert admission.folded == {("acme", MONTH): 1}


def test_the_month_is_that_of_the_receipt_in_utc() -> None:
    assert month_of(datetime(2026, 11, 30, 23, 59, tzinfo=UTC).timestamp()) == MONTH
    assert month_of(datetime(2026, 12, 1, tzinfo=UTC).timestamp()) == NEXT


parts = st.sampled_from(["", "a", "b", "c", "d", "e"])
attributions = st.builds(
    lambda actor, group, label: who(actor, f'{{"l":"{label}"}}' if label else NO_LABELS, group=group),
    parts,
    parts,
    parts,
)


@given(st.lists(attributions), st.integers(0, 4))
def test_rows_are_bounded_and_stand_for_what_they_are_given(keys: list[Attribution], most: int) -> None:
    admission = Admission({}, [], most)
    for key in keys:
        kept = admission.admit(key, MONTH)
        assert key.counts_as(kept[1:])
        assert kept in admission.created
        assert kept.actor_id in (key.actor_id, "")
    assert len(admission.created) <= 2 * most + 1
