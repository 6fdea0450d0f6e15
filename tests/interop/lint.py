"""iCalendar bytes → everything in which they are not what RFC 5545, 7986 and 9074 ask for, each with its line.

Programs forgive a great deal, each something else, so that a feed which all of them read may still be wrong. This
forgives nothing, and shares no code with what writes the feed. What it has no rule for is a fault as well.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import NamedTuple
from zoneinfo import ZoneInfo, available_timezones

from dateutil.tz import tzical


class Where(NamedTuple):
    """A fault and the line at which it begins."""

    line: int
    fault: str


def faults(data: bytes) -> list[str]:
    """What is wrong, as `line N: what`; empty where nothing is."""
    found = [*_octets(data)]
    lines = list(_content_lines(data, found))
    calendar = _tree(lines, found)
    if calendar is not None:
        found += _components(calendar)
        found += _identities(calendar)
        found += _zones(calendar, data)
    return [f"line {line}: {fault}" for line, fault in sorted(set(found))]


def events(data: bytes) -> Iterator[dict[str, str | int]]:
    """The events of a calendar without faults, word for word, with times in UTC."""
    calendar = _tree(_content_lines(data, []), [])
    for event in calendar.parts if calendar else ():
        if event.name == "VEVENT":
            yield {
                "uid": event.value("UID"),
                "start": f"{_instant(event.all('DTSTART')):%Y-%m-%dT%H:%M:%SZ}",
                "end": f"{_instant(event.all('DTEND')):%Y-%m-%dT%H:%M:%SZ}",
                "summary": _unescaped(event.value("SUMMARY")),
                "description": _unescaped(event.value("DESCRIPTION")),
                "location": _unescaped(event.value("LOCATION")),
                "url": event.value("URL"),
                "status": event.value("STATUS"),
                "sequence": int(event.value("SEQUENCE")),
            }


def _unescaped(value: str) -> str:
    return re.sub(r"\\(.)", lambda match: "\n" if match[1] in "nN" else match[1], value)


# -- Octets and folds: RFC 5545 section 3.1


def _octets(data: bytes) -> Iterator[Where]:
    if data.startswith(b"\xef\xbb\xbf"):
        yield Where(1, "a byte order mark")
    if not data.endswith(b"\r\n"):
        yield Where(data.count(b"\n") + 1, "the last line has no end")
    for number, line in enumerate(data.removesuffix(b"\n").split(b"\n"), start=1):
        body = line.removesuffix(b"\r")
        if body == line and number <= data.count(b"\n"):
            yield Where(number, "ends without a carriage return")
        if len(body) > 75:
            yield Where(number, f"{len(body)} octets and not 75 at most")
        if not body.strip():
            yield Where(number, "empty")
        try:
            text = body.decode()
        except UnicodeDecodeError:
            yield Where(number, "no UTF-8 by itself: folded inside a character, or in another encoding")
            continue
        if odd := re.search(
            "[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\u202a-\u202e\u2066-\u2069]", text
        ):
            yield Where(number, f"holds U+{ord(odd[0]):04X}, which is to be seen by nobody")
        if (len(body) - len(body.rstrip(b"\\"))) % 2:
            yield Where(number, "folded inside an escape")


@dataclass
class Line:
    """A content line, unfolded; a parameter's values are a list."""

    number: int
    name: str
    parameters: dict[str, list[str]]
    value: str


_PARAMETER = r';([A-Za-z0-9-]+)=((?:"[^"]*"|[^";:,]*)(?:,(?:"[^"]*"|[^";:,]*))*)'
_CONTENT = re.compile(rf"([A-Za-z0-9-]+)((?:{_PARAMETER})*):(.*)", re.DOTALL)


def _content_lines(data: bytes, found: list[Where]) -> Iterator[Line]:
    unfolded: list[tuple[int, str]] = []
    for number, raw in enumerate(data.replace(b"\r\n", b"\n").removesuffix(b"\n").split(b"\n"), start=1):
        text = raw.decode(errors="replace")
        if text[:1] in (" ", "\t") and unfolded:
            unfolded[-1] = unfolded[-1][0], unfolded[-1][1] + text[1:]
        else:
            unfolded.append((number, text))
    for number, text in unfolded:
        if not (match := _CONTENT.fullmatch(text)):
            found.append(Where(number, f"no content line: {text[:40]!r}"))
            continue
        parameters: dict[str, list[str]] = {}
        for name, values in re.findall(_PARAMETER, match[2]):
            if name.upper() in parameters:
                found.append(Where(number, f"{name} twice on one line"))
            parameters[name.upper()] = [value.strip('"') for value in re.findall(r'"[^"]*"|[^,]+', values)]
        yield Line(number, match[1].upper(), parameters, match[5])


# -- The tree of components: section 3.6


@dataclass
class Part:
    """A component: its own lines and what is nested in it."""

    name: str
    number: int
    lines: list[Line] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)

    def all(self, name: str) -> list[Line]:
        return [line for line in self.lines if line.name == name]

    def value(self, name: str) -> str:
        return next((line.value for line in self.all(name)), "")


def _tree(lines: Iterable[Line], found: list[Where]) -> Part | None:
    roots: list[Part] = []
    open_parts: list[Part] = []
    number = 1
    for line in lines:
        number = line.number
        if line.name == "BEGIN":
            part = Part(line.value, number)
            (open_parts[-1].parts if open_parts else roots).append(part)
            open_parts.append(part)
        elif line.name == "END":
            if not open_parts or open_parts.pop().name != line.value:
                found.append(Where(number, f"END:{line.value} ends nothing that was begun"))
        elif open_parts:
            open_parts[-1].lines.append(line)
        else:
            found.append(Where(number, "outside the calendar"))
    found += [Where(number, f"END:{part.name} is missing") for part in open_parts]
    if [root.name for root in roots] != ["VCALENDAR"]:
        found.append(Where(1, "is not one VCALENDAR"))
    return roots[0] if roots else None


# -- Values: section 3.3


def _text(value: str) -> str:
    if re.search(r"(?<!\\)(?:\\\\)*[,;]", value):
        return "a comma or semicolon without its backslash"
    return _escapes(value)


def _texts(value: str) -> str:
    return "a semicolon without its backslash" if re.search(r"(?<!\\)(?:\\\\)*;", value) else _escapes(value)


def _escapes(value: str) -> str:
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


def _clock(value: str) -> datetime:
    return datetime.strptime(value.removesuffix("Z"), "%Y%m%dT%H%M%S")  # noqa: DTZ007 - what zone it is in stands elsewhere


def _moment(value: str) -> str:
    try:
        _clock(value)
    except ValueError:
        return f"{value!r} is no time of day"
    return "" if re.fullmatch(r"\d{8}T\d{6}Z?", value) else f"{value!r} is no time of day"


def _utc(value: str) -> str:
    return _moment(value) or ("" if value.endswith("Z") else f"{value!r} is not in UTC")


_DURATION = r"[+-]?P(?:\d+W|\d+D(?:T{0})?|T{0})".format(r"(?:\d+H(?:\d+M(?:\d+S)?)?|\d+M(?:\d+S)?|\d+S)")
_duration = _matches(_DURATION, "duration")
_span = _matches(_DURATION.replace("[+-]?", ""), "span of time")
_integer = _matches(r"\d{1,10}", "count")
_offset = _matches(r"[+-](?:0\d|1[0-4])[0-5]\d", "offset in whole minutes")
_rule = _matches(r"FREQ=YEARLY(?:;[A-Z]+=[A-Z0-9,+-]+)*", "yearly rule")
_color = _matches(r"[a-z]+", "name of a colour")


def _zone_name(value: str) -> str:
    return "" if value in available_timezones() else f"{value!r} is no zone that everybody knows"


# -- What each component holds: sections 3.6 and 3.8, RFC 7986 section 5, RFC 9074


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
            "DTSTART": Rule("1", _moment, ("TZID",)),
            "DTEND": Rule("1", _moment, ("TZID",)),
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


def _components(part: Part) -> Iterator[Where]:
    rules = PROPERTIES.get("STANDARD" if part.name == "DAYLIGHT" else part.name)
    if rules is None:
        yield Where(part.number, f"there is no {part.name}")
        return
    counts = Counter(line.name for line in part.lines)
    for name, rule in rules.items():
        if (rule.count == "1" and counts[name] != 1) or (rule.count == "?" and counts[name] > 1):
            yield Where(part.number, f"{part.name} has {counts[name]} {name}")
    for line in part.lines:
        if line.name not in rules:
            yield Where(line.number, f"{part.name} has no {line.name}")
            continue
        if fault := rules[line.name].check(line.value):
            yield Where(line.number, f"{line.name}: {fault}")
        yield from _parameters(line, rules[line.name])
    yield from _together(part)
    for nested in part.parts:
        if nested.name not in NESTED.get(part.name, ()):
            yield Where(nested.number, f"{nested.name} inside {part.name}")
        yield from _components(nested)


def _parameters(line: Line, rule: Rule) -> Iterator[Where]:
    allowed = {name.partition("=")[0] for name in rule.parameters}
    wanted = dict(name.split("=") for name in rule.parameters if "=" in name)
    for name, values in line.parameters.items():
        if name not in allowed:
            yield Where(line.number, f"{line.name} has no parameter {name}")
        if name == "FEATURE" and (odd := sorted(set(values) - FEATURES)):
            yield Where(line.number, f"FEATURE: {odd}")
        if any(re.search(r"[\^\n]", value) for value in values):  # RFC 6868, which some do not know
            yield Where(line.number, f"{name} holds a circumflex")
    for name, value in wanted.items():
        if line.parameters.get(name) != [value]:
            yield Where(line.number, f"{line.name} is not said to be {name}={value}")


def _together(part: Part) -> Iterator[Where]:
    """What properties of one component have to do with each other."""
    if part.name == "VCALENDAR" and not part.parts:
        yield Where(part.number, "VCALENDAR holds nothing")
    if part.name == "VCALENDAR" and part.value("NAME") != part.value("X-WR-CALNAME"):
        yield Where(part.number, "NAME and X-WR-CALNAME are two names")
    if part.value("METHOD") and not all(event.all("ORGANIZER") for event in part.parts if event.name == "VEVENT"):
        yield Where(part.number, "a message without its ORGANIZER")  # RFC 5546 section 3.2
    if part.name == "VTIMEZONE" and not part.parts:
        yield Where(part.number, "VTIMEZONE holds no rule")
    if part.name == "VEVENT":
        for line in (*part.all("DTSTART"), *part.all("DTEND")):
            if line.value.endswith("Z") == ("TZID" in line.parameters):
                yield Where(line.number, f"{line.name} floats" if "TZID" not in line.parameters else "UTC in a zone")
        if part.value("STATUS") == "CANCELLED" and part.parts:
            yield Where(part.number, "rings though it is cancelled")


# -- Identities: sections 3.8.4.7 and 3.8.3.1


def _identities(calendar: Part) -> Iterator[Where]:
    seen: set[str] = set()
    alarms = (alarm for part in calendar.parts for alarm in part.parts)
    for part in (*calendar.parts, *alarms):
        for line in (*part.all("UID"), *part.all("TZID")):
            if line.value in seen:
                yield Where(line.number, f"{line.name} {line.value} stands twice")
            seen.add(line.value)


# -- Zones: section 3.6.5


def _zones(calendar: Part, data: bytes) -> Iterator[Where]:
    """Each zone is defined once, before it is used or not; and its rules give what the world's tables give."""
    defined = {part.value("TZID") for part in calendar.parts if part.name == "VTIMEZONE"}
    events = [part for part in calendar.parts if part.name == "VEVENT"]
    times = [line for event in events for line in (*event.all("DTSTART"), *event.all("DTEND"))]
    used = {zone for line in times for zone in line.parameters.get("TZID", [])}
    yield from (Where(calendar.number, f"there is no VTIMEZONE for {zone}") for zone in sorted(used - defined))
    if events:
        yield from (Where(calendar.number, f"nothing is in the zone {zone}") for zone in sorted(defined - used))
    try:
        zones = tzical(io.StringIO(data.decode(errors="replace").replace("\r\n", "\n")))
    except ValueError as error:
        yield Where(calendar.number, f"VTIMEZONE: {error}")
        return
    for line in times:
        for zone in line.parameters.get("TZID", []):
            if zone in defined and zone in available_timezones() and not _moment(line.value):
                clock = _clock(line.value)
                said, true = (clock.replace(tzinfo=each).utcoffset() for each in (zones.get(zone), ZoneInfo(zone)))
                if said != true:
                    yield Where(line.number, f"{line.name}: {zone} is {said} here, and {true} everywhere else")
    for event in events:
        start, end = (_instant(event.all(name)) for name in ("DTSTART", "DTEND"))
        if start and end and end <= start:
            yield Where(event.number, "ends before it starts")


def _instant(lines: Sequence[Line]) -> datetime | None:
    if not lines or _moment(lines[0].value):
        return None
    zones = [zone for zone in lines[0].parameters.get("TZID", []) if zone in available_timezones()]
    return _clock(lines[0].value).replace(tzinfo=ZoneInfo(zones[0]) if zones else UTC).astimezone(UTC)
