"""Lines under days, such as `2021-11-27 9:30-11:30 Ada Lovelace (Oxford): On …` → rows, one for each talk."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from notifier.talklists.parts import cells as cells
from notifier.talklists.parts.dates import NUMBERED, Order, day_at_start
from notifier.talklists.parts.labels import find_label
from notifier.talklists.parts.people import is_proper_name, people
from notifier.talklists.parts.rows import Row
from notifier.talklists.parts.standings import is_notice, is_pause, status_in, without_notice
from notifier.talklists.parts.terms import is_term, term_in
from notifier.talks import Status

Warn = Callable[[str, str, int], None]  # what is doubtful, what to do, and the line

DAY = (
    r"(?:\d{4}\s?[-/.年]\s?\d{1,2}\s?[-/.月]\s?\d{1,2}\s?日?"
    r"|\d{1,2}(?:st|nd|rd|th|er|\.)?[\s-][A-Za-zäéû]{3,9}\.?,?[\s-]\d{4}"
    r"|[A-Z][a-z]{2,8}\.? \d{1,2}(?:st|nd|rd|th)?,? \d{4})"
)
_LONGEST = 1500  # characters; a longer line is no speaker with a title
_MOST_WORDS = 14  # of a day, its hours and their zone
# Only such a word is looked at as the last one of a time, which is what takes long.
_ENDS_TIME = re.compile(
    r"[\d/\u2e80-\uffef]|\b(?:[ap]\.?m|noon|uhr|h|time|[a-z]{1,4}t|utc|gmt|beijing|shanghai"
    r"|(?:mon|tue|wed|thu|fri|sat|sun|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*)\b",
    re.IGNORECASE,
)
_WORDS_OF_ZONE = 3  # which are no time before the last of them is read: Eastern Standard Time
_WEEKDAY = (
    r"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun|Die|Mit|Don|Fre|Sam|Son|Lun|Mar|Mer|Jeu|Ven|Dim)[a-z]{0,8}\.?,?\s+(?:den |le )?"
    r"|(?:周|星期)[一二三四五六日天][,，\s]*)?"
)
_STROKED_DAY = re.compile(rf"[*_]{{0,3}}{_WEEKDAY}\d{{1,2}}/\d{{1,2}}(?:/\d\d(?:\d\d)?)?(?![\d/])[*_]{{0,3}}")
_DAY_BEHIND = re.compile(r"(?P<who>.{3,200}?)\s+(?:--+|—|–|\|)\s+[*_]{0,3}(?P<when>[A-Z][^|—–]{5,60}?)[*_]{0,3}")
_BEGINS_WITH_DAY = re.compile(rf"\W{{0,4}}{NUMBERED}{_WEEKDAY}({DAY})")


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


def with_years(items: Iterable[Item], above: Iterable[str] = ()) -> Iterator[Item]:
    """The items with the year in the days that open them written in full, without the lines that only name a term.

    The term is the one that the last such line names, or else the first that any line names; `above` are earlier lines.
    """
    items = list(_parted_at_day(items))
    term = next(filter(None, map(term_in, above)), None)
    order = Order.of(found[0] for item in items if (found := _STROKED_DAY.match(item.words)))
    for item in items:
        if is_term(item.words):
            term = term_in(item.words)
            continue
        term = term or term_in(item.words)
        words = term.dated(item.words) if term else item.words
        if order and (found := _STROKED_DAY.match(words)):
            words = f"{order.made_plain(found[0].strip(' *_'), term.year_of if term else None)} {words[found.end() :]}"
        yield replace(item, words=words)


def with_days_first(items: list[Item]) -> list[Item]:
    """The items with each day above its talk's heading, where every day stands below one."""
    days = [place for place, item in enumerate(items) if item.begins_day]
    starts = []
    for before, place in zip([-1, *days], days, strict=False):
        headings = [n for n in range(before + 1, place) if items[n].level]
        starts.append(headings[-1] if headings and not items[place].level else None)
    if not starts or None in starts:
        return items
    out, done = [], 0
    for start, place in zip(starts, days, strict=True):
        assert start is not None
        talk = (replace(item, level=0) for item in items[start:place])
        out += [*items[done:start], items[place], *talk]
        done = place + 1
    return [*out, *items[done:]]


def _parted_at_day(items: Iterable[Item]) -> Iterator[Item]:
    """The items, with a day at the end of a line, as in `Ada Byron (Bath) -- Wednesday, December 3`, on its own."""
    for item in items:
        found = None if item.level or len(item.words) > _LONGEST else _DAY_BEHIND.fullmatch(item.words)
        if found and day_at_start(found["when"]):
            yield replace(item, words=found["when"])
            yield replace(item, words=found["who"])
        else:
            yield item


def are_listed(items: Iterable[Item]) -> bool:
    """Whether lines begin with a day and go on with who speaks on what, in their hours or in the lines below."""
    items = list(items)
    dated = [item for item in items if _BEGINS_WITH_DAY.match(item.words)]
    if len(dated) > 1 and any("speakers" in _who_and_what(_parted(item.words)[1]) for item in dated):
        return True
    below = [item for before, item in itertools.pairwise(items) if before in dated and not before.level]
    if len(dated) > 1 and any(_who_and_what(item.words).keys() == {"speakers"} for item in below):
        return True
    slots = [item.words[found.end() :] for item in items if dated and (found := _SLOT.match(item.words))]
    return len(slots) > 1 and any("speakers" in _who_and_what(words) for words in slots)


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
    if remark := _REMARK.match(rest):
        day.values["notice"], rest = remark[1], rest[remark.end() :]
    rest, said = without_notice(rest) if len(rest) < _LONGEST else (rest, "")
    if said:
        _note(day, said, warn)
    joining = cells.joining_in(rest)
    if joining != cells.Joining() and not cells.without_links(_LINK.sub("", rest)):
        day.values["room"] = " ".join(link.url for link in cells.links_in(rest))
        rest = ""
    if rest:
        talk = _who_and_what(rest)
        title, said = without_notice(talk.get("title", ""))
        if said:
            _note(day, said, warn)
            talk = {name: text for name, text in (talk | {"title": title}).items() if text}
        day.talks.append((item.line, talk))
        if "speakers" not in talk and (len(rest) > _LONGEST or _PARTING.search(cells.without_links(rest))):
            warn("no speaker was told apart here: all of it is the title", "write it as Name: Title", item.line)
    return day


def _note(day: _Day, notice: str, warn: Warn) -> None:
    day.values["notice"] = "\n".join(filter(None, (day.values.get("notice"), notice)))
    if status := status_in(notice):
        day.values["status"] = status
        if status is Status.TENTATIVE:
            warn(f"{notice!r}: a new time, if any, is not read; the session is kept as tentative", "", day.line)


def _parted(words: str) -> tuple[str, str]:
    """The longest beginning that is nothing but a time, and what follows it."""
    words = _NUMBER.sub("", words)
    pieces = words.split(" ", _MOST_WORDS + 1)
    longest, best = 0, ""
    for count in range(1, min(len(pieces), _MOST_WORDS) + 1):
        when = " ".join(pieces[:count]).rstrip(" :：,，|—–->")
        if _ENDS_TIME.search(pieces[count - 1]) and _is_when(when):
            longest, best = count, when
        elif longest and count - longest > _WORDS_OF_ZONE:
            break
    if best:
        return best, " ".join(pieces[longest:]).strip(" :：,，|—–->")
    found = re.search(DAY, words)
    when, rest = (found[0], words[found.end() :]) if found else (words, "")
    hours = re.match(r"\D{0,4}\d{1,2}[:：]\d\d(?:\s*[-–—~～至到]\s*\d{1,2}[:：]\d\d)?", rest)
    if hours:
        when, rest = f"{when} {hours[0]}", rest[hours.end() :]
    return when, rest.strip(" :：,，|—–->")


def _is_when(text: str) -> bool:
    try:
        told = cells.parse_when(text)
    except ValueError:
        return False
    return told.day is not None and not told.rest


def _take(day: _Day, item: Item, warn: Warn) -> None:
    if day.talks and _LINK.search(item.words) and not cells.without_links(item.words):
        values = day.talks[-1][1]
        values["title"] = f"{values.get('title', '')} {item.words}"
        return
    label = find_label(item.words)
    name = cells.field_of(label.words) if label and (label.is_firm or not label.value) else ""
    if label and not label.is_firm and name not in cells.PROSE:
        label, name = None, ""
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
    words, slot = item.words, {}
    if found := _SLOT.match(words):
        words, slot = words[found.end() :], {"time": f"{day.values['time']} {found['hours']}"}
    if is_pause(words):
        warn(f"{words!r} is no talk: not read", "", item.line)
        return
    if is_notice(words) and not day.talks:
        _note(day, without_notice(words)[1], warn)
        return
    talk = _who_and_what(words)
    if slot:
        day.talks.append((item.line, slot | talk))
        return
    if day.talks and "speakers" not in talk and day.talks[-1][1].keys() == {"speakers"}:
        day.talks[-1][1]["title"] = talk["title"]
    elif day.talks and talk.keys() == {"speakers"} and day.talks[-1][1].keys() == {"title"}:
        day.talks[-1][1]["speakers"] = talk["speakers"]
    elif "speakers" in talk or not day.talks:
        day.talks.append((item.line, talk))
    else:
        # Not quoted: it may well be a passcode.
        warn("this is neither a talk nor a field of one: not read", "write Speaker: … and Title: …", item.line)


# The hours of a talk under its day.
_CLOCK = r"\d{1,2}[:：]\d\d(?:\s?[ap]\.?m\b\.?)?"
_NUMBER = re.compile(NUMBERED, re.IGNORECASE)
_SLOT = re.compile(
    rf"\W{{0,4}}(?P<hours>{_CLOCK}\s*(?:[-–—~～至到]+|to)\s*{_CLOCK})[\s:：,，|)）—–-]*(?=\S)", re.IGNORECASE
)
_REMARK = re.compile(r"[(（]([^()（）]{1,60})[)）]\W*(?=\w)")  # right behind a day
_QUOTES = '"“”«»„「」『』《》'
_PARTING = re.compile(r"[\w)）]\s*(?:[:：,，;；|]|\s[-–—])\s*\w")  # what could stand between a speaker and a title
# What stands behind the colon of a title, and is no talk's title by itself: Monte Carlo: A Survey
_NO_TITLE = re.compile(
    r"(?:an?|the|some|from)\s(?:\w+\s){0,3}?(?:survey|introduction|overview|review|primer|tutorial|tour|guide|perspective"
    r"|view|approach|practice|update)s?\W*",
    re.IGNORECASE,
)
_FULL_STOP = re.compile(r"(?<=[^\W\d_]{3})\.$")
_TARGET = re.compile(r"(?<=\])\([^()\s]*\)")  # of a link, in which signs part nothing
_LINK = re.compile(r"\[[^\[\]]*\]\([^()\s]*\)")
_LINKS_BEHIND = re.compile(rf"(?:[\s,，;；、|·(（]*{_LINK.pattern}[)）]?)+\W*$")
_AWAITS = re.compile(r"(?:\bpresents?|\bon|[:：])\s*$")  # a title, which is then the link that follows
_FORMS = (
    re.compile(rf"(?P<who>[^{_QUOTES}]{{2,150}}?)\s*[,，:：|–—-]*\s*[{_QUOTES}](?P<what>[^{_QUOTES}]+)[{_QUOTES}]\W*"),
    re.compile(
        rf"[{_QUOTES}](?P<what>[^{_QUOTES}]+)[{_QUOTES}]\s*(?:[,，:：|–—-]+|by\b|\s)\s*(?P<who>[^{_QUOTES}]{{2,150}})"
    ),
    re.compile(r"(?P<who>[^:：]{2,150}?)(?:\s*[:：]\s*(?!//)|\s+[-–—|]+\s+)(?P<what>\S.*)"),
    re.compile(r"(?P<who>[^:：]{2,150}?[)）])\s*[,，.。]\s*(?P<what>\S.*)"),
    re.compile(r"(?P<who>[^:：]{2,150}?)\s+(?:will present|presents?|speaks on|talks about)\s+(?P<what>\S.*)"),
    re.compile(r"(?P<what>\S.*?)\s+[-–—|]+\s+(?P<who>.{2,150})"),
    re.compile(r"(?P<who>[^:：]{2,150}?[)）])\s+(?P<what>(?=[A-Z\u2e80-\u9fff])\S.*)"),
)


def _who_and_what(words: str) -> dict[str, str]:
    """Speaker and title of `Ada Lovelace (Oxford): On …` or `…, "On …"`; all is title where none of it is a person."""
    if len(words) > _LONGEST:
        return {"title": words}
    if (tail := _LINKS_BEHIND.search(words)) and tail.start() and not _AWAITS.search(words, 0, tail.start()):
        talk = _who_and_what(words[: tail.start()])
        links = " ".join(found.group() for found in _LINK.finditer(tail.group()))
        return talk | {"title": f"{talk.get('title', '')} {links}".strip()}
    masked = _TARGET.sub(lambda found: "\0" * len(found.group()), words)
    for form in _FORMS:
        if parts := form.fullmatch(masked):
            who, what = (words[slice(*parts.span(name))] for name in ("who", "what"))
            what = _FULL_STOP.sub("", what)
            if _are_people(who) and not (_NO_TITLE.fullmatch(what) and not who.rstrip().endswith((")", "）"))):
                return {"speakers": who, "title": what}
    found, _ = people(cells.without_links(words))
    if _are_people(words) and all(person.affiliations for person in found):
        return {"speakers": words}
    return {"title": words}


def _are_people(text: str) -> bool:
    found, left = people(cells.without_links(text))
    return (
        bool(found) and not left and all(is_proper_name(re.sub(r"\(.*?\)|（.*?）", "", p.name).strip()) for p in found)
    )


def _rows(day: _Day) -> list[Row]:
    return [Row(day.values | values, line) for line, values in day.talks or [(day.line, {})]]
