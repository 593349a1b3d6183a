"""The format of API keys, and when a key is valid."""

import re
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ingest.domain.keys import BASE62, Scope, StoredKey, is_valid, mint_key, parse_key

NOW = datetime(2026, 11, 22, tzinfo=UTC)
SCOPE = Scope(frozenset({"org_acme"}), frozenset({"assistant"}))


def test_key_is_recognised_by_scanners_and_holds_its_own_id() -> None:
    key, key_id, secret_sha256 = mint_key("production")
    assert re.fullmatch(r"fc_production_[0-9A-Za-z]{12}_[0-9A-Za-z]{43}_[0-9A-Za-z]{6}", key)
    parsed = parse_key(key)
    assert parsed is not None
    assert parsed[0] == key_id
    assert sha256(parsed[1].encode()).digest() == secret_sha256
    assert mint_key("production")[0] != key


@given(st.integers(0, 200), st.sampled_from(BASE62 + "_- \n"))
def test_mistyped_key_is_turned_away(position: int, character: str) -> None:
    key, _, _ = mint_key("local")
    position %= len(key)
    mistyped = key[:position] + character + key[position + 1 :]
    assert (parse_key(mistyped) is None) == (mistyped != key)


@pytest.mark.parametrize("text", ["", "fc_local", "fc_local_a_b_c", "x" * 1_000_000, "fc_LOCAL_" + "0" * 70])
def test_anything_else_is_no_key(text: str) -> None:
    assert parse_key(text) is None


@pytest.mark.parametrize("environment", ["", "Local", "a_b", "x" * 21])
def test_environment_is_a_plain_word(environment: str) -> None:
    with pytest.raises(ValueError, match="environment"):
        mint_key(environment)


@pytest.mark.parametrize(
    ("expires_at", "revoked_at", "expected"),
    [
        (None, None, True),
        (NOW + timedelta(seconds=1), None, True),
        (NOW, None, False),
        (None, NOW - timedelta(seconds=1), False),
        (None, NOW + timedelta(days=1), False),
    ],
)
def test_key_counts_until_it_expires_or_is_revoked(
    expires_at: datetime | None, revoked_at: datetime | None, expected: bool
) -> None:
    stored = StoredKey("id", sha256(b"secret").digest(), SCOPE, expires_at, revoked_at)
    assert is_valid(stored, "secret", NOW) is expected
    assert not is_valid(stored, "Secret", NOW)


def test_unknown_key_never_counts() -> None:
    assert not is_valid(None, "", NOW)
