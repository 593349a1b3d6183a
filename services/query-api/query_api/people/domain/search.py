"""Finds names without regard to case and accents. Pure."""

import re
from collections.abc import Sequence
from functools import lru_cache
from unicodedata import normalize

LETTERS = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ħ": "h", "ŧ": "t", "ı": "i"}
)
"""Letters that Unicode does not decompose."""
MARKS = re.compile("[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]+")
"""Unicode's blocks of combining diacritical marks."""


def fold(text: str) -> str:
    return text.lower() if text.isascii() else _fold_letters(text)


@lru_cache(maxsize=50_000)  # 10 us each, and each search compares the same names
def _fold_letters(text: str) -> str:
    return MARKS.sub("", normalize("NFKD", text)).casefold().translate(LETTERS)


def words_of(search: str) -> list[str]:
    return fold(search).split()


def has_words(words: Sequence[str], *texts: str) -> bool:
    """Whether each of the words of words_of() is in one of the texts. Without words nothing is found."""
    folded = [fold(text) for text in texts]
    return bool(words) and all(any(word in text for text in folded) for word in words)
