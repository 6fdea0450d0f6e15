"""A text as it was typed → the same in paragraphs, without the line breaks that an editor put in to fit its window."""

from __future__ import annotations

import itertools
import re
import unicodedata

# An editor wraps between these columns. Shorter lines were meant to end there, and a longer one is a paragraph.
_NARROWEST, _WIDEST = 56, 132
_begins_an_item = re.compile(r"[-*•·–]\s|\(?(?:[0-9]{1,2}|[a-z])[.)、]\s?|\[[0-9]+\]|\s").match


def unwrapped(text: str) -> str:
    """The text with each wrapped line joined to the next; empty lines, lists and lines that end early stay.

    Lines are joined by a space, and by nothing between Chinese characters.
    """
    if "\n" not in text:
        return text
    lines = text.split("\n")
    joined = lines[:1]
    for before, line in itertools.pairwise(lines):
        if not line or _begins_an_item(line) or not _NARROWEST <= _columns(before) <= _WIDEST:
            joined.append(line)
        else:
            joined[-1] += line if _is_wide(before[-1]) and _is_wide(line[0]) else f" {line}"
    return "\n".join(joined)


def _columns(line: str) -> int:
    return sum(2 if _is_wide(character) else 1 for character in line)


def _is_wide(character: str) -> bool:
    return unicodedata.east_asian_width(character) in "WF"
