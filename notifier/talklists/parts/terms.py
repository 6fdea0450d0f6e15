"""What a list says once for all its sessions → the year of dates without one, and the hours of days without any."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from notifier.talklists.parts.dates import date_of, day_at_start, plain, read_when

_SEASON = r"(?P<season>spring|summer|autumn|fall|winter|sommersemester|sose|[春夏秋](?=季|学期|[^\u4e00-\u9fff]|$))"
_PART = r"(?:\s?(?:semester|term|quarter)|季?(?:学期)?)"
_PLAN = r"(?:(?:schedule|program(?:me)?|talks?|calendar)\s(?:(?:for|in|of)\s)?)?"
_TERMS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # 2025-2026学年第二学期, academic year 2025/26, WS 2025/26
        r"(?<![\d.-])(?P<year>(?:19|20)\d\d)\s?[-/]\s?(?P<next>(?:19|20)?\d\d)(?![\d.:/-])\s?(?:学年)?(?P<half>第?[一二12]学期)?",
        rf"\b{_SEASON}{_PART}\s?,?\s?(?P<year>(?:19|20)\d\d)(?!\d)",
        rf"(?<!\d)(?P<year>(?:19|20)\d\d)\s?年?\s?{_SEASON}{_PART}",
        rf"^\W*{_PLAN}(?P<year>(?:19|20)\d\d)\s?(?:年度?|学年)?\W*$",
    )
)
# A heading that says nothing else: Spring 2026, 2026年春季日程, Talks in 2026
_BESIDE = re.compile(
    r"(?:schedule|program(?:me)?|talks?|in|for|academic|year|calendar|upcoming|past|the|of|edit|编辑|[sw]s|winter|日程|安排|计划|度)*",
    re.IGNORECASE,
)
_RECURS = re.compile(
    r"\b(?:mon|tues|wednes|thurs|fri|satur|sun)days\b"
    r"|\b(?:montags|dienstags|mittwochs|donnerstags|freitags|samstags|jeden|chaque|tous les|hebdomadaire|wöchentlich)\b"
    r"|\ble (?:lundi|mardi|mercredi|jeudi|vendredi|samedi)\b"
    r"|\b(?:every|each|usual(?:ly)?|regular(?:ly)?|fortnightly|weekly|bi-?weekly|all (?:talks|sessions|seminars))\b"
    r"|每|隔周|双周|通常|固定",
    re.IGNORECASE,
)
_LONGEST = 300  # characters; a longer text says more than when


@dataclass(frozen=True, slots=True)
class Term:
    """A year, or one that begins in the middle of another: months before `begins` are in the year after."""

    year: int
    begins: int = 1

    def year_of(self, month: int) -> int:
        """The year of a date in this month."""
        return self.year if month >= self.begins else self.year + 1

    def dated(self, words: str) -> str:
        """The words with the year in the day with which they begin, where they begin with one that names none."""
        found = day_at_start(words)
        if not found or found[0].year:
            return words
        day, start, end = found
        moment = date_of(day, self.year_of(day.month))
        space = " " if words[end : end + 1].isalnum() else ""
        return f"{words[:start]}{moment}{space}{words[end:]}" if moment else words


def term_in(text: str) -> Term | None:
    """The term that a line names, such as `Fall 2026`, `2025-2026学年` or, alone on the line, `2026`."""
    found = _found(plain(text[:_LONGEST]))
    if not found:
        return None
    parts = found.groupdict()
    year = int(parts["year"])
    if following := parts.get("next"):
        if int(following) % 100 != (year + 1) % 100:
            return None
        half = parts.get("half") or ""
        return Term(year + 1) if "二" in half or "2" in half else Term(year, 8)
    return Term(year, 7) if (parts.get("season") or "").lower() in ("fall", "autumn", "秋") else Term(year)


def is_term(text: str) -> bool:
    """Whether a line names a term and says nothing else."""
    bare = plain(text[:_LONGEST])
    found = _found(bare)
    rest = f"{bare[: found.start()]} {bare[found.end() :]}" if found and term_in(text) else bare
    return found is not None and _BESIDE.fullmatch(re.sub(r"[\W_]+", "", rest)) is not None


def _found(text: str) -> re.Match[str] | None:
    return next(filter(None, (pattern.search(text) for pattern in _TERMS)), None)


@dataclass(frozen=True, slots=True)
class Usual:
    """When sessions usually are, as one line says of all: the hours, their zone, and on which day of the week."""

    start: time
    end: time | None
    weekday: int | None
    zone: str
    line: int

    def is_for(self, day: date) -> bool:
        """Whether the day is one on which sessions usually are."""
        return self.weekday in (None, day.weekday())

    @property
    def length(self) -> timedelta | None:
        """How long sessions usually are, where the line tells."""
        if self.end is None:
            return None
        length = datetime.combine(date.min, self.end) - datetime.combine(date.min, self.start)
        return length if length > timedelta() else None

    def __str__(self) -> str:
        return f"{self.start:%H:%M}-{self.end:%H:%M}" if self.end else f"{self.start:%H:%M}"


def usual_among(lines: Iterable[tuple[int, str]]) -> Usual | None:
    """The usual hours that these lines name; None where none does, or two name others."""
    return agreed(usual for number, text in lines if (usual := usual_in(text, number)))


def agreed(usuals: Iterable[Usual]) -> Usual | None:
    """The first of these, where none of them names other hours."""
    found = list(usuals)
    same = {(usual.start, usual.end, usual.weekday) for usual in found}
    return found[0] if len(same) == 1 else None


def usual_in(text: str, line: int = 0) -> Usual | None:
    """The hours in a line such as `Wednesdays, 14:00-15:00 (Paris time)` or `每两周一次，周五 19:00-21:00`."""
    if not _RECURS.search(text[:_LONGEST]):
        return None
    when = read_when(text[:_LONGEST])
    if when.day or not when.start or when.problem or read_when(when.rest).start:
        return None
    return Usual(when.start, when.end, when.weekday, when.zone, line)
