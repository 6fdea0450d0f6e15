"""How a page ends → why it seems to have been cut off there, if it does.

A page is read while it is written, or its transfer breaks: what is left often still reads as a page. A list that lost
its end must not take the place of the last good one, so a page has to end in something that can be seen to be whole.
"""

from __future__ import annotations

import re
from collections import Counter

from notifier.errors import Problem
from notifier.talklists.parts.blocks import Block
from notifier.talklists.parts.dates import When
from notifier.talklists.parts.fields import URL, Field, is_sentence_end
from notifier.talklists.parts.labels import LINKS, PROSE, Kind

_OPENED = re.compile(r"<(html|body)[\s>]", re.IGNORECASE)
_PAIRED = re.compile(r"<(/?)(div|table|tr|td|ul|ol|section|article|main|span|strong|b|a|em|i)\b", re.IGNORECASE)
_TAIL = 5000  # characters at the end of a document, in which it is closed
_WHOLE_URL = re.compile(
    r"bilibili\.com/video/BV\w{10}/?(?:\?p=\d+)?$|://\S+\.(?:html|pdf|pptx|mp4|zip)$", re.IGNORECASE
)
_NOBODY = re.compile(r"TBA|TBD|TBC|待定|暂无|敬请期待", re.IGNORECASE)
_MEETING_NUMBER = re.compile(r"(?:\d[ -]?){8,10}\d")  # 9 to 11 digits
_PASSCODE = re.compile(r"\d{4}|\d{6}")
_INSTITUTION_END = re.compile(
    r"(?:大学|学院|研究所|研究院|实验室|公司|中心|University|Institute|College|Laboratory|Inc\.|Ltd\.)$"
)
_COLOPHON = re.compile(r"\W*(?:copyright|©|版权所有|.ICP备)", re.IGNORECASE)
# A full stop that ends no sentence: an initial, `e.g.`, the number of an entry, the dots of an address.
_ABBREVIATION = re.compile(
    r"(?:\b(?:[a-z]|e\.g|i\.e|al|fig|eq|vs|cf|dr|prof|mr|st|no|resp)|^\W*\d{1,3}|://\S*)\.$", re.IGNORECASE
)
_ADVICE = "if it is whole, end it with a line break; else load it again"


def torn_html(text: str) -> Problem | None:
    """Why this HTML seems cut off: an element that opened and never closed."""
    whole = text.rstrip()
    why = _unclosed(text) if _OPENED.search(text) else _torn_piece(whole)
    if not why:
        return None
    message = f"the page seems cut off here: {'…' + whole[-30:]!r} ({why})"
    return Problem(message, "load it again", line=whole.count("\n") + 1)


def _unclosed(text: str) -> str:
    names = dict.fromkeys(found[1].lower() for found in _OPENED.finditer(text))
    missing = [name for name in names if not re.search(rf"</{name}\s*>", text[-_TAIL:], re.IGNORECASE)]
    return f"no </{missing[0]}> stands behind it" if missing else ""


def _torn_piece(text: str) -> str:
    """Why a piece of HTML, which has no <body> to close, seems cut."""
    if text.rfind("<") > text.rfind(">"):
        return "it ends inside a tag"
    open_now = Counter[str]()
    for found in _PAIRED.finditer(text):
        open_now[found[2].lower()] += -1 if found[1] else 1
    unclosed = next((name for name, count in open_now.items() if count > 0), None)
    return f"no </{unclosed}> stands behind it" if unclosed else ""


def torn_text(text: str, fields: list[Field], blocks: list[Block]) -> Problem | None:
    """Why this text seems cut off: it ends in the middle of a line, of a list, or of a talk."""
    last = fields[-1]
    why = "" if text.endswith("\n") else _torn_line(text, last, fields)
    why = why or _torn_field(last, fields) or _torn_talk(last, blocks)
    if not why:
        return None
    whole = text.rstrip()
    tail = "…" + whole[-40:].split("\n")[-1]
    return Problem(f"the page seems cut off here: {tail!r} ({why})", _ADVICE, line=whole.count("\n") + 1)


def _torn_line(text: str, last: Field, fields: list[Field]) -> str:
    """Why the last line, which has no line break behind it, cannot be seen to be whole."""
    line = text.rsplit("\n", 1)[-1].strip()
    if not line or _COLOPHON.match(line):
        return ""
    if not last.lines or last.lines[-1].number != text.count("\n") + 1:
        return "it ends inside a label"
    if last.kind is Kind.TIME:
        when = last.when
        is_whole = when is not None and when.end is not None and when.is_ready and not when.rest
        return "" if is_whole else "it ends inside a time"
    if last.kind in PROSE:
        return "" if is_sentence_end(line) and not _ABBREVIATION.search(line) else "it ends inside a sentence"
    return _torn_value(last.lines[-1].text, last, fields)


def _torn_value(value: str, last: Field, fields: list[Field]) -> str:
    if _WHOLE_URL.search(value) or _NOBODY.fullmatch(value) or _looks_whole(value, last.kind):
        return ""
    if any(other is not last and other.kind is last.kind and other.text == last.text for other in fields):
        return ""  # the same words stand elsewhere under the same label
    return "it ends inside a link" if URL.search(value) else "it ends inside a line"


def _looks_whole(value: str, kind: Kind) -> bool:
    """Whether a value shows its own end: a number of full length, an institution's last word. A name shows none.

    Pages are pasted without their last line break more often than they are cut within such a value.
    """
    if kind in (Kind.MEETING_ID, Kind.ALTERNATE_ID):
        return _MEETING_NUMBER.fullmatch(value) is not None
    if kind is Kind.PASSCODE:
        return _PASSCODE.fullmatch(value) is not None
    if kind is Kind.LIVESTREAM:
        return not URL.search(value)
    return kind is Kind.AFFILIATION and _INSTITUTION_END.search(value) is not None


def _torn_field(last: Field, fields: list[Field]) -> str:
    """Why the last field seems cut: a label without value, a list that goes on."""
    if last.kind is Kind.AFFILIATION and last.last_text.endswith((";", "；", "、")):
        return "its list goes on"
    # A page made from a form has other labels without a value, too.
    is_form = any(other.is_empty and other is not last and other.kind is not Kind.TALK for other in fields)
    awaits = last.is_empty and last.kind not in (*LINKS, Kind.TALK, Kind.TEXT)
    return "a label without a value" if awaits and not is_form else ""


def _torn_talk(end: Field, blocks: list[Block]) -> str:
    """Why the last talk seems cut: it lacks what the others have, or ends in the time of a next one."""
    last, others = blocks[-1], blocks[:-1]
    if last.of(Kind.NOTICE):
        return ""
    if not last.of(Kind.TITLE, Kind.SPEAKER):
        return "its last talk has neither title nor speaker"
    if end.kind is Kind.TIME and others and (_gives_time_once(others) or _stands_apart(end, last, others[-1])):
        return "its last time may be that of a next session"
    if others and not last.of(Kind.TIME) and _time_is_behind(others[-1]):
        return "its last talk has no time"
    if not others or _is_latest(blocks):
        return ""  # the youngest session may not be settled yet; an old one at the foot of a page is
    if not last.of(Kind.TIME) and _talks_to_a_time(blocks)[-1] > _usual(_talks_to_a_time(blocks)):
        return "its last talk has no time"
    missing = [kind for kind in (Kind.TITLE, Kind.SPEAKER) if not last.of(kind) and all(b.of(kind) for b in others)]
    return f"its last talk has no {missing[0]}" if missing else ""


def _gives_time_once(blocks: list[Block]) -> bool:
    """Whether the page gives one time for several talks, before the first of them, and did so to its end."""
    first_leads = bool(blocks[0].of(Kind.TIME)) and not _time_is_behind(blocks[0])
    return first_leads and not _time_is_behind(blocks[-1]) and any(not block.of(Kind.TIME) for block in blocks)


def _stands_apart(end: Field, last: Block, before: Block) -> bool:
    """Whether a blank line parts the last time from its talk, while the talk before began with its time."""
    within = [entry.gap for entry in last.fields[1:] if entry is not end]
    return bool(within) and end.gap > max(within) and bool(before.of(Kind.TIME)) and not _time_is_behind(before)


def _time_is_behind(block: Block) -> bool:
    time = next(iter(block.of(Kind.TIME)), None)
    return time is not None and any(other.number < time.number for other in block.of(Kind.TITLE, Kind.SPEAKER))


def _talks_to_a_time(blocks: list[Block]) -> list[int]:
    """How many talks stand under each time, in order."""
    counts = [0]
    for block in blocks:
        if block.of(Kind.TIME) and counts[-1]:
            counts.append(0)
        counts[-1] += 1
    return counts


def _usual(counts: list[int]) -> int:
    return Counter(counts).most_common(1)[0][0]


def _is_latest(blocks: list[Block]) -> bool:
    """Whether no session of the page is later than its last one, as far as days are written."""
    days = [(when.day.year or 0, when.day.month, when.day.day) for when in _times(blocks) if when.day]
    return not days or days[-1] == max(days)


def _times(blocks: list[Block]) -> list[When]:
    return [entry.when for block in blocks for entry in block.of(Kind.TIME) if entry.when]
