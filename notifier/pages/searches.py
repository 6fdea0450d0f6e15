"""The words that somebody looks for → those of many texts in which all of them stand."""

from __future__ import annotations

import unicodedata

MOST_FOUND = 50  # sessions that one answer lists
_LONGEST = 200


def plain(text: str) -> str:
    """The text without distinction of case and width, as texts and what is looked for in them are compared."""
    return unicodedata.normalize("NFKC", text).casefold()


def words_of(asked: str) -> tuple[str, ...]:
    """The words to be looked for, each once. Chinese has no spaces between words, so what is typed together is one."""
    return tuple(dict.fromkeys(plain(asked[:_LONGEST]).split()))


def holds(text: str, words: tuple[str, ...]) -> bool:
    """Whether every one of the words stands in the text, both `plain`."""
    return all(word in text for word in words)
