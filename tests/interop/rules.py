"""What a component may hold, how often and with which parameters, and what a value may be."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple
from zoneinfo import available_timezones


def _text(value: str) -> str:
    if re.search(r"(?<!\\)(?:\\\\)*[,;]", value):
        return "a comma or semicolon without its backslash"
    return _escapes(value)


def _texts(value: str) -> str:
    return "a semicolon without its backslash" if re.search(r"(?<!\\)(?:\\\\)*;", value) else _escapes(value)


def _escapes(value: str) -> str:
    shown = re.sub(r"\\(.)", lambda found: "\n" if found[1] in "nN" else found[1], value)
    if not shown or shown != shown.strip():
        return f"{value[-20:]!r} begins or ends with nothing"
    odd = re.search(r"\\(?![\\;,nN])", re.sub(r"\\\\", "", value))
    return "a backslash that escapes nothing" if odd else ""


def _matches(pattern: str, what: str) -> Callable[[str], str]:
    return lambda value: "" if re.fullmatch(pattern, value) else f"{value!r} is no {what}"


def _is_one_of(*words: str) -> Callable[[str], str]:
    return lambda value: "" if value in words else f"{value!r} is none of {', '.join(words)}"


def _uri(value: str) -> str:
    # RFC 3986: a scheme, and no octet that would have to be percent-encoded; the comma cuts a link in some programs.
    pattern = r"[A-Za-z][A-Za-z0-9+.-]*:(?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+;=-]|%[0-9A-Fa-f]{2})+"
    return "" if re.fullmatch(pattern, value) else f"{value!r} is no URI"


def clock(value: str) -> datetime:
    """The time of day, whatever its zone."""
    return datetime.strptime(value.removesuffix("Z"), "%Y%m%dT%H%M%S")  # noqa: DTZ007 - what zone it is in stands elsewhere


def moment(value: str) -> str:
    """What is wrong with a DATE-TIME; as with every check here, empty where it is right."""
    try:
        clock(value)
    except ValueError:
        return f"{value!r} is no time of day"
    return "" if re.fullmatch(r"\d{8}T\d{6}Z?", value) else f"{value!r} is no time of day"


def _utc(value: str) -> str:
    return moment(value) or ("" if value.endswith("Z") else f"{value!r} is not in UTC")


_DURATION = r"[+-]?P(?:\d+W|\d+D(?:T{0})?|T{0})".format(r"(?:\d+H(?:\d+M(?:\d+S)?)?|\d+M(?:\d+S)?|\d+S)")
_duration = _matches(_DURATION, "duration")
_span = _matches(_DURATION.replace("[+-]?", ""), "span of time")
_integer = _matches(r"\d{1,10}", "count")
_offset = _matches(r"[+-](?:0\d|1[0-4])[0-5]\d", "offset in whole minutes")
_rule = _matches(r"FREQ=YEARLY(?:;[A-Z]+=[A-Z0-9,+-]+)*", "yearly rule")
_color = _matches(r"[a-z]+", "name of a colour")


def _zone_name(value: str) -> str:
    return "" if value in available_timezones() else f"{value!r} is no zone that everybody knows"


class Rule(NamedTuple):
    """How often a property stands in its component, what its value is, and the parameters that it may have."""

    count: str
    check: Callable[[str], str]
    parameters: Sequence[str] = ()


_WORDS = ("LANGUAGE", "ALTREP")
_STATUS = _is_one_of("TENTATIVE", "CONFIRMED", "CANCELLED")
_LOCAL = _matches(r"\d{8}T\d{6}", "local time")

PROPERTIES = MappingProxyType(
    {
        "VCALENDAR": {
            "VERSION": Rule("1", _is_one_of("2.0")),
            "PRODID": Rule("1", _text),
            "CALSCALE": Rule("?", _is_one_of("GREGORIAN")),
            "METHOD": Rule("?", _is_one_of("PUBLISH", "REQUEST", "CANCEL")),
            "NAME": Rule("?", _text, _WORDS),
            "DESCRIPTION": Rule("?", _text, _WORDS),
            "LAST-MODIFIED": Rule("?", _utc),
            "URL": Rule("?", _uri),
            "CATEGORIES": Rule("*", _texts, _WORDS),
            "REFRESH-INTERVAL": Rule("?", _span, ("VALUE=DURATION",)),
            "SOURCE": Rule("?", _uri, ("VALUE=URI",)),
            "COLOR": Rule("?", _color),
            "X-WR-CALNAME": Rule("?", _text),
            "X-WR-CALDESC": Rule("?", _text),
            "X-WR-TIMEZONE": Rule("?", _zone_name),
            "X-PUBLISHED-TTL": Rule("?", _span),
        },
        "VEVENT": {
            "UID": Rule("1", _text),
            "DTSTAMP": Rule("1", _utc),
            "DTSTART": Rule("1", moment, ("TZID",)),
            "DTEND": Rule("1", moment, ("TZID",)),
            "SUMMARY": Rule("1", _text, _WORDS),
            "DESCRIPTION": Rule("?", _text, _WORDS),
            "LOCATION": Rule("?", _text, _WORDS),
            "CREATED": Rule("?", _utc),
            "LAST-MODIFIED": Rule("?", _utc),
            "SEQUENCE": Rule("?", _integer),
            "STATUS": Rule("?", _STATUS),
            "TRANSP": Rule("?", _is_one_of("OPAQUE", "TRANSPARENT")),
            "CLASS": Rule("?", _is_one_of("PUBLIC", "PRIVATE", "CONFIDENTIAL")),
            "CATEGORIES": Rule("*", _texts, _WORDS),
            "URL": Rule("?", _uri),
            "CONFERENCE": Rule("*", _uri, ("VALUE=URI", "FEATURE", "LABEL", "LANGUAGE")),
            "ATTACH": Rule("*", _uri, ("FMTTYPE",)),
            "IMAGE": Rule("*", _uri, ("VALUE=URI", "FMTTYPE", "DISPLAY", "ALTREP")),
            "ORGANIZER": Rule("?", _uri, ("CN", "LANGUAGE")),
            "COLOR": Rule("?", _color),
        },
        "VALARM": {
            "ACTION": Rule("1", _is_one_of("DISPLAY")),
            "TRIGGER": Rule("1", _duration, ("RELATED",)),
            "DESCRIPTION": Rule("1", _text, _WORDS),
            "UID": Rule("?", _text),
        },
        "VTIMEZONE": {"TZID": Rule("1", _zone_name)},
        "STANDARD": {
            "DTSTART": Rule("1", _LOCAL),
            "TZOFFSETFROM": Rule("1", _offset),
            "TZOFFSETTO": Rule("1", _offset),
            "TZNAME": Rule("?", _text),
            "RRULE": Rule("?", _rule),
        },
    }
)
NESTED = MappingProxyType(
    {
        "VCALENDAR": {"VEVENT", "VTIMEZONE"},
        "VEVENT": {"VALARM"},
        "VTIMEZONE": {"STANDARD", "DAYLIGHT"},
    }
)
# RFC 7986 section 6.3.
FEATURES = frozenset({"AUDIO", "CHAT", "FEED", "MODERATOR", "PHONE", "SCREEN", "VIDEO"})
