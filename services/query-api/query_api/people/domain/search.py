"""Finds names without regard to case and accents. Pure."""

from collections.abc import Sequence
from unicodedata import combining, normalize

LETTERS = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ħ": "h", "ŧ": "t", "ı": "i"}
)
"""Letters that Unicode does not decompose."""


def fold(text: str) -> str:
    if text.isascii():
        return text.lower()
    letters = "".join(each for each in normalize("NFKD", text) if not combining(each))
    return letters.casefold().translate(LETTERS)


def words_of(search: str) -> list[str]:
    return fold(search).split()


def has_words(words: Sequence[str], *texts: str) -> bool:
    """Whether each of the words of words_of() is in one of the texts. Without words nothing is found."""
    folded = [fold(text) for text in texts]
    return bool(words) and all(any(word in text for text in folded) for word in words)
