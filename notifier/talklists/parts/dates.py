"""A phrase such as `2021年11月27日（周六）上午9:30—11:30` → its day, hours, weekday and zone, and what is left over."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, time, timedelta
from typing import TypeVar
from zoneinfo import available_timezones

# In English, German and French, by the first letters that tell them apart; longer ones first.
_MONTHS = {
    "juin": 6,
    "juil": 7,
    "jan": 1,
    "feb": 2,
    "fév": 2,
    "fev": 2,
    "mar": 3,
    "mär": 3,
    "apr": 4,
    "avr": 4,
    "may": 5,
}
_MONTHS |= {"mai": 5, "jun": 6, "jul": 7, "aug": 8, "aoû": 8, "sep": 9, "oct": 10, "okt": 10, "nov": 11, "dec": 12}
_MONTHS |= {"dez": 12, "déc": 12}
_MONTH = (
    r"(?P<name>jan(?:uary|uar|v(?:ier)?)?|feb(?:ruary|ruar)?|f[ée]vr(?:ier)?|mar(?:ch|s)?|märz|apr(?:il)?|avr(?:il)?|may|mai"
    r"|june?|juni|juin|july?|juli|juil(?:let)?|aug(?:ust)?|août|sept?(?:ember|embre)?|oct(?:ober|obre)?|okt(?:ober)?"
    r"|nov(?:ember|embre)?|dec(?:ember)?|dez(?:ember)?|déc(?:embre)?)\b\.?"
)
_YEAR = r"(?P<year>(?:19|20)\d\d)"
_DAY = r"(?P<day>\d{1,2})(?!\d|:\d)"
_TH = r"(?:\s?(?:st|nd|rd|th)\b)?"

# In the order in which they are tried: those that say most first.
_DAYS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"(?<!\d){_YEAR}\s?(?:[-/.]|年)\s?(?P<month>\d{{1,2}})\s?(?:[-/.]|月)\s?{_DAY}\s?[日号]?",
        rf"\b{_MONTH}\s?{_DAY}{_TH}(?:\s?,?\s?{_YEAR}(?!\d))?",
        rf"(?<!\d){_DAY}(?:{_TH}|er\b|\.)(?:\s?of\b)?[-\s]?{_MONTH}(?:[-,\s]{{0,2}}{_YEAR}(?!\d))?",
        rf"(?<![\d.])(?P<first>\d{{1,2}})(?P<mark>[-/.])(?P<second>\d{{1,2}})(?P=mark){_YEAR}(?!\d)",
        r"(?<![\d.])(?P<day>\d{1,2})\.\s?(?P<month>\d{1,2})\.(?!\s?\d)",  # as only Germans write
        rf"(?<!\d)(?P<month>\d{{1,2}})\s?月\s?{_DAY}\s?[日号]?",
        r"(?<!\d)(?P<year>20\d\d)(?P<month>\d\d)(?P<day>\d\d)(?!\d)",
        r"^(?P<month>\d{1,2})[-/.](?P<day>\d{1,2})(?=[\s,(]+[^\d\s]{0,12}\s?\d)",
    )
)

_WORDED_DAYS = tuple(_DAYS[place] for place in (1, 2, 4, 5))
# A talk's own number may stand before its day.
NUMBERED = r"(?:(?:第\s?[\d一二三四五六七八九十百]{1,4}\s?[讲期次场周]|week \d{1,2}|#\d{1,3})[\s:：|.,，–—-]*)?"
_BEFORE_DAY = re.compile(
    rf"[\s>#*_•·([【（-]*{NUMBERED}(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*\.?,?\s+|\d{1, 2}[.)]\s+)?", re.IGNORECASE
)
# 27/11/2021, 11/27/21, and alone at the beginning of a text also 11/27.
_STROKED = re.compile(
    r"(?<![\d./-])(?P<first>\d{1,2})(?P<sign>[-/.])(?P<second>\d{1,2})(?P=sign)(?P<year>(?:19|20)\d\d)(?!\d)"
    r"|(?<![\d./-])(?P<first2>\d{1,2})(?P<sign2>[/.])(?P<second2>\d{1,2})(?P=sign2)(?P<year2>\d\d)(?![\d/.:])"
    r"|^(?:[A-Za-z]{2,9}\.?,?\s)?(?P<first3>\d{1,2})/(?P<second3>\d{1,2})(?=$|[\s,(])"
)


def _figures_of(stroked: re.Match[str]) -> tuple[int, int, str]:
    """The first figure, the second, and the year with all its figures, "" where it is not written."""
    first, second, year = (next((g for n in ("", "2", "3") if (g := stroked.groupdict().get(f"{name}{n}"))), "")
                           for name in ("first", "second", "year"))  # fmt: skip
    return int(first), int(second), f"20{year}" if len(year) == 2 else year


_WEEKDAY = re.compile(
    r"(?:星期|礼拜|周)(?P<zh>[一二三四五六日天])(?!次)"
    r"|\b(?P<en>mon|tues?|wed(?:nes)?|thu(?:rs?)?|fri|sat(?:ur)?|sun)(?:days?)?\b\.?"
    r"|\((?P<ja>[月火水木金土日])\)"
    r"|\b(?P<other>montag|dienstag|mittwoch|donnerstag|freitag|samstag|sonntag"
    r"|lundi|mardi|mercredi|jeudi|vendredi|samedi|dimanche)s?\b",
    re.IGNORECASE,
)
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_OTHER_WEEKDAYS = ["montag", "dienstag", "mittwoch", "donnerstag", "freitag", "samstag", "sonntag"]
_OTHER_WEEKDAYS += ["lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche"]

_ZONE = re.compile(
    r"(?:utc|gmt)\s?(?P<sign>[+-])\s?(?P<hours>\d{1,2})(?::?(?P<minutes>\d\d))?(?!\d)"
    r"|(?P<beijing>(?:\bbeijing|\bchina|\bshanghai|北京|中国)\s?(?:(?:standard\s?)?time\b|标准时间|时间)|\bbjt\b"
    r"|\(\s?(?:beijing|shanghai|北京)\s?\)|\basia/shanghai\b)"
    r"|\b(?P<both>cet\s?/\s?cest|gmt\s?/\s?bst|est\s?/\s?edt|cst\s?/\s?cdt|mst\s?/\s?mdt|pst\s?/\s?pdt)\b"
    r"|(?<=\d\d)\+(?P<iso>\d\d):(?P<isominutes>\d\d)"
    # Only what stands behind an hour or speaks of times: "et" and "pt" are words as well.
    r"|(?:(?<=\d)|(?<=\d\s)|(?<=[ap]m)|(?<=[ap]m\s)|(?<=\.\s)|(?<=\()|(?<=in\s)|(?<=times\s))(?-i:(?P<us>[ECMP])T)\b"
    r"|(?<!australian\s)\b(?P<area>eastern|central|mountain|pacific)\s(?:standard\s|daylight\s)?time\b"
    r"|\b(?P<name>utc|gmt|est|edt|cst|cdt|mst|mdt|pst|pdt|bst|cet|cest|jst|kst|sgt|hkt|aest)\b",
    re.IGNORECASE,
)
# Hours east of Greenwich. CST is China's here: on a page that means Chicago's the offset is written beside it.
_NAMED = {"utc": 0, "gmt": 0, "est": -5, "edt": -4, "cst": 8, "cdt": -5, "mst": -7, "mdt": -6, "pst": -8, "pdt": -7}
_NAMED |= {"bst": 1, "cet": 1, "cest": 2, "jst": 9, "kst": 9, "sgt": 8, "hkt": 8, "aest": 10}

_CITY = re.compile(r"\b([A-Z][a-z]+(?:\s[A-Z][a-z]+)?)\s(?:local\s)?time\b|(东京|首尔|巴黎|柏林|伦敦|纽约)\s?时间")
_CITIES = {"东京": "Asia/Tokyo", "首尔": "Asia/Seoul", "巴黎": "Europe/Paris", "柏林": "Europe/Berlin"}
_CITIES |= {"伦敦": "Europe/London", "纽约": "America/New_York"}
_STATES = {"e": "America/New_York", "c": "America/Chicago", "m": "America/Denver", "p": "America/Los_Angeles"}
_SEASONAL = {"cet": "Europe/Berlin", "gmt": "Europe/London"} | {f"{letter}st": key for letter, key in _STATES.items()}

_HALF = r"上午|早上|早晨|清晨|凌晨|中午|下午|傍晚|晚上|晚间|晚|[ap]\.?\s?m\b\.?"


def _clock(n: int) -> str:
    return (
        rf"(?P<before{n}>{_HALF})?\s?(?<![\d.:])(?P<hour{n}>\d{{1,2}})(?!\d)"
        rf"(?:(?:\s?[:.]\s?|h)(?P<minute{n}>\d{{1,2}})(?!\d)(?::\d\d)?"
        rf"|\s?(?P<zh{n}>[时点]|h\b)(?:\s?(?P<zhminute{n}>\d{{1,2}})\s?分?|(?P<thirty{n}>半)|整)?)?"
        rf"\s?(?P<after{n}>[ap]\.?\s?m\b\.?|noon\b)?"
    )


_TO = r"\s?(?:-+|~+|至|到|\bto\b|\buntil\b|\btill\b|\bà\b|\bbis\b)\s?"
_RANGE = re.compile(rf"{_clock(1)}{_TO}{_clock(2)}", re.IGNORECASE)
_SINGLE = re.compile(_clock(1), re.IGNORECASE)

_UP_TO = re.compile(rf"\W*{_clock(1)}{_TO}", re.IGNORECASE)

_DASHES = str.maketrans(dict.fromkeys("‐‑‒–—―−－﹣〜～∼→", "-") | {"∶": ":", "\u200b": ""})
_FILLER = re.compile(
    r"\b(?:at|on|from|the|t|uhr|um|von|den|le|de)\b|北京|[\s,;.()\[\]/|@、。·•・-]|(?<!\w)t(?=\s*$)|【|】",
    re.IGNORECASE,
)
_EMPTY_BRACKETS = re.compile(r"[(\[【]\s*[)\]】]")  # what is left of `(Sat)`
_NOON = re.compile(r"(?<![\d:] )\bnoon\b(?! ?:)|\b12(?::00)? noon\b", re.IGNORECASE)
_DIGITS = re.compile(r"\d")
# 星期二十点 is ten o'clock on a Tuesday: what follows a word for the week counts its days.
_CHINESE_NUMBER = re.compile(
    r"(?<![一二三四五六七八九十〇零○])[一二][一二三四五六七八九〇零○]{3}(?=\s?年)"
    r"|(?<![期周拜〇零○])(?:[二三四五]?十[一二三四五六七八九]?|[一二两三四五六七八九〇零○])(?=\s?[月日号点时分])"
)
_CHINESE_FIGURES = {sign: n for n, sign in enumerate("〇一二三四五六七八九")} | {"零": 0, "○": 0, "两": 2}
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Day:
    """A day as it is written: a year may be missing."""

    year: int | None
    month: int
    day: int


@dataclass(frozen=True, slots=True)
class When:
    """What a phrase says about a time; `rest` is what is no part of one, `problem` what cannot be.

    `zone` is the offset or the name that the phrase gives, as `+08:00` or as an IANA key, or empty.
    `weekday` counts from Monday = 0. `ends_next_day` where the end is written with the date of the day after.
    """

    day: Day | None = None
    start: time | None = None
    end: time | None = None
    weekday: int | None = None
    zone: str = ""
    rest: str = ""
    problem: str = ""
    ends_next_day: bool = False
    is_ready: bool = True  # False where the last figure could still grow: `12:0`

    @property
    def is_empty(self) -> bool:
        """True where the phrase holds neither a day nor an hour."""
        return self.day is None and self.start is None and not self.problem

    @property
    def is_only_time(self) -> bool:
        """True where the phrase says a time and nothing else, so that it needs no label."""
        return not self.is_empty and not self.rest


@dataclass(frozen=True, slots=True)
class Order:
    """In which order a list writes days and months with strokes, and the date that shows it."""

    day_leads: bool
    shown_by: str

    @classmethod
    def of(cls, texts: Iterable[str]) -> Order | None:
        """The order of these dates; None where none of them shows it, or two contradict each other."""
        found = (stroked for text in texts for stroked in _STROKED.finditer(plain(text)))
        firm = [each for each in found if (_figures_of(each)[0] > 12) != (_figures_of(each)[1] > 12)]
        orders = {_figures_of(each)[0] > 12 for each in firm}
        return cls(orders.pop(), firm[0].group()) if len(orders) == 1 else None

    def made_plain(self, text: str, year_of: Callable[[int], int] | None = None) -> str:
        """The text with such dates written as 2021-11-27; one that names no year has the one of its month."""

        def in_full(found: re.Match[str]) -> str:
            first, second, year = _figures_of(found)
            day, month = (first, second) if self.day_leads else (second, first)
            if not year and not year_of:
                return found.group()
            return f"{year or (year_of and year_of(month))}-{month}-{day}"

        return _STROKED.sub(in_full, text)

    def __str__(self) -> str:
        order = "the day before the month" if self.day_leads else "the month before the day"
        return f"dates are read with {order}, as {self.shown_by} shows"


def plain(text: str) -> str:
    """The text with full-width signs, odd spaces and the many dashes made plain, for matching only."""
    if text.isascii():
        return " ".join(text.split())
    return " ".join(unicodedata.normalize("NFKC", text).translate(_DASHES).split())


def read_when(phrase: str) -> When:
    """The time that this phrase says; empty, with the phrase as `rest`, where it says none."""
    rest = _NOON.sub("12:00 pm", _with_figures(plain(phrase)))
    if not _DIGITS.search(rest):
        return When(rest=rest)
    rest, zone = _take_zone(rest)
    if zone:  # 12:00 PM (PDT) - 1:00 PM
        rest = " ".join(_EMPTY_BRACKETS.sub(" ", rest).split())
    rest, weekday = _take(_WEEKDAY, rest, _weekday_of)
    rest, day, problem = _take_day(rest, weekday)
    ends_next_day = False
    if day is not None or problem:
        # An end on the same day may repeat the day.
        again, second, _ = _take_day(rest, weekday)
        rest = again if second == day else rest
        if hours_alone := _up_to_a_day(rest):
            ends_next_day = _is_next(day, second)
            problem = problem or ("" if ends_next_day else f"it goes on to another day than the next: {rest}")
            rest = hours_alone
    rest, hours = _take_hours(rest)
    return When(
        day=day,
        start=hours.start,
        end=hours.end,
        weekday=weekday,
        zone=zone,
        rest=_FILLER.sub(" ", rest).strip() and _EMPTY_BRACKETS.sub(" ", rest).strip(" ,;.-"),
        problem=problem or hours.problem,
        ends_next_day=ends_next_day and hours.end is not None,
        is_ready=hours.is_ready,
    )


def _with_figures(text: str) -> str:
    """`二〇二六年三月七日` as 2026年3月7日: Chinese numbers before 年, 月, 日, 号, 点 and 分 in figures."""
    return text if text.isascii() else _CHINESE_NUMBER.sub(_figures, text)


def _figures(found: re.Match[str]) -> str:
    said = found.group()
    if "十" not in said:
        return "".join(str(_CHINESE_FIGURES[sign]) for sign in said)
    tens, _, ones = said.partition("十")
    return str((_CHINESE_FIGURES[tens] if tens else 1) * 10 + (_CHINESE_FIGURES[ones] if ones else 0))


def _is_next(day: Day | None, other: Day | None) -> bool:
    if day is None or other is None or (found := date_of(day, 2019)) is None:
        return False
    after = found + timedelta(days=1)
    return (other.month, other.day) == (after.month, after.day) and other.year in (None, day.year and after.year)


def _up_to_a_day(text: str) -> str:
    """The hours of `23:00 - 2021-12-05 01:00` without the day between them; "" where none goes on to another day."""
    if not (found := _UP_TO.match(text)):
        return ""
    rest = text[found.end() :]
    day = next(filter(None, (pattern.match(rest) for pattern in _DAYS)), None)
    return found.group() + rest[day.end() :].lstrip(" ,T") if day else ""


def zone_in(text: str) -> str:
    """The zone that a text names, as in `When.zone`."""
    return _take_zone(plain(text))[1]


def day_at_start(text: str) -> tuple[Day, int, int] | None:
    """The day in words, such as `Sep 4` or `**3月6日**`, with which a line begins, and from where to where it goes."""
    start = _BEFORE_DAY.match(text)
    found = start and next(filter(None, (pattern.match(text, start.end()) for pattern in _WORDED_DAYS)), None)
    if not start or not found:
        return None
    day, problem = _day_of(found.groupdict(), found.group(), None)
    return None if day is None or problem else (day, found.start(), found.end())


def weekday_name(weekday: int) -> str:
    """The English short name, `Sat`."""
    return _WEEKDAYS[weekday].title()


def date_of(day: Day, year: int) -> date | None:
    """The date, or None where there is no such day."""
    try:
        return date(day.year or year, day.month, day.day)
    except ValueError:
        return None


def _take(pattern: re.Pattern[str], text: str, value_of: Callable[[re.Match[str]], T]) -> tuple[str, T | None]:
    found = pattern.search(text)
    return (_without(text, found), value_of(found)) if found else (text, None)


def _take_zone(text: str) -> tuple[str, str]:
    text, zone = _take(_ZONE, text, _zone_of)
    for found in _CITY.finditer(text) if zone is None else ():
        if city := _zone_of_city(found[1] or found[2]):
            return _without(text, found), city
    # `(GMT+08:00) 中国标准时间 - 北京` says one zone twice; a second, other zone belongs to hours that are not ours.
    again, second = _take(_ZONE, text, _zone_of)
    if second in ("Asia/Shanghai", "+08:00") and zone in ("Asia/Shanghai", "+08:00"):
        text = again
    return text, zone or ""


def _without(text: str, found: re.Match[str]) -> str:
    return f"{text[: found.start()]} {text[found.end() :]}"


def _take_day(text: str, weekday: int | None) -> tuple[str, Day | None, str]:
    for pattern in _DAYS:
        found = pattern.search(text)
        if found:
            day, problem = _day_of(found.groupdict(), found.group().strip(), weekday)
            return _without(text, found).strip(), day, problem
    return text, None, ""


def _falls_on(year: int | None, month: int, day: int, weekday: int | None) -> bool:
    found = date_of(Day(year, month, day), 2020)
    return found is not None and weekday in (None, found.weekday())


def _day_of(parts: dict[str, str | None], said: str, weekday: int | None) -> tuple[Day | None, str]:
    written = parts.get("year")
    year = int(written) if written else None
    if parts.get("name"):
        name = str(parts["name"]).lower()
        month, day = next(n for start, n in _MONTHS.items() if name.startswith(start)), int(str(parts["day"]))
    elif parts.get("first"):
        # 27/11/2021 and 11/27/2021 are both written: only a figure above 12, or the weekday, tells which it is.
        month, day = sorted((int(str(parts["first"])), int(str(parts["second"]))))
        if day <= 12 and month != day:
            fitting = [Day(year, *pair) for pair in ((month, day), (day, month)) if _falls_on(year, *pair, weekday)]
            return (fitting[0], "") if len(fitting) == 1 else (None, f"{said} can be read as two dates")
    else:
        month, day = int(str(parts["month"])), int(str(parts["day"]))
    found = Day(year, month, day)
    # In a leap year every day that can be is there.
    return (found, "") if date_of(found, 2020) else (None, f"there is no such day as {said}")


def _weekday_of(found: re.Match[str]) -> int:
    if found["zh"]:
        return "一二三四五六日".index(found["zh"].replace("天", "日"))
    if found["ja"]:
        return "月火水木金土日".index(found["ja"])
    if found["other"]:
        return _OTHER_WEEKDAYS.index(found["other"].lower()) % 7
    return _WEEKDAYS.index(found["en"][:3].lower())


def _zone_of(found: re.Match[str]) -> str:
    if found["beijing"]:
        return "Asia/Shanghai"
    if found["both"]:  # the names of one zone in winter and in summer
        return _SEASONAL[found["both"][:3].lower()]
    if found["us"] or found["area"]:
        return _STATES[(found["us"] or found["area"])[0].lower()]
    if found["iso"]:
        return f"+{found['iso']}:{found['isominutes']}"
    if found["name"]:
        return f"{_NAMED[found['name'].lower()]:+03d}:00"
    return f"{found['sign']}{int(found['hours']):02d}:{found['minutes'] or '00'}"


@functools.cache
def _zone_of_city(name: str) -> str:
    """The zone of the city that the world's zones call by this name."""
    end = f"/{name.replace(' ', '_')}"
    return _CITIES.get(name) or next((key for key in sorted(available_timezones()) if key.endswith(end)), "")


def _take_hours(text: str) -> tuple[str, When]:
    found = _RANGE.search(text)
    if found and any(_is_clock(found, n) for n in (1, 2)):
        return _without(text, found), _range_of(found)
    for single in _SINGLE.finditer(text):
        if _is_clock(single, 1):
            start = _time_of(single, 1, _half(single, 1))
            return _without(text, single), When(start=start, problem="" if start else _no_hour(single))
    return text, When()


def _is_clock(found: re.Match[str], n: int) -> bool:
    return any(found[f"{name}{n}"] for name in ("minute", "zh", "before", "after"))


def _range_of(found: re.Match[str]) -> When:
    first, second = _half(found, 1), _half(found, 2)
    start, end = _time_of(found, 1, first or second), _time_of(found, 2, second or first)
    if start and end and start >= end:
        if not first:  # 11:00-1:00 PM begins in the morning
            start = _time_of(found, 1, "")
        elif not second:  # 上午11:00-1:00 ends in the afternoon, 晚上11:00-1:00 after midnight
            end = _time_of(found, 2, "" if first == "pm" else "pm")
    is_ready = len(found["minute2"] or found["zhminute2"] or "00") == 2 and bool(_is_clock(found, 2))
    return When(start=start, end=end, problem="" if start and end else _no_hour(found), is_ready=is_ready)


def _half(found: re.Match[str], n: int) -> str:
    word = (found[f"before{n}"] or found[f"after{n}"] or "").lower()
    if word in ("下午", "傍晚", "晚上", "晚间", "晚") or word.startswith("p"):
        return "pm"
    if word in ("中午", "noon"):
        return "noon"
    return "am" if word.startswith("a") else "morning" if word else ""


def _time_of(found: re.Match[str], n: int, half: str) -> time | None:
    hour = int(found[f"hour{n}"])
    minute = 30 if found[f"thirty{n}"] else int(found[f"minute{n}"] or found[f"zhminute{n}"] or 0)
    if (half == "pm" and hour < 12) or (half == "noon" and hour < 4):
        hour += 12
    elif half == "am" and hour == 12:
        hour = 0
    if (n, hour, minute) == (2, 24, 0):
        hour = 0  # of the next day
    return time(hour, minute) if hour < 24 and minute < 60 else None


def _no_hour(found: re.Match[str]) -> str:
    return f"there is no such time of day as {found.group().strip()}"
