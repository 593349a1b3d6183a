"""The key of a credit period."""

from flexcredits_schemas.credit_periods import credit_period_key
from hypothesis import given
from hypothesis import strategies as st

ids = st.text(st.sampled_from("a/%25F2"), min_size=1, max_size=5)


def test_ordinary_ids_stand_in_a_key_as_they_are() -> None:
    assert credit_period_key("contract 2026", "year-1") == "contract 2026/year-1"
    assert credit_period_key("a/b", "50%") == "a%2Fb/50%25"


@given(ids, ids, ids, ids)
def test_no_two_credit_periods_share_a_key(contract: str, period: str, other_contract: str, other_period: str) -> None:
    same = credit_period_key(contract, period) == credit_period_key(other_contract, other_period)
    assert same == ((contract, period) == (other_contract, other_period))
    assert credit_period_key(contract, period).count("/") == 1
