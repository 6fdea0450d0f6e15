"""Lines under days, such as `2021-11-27 9:30-11:30 Ada Lovelace (Oxford): On …` → rows, one for each talk."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from notifier.talklists.parts import cells as cells
from notifier.talklists.parts.labels import find_label
from notifier.talklists.parts.people import is_proper_name, people
from notifier.talklists.parts.rows import Row

Warn = Callable[[str, str, int], None]  # what is doubtful, what to do, and the line

DAY = (
    r"(?:\d{4}\s?[-/.年]\s?\d{1,2}\s?[-/.月]\s?\d{1,2}\s?日?"
    r"|\d{1,2}(?:st|nd|rd|th)?[\s-][A-Z][a-z]{2,8}\.?,?[\s-]\d{4}|[A-Z][a-z]{2,8}\.? \d{1,2}(?:st|nd|rd|th)?,? \d{4})"
)
_BEGINS_WITH_DAY = re.compile(rf"\W{{0,4}}({DAY})")


@dataclass(frozen=True, slots=True)
class Item:
    """One line: its words with links as `[words](target)`, the level of its heading, 0 for none, and the gap above."""

    line: int
    words: str
    level: int = 0
    gap: str = "\n\n"

    @property
    def begins_day(self) -> bool:
        """Whether a day opens it, or stands anywhere in it where it is a heading."""
        found = _BEGINS_WITH_DAY.match(self.words) or (self.level and re.search(DAY, self.words))
        return bool(found)


@dataclass(slots=True)
class _Day:
    """What stands under one day: the session's own fields, and its talks, each with the line where it begins."""

    line: int
    level: int
    values: dict[str, str]
    talks: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    prose: str = ""


def rows_of(items: Iterable[Item], warn: Warn) -> list[Row]:
    """A row for each talk; what cannot be read is told of."""
    days: list[_Day] = []
    day: _Day | None = None
    for item in items:
        if item.begins_day:
            day = _opened(item, warn)
            days.append(day)
        elif day and 0 < item.level <= day.level:
            day = None
        elif day:
            _take(day, item, warn)
        else:
            warn("this text stands under no day: not read", "begin it with a day such as 2021-11-27", item.line)
    return [row for day in days for row in _rows(day)]


def _opened(item: Item, warn: Warn) -> _Day:
    when, rest = _parted(item.words)
    day = _Day(item.line, item.level or 7, {"time": when})
    if rest:
        talk = _who_and_what(rest)
        day.talks.append((item.line, talk))
        if "speakers" not in talk and _PARTING.search(cells.without_links(rest)):
            warn("no speaker was told apart here: all of it is the title", "write it as Name: Title", item.line)
    return day


def _parted(words: str) -> tuple[str, str]:
    """The longest beginning that is nothing but a time, and what follows it."""
    pieces = words.split(" ")
    for count in range(min(len(pieces), 14), 0, -1):
        when = " ".join(pieces[:count]).rstrip(" :：,，|—–-")
        try:
            told = cells.parse_when(when)
        except ValueError:
            continue
        if told.day and not told.rest:
            return when, " ".join(pieces[count:]).strip(" :：,，|—–-")
    found = re.search(DAY, words)
    when, rest = (found[0], words[found.end() :]) if found else (words, "")
    hours = re.match(r"\D{0,4}\d{1,2}[:：]\d\d(?:\s*[-–—~～至到]\s*\d{1,2}[:：]\d\d)?", rest)
    if hours:
        when, rest = f"{when} {hours[0]}", rest[hours.end() :]
    return when, rest.strip(" :：,，|—–-")


def _take(day: _Day, item: Item, warn: Warn) -> None:
    label = find_label(item.words)
    name = cells.field_of(label.words) if label and label.is_firm else ""
    if label and name in cells.TOLD_OF_TALKS:
        if not day.talks or (name in day.talks[-1][1] and name in ("speakers", "title")):
            day.talks.append((item.line, {}))
        values = day.talks[-1][1]
        values[name] = "\n".join(filter(None, (values.get(name, ""), label.value)))
        day.prose = name if name in cells.PROSE else ""
    elif label and name:
        day.values[name] = " ".join(filter(None, (day.values.get(name, ""), label.value)))
        day.prose = ""
    elif day.prose:
        day.talks[-1][1][day.prose] += item.gap + item.words
    else:
        _take_unlabelled(day, item, warn)


def _take_unlabelled(day: _Day, item: Item, warn: Warn) -> None:
    words = item.words
    talk = _who_and_what(words)
    links = cells.links_in(words)
    if links and not cells.without_links(words) and day.talks:
        values = day.talks[-1][1]
        values["title"] = f"{values.get('title', '')} {words}"
    elif "speakers" in talk or not day.talks:
        day.talks.append((item.line, talk))
    else:
        # Not quoted: it may well be a passcode.
        warn("this is neither a talk nor a field of one: not read", "write Speaker: … and Title: …", item.line)


_QUOTES = '"“”«»„「」『』《》'
_PARTING = re.compile(r"[\w)）]\s*(?:[:：,，;；|]|\s[-–—])\s*\w")  # what could stand between a speaker and a title
_TARGET = re.compile(r"(?<=\])\([^()\s]*\)")  # of a link, in which signs part nothing
_FORMS = (
    re.compile(rf"(?P<who>[^{_QUOTES}]{{2,150}}?)\s*[,，:：|–—-]*\s*[{_QUOTES}](?P<what>[^{_QUOTES}]+)[{_QUOTES}]\W*"),
    re.compile(
        rf"[{_QUOTES}](?P<what>[^{_QUOTES}]+)[{_QUOTES}]\s*(?:[,，:：|–—-]+|by\b|\s)\s*(?P<who>[^{_QUOTES}]{{2,150}})"
    ),
    re.compile(r"(?P<who>[^:：]{2,150}?)(?:\s*[:：]\s*(?!//)|\s+[-–—|]+\s+)(?P<what>\S.*)"),
    re.compile(r"(?P<what>\S.*?)\s+[-–—|]+\s+(?P<who>.{2,150})"),
)


def _who_and_what(words: str) -> dict[str, str]:
    """Speaker and title of `Ada Lovelace (Oxford): On …` or `…, "On …"`; all is title where none of it is a person."""
    masked = _TARGET.sub(lambda found: "\0" * len(found.group()), words)
    for form in _FORMS:
        if found := form.fullmatch(masked):
            who, what = (words[slice(*found.span(name))] for name in ("who", "what"))
            if _are_people(who):
                return {"speakers": who, "title": what}
    return {"title": words}


def _are_people(text: str) -> bool:
    found, left = people(cells.without_links(text))
    return (
        bool(found) and not left and all(is_proper_name(re.sub(r"\(.*?\)|（.*?）", "", p.name).strip()) for p in found)
    )


def _rows(day: _Day) -> list[Row]:
    return [Row(day.values | values, line) for line, values in day.talks or [(day.line, {})]]
