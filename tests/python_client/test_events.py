"""What `record` writes is what the service takes, to the digit."""

import json
import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal, localcontext
from typing import Any

import pytest
from flexcredits_client.errors import InvalidUsage
from flexcredits_client.event import amount_of, encode_event, exact, new_id
from flexcredits_schemas.codec import decode
from flexcredits_schemas.events import Usage
from hypothesis import given
from hypothesis import strategies as st

ZONE = timezone(timedelta(hours=5, minutes=30))
MICRO = st.integers(1, 10**15 - 1).map(lambda micro: Decimal(micro).scaleb(-6))
NAMES = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=60)
WORDS = st.text("abcxyz_09", min_size=1, max_size=30)


def encode(amount: dict[str, Any] | None = None, **details: Any) -> bytes:
    amount = amount_of("1.25", None, None, None) if amount is None else amount
    return encode_event("/products/test", "org_acme", "assistant", "tool", "jira", amount, details)[1]  # type: ignore[arg-type]


def number(raw: Any) -> Decimal:
    """A number as the codec keeps it: its JSON."""
    return Decimal(json.loads(bytes(raw)))


@given(
    credits=MICRO, actor=NAMES, group=NAMES, run=NAMES, label=NAMES, surface=NAMES,
    at=st.integers(0, 4 * 10**15).map(lambda micro: datetime.fromtimestamp(0, ZONE) + timedelta(microseconds=micro)),
)  # fmt: skip
def test_the_service_reads_what_was_recorded(
    credits: Decimal, actor: str, group: str, run: str, label: str, surface: str, at: datetime
) -> None:
    event = decode(
        encode(
            amount_of(credits, None, None, None),
            actor=actor,
            group=group,
            run={"id": run, "parent_id": "wf"},
            labels={"cost_center": label},
            surface=surface,
            time=at,
            id="given",
        )
    )
    assert isinstance(event, Usage)
    assert (number(event.data.credits), event.time, event.id) == (credits, at, "given")
    assert event.data.actor
    assert event.data.run
    assert (event.data.actor.id, event.data.group, event.data.run.id, event.data.run.parent_id) == (actor, group, run, "wf")  # fmt: skip


@given(st.dictionaries(WORDS, MICRO, min_size=1, max_size=16))
def test_quantities_are_exact(quantities: dict[str, Decimal]) -> None:
    event = decode(encode(amount_of(None, None, None, quantities)))
    assert isinstance(event, Usage)
    assert {unit: number(raw) for unit, raw in event.data.quantities.items()} == quantities  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("number", "text"),
    [(1, "1"), ("1.250000", "1.25"), (Decimal("1E+3"), "1000"), ("0.000001", "0.000001"), ("1.0000000000", "1"), (" 7 ", "7")],
)  # fmt: skip
def test_numbers_are_written_as_the_service_takes_them(number: Any, text: str) -> None:
    with localcontext(prec=2):  # a program's own precision changes nothing
        assert exact(number, "credits") == text


@pytest.mark.parametrize(
    "credits", [0, -1, "0.0000001", Decimal("1e-999999"), 10**9, "1e999999", "NaN", "Infinity", "one", "", 1.5, True, None]
)  # fmt: skip
def test_numbers_that_no_service_takes_are_refused_at_once(credits: Any) -> None:
    with pytest.raises(InvalidUsage):
        amount_of(credits, None, None, None)


@pytest.mark.parametrize(
    "amount",
    [("1", "1", "tokens", None), ("1", None, "tokens", None), (None, "1", None, None), (None, None, "tokens", None),
     (None, None, None, {}), (None, None, None, {"tokens": 0}), ("1", None, None, {"tokens": 1})],
)  # fmt: skip
def test_exactly_one_form_of_amount_is_needed(amount: tuple[Any, ...]) -> None:
    with pytest.raises(InvalidUsage):
        amount_of(*amount)


@pytest.mark.parametrize(
    "details", [{"time": datetime.now(UTC).replace(tzinfo=None)}, {"actor": {"id": object()}}, {"surface": "\ud800"}, {"labels": {1: object()}}]
)  # fmt: skip
def test_what_is_not_json_is_refused_at_once(details: dict[str, Any]) -> None:
    with pytest.raises(InvalidUsage):
        encode(**details)


@pytest.mark.parametrize(
    "details",
    [{"actor": 4711}, {"run": 7}, {"group": 1}, {"surface": b"web"}, {"labels": [("a", "b")]}, {"agent": "agt_1"}, {"id": 4711},
     {"id": ""}, {"time": "2026-11-30"}, {"labels": {"a": float("nan")}}],
)  # fmt: skip
def test_a_detail_of_a_kind_that_no_service_takes_is_refused_at_once(details: dict[str, Any]) -> None:
    with pytest.raises(InvalidUsage, match=next(iter(details)) if "labels" not in details else "labels|JSON"):
        encode(**details)


@pytest.mark.parametrize("name", ["user", "actr", "feature_kind_", "label"])
def test_an_unknown_name_is_refused_at_once(name: str) -> None:
    """A typing error must not lose who used it."""
    with pytest.raises(TypeError, match=f"no field '{name}', only agent"):
        encode(**{name: "usr_1"})


def test_details_that_are_none_are_left_out() -> None:
    assert set(json.loads(encode(actor=None, run=None, labels=None, time=None, id=None, group=""))["data"]) == {
        "product", "feature_kind", "feature", "credits"}  # fmt: skip


def test_a_missing_name_is_refused_at_once() -> None:
    with pytest.raises(InvalidUsage, match="feature must be a text"):
        encode_event("/p", "org", "assistant", "tool", "", {"credits": "1"}, {})


def test_ids_are_version_7_and_follow_the_clock() -> None:
    before = datetime.now(UTC).timestamp()
    ids = [new_id() for _ in range(1000)]
    assert len(set(ids)) == 1000
    for each in ids:
        assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", each)
        assert before - 1 <= int(each.replace("-", "")[:12], 16) / 1000 <= datetime.now(UTC).timestamp()
