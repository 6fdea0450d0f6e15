"""The words that somebody looks for → those of many texts in which all of them stand, or words that come near."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from difflib import get_close_matches
from functools import partial

from anyascii import anyascii

MOST_FOUND = 50  # sessions that one answer lists
_LONGEST = 200
_MOST_MISSED = 3  # words that are looked for among all others, since each takes some milliseconds among thousands
_ALIKE = 0.66  # of two words, so much must agree; two of three characters of a Chinese name do

_WORD = re.compile(r"\w(?:[\w-]*\w)?")
_MARKS = re.compile("[\u0300-\u036f]")
_LETTERS = re.compile("[\u00c0-\u024f]")  # of Latin that are no letter with a mark: ł, ø, ı


def plain(text: str) -> str:
    """The text without distinction of case, width and accents, as texts and what is looked for in them are compared."""
    if text.isascii():
        return text.casefold()
    bare = _MARKS.sub("", unicodedata.normalize("NFKD", text).casefold())
    return _LETTERS.sub(lambda letter: anyascii(letter[0]), bare)


def read_aloud(name: str) -> str:
    """The name as it is typed on an English keyboard: 王宇航 as `wangyuhang`, by the usual one of its readings."""
    return anyascii(name).casefold()


def words_of(asked: str) -> tuple[str, ...]:
    """The words to be looked for, each once. Chinese has no spaces between words, so what is typed together is one."""
    return tuple(dict.fromkeys(plain(asked[:_LONGEST]).split()))


def holds(text: str, words: tuple[str, ...]) -> bool:
    """Whether every one of the words stands in the text, both `plain`."""
    return all(word in text for word in words)


def vocabulary(text: str) -> frozenset[str]:
    """The words of a `plain` text without the marks around them."""
    return frozenset(_WORD.findall(text))


def nearest(words: tuple[str, ...], known: Iterable[str]) -> tuple[str, ...]:
    """The words, with those that stand in no known one put as the known one that comes nearest; () without any such."""
    known = set(known)
    missed = [word for word in words if not any(word in one for one in known)]
    if not 0 < len(missed) <= _MOST_MISSED:
        return ()
    near = {word: get_close_matches(word, filter(partial(_may_be, word), known), 1, _ALIKE) for word in missed}
    return tuple(near[word][0] if word in near else word for word in words) if all(near.values()) else ()


def _may_be(word: str, other: str) -> bool:
    """Whether it is worth a closer look; of thousands of words only some are."""
    return abs(len(word) - len(other)) <= 2 and (word[0] == other[0] or word[-1] == other[-1])
