"""Of many rules, the one that applies is found by the text that they want."""

from typing import Any

import msgspec
from flexcredits_schemas.mapping.apply import Ignored, Mapping
from flexcredits_schemas.mapping.document import Rule
from flexcredits_schemas.mapping.foreign import Unplaced
from flexcredits_schemas.mapping.rules import CompiledRule
from hypothesis import given
from hypothesis import strategies as st
from support.data.mappings import foreign

conditions = st.one_of(
    st.builds(lambda at, text: {"at": at, "is": text}, st.sampled_from(["/a", "/b"]), st.sampled_from(["x", "y", "", 1, None])),
    st.builds(lambda at, texts: {"at": at, "in": texts}, st.sampled_from(["/a", "/b"]), st.lists(st.sampled_from(["x", "y", "z", True]), min_size=1, max_size=2)),
    st.builds(lambda at, exists: {"at": at, "exists": exists}, st.sampled_from(["/a", "/b"]), st.booleans()),
)  # fmt: skip


@given(
    st.lists(st.lists(conditions, max_size=3), min_size=4, max_size=9),
    st.dictionaries(st.sampled_from("ab"), st.sampled_from(["x", "y", "z", "other", "", 1, True, None, ["x"], {}])),
)
def test_the_first_rule_that_matches_is_found_among_many(whens: list[Any], event: dict[str, Any]) -> None:
    rules = [{"name": f"rule {number}", "protocol": "openmeter", "when": when, "ignore": True} for number, when in enumerate(whens)]  # fmt: skip
    compiled = [CompiledRule(msgspec.convert(rule, Rule), "") for rule in rules]
    expected = next((Ignored(rule.name) for rule in compiled if rule.matches(event)), None)
    try:
        found: Any = Mapping("acme", compiled).place("openmeter", foreign(event))
    except Unplaced:
        found = None
    assert found == expected


def test_rules_that_want_another_text_are_not_evaluated() -> None:
    rules = [
        {"name": text, "protocol": "openmeter", "when": [{"at": "/type", "is": text}], "ignore": True}
        for text in "abcde"
    ]
    rules.insert(2, {"name": "all", "protocol": "openmeter", "when": [{"at": "/late", "exists": True}], "ignore": True})
    compiled = [CompiledRule(msgspec.convert(rule, Rule), "") for rule in rules]
    mapping = Mapping("acme", compiled)
    assert mapping.place("openmeter", foreign({"type": "e"})) == Ignored("e")
    assert mapping.place("openmeter", foreign({"type": "e", "late": 1})) == Ignored("all")
    assert mapping.place("openmeter", foreign({"type": "a", "late": 1})) == Ignored("a")
    assert mapping.place("openmeter", foreign({"type": 5, "late": 1})) == Ignored("all")
    evaluated = mapping._rules["openmeter"]._by_text["e"]
    assert [rule.name for rule in evaluated] == ["all", "e"]
